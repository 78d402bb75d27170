"""Labels and centroids for inputs that are expected, not seen: a Hessian with a closed form.

Errors are compensated as if inputs were as those of most layers are, behind a ReLU: above 0 in the
mean, and alike at neighbouring positions. Of variance 1 and independent otherwise, they have the
Hessian

    H = SHARED  +  ALIKE where two weights are of one channel  +  the rest on the diagonal.

So errors of a filter, and of each of its channels, come to add up to about 0. Rounding that keeps
such sums is SQuant's idea (Guo et al., ICLR 2022, arXiv:2202.07471). The two numbers were chosen
on SqueezeNet with 100 photographs, of a few pairs; most were as good.

So a sweep, refitted centroids and descent, which `layer.decide` has for any Hessian, take a time
that grows with the number of weights, and not with its product with the columns:

- *Sweep* (see `sweep`). Where weight i is off by e, the best that those behind it can do is to move
  by ``e H_RR^-1 H_Ri``, R being what is behind. By symmetry these are two numbers only, one for
  the weights of i's channel and one for all others: `Moves`. So a row carries two sums, of all
  moves so far and of its channel's own.
- *Descent*. The slope of weight i follows from its error, its channel's sum and its row's.
- *Centroids*. Of labels, the quadratic form in the centroids only needs to know how often each is
  in a row and in a channel.

In an interval of values, one label is the cheapest; a column's borders are the same for all rows
(`cheapest`).

Two weights by hand, alike as above: 0.4 both, of one channel, levels -1, 0 and 1 at no cost. The
first one becomes 0; the second takes over 0.55 of its error, and becomes 1.

>>> moves = Moves.of((1, 1, 2))
>>> moves.same[:1].round(2).tolist(), round(0.4 * 1.55, 2)
([0.55], 0.62)
>>> sweep(np.float32([[0.4, 0.4]]), 2, moves, np.array([-1.0, 0, 1]), np.zeros(3)).tolist()
[[1, 2]]
"""

import math
from dataclasses import dataclass

import numpy as np

from .. import native
from ..native import calibrate as kernels
from ..tensors import Float32Array, Float64Array, UInt8Array

SHARED, ALIKE = 0.3, 0.25
MOST_COUNTS = 1 << 20  # numbers that are in memory at once, but for what is given


@dataclass(frozen=True)
class Moves:
    """What a sweep needs to know of H, for each column (d,), float64.

    Attributes
    ----------
    costs : ndarray
        Of an error of 1, squared, when those behind have moved: ``1 / (H_FF^-1)_ii``, with F what
        is from i on.
    same, other : ndarray
        How far, for such an error, those behind move, in i's own channel and in the others.
    """

    costs: Float64Array
    same: Float64Array
    other: Float64Array

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> "Moves":
        """Return those of a weight of this shape (O, I, ...).

        With q weights of i's channel behind it, and n of the others, the moves v solve
        ``H_RR v = H_Ri``. Both kinds have their line, where T is the sum of all moves:

            (rest + ALIKE q) v_same          + SHARED T = SHARED + ALIKE
            (rest + ALIKE positions) v_other + SHARED T = SHARED
        """
        columns, positions, alike = structure(shape)
        index = np.arange(columns)
        own = positions - 1.0 - index % positions
        others = columns - 1.0 - index - own
        stiff_own, stiff_other = (
            1 - SHARED - alike + alike * np.stack([own, np.full(columns, float(positions))])
        )
        total = own * (SHARED + alike) / stiff_own + others * SHARED / stiff_other
        total /= 1 + SHARED * (own / stiff_own + others / stiff_other)
        same = (SHARED + alike - SHARED * total) / stiff_own
        other = (SHARED - SHARED * total) / stiff_other
        costs = 1 - own * (SHARED + alike) * same - others * SHARED * other
        return cls(costs, same, other)


def structure(shape: tuple[int, ...]) -> tuple[int, int, float]:
    """Return the columns, those of a channel, and what its weights have in common."""
    columns, positions = math.prod(shape[1:]), math.prod(shape[2:])
    return columns, positions, ALIKE if positions > 1 else 0.0


def cheapest(levels: Float64Array, charged: Float64Array) -> tuple[UInt8Array, Float64Array]:
    """Return the labels (n,) that are the best of some value, and the borders (n - 1,) between.

    A value v is charged ``(v - level)^2 + charged[label]``. `levels` (K,) ascend. As functions of
    the value, these differ by straight lines, so that each level is the best one in an interval
    or nowhere; the borders are found from left to right. A border belongs to what is below it.
    """
    heights, bits = levels.tolist(), charged.tolist()  # Python's floats overflow in silence
    best: list[int] = []
    borders: list[float] = []  # borders[i]: above, best[i] is better than best[i - 1]
    for k in range(len(levels)):
        border = -math.inf
        while best:
            rise, more = heights[k] - heights[best[-1]], bits[k] - bits[best[-1]]
            if rise > 0:
                border = (heights[k] + heights[best[-1]]) / 2 + more / (2 * rise)
            else:
                border = -math.inf if more < 0 else math.inf
            if border > borders[-1]:
                break
            best.pop()
            borders.pop()
            border = -math.inf
        if border < math.inf:
            best.append(k)
            borders.append(border)
    return np.array(best, np.uint8), np.array(borders[1:])


