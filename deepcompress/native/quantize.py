"""The gateway to the C kernels of `quantize` and `lloyd`; `native` tells what holds for all."""

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array, Int64Array, UInt8Array
from .gateway import _bytes, _ffi, _floats, _lib

Float64Array = npt.NDArray[np.float64]


def outward_sums(terms: Float64Array, zero: int) -> Float64Array:
    """Call dc_outward_sums; return n + 1 sums."""
    sums = np.empty(len(terms) + 1)
    out = _ffi().from_buffer("double[]", sums)
    _lib().dc_outward_sums(_ffi().from_buffer("double[]", terms), len(terms), zero, out)
    return sums


def move(
    ordered: Float64Array,
    sums: Float64Array,
    masses: Float64Array | None,
    borders: Int64Array,
    limit: int,
    upper: bool,
) -> tuple[Float64Array, Int64Array, int]:
    """Call dc_lloyd for clusters with members; return centroids, their borders, and steps."""
    ffi, borders = _ffi(), borders.copy()
    centroids, scratch = np.empty(len(borders) - 1), np.empty_like(borders)
    steps = _lib().dc_lloyd(
        *(ffi.from_buffer("double[]", array) for array in (ordered, sums)),
        ffi.NULL if masses is None else ffi.from_buffer("double[]", masses),
        *(len(ordered), len(centroids), limit, upper),
        *(ffi.from_buffer("int64_t[]", array) for array in (borders, scratch)),
        ffi.from_buffer("double[]", centroids),
    )
    return centroids, borders, int(steps)


def moments(values: Float64Array, weights: Float64Array) -> Float64Array:
    """Call dc_moments; return shape (7, n + 1)."""
    sums = np.empty((7, len(values) + 1))
    _lib().dc_moments(
        *(_ffi().from_buffer("double[]", array) for array in (values, weights)),
        *(len(values), int(np.searchsorted(values, 0)), _ffi().from_buffer("double[]", sums)),
    )
    return sums


def best_borders(
    moments: Float64Array,
    skip: int,
    apart: int,
    before: Float64Array,
    window: tuple[int, int],
    rows: tuple[int, int],
) -> tuple[Float64Array, Int64Array]:
    """Call dc_best_borders; return the least cost of each row and the border that has it."""
    ffi = _ffi()
    least = np.empty(rows[1] - rows[0] + 1)
    borders = np.empty(least.size, np.int64)
    _lib().dc_best_borders(
        *(ffi.from_buffer("double[]", moments), moments.shape[1], skip, apart),
        *(ffi.from_buffer("double[]", before), *window, *rows),
        *(ffi.from_buffer("double[]", least), ffi.from_buffer("int64_t[]", borders)),
    )
    return least, borders


def assign(values: Float32Array, bounds: Float64Array) -> UInt8Array:
    """Call dc_assign for at most 255 bounds."""
    depth = len(bounds).bit_length()
    padded = np.full(2**depth - 1, np.inf)
    padded[: len(bounds)] = bounds
    labels = np.empty(values.shape, np.uint8)
    padded_c = _ffi().from_buffer("double[]", padded)
    _lib().dc_assign(_floats(values), values.size, padded_c, depth, _bytes(labels))
    return labels
