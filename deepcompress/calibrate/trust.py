"""How far to trust what a few inputs tell, found on inputs that are held out.

A few hundred pictures reach a late layer with fewer rows than it has inputs, or with rows that are
much alike. What such rows say of products of inputs is part chance, and whatever makes use of it
fits these pictures alone. Three numbers of each layer say how much is used:

- *ridge*: more damping, against errors of one input that others seem to make up for, and for inputs
  that are larger on other pictures than on these. Which is best can be told without rounding:
  with ``H^-1 = U^T U`` of the rows that are fitted, rounding by steps of one size adds errors
  ``e T`` to the weights, where e are independent and T is U with its rows divided by the
  diagonal (see `sweep`). Their mean square on held-out rows of moments E is in proportion to the
  trace of ``T E T^T``. Inputs that were always 0 have none of it. (To take covariances alone
  towards 0 leaves out the same chance, but rare inputs stay cheap: EfficientNet-Lite0 had 1.7
  times the divergence in 3 % less.)
- *pull*: how much the target stays near the original weights. It is the regression ``w*`` of
  what the original layer gives on what reaches it now, by which a layer undoes errors of those
  before. Between no such regression and the whole one, that with the least error on held-out rows
  is taken. Rounding with bits priced in makes outputs smaller, so that the weights that w* is
  pulled to are first scaled, a number for each output, as in a regression on one input.
- *share*: outputs differ in how much they matter, by logarithms that two halves of the inputs
  agree on only in part. The share of their spread that isn't chance is kept: with a correlation
  c of halves, 2c / (1 + c) for the whole (Spearman 1910, Brown 1910).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..tensors import Float64Array
from .moments import Moments, inverse_factor, ridged

RIDGES = (0.0, 0.03, 0.1, 0.3, 1.0, 3.0)  # shares of the mean of the diagonal
PULLS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0)
MOST_SCALE = 2.0  # of an output's weights, up or down
LIVE = 1e-9  # of the squares of inputs: outputs that vary less aren't scaled
LEAST_SENSITIVITY = 1e-3  # of the mean: what didn't matter to these inputs may to others
TINY = 1e-30


@dataclass(frozen=True)
class Trust:
    """How far a layer's moments are trusted.

    Attributes
    ----------
    ridge : float
        Damping beyond what was asked for, a share of the mean of the Hessian's diagonal.
    pull : float
        Towards the original weights, a share of the same.
    """

    ridge: float
    pull: float


def found(
    weights: Float64Array, fit: Moments, held: Moments, matters: Float64Array, damping: float
) -> Trust:
    """Return what serves held-out rows best, of what is known from others.

    Parameters
    ----------
    weights : ndarray of shape (G, R, D), float64
        The original ones, the bias last.
    fit, held : Moments
        Finite; where nothing is held out, as of a single input, the least is trusted.
    matters : ndarray of shape (G, R), float64
        What an error of each output costs.
    damping : float
        That there is in any case.
    """
    if held.rows == 0:
        return Trust(RIDGES[-1], PULLS[-1])
    ridge = _first_least(lambda one: _feedback(fit, held, matters, damping, one), RIDGES)
    pull = _first_least(lambda one: _missed(weights, fit, held, matters, one), PULLS)
    return Trust(ridge, pull)


def _first_least(cost: Callable[[float], float], values: Sequence[float]) -> float:
    """Return the value before the first one at which costs rise."""
    best, least = values[0], cost(values[0])
    for value in values[1:]:
        now = cost(value)
        if now > least:
            break
        if now < least:
            best, least = value, now
    return best


def _feedback(
    fit: Moments, held: Moments, matters: Float64Array, damping: float, ridge: float
) -> float:
    """Return the error on held-out rows of rounding with a Hessian of others."""
    total, added = 0.0, damping * fit.level
    hessians = ridged(fit.reached / fit.rows, ridge * fit.level)
    for hessian, other, scale in zip(hessians, held.reached, matters.sum(axis=1), strict=True):
        columns = np.arange(len(hessian) - 1)
        hessian[columns, columns] += added
        order = np.append(np.argsort(-np.diagonal(hessian)[:-1], kind="stable"), len(columns))
        try:
            spread = inverse_factor(hessian[np.ix_(order, order)])
        except np.linalg.LinAlgError:
            return np.inf
        spread /= np.diagonal(spread)[:, None]
        squares = ((spread @ (other[np.ix_(order, order)] / held.rows)) * spread).sum(axis=1)
        total += float(scale * squares[:-1].sum())
    return total


def _missed(
    weights: Float64Array, fit: Moments, held: Moments, matters: Float64Array, pull: float
) -> float:
    """Return the mean squared error of a target on held-out rows, but for a constant."""
    target = pulled(weights, fit, pull)
    products = target @ held.reached - 2 * (weights @ held.crossed)
    return float((matters * (products * target).sum(axis=2)).sum()) / held.rows


def pulled(weights: Float64Array, moments: Moments, pull: float) -> Float64Array:
    """Return w* (G, R, D), pulled towards the scaled weights; the bias is free."""
    reached, crossed = moments.reached / moments.rows, moments.crossed / moments.rows
    plain, mean, own = weights[:, :, :-1], reached[:, -1:, :-1], crossed[:, :-1, -1:]
    covariance = reached[:, :-1, :-1] - mean.transpose(0, 2, 1) @ mean
    right = plain @ (crossed[:, :-1, :-1] - own @ crossed[:, -1:, :-1])
    unchanged = plain @ covariance
    scale = _scales(plain, right, unchanged, moments.level)
    ridge = pull * moments.level * np.eye(covariance.shape[1])
    change = np.linalg.solve(
        covariance + ridge, (right - scale * unchanged).transpose(0, 2, 1)
    ).transpose(0, 2, 1)
    target = scale * plain + change
    bias = weights[:, :, -1:] + plain @ own - target @ mean.transpose(0, 2, 1)
    return np.concatenate([target, bias], axis=2)


def _scales(
    weights: Float64Array, right: Float64Array, unchanged: Float64Array, squares: float
) -> Float64Array:
    """Return the number (G, R, 1) by which each output, as it is now, is nearest to what it was."""
    wanted, power = ((one * weights).sum(axis=2, keepdims=True) for one in (right, unchanged))
    least = LIVE * squares * (weights * weights).sum(axis=2, keepdims=True)
    scales = np.divide(wanted, power, out=np.ones_like(power), where=power > least)
    return np.asarray(np.clip(scales, 1 / MOST_SCALE, MOST_SCALE))


def steadied(one: Float64Array, other: Float64Array) -> Float64Array:
    """Return the sum of two halves of sensitivities, with as much spread as they agree on.

    Examples
    --------
    >>> steadied(np.array([1.0, 2.0, 4.0]), np.array([1.0, 2.0, 4.0])).round(6).tolist()
    [2.0, 4.0, 8.0]
    >>> steadied(np.array([1.0, 2.0]), np.array([2.0, 1.0])).tolist()
    [3.0, 3.0]
    """
    whole = one + other
    with np.errstate(all="ignore"):  # what isn't finite is found in the moments
        logs = [_centred_logs(values) for values in (one, other, whole)]
        spread = float(np.sqrt((logs[0] @ logs[0]) * (logs[1] @ logs[1])))
        agreed = max(float(logs[0] @ logs[1]) / max(spread, TINY), 0.0)
        kept = np.exp(2 * agreed / (1 + agreed) * logs[2])
        return np.asarray(kept * (whole.mean() / kept.mean()))


def _centred_logs(values: Float64Array) -> Float64Array:
    logs = np.log(np.maximum(values, LEAST_SENSITIVITY * float(values.mean()) + TINY))
    return np.asarray(logs - logs.mean())