def nearest(targets: Float32Array, levels: Float64Array) -> UInt8Array:
    """Return the label of the level (K,), ascending, that is nearest to each target."""
    columns = targets.shape[1]
    still = Moves(np.ones(columns), np.zeros(columns), np.zeros(columns))
    return sweep(targets, columns, still, levels, np.zeros(len(levels)))


def sweep(
    targets: Float32Array,
    positions: int,
    moves: Moves,
    levels: Float64Array,
    charged: Float64Array,
) -> UInt8Array:
    """Return labels (R, d) by a sweep from the first to the last column.

    Parameters
    ----------
    targets : ndarray of shape (R, d), float32
    positions : int
        Columns of a channel.
    moves : Moves
    levels, charged : ndarray of shape (K,), float64
        Levels, ascending, and what each costs, in squares of weights.
    """
    if native.active():
        return kernels.expected_sweep(
            targets, positions, moves.costs, moves.same, moves.other, levels, charged
        )
    labels = np.empty(targets.shape, np.uint8)
    all_moves, own_moves = np.zeros((2, len(targets)))
    for i in range(targets.shape[1]):
        if i % positions == 0:
            own_moves = np.zeros(len(targets))
        best, borders = cheapest(levels, charged / moves.costs[i])
        values = targets[:, i].astype(np.float64) + all_moves + own_moves
        labels[:, i] = best[np.searchsorted(borders, values)]
        error = values - levels[labels[:, i]]
        all_moves += error * moves.other[i]
        own_moves += error * (moves.same[i] - moves.other[i])
    return labels


def descend(
    targets: Float32Array,
    positions: int,
    levels: Float64Array,
    charged: Float64Array,
    labels: UInt8Array,
) -> UInt8Array:
    """Return labels (R, d) after each weight took its best level once, as `sweep` takes them."""
    alike = ALIKE if positions > 1 else 0.0
    if native.active():
        return kernels.expected_descend(targets, positions, SHARED, alike, levels, charged, labels)
    best, borders = cheapest(levels, charged)
    labels = labels.copy()
    of_row, of_channel = np.zeros((2, len(targets)))
    for i in range(targets.shape[1]):
        of_row += levels[labels[:, i]] - targets[:, i].astype(np.float64)
    for i in range(targets.shape[1]):
        if i % positions == 0:
            of_channel = np.zeros(len(targets))
            for j in range(i, i + positions):
                of_channel += levels[labels[:, j]] - targets[:, j].astype(np.float64)
        target, before = targets[:, i].astype(np.float64), levels[labels[:, i]]
        free = target + (SHARED + alike) * (before - target)
        free = free - alike * of_channel - SHARED * of_row
        labels[:, i] = best[np.searchsorted(borders, free)]
        change = levels[labels[:, i]] - before
        of_row += change
        of_channel += change
    return labels


def refitted(
    levels: Float64Array, labels: UInt8Array, targets: Float32Array, positions: int
) -> Float64Array:
    """Return the best levels (K,) for labels (R, d); that which is 0, and what is idle, stay.

    The error's gradient vanishes, ``A levels = b`` (see `centroids`), where A counts pairs of
    weights of two labels, each with its H, and b sums H times the targets.
    """
    count = len(levels)
    rest, alike = 1 - SHARED, 0.0
    if positions > 1:
        rest, alike = 1 - SHARED - ALIKE, ALIKE
    pairs, sums = np.zeros((count, count)), np.zeros(count)
    used = np.zeros(count)
    of_channels = targets.shape[1] // positions if alike else 1
    block = max(1, MOST_COUNTS // max(targets.shape[1], count * of_channels))
    for start in range(0, len(targets), block):
        some = labels[start : start + block]
        values = targets[start : start + block].astype(np.float64)
        used += np.bincount(some.ravel(), minlength=count)
        sums += rest * np.bincount(some.ravel(), values.ravel(), count)
        for weight, width in ((SHARED, values.shape[1]), (alike, positions)):
            if weight:
                counts = _counts(some.reshape(-1, width), count)
                pairs += weight * (counts.T @ counts)
                sums += weight * (values.reshape(-1, width).sum(axis=1) @ counts)
    pairs[np.diag_indices(count)] += rest * used
    free = np.flatnonzero((used > 0) & (levels != 0))
    levels = levels.copy()
    levels[free] = np.linalg.solve(pairs[np.ix_(free, free)], sums[free])
    return levels


def _counts(labels: UInt8Array, count: int) -> Float64Array:
    """Return how often each label is in each row, (R, K)."""
    places = labels + np.arange(len(labels), dtype=np.int64)[:, None] * count
    found = np.bincount(places.ravel(), minlength=len(labels) * count)
    return found.reshape(-1, count).astype(np.float64)
