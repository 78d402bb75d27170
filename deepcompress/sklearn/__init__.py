"""Estimators and transformers for scikit-learn; each passes `sklearn.utils.estimator_checks`."""

from .conversion import compress_estimator
from .estimators import DeepCompressionClassifier, DeepCompressionRegressor
from .transformers import MagnitudePruner, WeightSharer

__all__ = [
    "DeepCompressionClassifier",
    "DeepCompressionRegressor",
    "MagnitudePruner",
    "WeightSharer",
    "compress_estimator",
]
