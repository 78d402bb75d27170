"""One layer: from its weights and the curvature of its error to labels and centroids."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from ..errors import ArgumentError
from ..tensors import Float64Array, UInt8Array
from . import centroids, grid
from .moments import Curvature
from .rates import Rates, counts_of, entropy_rates
from .ways import DEAD, Along, Unbound, Way, nearest, with_bias

# Steps for a trellis that are tried, as shares of the best one without, from `FIRST` on.
FINER = (0.34, 0.4, 0.48, 0.57, 0.68, 0.8)
FIRST = 3
TRIAL_ROWS = 64
GRID_BITS = 40  # that a grid takes in a file
BIAS_SHARES = (0.25, 0.5, 1.0)  # of the best step for independent errors
LEAST_BIASES = 16  # for which more bits are saved than a grid's head takes


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


TRIAL = Effort(sweeps=2, rounds=1, descents=1)


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
    whole : bool
        Whether they are still on it, with those that no label has.
    """

    levels: Float64Array
    labels: UInt8Array
    bits: float
    step: float
    whole: bool = False

    @property
    def values(self) -> Float64Array:
        """The weights, (G, R, d)."""
        return self.levels[self.labels]


def decide(
    curved: Curvature,
    matters: Float64Array,
    lam: float,
    *,
    rates: Rates = entropy_rates,
    effort: Effort | None = None,
    half: bool = False,
    step: float | None = None,
    contexts: bool = False,
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
        Of the grid of levels without a trellis, in place of the best one by `grid`.
    contexts : bool
        Whether labels are coded by contexts, which also know of grids and trellises. Levels then
        stay on a grid, and labels are along a trellis, where 255 levels are enough and there are
        no groups, whose rows would be too short.
    """
    effort = effort or Effort()
    scaled = matters / lam
    free = Unbound(curved, scaled, rates)
    if step is None:
        step = _best_step(free)
    if contexts and len(curved.target) == 1:
        along = Along(curved, scaled, rates)
        levels = _finer(along, step)
        if levels is not None:
            found = _settled(along, levels, effort, step, partial(_on_grid, along))
            return replace(found, whole=True)
    levels = grid.uniform_grid(free.targets, step)
    schur = curved.without_bias()

    def refitted(levels: Float64Array, labels: UInt8Array) -> Float64Array:
        parts = list(labels), list(free.targets), schur, list(scaled)
        return in_file(centroids.refitted(levels, *parts), half)

    found = _settled(free, levels, effort, step, refitted)
    if not (contexts and grid.is_grid(levels)):
        return found
    levels = grid.in_file(levels, 1.0)
    gridded = _settled(free, levels, effort, step, partial(_on_grid, free))
    codebook = (16 if half else 32) * np.count_nonzero(counts_of(found.labels, len(levels)))
    costs = _objective(free, found) + codebook, _objective(free, gridded) + GRID_BITS
    return found if costs[0] < costs[1] else replace(gridded, whole=True)


def decide_bias(bias: Float64Array, scaled: Float64Array) -> Decided | None:
    """Choose a grid's step and labels for biases (n,), or None where one doesn't pay.

    `scaled` (n,) is what an error of 1 of each output costs, in bits. Nothing makes up for the
    errors, as biases come last, and they are alike at all positions, where others average out: the
    step is a quarter of the best one for independent errors, or the least for 255 levels.
    """
    best = grid.step_for(scaled, 1.0)
    for share in BIAS_SHARES:
        levels = grid.uniform_grid(bias, share * best)
        if len(bias) >= LEAST_BIASES and grid.is_grid(levels):
            levels = grid.in_file(levels, 1.0)
            labels = nearest(bias, levels)
            counts = counts_of(labels, len(levels))
            bits = float(counts @ entropy_rates(counts))
            step = float(levels[1] - levels[0])
            return Decided(levels, labels[None, None], bits, step, whole=True)
    return None


def _settled(
    way: Way,
    levels: Float64Array,
    effort: Effort,
    step: float,
    refitted: Callable[[Float64Array, UInt8Array], Float64Array],
) -> Decided:
    """Sweep, refit levels, and descend from there."""
    labels, charged = np.zeros(way.targets.shape, np.uint8), way.first(levels)
    for _ in range(effort.sweeps):
        labels = way.sweep(levels, charged)
        charged, _ = way.charged(levels, labels)
    for _ in range(effort.rounds):
        levels = refitted(levels, labels)
        charged, labels = way.descend(levels, charged, labels, effort.descents)
    return Decided(levels, labels, way.charged(levels, labels)[1], step)


def _on_grid(way: Way, levels: Float64Array, labels: UInt8Array) -> Float64Array:
    """Return levels with the best step for labels, in closed form, as a file holds them."""
    above = below = 0.0
    schur = way.curved.without_bias()
    for one, target, matrix, s in zip(levels[labels], way.targets, schur, way.scaled, strict=True):
        slopes = (one @ matrix) * s[:, None]
        above += float((slopes * target).sum())
        below += float((slopes * one).sum())
    return grid.in_file(levels, above / below if above > 0 and below > 0 else 1.0)


def _finer(along: Along, step: float) -> Float64Array | None:
    """Return the levels of the best step for a trellis, tried on some rows; None if too many."""
    some = along.of_some(TRIAL_ROWS)
    costs: dict[int, float] = {}

    def cost(place: int) -> float:
        if not 0 <= place < len(FINER):
            return math.inf
        if place not in costs:
            levels = grid.uniform_grid(along.targets, FINER[place] * step)
            if grid.is_grid(levels):
                settle = partial(_settled, some, levels, TRIAL, step)
                costs[place] = _objective(some, settle(partial(_on_grid, some)))
            else:
                costs[place] = math.inf
        return costs[place]

    best = min(range(FIRST, len(FINER)), key=cost)
    while cost(best - 1) < cost(best):
        best -= 1
    if cost(best) == math.inf:
        return None
    return grid.in_file(grid.uniform_grid(along.targets, FINER[best] * step), 1.0)


def _objective(way: Way, found: Decided) -> float:
    """Return error and labels in bits."""
    error = way.curved.error(with_bias(way.curved, found.values))
    return float((way.scaled * error).sum()) + found.bits


def _best_step(free: Unbound) -> float:
    """Return the best step of a grid, by the curvatures in weights of which few become 0.

    Those that are 0, and those of dead inputs, are likely to become 0 whatever the step is; where
    there are no others, all count.
    """
    pivots = free.pivots
    curvatures = free.scaled[:, :, None] / (pivots * pivots)[:, None, :]
    diagonals = [
        np.diagonal(h)[order] for h, order in zip(free.curved.hessian, free.orders, strict=True)
    ]
    alive = np.stack([d > DEAD * d[0] for d in diagonals])[:, None, :]
    kept = [t[:, order] != 0 for t, order in zip(free.targets, free.orders, strict=True)]
    found = curvatures[alive & np.stack(kept)]
    return grid.step_for(found if found.size else curvatures.ravel(), 1.0)


def in_file(levels: Float64Array, half: bool) -> Float64Array:
    """Return levels as they will be stored, or raise ArgumentError."""
    dtype = np.dtype(np.float16 if half else np.float32)
    with np.errstate(over="ignore"):
        stored = levels.astype(dtype)
    if not np.isfinite(stored).all():
        raise ArgumentError(f"weights are too large for {dtype}")
    return stored.astype(np.float64)
