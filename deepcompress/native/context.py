"""The gateway to the C kernels of `coding.context`; `gateway` has their rules."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..structs import LabelLevels, LabelMatrix
from ..tensors import UInt8Array
from .gateway import _bytes, _check, _ffi, _lib

FIRST_ROOM = 1 << 12  # bytes besides those of the labels, which hardly any stream exceeds


def encode(labels: UInt8Array, matrix: LabelMatrix, levels: LabelLevels) -> bytes:
    """Call dc_context_encode, twice if the stream is longer than was thought."""
    room = len(labels) + FIRST_ROOM
    while True:
        payload = np.empty(room, np.uint8)
        arguments = _bytes(labels), *_arguments(matrix, levels), _bytes(payload), room
        size: int = _lib().dc_context_encode(*arguments, _ffi().NULL, _ffi().NULL)
        if size <= room:
            return payload[:size].tobytes()
        room = size


def costs(
    labels: UInt8Array, matrix: LabelMatrix, levels: LabelLevels, prices: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint32]:
    """Call dc_context_encode for what each label costs."""
    found, none = np.zeros(len(labels), np.uint32), np.empty(0, np.uint8)
    words = [_ffi().from_buffer("uint32_t[]", array) for array in (prices, found)]
    _lib().dc_context_encode(_bytes(labels), *_arguments(matrix, levels), _bytes(none), 0, *words)
    return found


def decode(stream: bytes, matrix: LabelMatrix, levels: LabelLevels) -> UInt8Array:
    """Call dc_context_decode; raise FormatError or TruncatedError as it says."""
    labels = np.empty(matrix.rows * matrix.cols, np.uint8)
    at = _ffi().new("size_t *")
    c_stream = _ffi().from_buffer("uint8_t[]", stream)
    common = _arguments(matrix, levels)
    _check(_lib().dc_context_decode(c_stream, len(stream), *common, _bytes(labels), at), at[0])
    return labels


def fitting(labels: UInt8Array, matrix: LabelMatrix, levels: LabelLevels) -> int:
    """Call dc_context_fitting."""
    count: int = _lib().dc_context_fitting(_bytes(labels), *_structs(matrix, levels))
    return count


def _arguments(matrix: LabelMatrix, levels: LabelLevels) -> tuple[Any, Any, Any]:
    """Return both structs, and the workspace."""
    workspace = np.empty(_lib().dc_context_words(matrix.cols), np.uint32)
    return *_structs(matrix, levels), _ffi().from_buffer("uint32_t[]", workspace)


def _structs(matrix: LabelMatrix, levels: LabelLevels) -> tuple[Any, Any]:
    c_matrix = _ffi().new("struct dc_matrix *")
    c_matrix.rows, c_matrix.cols = matrix.rows, matrix.cols
    c_matrix.kernel, c_matrix.width = matrix.kernel, matrix.width
    c_levels = _ffi().new("struct dc_levels *")
    for name in ("magnitude", "negative", "label"):
        array = getattr(levels, name)
        _ffi().memmove(getattr(c_levels, name), array, array.nbytes)
    c_levels.count, c_levels.trellis = levels.count, levels.trellis
    return c_matrix, c_levels
