"""The gateway to the C kernels of `relindex`; `gateway` has their rules."""

import numpy as np

from ..tensors import Int64Array, UInt8Array
from .gateway import _bytes, _check, _ffi, _lib


def decode_gaps(gaps: UInt8Array, size: int) -> Int64Array:
    """Call dc_decode_gaps; raise FormatError if an entry lies outside the tensor."""
    positions = np.empty(len(gaps), np.int64)
    out = _ffi().from_buffer("int64_t[]", positions)
    at = _ffi().new("size_t *")
    _check(_lib().dc_decode_gaps(_bytes(gaps), len(gaps), size, out, at), at[0])
    return positions


def check_gaps(gaps: UInt8Array, size: int) -> None:
    """Call dc_check_gaps; raise FormatError if an entry lies outside the elements."""
    at = _ffi().new("size_t *")
    _check(_lib().dc_check_gaps(_bytes(gaps), len(gaps), size, at), at[0])
