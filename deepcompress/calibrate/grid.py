"""The levels that weights may take: a uniform grid, zero among them, whose step follows lambda.

With a fine step s, an error of s^2 / 12 for each weight costs ``a s^2 / 12`` where ``a`` is the
curvature of the objective in that weight, and its label takes log2(range / s) bits. The sum of
error and lambda times bits is least where ``a s / 6 = lambda / (s ln 2)``, that is at

    s = sqrt(6 lambda / (a ln 2)).

Rates make zero and other frequent levels wider than others, for which a step somewhat smaller
is best: `FINER` was measured on SqueezeNet.
"""

import math

import numpy as np

from ..errors import ArgumentError
from ..tensors import Float32Array, Float64Array

FINER = 0.85
WIDER = 1.05  # a step, again and again, where there are too many levels
FEWEST = (
    4  # levels on the longer side of 0: where few weights survive, rates leave out what is idle
)
MOST_LEVELS = 255  # labels have 8 bits; each level costs a centroid in the file, if it is used


def step_for(curvatures: Float64Array, lam: float, finer: float = FINER) -> float:
    """Return the step for weights of such curvatures, by their geometric mean."""
    mean = math.exp(float(np.log(curvatures).mean()))
    return finer * math.sqrt(6 * lam / (math.log(2) * mean))


def uniform_grid(
    weights: Float32Array | Float64Array, step: float, most: int = MOST_LEVELS
) -> Float64Array:
    """Return multiples of a step, ascending, 0 among them, that reach as far as the weights do.

    Where these are more than `most`, as a few weights are far from the others, those are left out
    that no weight is near; where this isn't enough, the step is wider. It is narrower where
    there would be fewer than `FEWEST` on the longer side of 0.
    """
    low, high = min(float(weights.min()), 0.0), max(float(weights.max()), 0.0)
    step = max(min(step, max(-low, high) / FEWEST), float(np.finfo(np.float32).tiny))
    below, above = math.ceil(-low / step - 0.5), math.ceil(high / step - 0.5)
    if below + above < most:
        return step * np.arange(-below, above + 1, dtype=np.float64)
    while True:
        near = np.unique(np.append(np.rint(weights.astype(np.float64) / step), 0))
        wide = np.unique([near - 1, near, near + 1])
        for places in (wide[(wide >= near[0]) & (wide <= near[-1])], near):
            if len(places) <= most:
                return np.asarray(step * places)
        step *= max(WIDER, math.sqrt(len(near) / (2 * most)))


def is_grid(levels: Float64Array) -> bool:
    """Tell whether levels, ascending, are all multiples of a step between two of them."""
    step = float(np.diff(levels).min(initial=np.inf))
    places = np.rint(levels / step)
    return len(levels) > 1 and bool((np.diff(places) == 1).all())


def in_file(levels: Float64Array, scale: float) -> Float64Array:
    """Return the levels of a grid times a number, as a file holds them: multiples of a float32."""
    zero = int(np.searchsorted(levels, 0))
    step = levels[zero + 1] if zero + 1 < len(levels) else -levels[zero - 1]
    with np.errstate(over="ignore"):
        stored = np.float64(np.float32(scale * step))
        found = (np.arange(len(levels)) - zero) * stored
        found = found.astype(np.float32).astype(np.float64)
    if not np.isfinite(found).all() or stored == 0:
        raise ArgumentError("weights are too large or too small for float32")
    return found
