"""The gateway to the C kernels of `quantize` and `lloyd`; `native` tells what holds for all."""

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array, Int64Array, UInt8Array
from .gateway import _bytes, _ffi, _floats, _lib

Float64Array = npt.NDArray[np.float64]


def move(
    ordered: Float64Array, prefix: Float64Array, borders: Int64Array, limit: int
) -> tuple[Float64Array, Int64Array, int]:
    """Call dc_lloyd for clusters with members; return centroids, their borders, and steps."""
    ffi, borders = _ffi(), borders.copy()
    centroids, scratch = np.empty(len(borders) - 1), np.empty_like(borders)
    steps = _lib().dc_lloyd(
        *(ffi.from_buffer("double[]", array) for array in (ordered, prefix)),
        *(len(ordered), len(centroids), limit),
        *(ffi.from_buffer("int64_t[]", array) for array in (borders, scratch)),
        ffi.from_buffer("double[]", centroids),
    )
    return centroids, borders, int(steps)


def assign(values: Float32Array, bounds: Float64Array) -> UInt8Array:
    """Call dc_assign for at most 255 bounds."""
    depth = len(bounds).bit_length()
    padded = np.full(2**depth - 1, np.inf)
    padded[: len(bounds)] = bounds
    labels = np.empty(values.shape, np.uint8)
    padded_c = _ffi().from_buffer("double[]", padded)
    _lib().dc_assign(_floats(values), values.size, padded_c, depth, _bytes(labels))
    return labels
