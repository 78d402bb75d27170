"""What differs between the versions of scikit-learn: how an estimator checks its data."""

from typing import Any

try:
    from sklearn.utils.validation import validate_data
except ImportError:  # before 1.6 it was a method

    def validate_data(estimator: Any, /, *args: Any, **options: Any) -> Any:
        """Check X, or X and y, as ``sklearn.utils.validation.validate_data`` does."""
        return estimator._validate_data(*args, **options)


__all__ = ["validate_data"]
