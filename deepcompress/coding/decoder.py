"""A record in a file -> the compressed tensor that it stands for. `coding` goes the way there."""

import math
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from .. import relindex
from ..bits import packing
from ..container.records import BITMASK, DENSE, RELATIVE, SharedRecord
from ..container.sizes import block_size, fixed_width, stream_bits, stream_symbols
from ..errors import FormatError
from ..packed.tensor import CompressedTensor
from ..tensors import Int64Array, UInt8Array
from . import coders, join
from .coders import Code
from .encoder import BlockSymbols, alphabets, cheapest_gap_bits, from_survivors, narrowest_gap_bits
from .join import Decoded, Entries, Joined, Masked, Survey

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
        streams = []
        for block, elements in zip(group, sizes, strict=True):
            counts = stream_symbols(coding, block.count, elements)
            streams += [(block.labels, 0, counts[0]), (block.positions, 1, counts[1])]
        outcomes = coders.decode_streams(codes, streams)[::-1]  # each is let go in its turn
        for index, (block, elements) in enumerate(zip(group, sizes, strict=True), first + at):
            labels, positions = _symbols(outcomes.pop()), _symbols(outcomes.pop())
            if labels.size and labels.max() >= limit:
                entry = int((labels >= limit).argmax())
                raise FormatError(f"a label has no centroid (entry {entry} of block {index})")
            if coding.encoding == BITMASK:
                join.check_mask(positions, block.count, elements, index)
            yield BlockSymbols(block.count, labels, positions)


def _symbols(outcome: UInt8Array | FormatError) -> UInt8Array:
    if isinstance(outcome, FormatError):
        raise outcome
    return outcome


def decode_blocks(
    record: SharedRecord, first: int = 0, symbols: Iterable[BlockSymbols] | None = None
) -> Iterator[Decoded]:
    """Decode the blocks of a record as `decode_symbols`, with a look at all positions.

    `symbols` are those of the blocks, if they were decoded before.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid.
    """
    coding, size = record.coding, math.prod(record.shape)
    known = decode_symbols(record, first) if symbols is None else symbols
    for index, block in enumerate(known, start=first):
        elements = block_size(size, coding.block_bits, index)
        if coding.encoding == RELATIVE:
            yield join.from_gaps(block.labels, block.positions, elements)
        elif coding.encoding == DENSE:
            yield join.from_dense(block.labels)
        else:
            yield Masked(block.positions, block.labels, elements)


def decode_survivors(
    record: SharedRecord, first: int = 0, symbols: Iterable[BlockSymbols] | None = None
) -> tuple[Int64Array, UInt8Array]:
    """Return positions in the tensor, and labels, of the weights that aren't 0.

    Parameters
    ----------
    record : SharedRecord
    first : int
        Which of the tensor's blocks the record's first one is.
    symbols : iterable of BlockSymbols, optional
        Those of the blocks, if they were decoded before.

    Raises
    ------
    FormatError
        As `decode_blocks`.
    """
    all_positions, all_labels = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for index, block in enumerate(decode_blocks(record, first, symbols), start=first):
        positions, labels = join.survivors(block)
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
    if record.coding.gap_bits and len(record.blocks) == 1:
        return _as_stored(record, *decode_blocks(record))
    label_bits = fixed_width(len(record.codebook) - 1)
    joined = _join(record, label_bits)
    labels, gaps = joined.finish()
    streams = (labels, label_bits), (gaps, joined.gap_bits)
    return CompressedTensor.from_checked(
        record.shape, record.codebook, joined.count, *streams, joined=True
    )


def from_symbols(record: SharedRecord, symbols: Iterable[BlockSymbols]) -> CompressedTensor:
    """Return the tensor of a record whose streams were decoded before, as `decode`."""
    if record.coding.gap_bits and len(record.blocks) == 1:
        return _as_stored(record, *decode_blocks(record, symbols=symbols))
    return from_part(record, record.shape, *decode_survivors(record, symbols=symbols))


def _as_stored(record: SharedRecord, block: Decoded) -> CompressedTensor:
    """Pack the one block of a relative record, with its fillers as they are."""
    assert isinstance(block, Entries)
    label_bits, gap_bits = fixed_width(len(record.codebook) - 1), record.coding.gap_bits
    labels, gaps = packing.pack(block.labels, label_bits), packing.pack(block.gaps, gap_bits)
    streams = (labels, label_bits), (gaps, gap_bits)
    return CompressedTensor.from_checked(record.shape, record.codebook, len(block.labels), *streams)


def _join(record: SharedRecord, label_bits: int) -> Joined:
    """Decode some blocks at a time, and join them.

    Where they don't say what width gaps are to have, or that of the record takes too many
    fillers, all have to be counted before the first is written: more blocks than are decoded at
    once are then decoded twice, so that they needn't be held.
    """
    few = list(_groups(record)) if len(record.blocks) <= BLOCKS_AT_ONCE else None
    stored, gap_bits = sum(block.count for block in record.blocks), record.coding.gap_bits
    if gap_bits:
        joined = Joined(label_bits, gap_bits, stored + len(record.blocks), most_fillers=stored)
        if all(map(joined.add, few or _groups(record))):
            return joined
        del joined
    counted = Survey()
    for group in few or _groups(record):
        counted = join.survey(group, counted)
        del group
    gap_bits = cheapest_gap_bits(counted.survivors, counted.fillers, label_bits)
    joined = Joined(label_bits, gap_bits, counted.survivors + counted.fillers[gap_bits])
    for group in few or _groups(record):
        joined.add(group)
        del group
    return joined


def _groups(record: SharedRecord) -> Iterator[list[Decoded]]:
    """Yield as many blocks as are decoded at once."""
    decoded = decode_blocks(record)
    while group := list(islice(decoded, BLOCKS_AT_ONCE)):
        yield group
        del group  # before the next ones are decoded


def from_part(
    record: SharedRecord, shape: tuple[int, ...], positions: Int64Array, labels: UInt8Array
) -> CompressedTensor:
    """Pack weights of a record that aren't 0 as a tensor of the given shape, as `decode`."""
    gap_bits, stored = record.coding.gap_bits, sum(block.count for block in record.blocks)
    if not gap_bits or relindex.filler_count(positions, gap_bits) > stored:
        gap_bits = narrowest_gap_bits(positions, fixed_width(len(record.codebook) - 1))
    return from_survivors(shape, record.codebook, positions, labels, gap_bits)
