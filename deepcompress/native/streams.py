"""Coded streams as the C decoders take them, side by side; `gateway` has their rules."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import FormatError
from ..tensors import UInt8Array
from .gateway import _bytes, _check, _ffi

# A stream: its payload, which of two codes it has, and how many symbols it stands for.
Stream = tuple[UInt8Array, int, int]


def coded(streams: Sequence[Stream]) -> tuple[Any, list[UInt8Array]]:
    """Return an array of struct dc_coded_stream, and arrays for the symbols of each."""
    results = [np.empty(count, np.uint8) for _, _, count in streams]
    structs = _ffi().new("struct dc_coded_stream[]", len(streams))
    for struct, (payload, code, count), symbols in zip(structs, streams, results, strict=True):
        struct.payload, struct.size, struct.code = _bytes(payload), len(payload), code
        struct.symbols, struct.count = _bytes(symbols), count
    return structs, results


def outcomes(structs: Any, results: list[UInt8Array]) -> list[UInt8Array | FormatError]:
    """Return the symbols of each stream, or the error that it has."""
    return [
        _error(struct.status, struct.at) or symbols
        for struct, symbols in zip(structs, results, strict=True)
    ]


def _error(status: int, at: int) -> FormatError | None:
    try:
        _check(status, at)
    except FormatError as error:
        return error
    return None
