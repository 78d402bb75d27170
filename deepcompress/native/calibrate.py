"""The gateway to the C kernels of `calibrate`; `native` tells what holds for all."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..tensors import BoolArray, Float32Array, Float64Array, UInt8Array
from ..trellis import STATES
from .gateway import _bytes, _ffi, _floats, _lib
from .pool import team

NS_PER_PRODUCT = 0.3
NS_PER_WEIGHT = 6.0


def sweep(
    weights: Float64Array,
    factor: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
) -> tuple[Float64Array, UInt8Array]:
    """Call dc_sweep on a copy of weights (R, D); return it, and labels (R, D - 1)."""
    rows, cols = weights.shape[0], weights.shape[1] - 1
    swept = np.array(weights, np.float64, order="C")
    labels = np.empty((rows, cols), np.uint8)
    _lib().dc_sweep(
        *(_doubles(swept), rows, cols, *map(_doubles, (factor, matters, levels, rates))),
        *(len(levels), _bytes(labels), _team_for(rows, cols)),
    )
    return swept, labels


def descend(
    weights: Float64Array,
    slopes: Float64Array,
    hessian: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    labels: UInt8Array,
) -> tuple[Float64Array, Float64Array, UInt8Array]:
    """Call dc_descend on copies of weights, slopes (R, D) and labels (R, D - 1); return them."""
    rows, cols = labels.shape
    moved, slopes = (np.array(one, np.float64, order="C") for one in (weights, slopes))
    labels = np.array(labels, order="C")
    _lib().dc_descend(
        *(_doubles(moved), _doubles(slopes), rows, cols),
        *map(_doubles, (hessian, matters, levels, rates)),
        *(len(levels), _bytes(labels), _team_for(rows, cols)),
    )
    return moved, slopes, labels


def trellis_sweep(
    weights: Float64Array,
    factor: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    zero: int,
    idle: BoolArray,
) -> UInt8Array:
    """Call dc_trellis_sweep for weights (R, D); return labels (R, D - 1)."""
    rows, cols = weights.shape[0], weights.shape[1] - 1
    labels = np.empty((rows, cols), np.uint8)
    _lib().dc_trellis_sweep(
        *(_doubles(weights), rows, cols, *map(_doubles, (factor, matters, levels, rates))),
        *(
            len(levels),
            zero,
            _bytes(idle.astype(np.uint8)),
            _bytes(labels),
            *_scratch_and_team(rows, cols),
        ),
    )
    return labels


def trellis_descend(
    weights: Float64Array,
    slopes: Float64Array,
    hessian: Float64Array,
    matters: Float64Array,
    levels: Float64Array,
    rates: Float64Array,
    zero: int,
    idle: BoolArray,
) -> UInt8Array:
    """Call dc_trellis_descend for weights and slopes (R, D); return labels (R, D - 1)."""
    rows, cols = weights.shape[0], weights.shape[1] - 1
    labels = np.empty((rows, cols), np.uint8)
    _lib().dc_trellis_descend(
        *(_doubles(weights), _doubles(slopes), rows, cols),
        *map(_doubles, (hessian, matters, levels, rates)),
        *(
            len(levels),
            zero,
            _bytes(idle.astype(np.uint8)),
            _bytes(labels),
            *_scratch_and_team(rows, cols),
        ),
    )
    return labels


def expected_sweep(
    targets: Float32Array,
    positions: int,
    costs: Float64Array,
    same: Float64Array,
    other: Float64Array,
    levels: Float64Array,
    charged: Float64Array,
) -> UInt8Array:
    """Call dc_expected_sweep for targets (R, d); return labels (R, d)."""
    rows, cols = targets.shape
    labels = np.empty((rows, cols), np.uint8)
    _lib().dc_expected_sweep(
        *(_floats(np.ascontiguousarray(targets)), rows, cols, positions),
        *map(_doubles, (costs, same, other, levels, charged)),
        *(len(levels), _bytes(labels), team(rows * cols * NS_PER_WEIGHT, rows)[0]),
    )
    return labels


def expected_descend(
    targets: Float32Array,
    positions: int,
    shared: float,
    alike: float,
    levels: Float64Array,
    charged: Float64Array,
    labels: UInt8Array,
) -> UInt8Array:
    """Call dc_expected_descend on a copy of labels (R, d); return it."""
    rows, cols = targets.shape
    labels = np.array(labels, order="C")
    _lib().dc_expected_descend(
        *(_floats(np.ascontiguousarray(targets)), rows, cols, positions, shared, alike),
        *map(_doubles, (levels, charged)),
        *(len(levels), _bytes(labels), team(rows * cols * NS_PER_WEIGHT, rows)[0]),
    )
    return labels


def _scratch_and_team(rows: int, cols: int) -> tuple[Any, Any]:
    """Return what the versions of a row take for each thread, and the team."""
    chosen, count = team(rows * cols * (cols * NS_PER_PRODUCT + NS_PER_WEIGHT) * STATES, rows)
    words = -(-_lib().dc_trellis_scratch(cols) * count // 8)
    return _ffi().from_buffer("char[]", np.empty(words)), chosen


def _team_for(rows: int, cols: int) -> Any:
    """Return the team that so many rows are worth."""
    return team(rows * cols * cols * NS_PER_PRODUCT, rows)[0]


def _doubles(array: npt.NDArray[np.float64]) -> object:
    """Return a pointer to numbers in row-major order; input that isn't so is copied."""
    return _ffi().from_buffer("double[]", np.ascontiguousarray(array, np.float64))
