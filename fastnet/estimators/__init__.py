"""Estimators of scikit-learn: nearest neighbours, and features and whitening of images.

They work in pipelines, searches and cross-validation, are cloned and pickled, and need scikit-learn:
``pip install "fastnet-numba[sklearn]"``. ``import fastnet`` leaves them alone; ``from fastnet import estimators`` has
them.
"""
try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError(
        'fastnet.estimators needs scikit-learn, which is not installed: pip install "fastnet-numba[sklearn]"'
    ) from error

from fastnet.estimators.features import HOG, HueHistogram, MeanImage, MinMax, PerChannel
from fastnet.estimators.neighbors import KNeighborsClassifier, KNeighborsRegressor
from fastnet.estimators.whitening import PCA, ZCA

__all__ = ["HOG", "HueHistogram", "KNeighborsClassifier", "KNeighborsRegressor", "MeanImage", "MinMax", "PCA",
           "PerChannel", "ZCA"]
