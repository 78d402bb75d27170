"""Curves through the points of a scan: what a tensor loses, and what it takes, at each rung.

Scores are noisy where losses are small: those below a floor say only that they are. Between points
above it the logarithm of the loss is interpolated; below the finest of these losses grow as the
square of the step, as an error's would, and above the coarsest as well.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..tensors import Float64Array
from .rungs import COARSEST, FINEST, PER_OCTAVE
from .scan import TensorScan

RANGE = np.arange(FINEST, COARSEST + 1)
STEEP = 2 * math.log(2) / PER_OCTAVE  # of the logarithm of an error that is a step squared


@dataclass(frozen=True)
class Response:
    """Loss and bytes of one tensor at each rung of `RANGE`, predicted.

    Attributes
    ----------
    name : str
    size : int
        Bytes of the tensor as it is, which loses nothing.
    losses : ndarray of shape (rungs,), float64
        Ascending and positive.
    sizes : ndarray of shape (rungs,), float64
        Descending.
    """

    name: str
    size: int
    losses: Float64Array
    sizes: Float64Array


def response(scan: TensorScan, floor: float) -> Response:
    """Return curves through a tensor's points; without points, those of any tensor."""
    rungs = np.array([point.rung for point in scan.points])
    losses = np.maximum.accumulate([max(p.loss, 0.0) for p in scan.points] or [0.0])
    sizes = np.minimum.accumulate([float(p.bytes) for p in scan.points] or [0.0])
    told = losses >= floor
    if not len(rungs):
        logs = STEEP * RANGE.astype(np.float64)
    elif not told.any():  # at the coarsest rung just below what can be seen
        logs = math.log(floor) + STEEP * (RANGE - rungs[-1])
    else:
        logs = _extended(rungs[told], np.log(losses[told]), STEEP, STEEP)
    if not len(rungs):
        logs_of_sizes = math.log(scan.size / 8) - 0.24 / PER_OCTAVE * RANGE
    else:
        logs_of_sizes = _extended(rungs, np.log(sizes), -0.2 / PER_OCTAVE, 0.0)
    return Response(scan.name, scan.size, np.exp(logs), np.exp(logs_of_sizes))


def _extended(
    rungs: Sequence[int] | np.ndarray, values: Float64Array, before: float, after: float
) -> Float64Array:
    """Return values at all rungs: straight between those given, with given slopes outside."""
    inside = np.interp(RANGE, rungs, values)
    below, above = np.minimum(RANGE - rungs[0], 0), np.maximum(RANGE - rungs[-1], 0)
    return np.asarray(inside + before * below + after * above)
