"""Estimators of scikit-learn: nets, linear classifiers, closed forms and nearest neighbours with ``fit``, ``predict``
and ``score``; features and whitening of images as transformers.

They work in pipelines, searches and cross-validation, are cloned and pickled, and need scikit-learn:
``pip install "fastnet-numba[sklearn]"``. ``import fastnet`` leaves them alone; ``from fastnet import estimators`` has
them.
"""
try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('fastnet.estimators needs scikit-learn, which is not installed: pip install '
                      '"fastnet-numba[sklearn]"') from error

from fastnet.estimators.features import HOG, HueHistogram, MeanImage, MinMax, PerChannel
from fastnet.estimators.least_squares import LeastSquaresClassifier
from fastnet.estimators.linear import SoftmaxClassifier, SVMClassifier
from fastnet.estimators.neighbors import KNeighborsClassifier, KNeighborsRegressor
from fastnet.estimators.nets import NetClassifier, NetRegressor
from fastnet.estimators.whitening import PCA, ZCA

__all__ = ["HOG", "HueHistogram", "KNeighborsClassifier", "KNeighborsRegressor", "LeastSquaresClassifier", "MeanImage",
           "MinMax", "NetClassifier", "NetRegressor", "PCA", "PerChannel", "SVMClassifier", "SoftmaxClassifier", "ZCA"]
