"""The exact optimum of k-means on scalars, by dynamic programming.

The best clusters are intervals of the sorted values. ``D[j][i]``, the least sum of squares of
the first i values in j clusters, is the least ``D[j - 1][p] + cost(p, i)`` over the borders p.
The lowest best p doesn't move down as i grows (Wu 1991; Grønlund et al. 2017), so that divide
and conquer over i finds a row of n in O(n log n), and all k rows in O(k n log n).

Notes
-----
- Few of all borders can be part of an optimum. `_windows` bounds each border from coarse grids
  of blocks of values: a partition with borders on the grid bounds the optimum from above, one
  that leaves out every block with a border in it from below. Wherever the bounds from both
  sides together are above the optimum's, there is no border. In the windows that remain the
  search is exact; bad bounds cost time alone.
- The lowest borders are taken where several partitions are equally good; the highest ones where
  values lean down (see `lloyd.leans_down`), so that signs may be changed.
- Costs are differences of sums of weights, of values and of squares. Each sum is a pair of
  float64 and begins at zero, as in `lloyd`: a cost of float32 values has all digits of
  float64 where they are ordinary, and nine of neighbours in float32, whatever is beside them.
  ``D`` is float64.
- Memory is O(n): the borders of all rows are kept where they take k n bits or less; otherwise
  the middle border is found first, and both sides alike.

Shapes: n distinct values, k < n clusters; a border is 0 to n, m points are a grid's.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import quantize as native_quantize
from ..tensors import Int64Array, UInt8Array
from .lloyd import leans_down

Float64Array = npt.NDArray[np.float64]

ROUNDING = 1e-7  # relative, of bounds on sums of squares: more than costs are off by
NOISE = 2.0**-72  # that costs may be off by where values have more digits than float32
BLOCKS = 16  # per cluster, on the coarsest grid
FINER = 8  # how many times more blocks each grid has than the one before
FINEST = 8  # values per block, or the grid isn't worth its time
SMALL = 1 << 28  # bits that need no saving
SPLITTER = 2.0**27 + 1


class Windows(NamedTuple):
    """The first and the last place of each of the borders 0 to k; each of these two has one."""

    first: Int64Array
    last: Int64Array


class Pair(NamedTuple):
    """A sum in two parts, the low one at most half a unit of the high one's last digit."""

    high: Float64Array
    low: Float64Array


def centroids(ordered: Float64Array, k: int, weights: Float64Array | None = None) -> Float64Array:
    """Return the centroids of the best k clusters, or all distinct values if they aren't more.

    ordered: shape (n,), ascending; weights: shape (n,), above 0 (checked by `quantize`).
    """
    if leans_down(ordered):
        return -centroids(-ordered[::-1], k, None if weights is None else weights[::-1])[::-1]
    begins = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    values = ordered[begins]
    if values.size <= k:
        return values
    if weights is None:
        weights = np.diff(np.append(begins, ordered.size)).astype(np.float64)
    else:
        weights = np.add.reduceat(weights, begins)
    measure = native_quantize.moments if native.active() else _moments
    moments = measure(values, weights)
    borders = _borders(moments, _windows(values, moments, k))
    masses, sums, _ = _between(moments, borders[:-1], borders[1:])
    return np.clip(sums.high / masses.high, values[borders[:-1]], values[borders[1:] - 1])


