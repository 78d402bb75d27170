"""Where the centroids of k-means start (Han et al. 2016, section 3.2), for `quantize`.

Each function takes the values in ascending order, n of them, the number k < n of
centroids, and a generator, and returns k centroids.

Values with all signs changed have the same start with all signs changed, unless it is drawn:
`random` and `kmeans++` draw from the values in ascending order.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from . import optimal
from .lloyd import leans_down

Float64Array = npt.NDArray[np.float64]


def _linear(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    first, last = ordered[0], ordered[-1]
    if leans_down(ordered):
        return -np.linspace(-last, -first, k)[::-1]
    return np.linspace(first, last, k)


def _density(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    """Place the centroids where the distribution function reaches (i + 1/2) / k.

    Between two values it is the upper one; the lower one where the values lean down.
    """
    places = (np.arange(k) * 2 + 1) * ordered.size // (2 * k)
    return ordered[ordered.size - 1 - places[::-1] if leans_down(ordered) else places]


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


def _optimal(ordered: Float64Array, k: int, rng: np.random.Generator) -> Float64Array:
    """Return the end at once: no iteration makes it better. Fewer than k if values are equal."""
    return optimal.centroids(ordered, k)


INITS: dict[str, Callable[[Float64Array, int, np.random.Generator], Float64Array]] = {
    "linear": _linear,
    "density": _density,
    "random": _random,
    "kmeans++": _kmeans_plus_plus,
    "optimal": _optimal,
}
