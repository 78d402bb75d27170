"""One layer: from its weights and the curvature of its error to labels and centroids."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from ..tensors import Float64Array, UInt8Array
from . import centroids, grid
from .moments import Curvature, inverse_factor
from .rates import Rates, counts_of, entropy_rates
from .sweep import descend, sweep

DEAD = 0.02  # of the largest element of a Hessian's diagonal: below, an input is as good as dead


@dataclass(frozen=True)
class Effort:
    """How long to look for labels.

    Attributes
    ----------
    sweeps : int
        Sweeps from the target, the rates renewed after each.
    rounds : int
        How often centroids are refitted, each time with descent behind.
    descents : int
        Passes of descent in a round.
    """

    sweeps: int = 3
    rounds: int = 2
    descents: int = 3


@dataclass(frozen=True)
class Decided:
    """What became of a layer's weights.

    Attributes
    ----------
    levels : ndarray of shape (K,), float64
        Ascending; one is 0.
    labels : ndarray of shape (G, R, d), uint8
    bits : float
        What the rates say that labels cost.
    step : float
        Of the grid from which the levels come.
    """

    levels: Float64Array
    labels: UInt8Array
    bits: float
    step: float

    @property
    def values(self) -> Float64Array:
        """The weights, (G, R, d)."""
        return self.levels[self.labels]


def with_bias(curved: Curvature, values: Float64Array) -> Float64Array:
    """Return weights (G, R, D) with the best bias for each row of values (G, R, d)."""
    off = values - curved.target[:, :, :-1]
    last = curved.hessian[:, :-1, -1:] / curved.hessian[:, -1:, -1:]
    return np.concatenate([values, curved.target[:, :, -1:] - off @ last], axis=2)


def decide(
    curved: Curvature,
    matters: Float64Array,
    lam: float,
    *,
    rates: Rates = entropy_rates,
    effort: Effort | None = None,
    half: bool = False,
    step: float | None = None,
) -> Decided:
    """Choose levels, labels and centroids for a layer.

    Parameters
    ----------
    curved : Curvature
    matters : ndarray of shape (G, R), float64, each positive
        What an error of 1 of each output costs, in the units of ``lam * bits``.
    lam : float
        The price of a bit.
    rates : callable
    effort : Effort
    half : bool
        Whether centroids become numbers of float16, not float32.
    step : float, optional
        Of the grid of levels, in place of the best one by `grid`.
    """
    effort = effort or Effort()
    groups, columns = len(curved.target), curved.target.shape[2] - 1
    targets = curved.target[:, :, :-1]
    orders = [np.argsort(-np.diagonal(h)[:-1], kind="stable") for h in curved.hessian]
    with_last = [np.append(order, columns) for order in orders]
    factors = [
        inverse_factor(h[np.ix_(order, order)])
        for h, order in zip(curved.hessian, with_last, strict=True)
    ]
    pivots = np.stack([np.diagonal(factor)[:-1] for factor in factors])
    if step is None:
        curvatures = matters[:, :, None] / (pivots * pivots)[:, None, :]
        step = grid.step_for(_of_survivors(curvatures, targets, curved.hessian, orders), lam)
    levels = grid.uniform_grid(targets, step)
    scaled = matters / lam
    labels = np.searchsorted((levels[1:] + levels[:-1]) / 2, targets).astype(np.uint8)
    charged = rates(counts_of(labels, len(levels)))
    for _ in range(effort.sweeps):
        for g in range(groups):
            start = np.ascontiguousarray(curved.target[g][:, with_last[g]])
            found = sweep(start, factors[g], scaled[g], levels, charged)[1]
            labels[g][:, orders[g]] = found
        charged = rates(counts_of(labels, len(levels)))
    schur = curved.without_bias()
    for _ in range(effort.rounds):
        levels = centroids.refitted(levels, list(labels), list(targets), schur, list(scaled))
        levels = in_file(levels, half)
        weights = with_bias(curved, levels[labels])
        slopes = curved.slopes(weights)
        for _ in range(effort.descents):
            for g in range(groups):
                weights[g], slopes[g], labels[g] = descend(
                    weights[g], slopes[g], curved.hessian[g], scaled[g], levels, charged, labels[g]
                )
            charged = rates(counts_of(labels, len(levels)))
    counts = counts_of(labels, len(levels))
    return Decided(levels, labels, float(counts @ charged), step)


def _of_survivors(
    curvatures: Float64Array,
    targets: Float64Array,
    hessians: Float64Array,
    orders: list[npt.NDArray[np.int64]],
) -> Float64Array:
    """Return the curvatures in weights that aren't 0, of inputs that aren't dead; or in all.

    Others are likely to become 0, whatever the step is.
    """
    diagonals = [np.diagonal(h)[order] for h, order in zip(hessians, orders, strict=True)]
    alive = np.stack([d > DEAD * d[0] for d in diagonals])[:, None, :]
    kept = np.stack([t[:, order] != 0 for t, order in zip(targets, orders, strict=True)])
    found = curvatures[alive & kept]
    return found if found.size else curvatures.ravel()


def in_file(levels: Float64Array, half: bool) -> Float64Array:
    """Return levels as they will be stored, or raise ArgumentError."""
    dtype = np.dtype(np.float16 if half else np.float32)
    with np.errstate(over="ignore"):
        stored = levels.astype(dtype)
    if not np.isfinite(stored).all():
        raise ArgumentError(f"weights are too large for {dtype}")
    return stored.astype(np.float64)
