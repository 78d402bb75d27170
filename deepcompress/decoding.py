"""A record in a file -> the compressed tensor that it stands for. `coding` goes the way there."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from . import bitpack, blocks, coders, huffman, relindex
from .blocks import Entries
from .coders import Code
from .coding import (
    BlockSymbols,
    alphabets,
    cheapest_gap_bits,
    from_survivors,
    narrowest_gap_bits,
)
from .compressed import CompressedTensor
from .container import BITMASK, DENSE, RELATIVE, Block, SharedRecord
from .container_layout import block_size, fixed_width, stream_bits, stream_symbols
from .errors import FormatError
from .tensors import HUFFMAN, Int64Array, UInt8Array

# Whose streams are decoded side by side: of either code as many as the decoder takes at once.
BLOCKS_AT_ONCE = 8


def read_codes(record: SharedRecord) -> tuple[Code, Code]:
    """Return the codes of a record's streams.

    Raises
    ------
    FormatError
        If a table isn't valid.
    """
    coding, k = record.coding, len(record.codebook) - 1
    sizes, widths = alphabets(coding, k), stream_bits(coding, k)
    return (
        coders.read(coding.label_coder, record.label_table, sizes[0], widths[0]),
        coders.read(coding.position_coder, record.position_table, sizes[1], max(widths[1], 1)),
    )


def decode_symbols(record: SharedRecord, first: int = 0) -> Iterator[BlockSymbols]:
    """Decode the blocks of a record, of which the first is the tensor's block `first`.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid. Positions of a relative
        tensor aren't checked.
    """
    codes, coding, k = read_codes(record), record.coding, len(record.codebook) - 1
    size = math.prod(record.shape)
    limit = alphabets(coding, k)[0]
    for at in range(0, len(record.blocks), BLOCKS_AT_ONCE):
        group = record.blocks[at : at + BLOCKS_AT_ONCE]
        sizes = [block_size(size, coding.block_bits, first + at + i) for i in range(len(group))]
        outcomes = iter(_decode_streams(codes, record, group, sizes))
        for index, (block, elements) in enumerate(zip(group, sizes, strict=True), first + at):
            labels, positions = _symbols(next(outcomes)), _symbols(next(outcomes))
            if labels.size and labels.max() >= limit:
                entry = int((labels >= limit).argmax())
                raise FormatError(f"a label has no centroid (entry {entry} of block {index})")
            if coding.encoding == BITMASK:
                blocks.check_mask(positions, block.count, elements, index)
            yield BlockSymbols(block.count, labels, positions)


def _decode_streams(
    codes: tuple[Code, Code], record: SharedRecord, group: Sequence[Block], sizes: Sequence[int]
) -> list[UInt8Array | FormatError]:
    """Return what labels and positions of some blocks are, by turns, or why they are nothing."""
    streams = []
    for block, elements in zip(group, sizes, strict=True):
        counts = stream_symbols(record.coding, block.count, elements)
        streams += [(block.labels, 0, counts[0]), (block.positions, 1, counts[1])]
    is_huffman = [codes[code].coder == HUFFMAN for _, code, _ in streams]
    lengths = [
        code.parameters if code.coder == HUFFMAN else np.zeros(0, np.uint8) for code in codes
    ]
    together = [stream for stream, is_it in zip(streams, is_huffman, strict=True) if is_it]
    decoded = iter(huffman.decode_streams(lengths, together) if together else [])
    return [
        next(decoded) if is_it else _decode_stream(codes[code], data, count)
        for (data, code, count), is_it in zip(streams, is_huffman, strict=True)
    ]


def _decode_stream(code: Code, data: bytes, count: int) -> UInt8Array | FormatError:
    try:
        return code.decode(data, count)
    except FormatError as error:
        return error


def _symbols(outcome: UInt8Array | FormatError) -> UInt8Array:
    if isinstance(outcome, FormatError):
        raise outcome
    return outcome


def decode_entries(record: SharedRecord, first: int = 0) -> Iterator[Entries]:
    """Decode the blocks of a record to entries; as `decode_symbols`, positions checked.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid.
    """
    coding, size = record.coding, math.prod(record.shape)
    for index, block in enumerate(decode_symbols(record, first), start=first):
        elements = block_size(size, coding.block_bits, index)
        if coding.encoding == RELATIVE:
            yield blocks.from_gaps(block.labels, block.positions, elements)
        elif coding.encoding == DENSE:
            yield blocks.from_dense(block.labels)
        else:
            yield blocks.from_mask(block.positions, block.labels, elements)


def decode_survivors(record: SharedRecord, first: int = 0) -> tuple[Int64Array, UInt8Array]:
    """Return positions in the tensor, and labels, of the weights that aren't 0.

    Parameters
    ----------
    record : SharedRecord
    first : int
        Which of the tensor's blocks the record's first one is.

    Raises
    ------
    FormatError
        As `decode_entries`.
    """
    all_positions, all_labels = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for index, block in enumerate(decode_entries(record, first), start=first):
        positions, labels = blocks.survivors(block)
        all_positions.append(positions + (index << record.coding.block_bits))
        all_labels.append(labels)
    return np.concatenate(all_positions), np.concatenate(all_labels)


def decode(record: SharedRecord) -> CompressedTensor:
    """Turn a record with all its blocks into the packed form that the kernels run.

    A relative tensor of one block keeps its fillers. Otherwise gaps have the width that they
    have in the record, unless that takes more fillers than the record has entries: between
    blocks, zeros need fillers in memory only.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid.
    """
    label_bits, gap_bits = fixed_width(len(record.codebook) - 1), record.coding.gap_bits
    entries = list(decode_entries(record))
    joined = record.coding.encoding != RELATIVE or len(entries) != 1
    if not joined:
        count = len(entries[0].labels)
        labels = bitpack.pack(entries[0].labels, label_bits)
        gaps = bitpack.pack(entries[0].gaps, gap_bits)
    else:
        survivors, fillers = blocks.count_fillers(entries, gap_bits) if gap_bits else (0, 0)
        if not gap_bits or fillers > sum(block.count for block in record.blocks):
            counted = blocks.survey(entries)
            gap_bits = cheapest_gap_bits(counted.survivors, counted.fillers, label_bits)
            survivors, fillers = counted.survivors, counted.fillers[gap_bits]
        count = survivors + fillers
        labels, gaps = blocks.join(entries, count, label_bits, gap_bits)
    return CompressedTensor.from_checked(
        record.shape, record.codebook, count, (labels, label_bits), (gaps, gap_bits), joined
    )


def from_part(
    record: SharedRecord, shape: tuple[int, ...], positions: Int64Array, labels: UInt8Array
) -> CompressedTensor:
    """Pack weights of a record that aren't 0 as a tensor of the given shape, as `decode`."""
    gap_bits, stored = record.coding.gap_bits, sum(block.count for block in record.blocks)
    if not gap_bits or relindex.filler_count(positions, gap_bits) > stored:
        gap_bits = narrowest_gap_bits(positions, fixed_width(len(record.codebook) - 1))
    return from_survivors(shape, record.codebook, positions, labels, gap_bits)
