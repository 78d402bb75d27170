"""A record in a file -> the compressed tensor that it stands for. `coding` goes the way there."""

import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from .. import relindex
from ..bits import packing
from ..bits.outcomes import symbols_of
from ..bits.packing import fixed_width
from ..container.records import BITMASK, CONTEXT, DENSE, RELATIVE, SharedRecord
from ..container.sizes import block_size, stream_bits, stream_symbols
from ..errors import FormatError
from ..packed.stream import matrix_of
from ..packed.survivors import pack
from ..packed.tensor import CompressedTensor
from ..packed.widths import cheapest_gap_bits
from ..structs import GapBlock, MaskBlock, Stream
from ..tensors import Survivors, UInt8Array
from . import coders, context, join
from .code import Code
from .join import DecodedBlock
from .symbols import BlockSymbols, alphabets

# Blocks whose streams are decoded side by side: as many as the decoder takes at once.
BLOCKS_AT_ONCE = 8
FILLERS_BETWEEN = 64  # room for those that the zeros between two blocks may need, mostly few
HELD_BYTES = 1 << 26  # decoded blocks of so many are held; more are decoded twice


def read_codes(record: SharedRecord) -> tuple[Code, Code]:
    """Return the codes of a record's streams, or raise FormatError if a table isn't valid."""
    coding, k = record.coding, len(record.codebook) - 1
    sizes, widths = alphabets(coding, k), stream_bits(coding, k)
    return (
        coders.read(coding.label_coder, record.label_table, sizes[0], widths[0]),
        coders.read(coding.position_coder, record.position_table, sizes[1], max(widths[1], 1)),
    )


def decode_symbols(record: SharedRecord, first: int = 0) -> Iterator[BlockSymbols]:
    """Decode the blocks of a record, of which the first is the tensor's block `first`.

    A table, a stream or contents that aren't valid are a FormatError. Positions of a relative
    tensor aren't checked.
    """
    if record.coding.encoding == CONTEXT:
        for block in record.blocks:  # there is one, or none is asked for
            kind = record.shape, record.codebook, record.coding.trellis
            labels = context.decode(block.labels, *kind)
            yield BlockSymbols(len(labels), labels, np.zeros(0, np.uint8))
        return
    codes, coding, k = read_codes(record), record.coding, len(record.codebook) - 1
    size = math.prod(record.shape)
    limit = alphabets(coding, k)[0]
    for at in range(0, len(record.blocks), BLOCKS_AT_ONCE):
        group = record.blocks[at : at + BLOCKS_AT_ONCE]
        sizes = [block_size(size, coding.block_bits, first + at + i) for i in range(len(group))]
        streams = []
        for block, elements in zip(group, sizes, strict=True):
            counts = stream_symbols(coding, block.count, elements)
            streams += [(block.labels, 0, counts[0]), (block.positions, 1, counts[1])]
        outcomes = coders.decode_streams(codes, streams)[::-1]  # each is let go in its turn
        for index, (block, elements) in enumerate(zip(group, sizes, strict=True), first + at):
            labels, positions = symbols_of(outcomes.pop()), symbols_of(outcomes.pop())
            if labels.size and labels.max() >= limit:
                entry = int((labels >= limit).argmax())
                raise FormatError(f"a label has no centroid (entry {entry} of block {index})")
            if coding.encoding == BITMASK:
                join.check_mask(positions, block.count, elements, index)
            yield BlockSymbols(block.count, labels, positions)


def decode_blocks(
    record: SharedRecord, first: int = 0, symbols: Iterable[BlockSymbols] | None = None
) -> Iterator[DecodedBlock]:
    """Decode the blocks of a record as `decode_symbols`, and check all positions.

    `symbols` are those of the blocks, if they were decoded before.
    """
    coding, size = record.coding, math.prod(record.shape)
    known = decode_symbols(record, first) if symbols is None else symbols
    for index, block in enumerate(known, start=first):
        elements = block_size(size, coding.block_bits, index)
        if coding.encoding == RELATIVE:
            yield join.from_gaps(block.labels, block.positions, elements)
        elif coding.encoding in (DENSE, CONTEXT):
            yield join.from_dense(block.labels)
        else:
            yield MaskBlock(block.positions, block.labels, elements)


