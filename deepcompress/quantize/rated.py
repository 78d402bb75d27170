"""Clustering that knows the coder: distortion and code length together (stage 2, beyond the paper).

Entropy-constrained quantization (Chou, Lookabaugh & Gray 1989): a weight takes not the nearest
centroid but the one with the least ``(w - c)**2 + price * bits``, where ``bits`` is the ideal
length of the centroid's code, ``-log2`` of the share of weights that have it. Rare centroids lose
members until they vanish, and a codebook that is coded well is left.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import is_finite
from ..errors import ArgumentError, shown
from ..tensors import Float32Array, Float64Array

MAX_ROUNDS = 100


@dataclass(frozen=True)
class RatedCodebook:
    """Centroids, and what their labels cost.

    Attributes
    ----------
    centroids : ndarray of shape (K,), float32
        Ascending.
    bits : ndarray of shape (K,), float64
        Ideal code length of each label.
    """

    centroids: Float32Array
    bits: Float64Array

    def labels(self, values: npt.NDArray[np.floating], price: float) -> npt.NDArray[np.intp]:
        """Return the centroid of least cost for each value: shape (n,), each in 0 … K-1."""
        distances = values[:, None].astype(np.float64) - self.centroids
        costs: npt.NDArray[np.intp] = (distances**2 + price * self.bits).argmin(axis=1)
        return costs


def rated_codebook(
    values: npt.NDArray[np.floating], clusters: int, price: float = 0.0
) -> RatedCodebook:
    """Cluster values at the least distortion plus price times bits.

    Lloyd's iterations: labels of least cost, then means and code lengths of the members, until
    no label changes. They start at the end of plain k-means, and that at even centroids: with a
    price from the start, far centroids with few members would vanish too early.

    Parameters
    ----------
    values : ndarray of shape (n,), floating
        Finite, at least one.
    clusters : int
        Centroids to start with, at least 1; fewer may be left.
    price : float
        What a bit costs, in the unit of a squared value; 0 for plain k-means.

    Returns
    -------
    RatedCodebook

    Raises
    ------
    ArgumentError
        If there are no values or they aren't finite; if `clusters` is below 1, or `price` is
        negative or not finite.

    Examples
    --------
    >>> values = np.array([-1, -1, -1, -1, -0.9, 1])
    >>> rated_codebook(values, 3).centroids
    array([-0.98,  1.  ], dtype=float32)
    >>> rated_codebook(values, 3, price=9.0).centroids
    array([-0.65], dtype=float32)
    """
    values = np.asarray(values, np.float64).reshape(-1)
    if values.size == 0 or not np.isfinite(values).all():
        raise ArgumentError("values must be finite, and one at least")
    if clusters < 1:
        raise ArgumentError(f"clusters must be at least 1, not {clusters}")
    if not is_finite(price, 0):
        raise ArgumentError(f"price must be finite and >= 0, not {shown(price)}")
    start = np.linspace(values.min(), values.max(), clusters)
    plain = _iterate(values, start, np.zeros(clusters), 0.0)
    centroids, bits = _iterate(values, *plain, price) if price else plain
    return RatedCodebook(centroids.astype(np.float32), bits)


def _iterate(
    values: Float64Array, centroids: Float64Array, bits: Float64Array, price: float
) -> tuple[Float64Array, Float64Array]:
    """Return centroids and code lengths when no label changes any more."""
    labels = np.full(values.size, -1)
    for _ in range(MAX_ROUNDS):
        before = labels
        labels = ((values[:, None] - centroids) ** 2 + price * bits).argmin(axis=1)
        _, labels, counts = np.unique(labels, return_inverse=True, return_counts=True)
        centroids = np.bincount(labels, weights=values) / counts
        bits = -np.log2(counts / values.size)
        if np.array_equal(labels, before):
            break
    return centroids, bits