def _windows(values: Float64Array, moments: Float64Array, k: int) -> Windows:
    """Return where the borders of the best partitions can be."""
    n, places = values.size, np.arange(k + 1)
    windows = Windows(np.append(places[:-1], n), np.append(0, places[1:] + (n - k)))
    # Good clusters hold equal shares of this where values lie dense (Panter and Dite 1951).
    spread = np.cumsum(np.cbrt(np.diff(values)) ** 2)
    blocks = BLOCKS * k
    with np.errstate(over="ignore"):
        fine = (values != values.astype(np.float32)).any()
    noise = NOISE * (moments[4, -1] - moments[4, 0]) if fine else 0.0
    while blocks * FINEST <= n and (
        64 * np.mean(windows.last - windows.first) * blocks * k / n <= max(k * n, SMALL)
    ):
        shares = np.arange(1, blocks // 2) / (blocks // 2)
        spaced = np.searchsorted(spread, spread[-1] * shares) + 1
        grid = np.unique(np.concatenate([[0, n], (n * shares).astype(np.int64), spaced]))
        windows = _narrowed(windows, grid, moments[:, grid], noise)
        blocks *= FINER
    return windows


def _narrowed(windows: Windows, grid: Int64Array, moments: Float64Array, noise: float) -> Windows:
    """Return the windows without what the grid's places, and the moments there, rule out.

    That is nothing if costs, which are off by `noise`, tell little.
    """
    k, m = len(windows.first) - 1, len(grid) - 1
    below = np.searchsorted(grid, windows.first, side="right") - 1
    above = np.searchsorted(grid, windows.last)
    for least, _ in _rows(moments, Windows(below, above), apart=0):
        most = least[0]  # in the end, of the best partition with its borders on the grid
    if noise > ROUNDING * most:
        return windows
    # Now each border is somewhere in a block, from a place of the grid to the next.
    inside = np.searchsorted(grid, windows.last, side="right") - 1
    front, back = Windows(below, inside), Windows(m - 1 - inside[::-1], m - 1 - below[::-1])
    for window in (*front, *back):
        window[0], window[k] = 0, m
    before = [least for least, _ in _rows(moments, front, skip=1, apart=0)]
    first, last = windows.first.copy(), windows.last.copy()
    behind = _rows(-moments[:, ::-1], back, skip=1, apart=0)
    for j, (least, _) in zip(range(k - 1, 0, -1), behind, strict=False):
        possible = np.flatnonzero(before[j - 1] + least[::-1] <= most * (1 + ROUNDING))
        first[j] = max(first[j], grid[front.first[j] + possible[0]])
        last[j] = min(last[j], grid[front.first[j] + possible[-1] + 1] - 1)
    return Windows(first, last)


def _borders(moments: Float64Array, windows: Windows) -> Int64Array:
    """Return the k + 1 borders of the best partition with borders in the windows."""
    k, n = len(windows.first) - 1, moments.shape[1] - 1
    places = np.arange(k + 1)  # no two borders are in the same place
    first = np.maximum.accumulate(windows.first - places) + places
    last = np.minimum.accumulate((windows.last - places)[::-1])[::-1] + places
    rows = _rows(moments, Windows(first, last))
    if k == 1 or 2 * np.sum(last - first) <= max(k * n, SMALL):
        chosen = [_packed(borders, first[j]) for j, (_, borders) in enumerate(rows)]
        found = [last[k]]
        for j in range(k, 0, -1):
            row = found[-1] - first[j]
            found.append(np.flatnonzero(np.unpackbits(chosen[j - 1]))[row] - row + first[j - 1])
        return np.array(found[::-1], np.int64)
    half = k // 2
    for j, (_, borders) in enumerate(rows, 1):
        if j == half:
            passed = np.arange(first[j], last[j] + 1)  # the middle border on the way to each place
        elif j > half:
            passed = passed[borders - first[j - 1]]
    first[half] = last[half] = passed[0]
    left = _borders(moments, Windows(first[: half + 1], np.minimum(last[: half + 1], passed[0])))
    right = _borders(moments, Windows(np.maximum(first[half:], passed[0]), last[half:]))
    return np.concatenate([left, right[1:]])


def _packed(borders: Int64Array, lowest: int) -> UInt8Array:
    """Return ascending borders in as many bits as there are borders and places for them.

    For each border zeros, as many as it is above the one before, and a one.
    """
    ones = borders - lowest + np.arange(borders.size)
    bits = np.zeros(ones[-1] + 1, np.bool_)
    bits[ones] = True
    return np.packbits(bits)


def _rows(
    moments: Float64Array, windows: Windows, skip: int = 0, apart: int = 1
) -> Iterator[tuple[Float64Array, Int64Array]]:
    """Yield for each border from 1 on the least cost at each place of its window, and how.

    That is the place of the border before, at least `apart` places before. Each cluster but the
    first is `skip` places shorter, at its begin.
    """
    search = native_quantize.best_borders if native.active() else _best_borders
    moments, least = np.ascontiguousarray(moments), np.zeros(1)
    ranges = [(int(first), int(last)) for first, last in zip(*windows, strict=True)]
    for j, (before, rows) in enumerate(pairwise(ranges)):
        least, borders = search(moments, skip if j else 0, apart, least, before, rows)
        yield least, borders


def _best_borders(
    moments: Float64Array,
    skip: int,
    apart: int,
    before: Float64Array,
    window: tuple[int, int],
    rows: tuple[int, int],
) -> tuple[Float64Array, Int64Array]:
    """Return for each row the least sum of ``before`` at a border and the cost from there.

    And the lowest such border. Row and border are places, from the first to the last one of
    `rows` and of `window`; arguments validated by `_borders` and `_narrowed`.
    """
    least = np.empty(rows[1] - rows[0] + 1)
    best = np.empty(least.size, np.int64)
    begins, ends, lows, highs = (np.array([place]) for place in (*rows, *window))
    while begins.size:  # a level of the tree: each middle row divides what is around it
        row = begins + (ends - begins) // 2
        counts = np.minimum(highs, row - apart) - lows + 1
        offsets = np.cumsum(counts) - counts
        node = np.repeat(np.arange(row.size), counts)
        at = np.arange(node.size) - (offsets - lows)[node]
        totals = before[at - window[0]]
        costly = at + skip < row[node]
        totals[costly] += _costs(moments, at[costly] + skip, row[node][costly])
        least[row - rows[0]] = np.minimum.reduceat(totals, offsets)
        equal = np.flatnonzero(totals == least[row - rows[0]][node])
        found = at[equal[np.searchsorted(equal, offsets)]]
        best[row - rows[0]] = found
        begins, ends = np.concatenate([begins, row + 1]), np.concatenate([row - 1, ends])
        lows, highs = np.concatenate([lows, found]), np.concatenate([found, highs])
        full = begins <= ends
        begins, ends, lows, highs = begins[full], ends[full], lows[full], highs[full]
    return least, best


def _costs(moments: Float64Array, begins: Int64Array, ends: Int64Array) -> Float64Array:
    """Return the sums of squared distances from the means of intervals that aren't empty.

    With m near the mean and the rest ``r = sums - m * masses`` of it, these are
    ``squares - m * sums - m * r - r**2 / masses``: small numbers, all digits of which are known.
    """
    mass, total, square = _between(moments, begins, ends)
    inverse = 1 / mass.high
    m = _leading(total.high * inverse)
    mass_lead, lead = _leading(mass.high), _leading(total.high)
    mass_rest, rest = mass.high - mass_lead, total.high - lead
    r = ((total.high - m * mass_lead) - m * mass_rest) + (total.low - m * mass.low)
    everything = ((square.high - m * lead) - m * rest) + (square.low - m * total.low)
    costs = np.maximum((everything - m * r) - r * r * inverse, 0)
    costs[moments[6, ends] - moments[6, begins] <= 1] = 0  # a single value, whatever the rounding
    return costs


def _between(moments: Float64Array, begins: Int64Array, ends: Int64Array) -> list[Pair]:
    """Return the sums of weights, of values and of squares, weighed, from begins to ends."""
    return [
        _difference(Pair(high[ends], low[ends]), Pair(high[begins], low[begins]))
        for high, low in moments[:6].reshape(3, 2, -1)
    ]


def _moments(values: Float64Array, weights: Float64Array) -> Float64Array:
    """Return sums up to each place, 0 where the values are, pairs by pairs: shape (7, n + 1).

    They are of weights, of weights times values, and times squares of values. The last row
    numbers the places.
    """
    zero = int(np.searchsorted(values, 0))
    firsts = _product(weights, values)
    squares, rest = _product(firsts.high, values)
    terms = (Pair(weights, np.zeros(1)), firsts, Pair(squares, rest + firsts.low * values))
    moments = np.zeros((7, values.size + 1))
    moments[6] = np.arange(values.size + 1)
    for (highs, lows), (high, low) in zip(moments[:6].reshape(3, 2, -1), terms, strict=True):
        low = np.broadcast_to(low, high.shape)
        highs[zero + 1 :], lows[zero + 1 :] = _running(high[zero:], low[zero:])
        down = _running(high[:zero][::-1], low[:zero][::-1])
        highs[:zero], lows[:zero] = -down.high[::-1], -down.low[::-1]
    return moments


def _running(high: Float64Array, low: Float64Array) -> Pair:
    """Return the sums of the first one, two, ... terms, and how much they are off."""
    sums = np.cumsum(np.append(0.0, high))
    before, sums = sums[:-1], sums[1:]
    back = sums - before
    return Pair(sums, np.cumsum(((before - (sums - back)) + (high - back)) + low))


def _difference(end: Pair, begin: Pair) -> Pair:
    """Return end - begin, rounded once in the low part (Knuth's sum without error)."""
    high = end.high - begin.high
    back = high - end.high
    low = (end.high - (high - back)) - (begin.high + back) + (end.low - begin.low)
    total = high + low
    return Pair(total, low - (total - high))


def _product(a: Float64Array, b: Float64Array) -> Pair:
    """Return a * b without error (Dekker 1971)."""
    product, a_lead, b_lead = a * b, _leading(a), _leading(b)
    a_rest, b_rest = a - a_lead, b - b_lead
    error = a_rest * b_rest - (((product - a_lead * b_lead) - a_rest * b_lead) - a_lead * b_rest)
    return Pair(product, error)


def _leading(values: Float64Array) -> Float64Array:
    """Return the 26 leading bits, whose products are exact."""
    scaled = values * SPLITTER
    return scaled - (scaled - values)
