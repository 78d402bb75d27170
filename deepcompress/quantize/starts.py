"""Where the centroids of k-means start (Han et al. 2016, section 3.2), for `quantize`.

Each function takes the values in ascending order, n of them, the number k < n of
centroids, and a generator, and returns k centroids.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Float64Array = npt.NDArray[np.float64]


def _linear(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    return np.linspace(ordered[0], ordered[-1], k)


def _density(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    """Place the centroids where the distribution function reaches (i + 1/2) / k."""
    return ordered[(np.arange(k) * 2 + 1) * ordered.size // (2 * k)]


def _random(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    return ordered[rng.choice(ordered.size, k, replace=False)]


def _kmeans_plus_plus(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    """Draw each centroid with probability ~ squared distance (Arthur & Vassilvitskii 2007)."""
    centroids = [ordered[rng.integers(ordered.size)]]
    squared = np.full(ordered.size, np.inf)
    for _ in range(k - 1):
        squared = np.minimum(squared, (ordered - centroids[-1]) ** 2)
        cumulative = np.cumsum(squared)
        drawn = np.searchsorted(cumulative, rng.random() * cumulative[-1], side="right")
        centroids.append(ordered[min(drawn, ordered.size - 1)])
    return np.array(centroids)


INITS: dict[str, Callable[[Float64Array, int, np.random.Generator], Float64Array]] = {
    "linear": _linear,
    "density": _density,
    "random": _random,
    "kmeans++": _kmeans_plus_plus,
}
