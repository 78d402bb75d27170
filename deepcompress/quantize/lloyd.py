"""Lloyd's algorithm on scalars, the k-means of `quantize`.

Scalars can be sorted, and then a cluster is an interval: one iteration is ``k`` binary
searches for the borders between centroids and ``k`` differences of prefix sums, so it
costs O(k log n) where the textbook's costs O(n k).

Notes
-----
- An iteration assigns each value to its nearest centroid, half-way the lower one, and
  moves each centroid to the mean of its members.
- A cluster without members moves to the value that lies farthest from its centroid (of
  several the lowest); k of them to the k farthest values. These leave their clusters
  before the means are taken; a cluster that so loses all of its members is empty.
- That is the rule of scikit-learn's ``KMeans``, so that both end at the same centroids
  from the same start. They may differ, either way, where values lie equally far or half-way
  (scikit-learn takes any), and after a cluster has lost all members to empty ones
  (scikit-learn puts it beside the largest one).
- Neither step makes the sum of squares larger. The iterations end when no value changes
  its cluster and none is empty, or when each value lies on a centroid: then what is
  empty is dropped.

Shapes: n values, k centroids at the start, m <= k clusters that have members.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import quantize as native_quantize
from ..tensors import Int64Array

Float64Array = npt.NDArray[np.float64]


def cluster(ordered: Float64Array, start: Float64Array, max_iterations: int) -> Float64Array:
    """Return the centroids to which the ones of `start` move, ascending, each with members.

    ordered: shape (n,), ascending; start: shape (k,), any order; n, k > 0 (checked by
    `quantize`). Each iteration counts towards `max_iterations`.
    """
    prefix = np.concatenate([np.zeros(1), np.cumsum(ordered)])
    move = native_quantize.move if native.active() else _move
    centroids, previous = start, np.empty(0, np.int64)
    done = 0
    while True:
        centroids = np.unique(centroids)
        borders = find_borders(ordered, centroids)
        full = np.diff(borders) > 0
        centroids, borders = centroids[full], np.append(borders[:-1][full], ordered.size)
        empty = start.size - centroids.size
        if done == max_iterations or (empty == 0 and np.array_equal(borders, previous)):
            return centroids
        limit = max_iterations - done
        if empty:
            farthest = _farthest(ordered, centroids, borders, empty)
            if farthest.size == 0:
                return centroids
            # They lie outermost in their clusters, so that what remains is an interval, too.
            borders = np.unique(np.concatenate([borders, farthest, farthest + 1]))
            limit = 1
        centroids, previous, steps = move(ordered, prefix, borders, limit)
        done += steps


def _move(
    ordered: Float64Array, prefix: Float64Array, borders: Int64Array, limit: int
) -> tuple[Float64Array, Int64Array, int]:
    """Move the centroids of clusters with members until one loses all of them or none any.

    At most `limit` times. Return the centroids, the borders that they are the means of,
    and how often they were moved.
    """
    for step in range(1, limit + 1):
        means = np.diff(prefix[borders]) / np.diff(borders)
        # Prefix sums cancel: keep the mean within its members' range all the same.
        means = np.clip(means, ordered[borders[:-1]], ordered[borders[1:] - 1])
        moved = find_borders(ordered, means)
        if step == limit or np.array_equal(moved, borders) or not np.diff(moved).all():
            break
        borders = moved
    return means, borders, step


def _farthest(
    ordered: Float64Array, centroids: Float64Array, borders: Int64Array, count: int
) -> Int64Array:
    """Return where the `count` values are that lie farthest from their centroids.

    Fewer if there are fewer values; none if each lies on its centroid.
    """
    # Each cluster is two runs of values that come nearer to the centroid: from its first value
    # up, those not above the centroid, and from its last one down.
    inner = np.searchsorted(ordered, centroids, side="right")
    bounds = np.append(np.stack([borders[:-1], inner], axis=1), ordered.size)
    ends = np.stack([borders[:-1], borders[1:] - 1], axis=1).ravel()
    lengths = np.minimum(np.diff(bounds), count)
    run = np.repeat(np.arange(lengths.size), lengths)
    steps = np.arange(run.size) - (np.cumsum(lengths) - lengths)[run]
    positions = ends[run] + np.where(run % 2 == 0, steps, -steps)
    distances = np.abs(ordered[positions] - centroids[run // 2])
    farthest = np.argsort(-distances, kind="stable")[:count]
    return positions[farthest] if distances[farthest[0]] > 0 else np.empty(0, np.int64)


def find_borders(ordered: Float64Array, centroids: Float64Array) -> Int64Array:
    """Return m + 1 positions: cluster i holds ordered[borders[i]:borders[i + 1]]."""
    inner = np.searchsorted(ordered, midpoints(centroids), side="right")
    return np.concatenate([[0], inner, [ordered.size]]).astype(np.int64)


def midpoints(centroids: npt.NDArray[np.floating]) -> Float64Array:
    """Return the m - 1 bounds between ascending centroids; a value on one is below it."""
    wide = centroids.astype(np.float64)
    return (wide[:-1] + wide[1:]) / 2
