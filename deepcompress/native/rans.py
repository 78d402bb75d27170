"""The gateway to the C kernels of rANS; `gateway` has their rules."""

from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from ..tensors import UInt8Array, UInt16Array
from .gateway import _bytes, _ffi, _lib
from .streams import Stream, coded, outcomes


def encode(symbols: UInt8Array, frequencies: UInt16Array) -> UInt8Array:
    """Call dc_rans_encode for at least one symbol."""
    room = np.empty(4 + 2 * len(symbols), np.uint8)
    c_frequencies = _ffi().from_buffer("uint16_t[]", frequencies)
    code = c_frequencies, len(frequencies)
    size = _lib().dc_rans_encode(_bytes(symbols), len(symbols), *code, _bytes(room), len(room))
    return room[len(room) - size :]


def decode(
    codes: Sequence[UInt16Array], streams: Sequence[Stream]
) -> list[UInt8Array | FormatError]:
    """Call dc_rans_decode; return the symbols of each stream, or the error that it has."""
    c_codes = _ffi().new("struct dc_rans_code[2]")
    for struct, frequencies in zip(c_codes, codes, strict=False):
        struct.frequencies = _ffi().from_buffer("uint16_t[]", frequencies)
        struct.alphabet = len(frequencies)
    c_streams, results = coded(streams)
    _lib().dc_rans_decode(c_codes, c_streams, len(streams))
    return outcomes(c_streams, results)
