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
- Values and start with all signs changed give the same centroids with all signs changed, bit
  for bit: where `leans_down` holds, "lower" and "lowest" above read "upper" and "highest".
- Prefix sums begin at zero and run outward. A sum of members, all of one sign, is then off by
  no more than ``n * 2**-53`` of itself, whatever else there is. Sums that begin at the lowest
  value lose all that lies above a large negative one.

Shapes: n values, k centroids at the start, m <= k clusters that have members.
"""

import math
from typing import Literal, TypeVar

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import quantize as native_quantize
from ..tensors import Int64Array

Float64Array = npt.NDArray[np.float64]
_Float = TypeVar("_Float", np.float32, np.float64)


def cluster(
    ordered: Float64Array,
    start: Float64Array,
    max_iterations: int,
    weights: Float64Array | None = None,
) -> Float64Array:
    """Return the centroids to which the ones of `start` move, ascending, each with members.

    ordered: shape (n,), ascending; start: shape (k,), any order; weights: None for equal ones,
    or shape (n,), above 0; n, k > 0 (checked by `quantize`). Each iteration counts towards
    `max_iterations`.
    """
    return descend(ordered, start, max_iterations, weights)[0]


def descend(
    ordered: Float64Array,
    start: Float64Array,
    max_iterations: int,
    weights: Float64Array | None = None,
) -> tuple[Float64Array, bool]:
    """Return the centroids as `cluster` does, and whether that they are better needs no proof.

    Then their sum of squares is below that of the start, whether or not centroids are rounded
    to float32. Otherwise it may be above, by rounding.
    """
    c = native.active()
    add_up, move = (native_quantize.outward_sums, native_quantize.move) if c else (_sums, _move)
    zero = int(ordered.searchsorted(0))
    sums = add_up(ordered if weights is None else ordered * weights, zero)
    masses = None if weights is None else add_up(weights, zero)
    upper = leans_down(ordered, start)
    centroids, previous = np.sort(start), np.empty(0, np.int64)
    done, clear = 0, max_iterations == 0
    while True:
        centroids = distinct(centroids)
        borders = find_borders(ordered, centroids, upper)
        full = borders[1:] > borders[:-1]
        if not full.all():
            centroids, borders = centroids[full], np.append(borders[:-1][full], ordered.size)
        empty = start.size - centroids.size
        if done == max_iterations or (empty == 0 and np.array_equal(borders, previous)):
            break
        if done == 0:
            clear = _gains_clearly(ordered, sums, masses, centroids, borders)
        limit = max_iterations - done
        if empty:
            farthest = _farthest(ordered, centroids, borders, empty, upper)
            if farthest.size == 0:
                break
            # They lie outermost in their clusters, so that what remains is an interval, too.
            borders = np.unique(np.concatenate([borders, farthest, farthest + 1]))
            limit = 1
        centroids, previous, steps = move(ordered, sums, masses, borders, limit, upper)
        done += steps
    # Labels give values half-way to the lower one. That may leave a centroid none, cut short.
    if upper:
        centroids = centroids[np.diff(find_borders(ordered, centroids)) > 0]
    return centroids, clear


def _gains_clearly(
    ordered: Float64Array,
    sums: Float64Array,
    masses: Float64Array | None,
    centroids: Float64Array,
    borders: Int64Array,
) -> bool:
    """Tell whether the first move makes the sum of squares smaller by more than roundings can.

    The move to the means saves ``sum(masses * (centroids - means)**2)``. Where no centroid is
    off by more than e, the root of the sum of squares is by no more than ``e * sqrt(n)``.
    """
    places = borders if masses is None else masses[borders]
    held = places[1:] - places[:-1]
    totals = sums[borders]
    excess = centroids * held - (totals[1:] - totals[:-1])
    reach = np.maximum(centroids - ordered[borders[:-1]], ordered[borders[1:] - 1] - centroids)
    most = (held * reach * reach).sum()
    # Roots of sums of squares: a - b = (a**2 - b**2) / (a + b), and both squares are below most.
    off = max(-ordered[0], ordered[-1]) * (2.0**-24 + ordered.size * 2.0**-53)
    total = places[-1] - places[0]
    clear = most * 1e-12 + 4 * off * (math.sqrt(most * total) + off * total)
    return bool((excess * excess / held).sum() > clear)


def _move(
    ordered: Float64Array,
    sums: Float64Array,
    masses: Float64Array | None,
    borders: Int64Array,
    limit: int,
    upper: bool,
) -> tuple[Float64Array, Int64Array, int]:
    """Move the centroids of clusters with members until one loses all of them or none any.

    At most `limit` times. Return the centroids, the borders that they are the means of,
    and how often they were moved.
    """
    for step in range(1, limit + 1):
        means = np.diff(sums[borders]) / np.diff(borders if masses is None else masses[borders])
        # Sums are rounded: keep the mean within its members' range all the same.
        means = np.clip(means, ordered[borders[:-1]], ordered[borders[1:] - 1])
        moved = find_borders(ordered, means, upper)
        if step == limit or np.array_equal(moved, borders) or not np.diff(moved).all():
            break
        borders = moved
    return means, borders, step


def _farthest(
    ordered: Float64Array,
    centroids: Float64Array,
    borders: Int64Array,
    count: int,
    upper: bool = False,
) -> Int64Array:
    """Return where the `count` values are that lie farthest from their centroids.

    Fewer if there are fewer values; none if each lies on its centroid.
    """
    # Each cluster is two runs of values that come nearer to the centroid: from its first value
    # up, those not above the centroid, and from its last one down.
    bounds = np.repeat(borders, 2)[:-1]
    ends = bounds[:-1].copy()
    bounds[1::2] = np.searchsorted(ordered, centroids, side=_side(upper))
    ends[1::2] = borders[1:] - 1
    lengths = np.minimum(bounds[1:] - bounds[:-1], count)
    run = np.repeat(np.arange(lengths.size), lengths)
    steps = np.arange(run.size) - (np.cumsum(lengths) - lengths)[run]
    positions = ends[run] + np.where(run % 2 == 0, steps, -steps)
    distances = np.abs(ordered[positions] - centroids[run // 2])
    farthest = np.lexsort([-run if upper else run, -distances])[:count]
    return positions[farthest] if distances[farthest[0]] > 0 else np.empty(0, np.int64)


def find_borders(ordered: Float64Array, centroids: Float64Array, upper: bool = False) -> Int64Array:
    """Return m + 1 positions: cluster i holds ordered[borders[i]:borders[i + 1]].

    A value half-way between two centroids belongs to the lower one, or to the upper one.
    """
    borders = np.empty(centroids.size + 1, np.int64)
    borders[0], borders[-1] = 0, ordered.size
    borders[1:-1] = np.searchsorted(ordered, midpoints(centroids), side=_side(upper))
    return borders


def _side(upper: bool) -> Literal["left", "right"]:
    """Return the side of `numpy.searchsorted` that gives a value half-way to the lower one."""
    return "left" if upper else "right"


def midpoints(centroids: npt.NDArray[np.floating]) -> Float64Array:
    """Return the m - 1 bounds between ascending centroids."""
    wide = centroids.astype(np.float64, copy=False)
    return (wide[:-1] + wide[1:]) / 2


def leans_down(ordered: Float64Array, start: Float64Array | None = None) -> bool:
    """Tell whether the largest magnitude is a negative value's; of two equal ones, the next.

    It changes with the signs of all values and centroids, unless these remain as they are.
    """
    if ordered[0] != -ordered[-1]:
        return bool(ordered[0] < -ordered[-1])
    for ascending in (ordered,) if start is None else (ordered, np.sort(start)):
        unlike = np.flatnonzero(ascending != -ascending[::-1])
        if unlike.size:
            return bool(ascending[unlike[0]] < -ascending[-1 - unlike[0]])
    return False


def distinct(ascending: npt.NDArray[_Float]) -> npt.NDArray[_Float]:
    """Return what `numpy.unique` does, for at least one element in ascending order, sooner."""
    first = np.ones(ascending.size, np.bool_)
    np.not_equal(ascending[1:], ascending[:-1], out=first[1:])
    return ascending[first]


def _sums(terms: Float64Array, zero: int) -> Float64Array:
    """Return n + 1 sums; those from i to j - 1 of the terms sum up to sums[j] - sums[i].

    They begin with 0 at `zero`, where the values that the terms belong to change their sign.
    """
    sums = np.empty(terms.size + 1)
    sums[zero] = 0
    np.cumsum(terms[zero:], out=sums[zero + 1 :])
    sums[:zero] = -np.cumsum(terms[:zero][::-1])[::-1]
    return sums
