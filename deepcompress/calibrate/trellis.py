"""Labels along a trellis: a sweep over the columns, and descent, that look for the cheapest path.

Both minimize what `sweep` and its descent do, where a weight may only have half of the levels, and
which half depends on those before it (see `deepcompress.trellis`). So the best level of a weight
by itself isn't the best for those behind it. Of each row there are up to eight versions instead,
the cheapest so far that end in each state; from column to column each goes on in two ways, and of
two that meet in a state the cheaper one stays (Viterbi 1967, IEEE Trans. Inform. Theory 13).

With independent errors that would find the very best path. Here, what the later weights are worth
depends on the errors before them, so that each version keeps weights, or slopes, of its own.

- *Sweep*: a version's weights behind have moved to make up for its errors.
- *Descent*: a version's slopes count its changes, as if the weights behind stayed as they are. If
  the path they are on is one of the trellis, no version that stays can be dearer than it: the
  objective never grows.

Two weights by hand. Both are 1, their errors are independent, the levels are -2 to 2, all at no
cost. The first is in state 0, which allows -2, 0 and 2. Either of 0 and 2 is off by 1; 2 is number
1, an odd one, and leads to state 2, where an odd level is no choice either. After 0 as well, the
second is in an even state. One row below has a weight that is 0 between them: 2, 0, 0, an error of
2, or 0, 0, 2; after 2 and 0, the third is in state 1, which allows 1: an error of 1 alone.

>>> from deepcompress.calibrate.moments import inverse_factor
>>> levels, rates = np.arange(-2.0, 3), np.zeros((2, 5))
>>> def found(*weights):
...     factor = inverse_factor(np.eye(len(weights) + 1))
...     return sweep(np.array([[*weights, 0.0]]), factor, np.ones(1), levels, rates) - 2
>>> found(1, 1).tolist(), found(1, 0, 1).tolist()
([[0, 0]], [[2, 0, 1]])
"""

import numpy as np

from .. import native
from ..native import calibrate as kernels
from ..tensors import BoolArray, Float64Array, Int64Array, UInt8Array
from ..trellis import FOLLOWING, START, STATES, numbers

AT_ONCE = 1 << 20  # numbers of all versions of some rows


def sweep(
    weights: Float64Array,
    factor: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    idle: BoolArray | None = None,
) -> UInt8Array:
    """Return the labels (R, d) of a sweep from the first to the last column.

    Parameters
    ----------
    weights : ndarray of shape (R, D), float64
        The target; the last column, the bias, is never rounded.
    factor : ndarray of shape (D, D), float64
        U, upper triangular.
    matters : ndarray of shape (R,), float64
        s of each row.
    levels : ndarray of shape (K,), float64
        Ascending; one is 0.
    rates : ndarray of shape (2, K), float64
        What each label costs in an even state, and in an odd one. Of equal costs, the first
        level, and the first state, counts.
    idle : ndarray of shape (d,), bool, optional
        Columns whose weights become 0, at no cost: they would only serve to steer others.
    """
    zero, idle = _checked(levels, weights, idle)
    if native.active():
        return kernels.trellis_sweep(weights, factor, matters, levels, rates, zero, idle)
    return _through(weights, None, factor, matters, levels, rates, idle)


def descend(
    weights: Float64Array,
    slopes: Float64Array,
    hessian: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    idle: BoolArray | None = None,
) -> UInt8Array:
    """Return the labels (R, d) after each weight took its best level once, along the best path.

    Parameters
    ----------
    weights : ndarray of shape (R, D), float64
    slopes : ndarray of shape (R, D), float64
        m, ``(weights - target) @ hessian``.
    hessian : ndarray of shape (D, D), float64
    matters, levels, rates, idle
        As for `sweep`.
    """
    zero, idle = _checked(levels, weights, idle)
    if native.active():
        return kernels.trellis_descend(weights, slopes, hessian, matters, levels, rates, zero, idle)
    return _through(slopes, weights, hessian, matters, levels, rates, idle)


def _checked(
    levels: Float64Array, weights: Float64Array, idle: BoolArray | None
) -> tuple[int, BoolArray]:
    """Return the label of 0, and which columns are idle."""
    idle = np.zeros(weights.shape[1] - 1, np.bool_) if idle is None else idle
    return int(np.searchsorted(levels, 0)), idle


def _through(
    moving: Float64Array,
    weights: Float64Array | None,
    matrix: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    idle: BoolArray,
) -> UInt8Array:
    """Return labels (R, d); `moving` are weights of a sweep, or slopes, (R, D)."""
    step = max(1, AT_ONCE // (STATES * moving.shape[1]))
    parts = [
        _through_some(
            moving[start : start + step],
            None if weights is None else weights[start : start + step],
            matrix,
            matters[start : start + step],
            levels,
            rates,
            idle,
        )
        for start in range(0, len(moving), step)
    ]
    return np.concatenate(parts) if parts else np.empty((0, moving.shape[1] - 1), np.uint8)


def _through_some(
    moving: Float64Array,
    weights: Float64Array | None,
    matrix: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    idle: BoolArray,
) -> UInt8Array:
    rows, columns = moving.shape[0], moving.shape[1] - 1
    each = np.arange(rows)
    subsets = _subsets(levels)
    versions = np.repeat(moving[:, None], STATES, axis=1)
    costs = np.full((rows, STATES), np.inf)
    costs[:, START] = 0
    chosen, came_from = np.zeros((2, columns, rows, STATES), np.uint8)
    for i in range(columns):
        pivot = matrix[i, i]
        weight = matters / (pivot * pivot) if weights is None else matters * pivot
        least = np.full((rows, STATES), np.inf)
        change = np.zeros((rows, STATES))
        came_from[i] = np.arange(STATES)
        for state in range(STATES):
            number = versions[:, state, i]
            own = number if weights is None else weights[:, i]
            value = number if weights is None else own - number / pivot
            base = weight * ((value - own) * (value - own))
            for odd in range(2):
                labels = subsets[state & 1][odd]
                if idle[i]:
                    labels = labels[levels[labels] == 0]
                if not labels.size:
                    continue
                off = value[:, None] - levels[labels]
                all_costs = weight[:, None] * (off * off) + rates[state & 1, labels]
                best = all_costs.argmin(axis=1)
                cost = costs[:, state] + (0 if idle[i] else all_costs[each, best] - base)
                then = FOLLOWING[state, odd]
                better = cost < least[:, then]
                least[better, then] = cost[better]
                changed = levels[labels[best]] - own
                changed = changed / pivot if weights is None else changed
                change[better, then] = changed[better]
                chosen[i][better, then] = labels[best][better]
                came_from[i][better, then] = state
        costs = least
        versions = versions[each[:, None], came_from[i]]
        versions[:, :, i + 1 :] += change[:, :, None] * matrix[i, i + 1 :]
    state, found = costs.argmin(axis=1), np.empty((rows, columns), np.uint8)
    for i in range(columns - 1, -1, -1):
        found[:, i] = chosen[i][each, state]
        state = came_from[i][each, state]
    return found


def _subsets(levels: Float64Array) -> list[list[Int64Array]]:
    """Return the labels that an even and an odd state allow, with even and with odd numbers."""
    ranked = np.arange(len(levels)) - int(np.searchsorted(levels, 0))
    odd = numbers(ranked) & 1
    return [
        [
            np.flatnonzero(((ranked & 1 == state) | (ranked == 0)) & (odd == number))
            for number in range(2)
        ]
        for state in range(2)
    ]
