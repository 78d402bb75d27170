"""Pruning and sharing as transformers: what `fit` saw says what becomes of each number."""

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from ..checks import is_finite
from ..errors import ArgumentError, shown
from ..prune import threshold_mask
from ..quantize import assign, share_weights
from .validation import validate_data

Floats = npt.NDArray[Any]

DTYPES = (np.float64, np.float32)


class ArrayTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """What both transformers have in common: floats in, floats of the same dtype out."""

    per_column: bool

    def _fitted(self, X: npt.ArrayLike) -> list[Floats]:
        """Return the parts that are treated apart: the columns, or the whole matrix."""
        return self._parts(validate_data(self, X, dtype=DTYPES))

    def _checked(self, X: npt.ArrayLike) -> Floats:
        check_is_fitted(self)
        x: Floats = validate_data(self, X, dtype=DTYPES, reset=False, copy=True)
        return x

    def _parts(self, x: Floats) -> list[Floats]:
        """Return views of the parts of an array."""
        return list(x.T) if self.per_column else [x]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _more_tags(self) -> dict[str, Any]:  # before scikit-learn 1.6
        return {"preserves_dtype": [np.float64, np.float32]}


class MagnitudePruner(ArrayTransformer):
    """Sets small numbers to zero (Han et al. 2016, section 2).

    `fit` finds the least threshold by which at least the fraction `sparsity` of its matrix, or
    of each column, becomes zero: numbers of equal magnitude go together. `transform` sets each
    number of a magnitude up to the threshold to zero, and leaves the others as they are.

    Parameters
    ----------
    sparsity : float
        0 to 1.
    per_column : bool
        Whether each column has a threshold of its own.

    Attributes
    ----------
    thresholds_ : ndarray of shape (1,) or (features,), float64

    Examples
    --------
    >>> MagnitudePruner(sparsity=0.5).fit_transform([[3.0, -1.0], [0.5, -2.0]])
    array([[ 3.,  0.],
           [ 0., -2.]])
    """

    def __init__(self, sparsity: float = 0.9, *, per_column: bool = False) -> None:
        self.sparsity = sparsity
        self.per_column = per_column

    def fit(self, X: npt.ArrayLike, y: Any = None) -> "MagnitudePruner":
        """Find the thresholds of X, (n, features); y is ignored."""
        if not is_finite(self.sparsity, 0, 1):
            raise ArgumentError(f"sparsity must be in [0, 1], not {shown(self.sparsity)}")
        self.thresholds_ = np.array([self._threshold(part) for part in self._fitted(X)], np.float64)
        return self

    def _threshold(self, part: Floats) -> float:
        zeros = part.size - round((1 - float(self.sparsity)) * part.size)
        return float(np.sort(np.abs(part), axis=None)[zeros - 1]) if zeros else 0.0

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Return X with zeros, in its dtype: float64 or float32."""
        x = self._checked(X)
        for part, threshold in zip(self._parts(x), self.thresholds_, strict=True):
            part[~threshold_mask(part, threshold)] = 0
        return x


class WeightSharer(ArrayTransformer):
    """Replaces numbers by the nearest of a few that they share (Han et al. 2016, section 3).

    `fit` clusters the numbers of its matrix, or of each column, that aren't zero. `transform`
    puts for each number that isn't zero the nearest centroid, the lower one of two; zeros stay.

    Parameters
    ----------
    bits : int
        1 to 8: there are at most ``2**bits - 1`` centroids.
    init : str
        Where they start, one of `quantize.INITS`.
    per_column : bool
        Whether each column has a codebook of its own.
    random_state : int, RandomState or None
        For the inits that draw.

    Attributes
    ----------
    codebooks_ : list of ndarray of shape (K,), float32
        One, or one for each column; the zero first, then the centroids, ascending.

    Examples
    --------
    >>> WeightSharer(bits=1).fit_transform([[3.0, 0.0], [5.0, 4.0]])
    array([[4., 0.],
           [4., 4.]])
    """

    def __init__(
        self,
        bits: int = 5,
        *,
        init: str = "linear",
        per_column: bool = False,
        random_state: Any = None,
    ) -> None:
        self.bits = bits
        self.init = init
        self.per_column = per_column
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: Any = None) -> "WeightSharer":
        """Find the codebooks of X, (n, features); y is ignored."""
        parts = self._fitted(X)
        rng = np.random.default_rng(check_random_state(self.random_state).randint(2**31 - 1))
        self.codebooks_ = [
            share_weights(part, part != 0, self.bits, self.init, rng=rng).codebook for part in parts
        ]
        return self

    def transform(self, X: npt.ArrayLike) -> Floats:
        """Return X with shared numbers, in its dtype: float64 or float32."""
        x = self._checked(X)
        for part, codebook in zip(self._parts(x), self.codebooks_, strict=True):
            is_some = part != 0
            if len(codebook) == 1:
                part[is_some] = 0
            else:
                part[is_some] = codebook[1:][assign(part[is_some], codebook[1:])]
        return x
