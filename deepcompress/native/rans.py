"""The gateway to the C kernels of rANS; `gateway` has their rules."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import FormatError
from ..tensors import UInt8Array, UInt16Array
from .gateway import _bytes, _choice, _ffi, _lib
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
    c_streams, results = coded(streams)
    _lib().dc_rans_decode(_codes(codes), c_streams, len(streams))
    return outcomes(c_streams, results)


def encode_states(symbols: UInt8Array, frequencies: UInt16Array, symbols_bits: int) -> UInt8Array:
    """Call dc_rans_states_encode for at least one symbol."""
    states = _lib().dc_rans_states(len(symbols), symbols_bits)
    room = np.empty(4 * states + 2 * len(symbols), np.uint8)
    c_frequencies = _ffi().from_buffer("uint16_t[]", frequencies)
    what = _bytes(symbols), len(symbols), c_frequencies, len(frequencies), symbols_bits
    size = _lib().dc_rans_states_encode(_choice().isa, *what, _bytes(room), len(room))
    return room[len(room) - size :]


def decode_states(
    codes: Sequence[UInt16Array], streams: Sequence[Stream], symbols_bits: int
) -> list[UInt8Array | FormatError]:
    """Call dc_rans_states_decode; return the symbols of each stream, or the error that it has."""
    c_streams, results = coded(streams)
    c_codes = _codes(codes)
    _lib().dc_rans_states_decode(_choice().isa, c_codes, c_streams, len(streams), symbols_bits)
    return outcomes(c_streams, results)


def _codes(codes: Sequence[UInt16Array]) -> Any:
    """Return two struct dc_rans_code, of arrays that have to be kept."""
    c_codes = _ffi().new("struct dc_rans_code[2]")
    for struct, frequencies in zip(c_codes, codes, strict=False):
        struct.frequencies = _ffi().from_buffer("uint16_t[]", frequencies)
        struct.alphabet = len(frequencies)
    return c_codes
