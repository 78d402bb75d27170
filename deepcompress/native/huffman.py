"""The gateway to the C kernels of `huffman`; `gateway` has their rules."""

from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from ..tensors import Int64Array, UInt8Array
from .gateway import _bytes, _choice, _ffi, _lib
from .streams import Stream, coded, outcomes


def code_lengths(counts: Int64Array, max_bits: int) -> UInt8Array:
    """Call dc_code_lengths."""
    lengths = np.empty(len(counts), np.uint8)
    from_buffer = _ffi().from_buffer
    _lib().dc_code_lengths(from_buffer("int64_t[]", counts), len(counts), max_bits, _bytes(lengths))
    return lengths


def encode(symbols: UInt8Array, lengths: UInt8Array, size: int) -> UInt8Array:
    """Call dc_huffman_encode for a payload of at most `size` bytes."""
    room = np.empty(size, np.uint8)
    used = _lib().dc_huffman_encode(
        _bytes(symbols), len(symbols), _bytes(lengths), len(lengths), _bytes(room), size
    )
    return room[:used]


def decode(
    codes: Sequence[UInt8Array], streams: Sequence[Stream]
) -> list[UInt8Array | FormatError]:
    """Call dc_huffman_decode; return the symbols of each stream, or the error that it has."""
    c_codes = _ffi().new("struct dc_huffman_code[2]")
    for struct, lengths in zip(c_codes, codes, strict=False):
        struct.lengths, struct.alphabet = _bytes(lengths), len(lengths)
    c_streams, results = coded(streams)
    _lib().dc_huffman_decode(_choice().isa, c_codes, c_streams, len(streams))
    return outcomes(c_streams, results)
