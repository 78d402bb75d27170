"""The gateway to the C kernels that read files: streams side by side, and blocks of entries.

Arguments are as in `native`: validated, contiguous, with the native backend active.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import FormatError
from ..tensors import Int64Array, UInt8Array, UInt16Array
from .gateway import _bytes, _check, _choice, _ffi, _lib

if TYPE_CHECKING:
    from ..coding.join import Entries, Masked

# A stream: its payload, which of two codes it has, and how many symbols it stands for.
Stream = tuple[UInt8Array, int, int]


def histogram(symbols: UInt8Array) -> Int64Array:
    """Call dc_histogram."""
    counts = np.empty(256, np.int64)
    _lib().dc_histogram(_bytes(symbols), len(symbols), _ffi().from_buffer("uint64_t[]", counts))
    return counts


def huffman_decode(
    codes: Sequence[UInt8Array], streams: Sequence[Stream]
) -> list[UInt8Array | FormatError]:
    """Call dc_huffman_decode; return the symbols of each stream, or the error that it has."""
    of_codes = _ffi().new("struct dc_huffman_code[2]")
    for one, lengths in zip(of_codes, codes, strict=False):
        one.lengths, one.alphabet = _bytes(lengths), len(lengths)
    of_streams, results = _coded(streams)
    _lib().dc_huffman_decode(_choice().isa, of_codes, of_streams, len(streams))
    return _outcomes(of_streams, results)


def rans_decode(
    codes: Sequence[UInt16Array], streams: Sequence[Stream]
) -> list[UInt8Array | FormatError]:
    """Call dc_rans_decode; return what `huffman_decode` does."""
    of_codes = _ffi().new("struct dc_rans_code[2]")
    for one, shares in zip(of_codes, codes, strict=False):
        one.frequencies, one.alphabet = _ffi().from_buffer("uint16_t[]", shares), len(shares)
    of_streams, results = _coded(streams)
    _lib().dc_rans_decode(of_codes, of_streams, len(streams))
    return _outcomes(of_streams, results)


def _coded(streams: Sequence[Stream]) -> tuple[Any, list[UInt8Array]]:
    """Return an array of struct dc_coded_stream, and arrays for the symbols of each."""
    results = [np.empty(count, np.uint8) for _, _, count in streams]
    structs = _ffi().new("struct dc_coded_stream[]", len(streams))
    for one, (payload, code, count), symbols in zip(structs, streams, results, strict=True):
        one.payload, one.size, one.code = _bytes(payload), len(payload), code
        one.symbols, one.count = _bytes(symbols), count
    return structs, results


def _outcomes(structs: Any, results: list[UInt8Array]) -> list[UInt8Array | FormatError]:
    return [
        _outcome(one.status, one.at) or symbols
        for one, symbols in zip(structs, results, strict=True)
    ]


def _outcome(status: int, at: int) -> FormatError | None:
    try:
        _check(status, at)
    except FormatError as error:
        return error
    return None


def check_gaps(gaps: UInt8Array, size: int) -> None:
    """Call dc_check_gaps; raise FormatError if an entry lies outside the elements."""
    at = _ffi().new("size_t *")
    _check(_lib().dc_check_gaps(_bytes(gaps), len(gaps), size, at), at[0])


def count_bits(data: UInt8Array) -> int:
    """Call dc_count_bits."""
    return int(_lib().dc_count_bits(_bytes(data), len(data)))


def dense_mask(all_labels: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Call dc_dense_mask; return the mask, and the labels less 1."""
    elements = len(all_labels)
    mask, less_one = np.empty((elements + 7) // 8, np.uint8), np.empty(elements, np.uint8)
    count = _lib().dc_dense_mask(_bytes(all_labels), elements, _bytes(mask), _bytes(less_one))
    return mask, less_one[:count]


def survey(block: "Entries", zeros: int) -> tuple[int, tuple[int, ...], int]:
    """Call dc_survey; return survivors, fillers for each width of gaps, and zeros at the end."""
    fillers, since = _ffi().new("int64_t[9]"), _ffi().new("uint64_t *", zeros)
    survivors = _lib().dc_survey(_blocks([block]), 1, since, fillers)
    return int(survivors), tuple(fillers), int(since[0])


def mask_survey(block: "Masked", zeros: int) -> tuple[int, tuple[int, ...], int]:
    """Call dc_mask_survey; return what `survey` does."""
    fillers, since = _ffi().new("int64_t[9]"), _ffi().new("uint64_t *", zeros)
    survivors = _lib().dc_mask_survey(_bytes(block.mask), block.elements, since, fillers)
    return int(survivors), tuple(fillers), int(since[0])


class Joined:
    """The stream that dc_join and dc_mask_join write, in arrays in which there is room.

    Parameters
    ----------
    label_bits, gap_bits : int
    """

    def __init__(self, label_bits: int, gap_bits: int) -> None:
        self._widths = label_bits, gap_bits
        self._stream = _ffi().new("struct dc_stream *")
        self._counted: Any = None

    @property
    def count(self) -> int:
        """Entries so far."""
        return int(self._stream.entries)

    def look_at(self, blocks: "Sequence[Entries]") -> tuple[int, int]:
        """Call dc_count_fillers; return survivors and fillers of the blocks that `add` is given."""
        self._counted = _blocks(blocks)
        survivors = _ffi().new("int64_t *")
        zeros = _ffi().new("uint64_t *", self._stream.zeros)
        arguments = self._counted, len(blocks), self._widths[1], zeros, survivors
        fillers = _lib().dc_count_fillers(*arguments)
        return int(survivors[0]), int(fillers)

    def add(self, blocks: "Sequence[Entries]", labels: UInt8Array, gaps: UInt8Array) -> None:
        """Call dc_join."""
        if self._counted is None:
            self.look_at(blocks)
        self._stream.labels, self._stream.gaps = _bytes(labels), _bytes(gaps)
        _lib().dc_join(self._counted, len(blocks), *self._widths, self._stream)
        self._counted = None

    def add_masks(self, blocks: "Sequence[Masked]", labels: UInt8Array, gaps: UInt8Array) -> None:
        """Call dc_mask_join."""
        self._stream.labels, self._stream.gaps = _bytes(labels), _bytes(gaps)
        for block in blocks:
            arrays = _bytes(block.mask), _bytes(block.less_one)
            _lib().dc_mask_join(*arrays, block.elements, *self._widths, self._stream)


def _blocks(blocks: "Sequence[Entries]") -> Any:
    """Return an array of struct dc_block; the caller keeps their arrays alive."""
    structs = _ffi().new("struct dc_block[]", len(blocks))
    for struct, block in zip(structs, blocks, strict=True):
        struct.labels, struct.gaps = _bytes(block.labels), _bytes(block.gaps)
        struct.count, struct.elements = len(block.labels), block.elements
    return structs