def decode_survivors(record: SharedRecord, first: int = 0) -> Survivors:
    """Return the weights of a record's blocks that aren't 0, at their positions in the tensor.

    The record's first block is the tensor's block `first`. Errors are those of `decode_symbols`.
    """
    blocks = decode_blocks(record, first)
    positions, labels = join.survivors_of(blocks, first << record.coding.block_bits)
    return Survivors(record.shape, record.codebook, positions, labels, record.dtype)


def decode(record: SharedRecord, symbols: Sequence[BlockSymbols] | None = None) -> CompressedTensor:
    """Turn a record with all its blocks into the packed form that the kernels run.

    A relative tensor of one block keeps its fillers. Otherwise gaps have the width that they
    have in the record, unless that takes more than twice its entries: between blocks, zeros
    need fillers in memory only. Symbols and errors are those of `decode_blocks`.
    """
    label_bits, gap_bits = fixed_width(len(record.codebook) - 1), record.coding.gap_bits
    is_joined = not gap_bits or len(record.blocks) != 1
    if is_joined:
        labels, gaps, count, gap_bits = _join(record, symbols, label_bits)
    else:
        (block,) = decode_blocks(record, symbols=symbols)
        assert isinstance(block, GapBlock)
        labels, gaps = packing.pack(block.labels, label_bits), packing.pack(block.gaps, gap_bits)
        count = len(block.labels)
    matrix, widths = matrix_of(record.shape), (label_bits, gap_bits)
    stream = Stream(*matrix, count, record.codebook, *widths, labels, gaps)
    tensor = CompressedTensor.from_checked(record.shape, stream, is_joined)
    return tensor.of_type(record.dtype)


def _join(
    record: SharedRecord, symbols: Sequence[BlockSymbols] | None, label_bits: int
) -> tuple[UInt8Array, UInt8Array, int, int]:
    """Return packed labels and gaps of all blocks as one stream, its entries, and its gap width.

    Blocks with gaps are mostly joined as they are decoded, at the width that they have. Otherwise
    all blocks are counted before the first is joined.
    """
    stored, gap_bits = sum(block.count for block in record.blocks), record.coding.gap_bits
    if gap_bits:
        room = stored + min(FILLERS_BETWEEN * len(record.blocks), stored // 8)
        if joined := join.join(decode_blocks(record, 0, symbols), (label_bits, gap_bits), room):
            return *joined, gap_bits
    is_small = _decoded_bytes(record) <= HELD_BYTES
    held = list(decode_blocks(record, 0, symbols)) if is_small else None
    counted = join.survey(held or decode_blocks(record, 0, symbols))
    if not gap_bits or counted.survivors + counted.fillers[gap_bits] > 2 * stored:
        gap_bits = cheapest_gap_bits(counted.survivors, counted.fillers, label_bits)
    room = counted.survivors + counted.fillers[gap_bits]
    blocks = held or decode_blocks(record, 0, symbols)
    joined = join.join(blocks, (label_bits, gap_bits), room)
    assert joined is not None
    return *joined, gap_bits


def _decoded_bytes(record: SharedRecord) -> int:
    """Return about how many bytes the decoded blocks of a record take."""
    size, stored = math.prod(record.shape), sum(block.count for block in record.blocks)
    if record.coding.encoding == RELATIVE:
        return 2 * stored
    return size // 8 + (size if record.coding.encoding in (DENSE, CONTEXT) else stored)


def from_part(record: SharedRecord, weights: Survivors) -> CompressedTensor:
    """Pack weights of a record that aren't 0 as a tensor of their own, as `decode`."""
    gap_bits, stored = record.coding.gap_bits, sum(block.count for block in record.blocks)
    entries = len(weights.positions)
    if gap_bits and entries + relindex.filler_count(weights.positions, gap_bits) <= 2 * stored:
        return pack(weights, gap_bits)
    return pack(weights)
