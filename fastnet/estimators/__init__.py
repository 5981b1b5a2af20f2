"""Estimators of scikit-learn: nets, linear classifiers and closed forms with ``fit``, ``predict`` and ``score``.

They work in pipelines, searches and cross-validation, are cloned and pickled, and need scikit-learn:
``pip install "fastnet-numba[sklearn]"``. ``import fastnet`` leaves them alone; ``from fastnet import estimators`` has
them.
"""
try:
    import sklearn  # noqa: F401
except ImportError as error:
    raise ImportError('fastnet.estimators needs scikit-learn, which is not installed: pip install '
                      '"fastnet-numba[sklearn]"') from error

from fastnet.estimators.least_squares import LeastSquaresClassifier
from fastnet.estimators.linear import SoftmaxClassifier, SVMClassifier
from fastnet.estimators.nets import NetClassifier, NetRegressor

__all__ = ["LeastSquaresClassifier", "NetClassifier", "NetRegressor", "SVMClassifier", "SoftmaxClassifier"]
