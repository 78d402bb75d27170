"""The gateway to the C kernels of `bits`; `gateway` has their rules."""

import numpy as np

from ..tensors import Int64Array, UInt8Array
from .gateway import _bytes, _ffi, _lib


def pack(values: UInt8Array, bits: int, size: int) -> UInt8Array:
    """Call dc_pack for `size` packed bytes."""
    packed = np.empty(size, np.uint8)
    _lib().dc_pack(_bytes(values), len(values), bits, _bytes(packed))
    return packed


def unpack(packed: UInt8Array, bits: int, count: int) -> UInt8Array:
    """Call dc_unpack."""
    values = np.empty(count, np.uint8)
    _lib().dc_unpack(_bytes(packed), count, bits, _bytes(values))
    return values


def occurs(symbols: UInt8Array, flags: UInt8Array) -> bool:
    """Call dc_occurs for flags of 256 symbols."""
    return bool(_lib().dc_occurs(_bytes(symbols), len(symbols), _bytes(flags)))


def histogram(symbols: UInt8Array) -> Int64Array:
    """Call dc_histogram."""
    counts = np.empty(256, np.int64)
    _lib().dc_histogram(_bytes(symbols), len(symbols), _ffi().from_buffer("uint64_t[]", counts))
    return counts
