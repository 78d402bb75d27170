"""Which label each weight gets: a sweep over the columns, and descent from there.

Both minimize, row by row of weights w with target w* (see `moments`),

    s * (w - w*) H (w - w*)^T  +  sum over weights of rate[label],

where s is how much the row matters in units of a bit. Pruning, sharing and coding are one decision:
zero is one of the levels, and each has its rate. Rows don't depend on each other, so that neither
threads nor the order of rows change a bit.

- *Sweep*: optimal brain surgeon (Hassibi and Stork, NIPS 1993) in GPTQ's form
  (arXiv:2210.17323). With ``H^-1 = U^T U``, setting weight i to z while those behind it are free
  costs ``s (w_i - z)^2 / U_ii^2``, and the best that those can do is to move by
  ``-(w_i - z) U_ij / U_ii``. SparseGPT (arXiv:2301.00774) chooses zeros so; that rates enter the
  choice is CERWU's idea (compression with entropy-regularized weight updates).
- *Descent*: one weight after the other takes its best level, all others as they are. With
  ``m = (w - w*) H``, the best value of w_i is ``w_i - m_i / H_ii``, and a level z costs
  ``s H_ii (w_i - m_i / H_ii - z)^2`` more than that. The bias follows at the end.

Two weights by hand. Inputs are alike, ``H = [[1, 0.8], [0.8, 1]]``, both weights are 0.4, and the
levels are -1, 0 and 1, at no cost. Each on its own would become 0, and all is lost: an error of
``0.4 * 0.4 * (1 + 1 + 2 * 0.8) = 0.576``. In the sweep the first becomes 0, and the second takes
over what the first one did, ``0.4 + 0.4 * 0.8 = 0.72``, which becomes 1: an error of 0.136. Where
zeros are cheaper by enough, it becomes 0 as well (the last column is the bias).

>>> from deepcompress.calibrate.moments import inverse_factor
>>> hessian = np.array([[1, 0.8, 0], [0.8, 1, 0], [0, 0, 1]])
>>> target, levels = np.array([[0.4, 0.4, 0]]), np.array([-1.0, 0, 1])
>>> def error(weights):
...     return round(((weights - target) @ hessian @ (weights - target).T).item(), 3)
>>> weights, labels = sweep(target, inverse_factor(hessian), np.ones(1), levels, np.zeros(3))
>>> weights[0, :2].tolist(), error(weights), error(np.zeros((1, 3)))
([0.0, 1.0], 0.136, 0.576)
>>> rates = 0.5 * np.array([2.0, 1, 2])
>>> sweep(target, inverse_factor(hessian), np.ones(1), levels, rates)[1].tolist()
[[1, 1]]
"""

import numpy as np

from .. import native
from ..native import calibrate as kernels
from ..tensors import Float64Array, UInt8Array


def sweep(
    weights: Float64Array,
    factor: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
) -> tuple[Float64Array, UInt8Array]:
    """Return the weights after a sweep from the first to the last column, and their labels.

    Parameters
    ----------
    weights : ndarray of shape (R, D), float64
        The target; the last column, the bias, is never rounded.
    factor : ndarray of shape (D, D), float64
        U, upper triangular.
    matters : ndarray of shape (R,), float64
        s of each row.
    levels, rates : ndarray of shape (K,), float64
        Of equal costs, the first level counts.

    Returns
    -------
    weights : ndarray of shape (R, D), float64
    labels : ndarray of shape (R, d), uint8
    """
    if native.active():
        return kernels.sweep(weights, factor, matters, levels, rates)
    weights = weights.copy()
    labels = np.zeros((len(weights), weights.shape[1] - 1), np.uint8)
    for i in range(labels.shape[1]):
        pivot = factor[i, i]
        labels[:, i] = _best(weights[:, i], matters / (pivot * pivot), levels, rates)
        chosen = levels[labels[:, i]]
        error = (weights[:, i] - chosen) / pivot
        weights[:, i] = chosen
        weights[:, i + 1 :] -= error[:, None] * factor[i, i + 1 :]
    return weights, labels


def descend(
    weights: Float64Array,
    slopes: Float64Array,
    hessian: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    labels: UInt8Array,
) -> tuple[Float64Array, Float64Array, UInt8Array]:
    """Return weights, slopes and labels after each weight took its best level once.

    Parameters
    ----------
    weights : ndarray of shape (R, D), float64
        Each but the last is the level of its label.
    slopes : ndarray of shape (R, D), float64
        m, ``(weights - target) @ hessian``.
    hessian : ndarray of shape (D, D), float64
    matters, levels, rates
        As for `sweep`.
    labels : ndarray of shape (R, d), uint8
    """
    if native.active():
        return kernels.descend(weights, slopes, hessian, matters, levels, rates, labels)
    weights, slopes, labels = weights.copy(), slopes.copy(), labels.copy()
    for i in range(labels.shape[1]):
        pivot = hessian[i, i]
        free = weights[:, i] - slopes[:, i] / pivot
        labels[:, i] = _best(free, matters * pivot, levels, rates)
        change = levels[labels[:, i]] - weights[:, i]
        weights[:, i] = levels[labels[:, i]]
        slopes += change[:, None] * hessian[i]
    change = -slopes[:, -1] / hessian[-1, -1]
    weights[:, -1] += change
    slopes += change[:, None] * hessian[-1]
    return weights, slopes, labels


def _best(
    values: Float64Array, matters: Float64Array, levels: Float64Array, rates: Float64Array
) -> UInt8Array:
    """Return the label of each row that costs the least."""
    off = values[:, None] - levels
    costs = matters[:, None] * (off * off) + rates
    return np.asarray(costs.argmin(axis=1), np.uint8)
