"""The gateway to the C kernels that read files: streams side by side, and blocks of entries.

Arguments are as in `native`: validated, contiguous, with the native backend active.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import FormatError
from .native import _bytes, _check, _choice, _ffi, _lib
from .tensors import Int64Array, UInt8Array

if TYPE_CHECKING:
    from .blocks import Entries

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
    results = [np.empty(count, np.uint8) for _, _, count in streams]
    of_codes = _ffi().new("struct dc_huffman_code[2]")
    for one, lengths in zip(of_codes, codes, strict=False):
        one.lengths, one.alphabet = _bytes(lengths), len(lengths)
    of_streams = _ffi().new("struct dc_huffman_stream[]", len(streams))
    for one, (payload, code, count), symbols in zip(of_streams, streams, results, strict=True):
        one.payload, one.size, one.code = _bytes(payload), len(payload), code
        one.symbols, one.count = _bytes(symbols), count
    _lib().dc_huffman_decode(_choice().isa, of_codes, of_streams, len(streams))
    return [
        _outcome(one.status, one.at) or symbols
        for one, symbols in zip(of_streams, results, strict=True)
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


def mask_entries(
    mask: UInt8Array, less_one: UInt8Array, elements: int
) -> tuple[UInt8Array, UInt8Array]:
    """Call dc_mask_entries; return labels and gaps."""
    labels, gaps = (np.empty(len(less_one) + elements // 256, np.uint8) for _ in range(2))
    made = _bytes(labels), _bytes(gaps)
    count = _lib().dc_mask_entries(_bytes(mask), _bytes(less_one), elements, *made)
    return labels[:count], gaps[:count]


def dense_entries(all_labels: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Call dc_dense_entries; return labels and gaps."""
    elements = len(all_labels)
    room = np.count_nonzero(all_labels) + elements // 256
    labels, gaps = (np.empty(room, np.uint8) for _ in range(2))
    count = _lib().dc_dense_entries(_bytes(all_labels), elements, _bytes(labels), _bytes(gaps))
    return labels[:count], gaps[:count]


def survey(blocks: "Sequence[Entries]") -> tuple[int, tuple[int, ...]]:
    """Call dc_survey; return the survivors and the fillers for each width of gaps."""
    fillers = _ffi().new("int64_t[9]")
    survivors = _lib().dc_survey(_blocks(blocks), len(blocks), fillers)
    return int(survivors), tuple(fillers)


def count_fillers(blocks: "Sequence[Entries]", gap_bits: int) -> tuple[int, int]:
    """Call dc_count_fillers; return the survivors and the fillers."""
    survivors = _ffi().new("int64_t *")
    fillers = _lib().dc_count_fillers(_blocks(blocks), len(blocks), gap_bits, survivors)
    return int(survivors[0]), int(fillers)


def join(
    blocks: "Sequence[Entries]", widths: tuple[int, int], labels: UInt8Array, gaps: UInt8Array
) -> None:
    """Call dc_join for labels and gaps of the given widths."""
    _lib().dc_join(_blocks(blocks), len(blocks), *widths, _bytes(labels), _bytes(gaps))


def _blocks(blocks: "Sequence[Entries]") -> Any:
    """Return an array of struct dc_block; the caller keeps their arrays alive."""
    structs = _ffi().new("struct dc_block[]", len(blocks))
    for struct, block in zip(structs, blocks, strict=True):
        struct.labels, struct.gaps = _bytes(block.labels), _bytes(block.gaps)
        struct.count, struct.elements = len(block.labels), block.elements
    return structs
