"""k-means of scalars, from given centroids or the best there is: the fronts of two algorithms.

They are `lloyd` and `optimal`, which expect the arguments that are checked here.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..checks import is_whole
from ..errors import ArgumentError, shown
from . import lloyd, optimal

Float64Array = npt.NDArray[np.float64]

MAX_ITERATIONS = 1000  # Lloyd on scalars ends far earlier, but with no useful bound
MOST = 400  # exponent of 2; sums of squares up to its double neither overflow nor vanish


def kmeans(
    values: npt.ArrayLike,
    start: npt.ArrayLike,
    max_iterations: int = MAX_ITERATIONS,
    *,
    weights: npt.ArrayLike | None = None,
) -> Float64Array:
    """Return the centroids to which Lloyd's algorithm leads from given ones, ascending.

    Parameters
    ----------
    values : array_like of shape (n,), real
        Finite values in any order, at least one.
    start : array_like of shape (k,), real
        Finite centroids in any order, at least one.
    max_iterations : int
        As for `share_weights`.
    weights : array_like of shape (n,), real, optional
        How much each value counts: finite, none below 0, some above; by default all are equal.
        A value of weight 0 is left out. A weight below ``2**-40`` of all together counts as that.

    Returns
    -------
    ndarray of at most k values, float64
        Each has members (see `assign`); `lloyd` tells of those that lose theirs. Their sum of
        squares isn't above that of `start`.

    Raises
    ------
    ArgumentError
        If an argument is out of range.

    See Also
    --------
    optimal_kmeans : The best centroids there are.

    Examples
    --------
    >>> kmeans([1, 2, 10, 11, 12], [0, 1])
    array([ 1.5, 11. ])
    """
    wide, centroids = np.asarray(values, np.float64), np.asarray(start, np.float64)
    if not (wide.ndim == centroids.ndim == 1 and wide.size and centroids.size):
        raise ArgumentError(
            "values and start must each have one axis and an element, not shapes "
            f"{wide.shape} and {centroids.shape}"
        )
    if not (np.isfinite(wide).all() and np.isfinite(centroids).all()):
        raise ArgumentError("values and start must be finite")
    max_iterations = checked_iterations(max_iterations)
    exponent = _exponent(wide, centroids)
    wide, centroids = np.ldexp(wide, -exponent), np.ldexp(centroids, -exponent)
    ordered, masses = in_order(wide, weights)
    found, clear = lloyd.descend(ordered, centroids, max_iterations, masses)
    if not clear:
        unmoved = lloyd.cluster(ordered, centroids, 0, masses)
        found = better(wide, found, unmoved, weights)
    return np.ldexp(found, exponent)


def optimal_kmeans(
    values: npt.ArrayLike, k: int, *, weights: npt.ArrayLike | None = None
) -> Float64Array:
    """Return centroids with the least sum of squares that k of them can have, ascending.

    Parameters
    ----------
    values : array_like of shape (n,), real
        Finite values in any order, at least one.
    k : int
        Number of centroids, at least 1.
    weights : array_like of shape (n,), real, optional
        As for `kmeans`.

    Returns
    -------
    ndarray of k values, float64
        Or of all distinct values, if these are fewer. `optimal` tells how exact they are.

    Raises
    ------
    ArgumentError
        If an argument is out of range.

    Examples
    --------
    >>> optimal_kmeans([1, 2, 10, 11, 12], 2)
    array([ 1.5, 11. ])
    >>> optimal_kmeans([1, 2, 10, 11, 12], 2, weights=[1, 3, 1, 1, 0])
    array([ 1.75, 10.5 ])
    """
    wide = np.asarray(values, np.float64)
    if wide.ndim != 1 or not wide.size or not np.isfinite(wide).all():
        raise ArgumentError(f"values must be finite, of one axis, at least one, not {wide.shape}")
    if not isinstance(k, int | np.integer) or k < 1:
        raise ArgumentError(f"k must be an integer >= 1, not {shown(k)}")
    exponent = _exponent(wide)
    ordered, masses = in_order(np.ldexp(wide, -exponent), weights)
    return np.ldexp(optimal.centroids(ordered, int(k), masses), exponent)


def in_order(
    values: Float64Array, weights: npt.ArrayLike | None
) -> tuple[Float64Array, Float64Array | None]:
    """Return the values that count, ascending, and their weights, none of which is lost in sums.

    Raise ArgumentError if a weight is out of range.
    """
    if weights is None:
        return np.sort(values), None
    masses = checked_weights(weights, values.shape, "weights")
    order = np.argsort(values, kind="stable")
    order = order[masses[order] > 0]
    masses = np.ldexp(masses[order], -np.frexp(masses.max())[1])
    return values[order], np.maximum(masses, masses.sum() * 2.0**-40)


def checked_weights(weights: npt.ArrayLike, shape: tuple[int, ...], name: str) -> Float64Array:
    """Return the weights in float64; raise ArgumentError, by that name, if one is out of range."""
    masses = np.asarray(weights, np.float64)
    if masses.shape != shape:
        raise ArgumentError(f"{name} must be of shape {shape}, not {masses.shape}")
    if not (
        np.isfinite(masses).all() and (masses >= 0).all() and (masses.any() or not masses.size)
    ):
        raise ArgumentError(f"{name} must be finite, none below 0, and not all 0")
    return masses


def better(
    values: npt.NDArray[np.floating],
    found: npt.NDArray[Any],
    start: npt.NDArray[Any],
    weights: npt.ArrayLike | None = None,
) -> npt.NDArray[Any]:
    """Return whichever centroids have the smaller sum of squares; `found` if it is the same."""

    def squares(centroids: npt.NDArray[np.floating]) -> float:
        nearest = np.searchsorted(lloyd.midpoints(centroids), values, side="left")
        squared = (values.astype(np.float64) - centroids.astype(np.float64)[nearest]) ** 2
        return float(np.sum(squared if weights is None else squared * np.asarray(weights)))

    return found if squares(found) <= squares(start) else start


def _exponent(*arrays: Float64Array) -> int:
    """Return the power of 2 to divide by so that squares fit into float64; 0 if they do."""
    exponent = int(max(np.frexp(np.abs(array).max())[1] for array in arrays))
    return exponent if abs(exponent) > MOST else 0


def checked_iterations(max_iterations: int) -> int:
    """Return the number as C can count to it; raise if it is none."""
    if not is_whole(max_iterations, 0):
        raise ArgumentError(f"max_iterations must be an integer >= 0, not {shown(max_iterations)}")
    return min(int(max_iterations), 1 << 62)  # what C can count to; nobody gets there
