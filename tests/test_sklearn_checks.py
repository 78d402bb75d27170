"""scikit-learn's own checks of what an estimator has to do."""

from collections.abc import Callable
from typing import Any
from unittest import SkipTest

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from deepcompress.sklearn import (
    DeepCompressionClassifier,
    DeepCompressionRegressor,
    MagnitudePruner,
    WeightSharer,
)

# Few passes, so that each check is short; what they are asked to learn is easy.
PASSES = {"hidden_layer_sizes": 20, "max_iter": 15, "retrain_iter": 10, "fine_tune_iter": 1}
ESTIMATORS = [
    DeepCompressionClassifier(density=0.5, batch_size=16, learning_rate=0.02, **PASSES),
    DeepCompressionRegressor(density=0.5, batch_size=16, learning_rate=0.02, **PASSES),
    MagnitudePruner(sparsity=0.5),
    MagnitudePruner(per_column=True),
    WeightSharer(bits=2),
    WeightSharer(bits=3, init="random", per_column=True),
]


@parametrize_with_checks(ESTIMATORS)
def test_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    try:
        check(estimator)
    except SkipTest as reason:  # of checks for arrays of other packages, where these are absent
        if not any(part in str(reason) for part in ("pandas", "SCIPY_ARRAY_API")):
            pytest.fail(f"skipped: {reason}")
