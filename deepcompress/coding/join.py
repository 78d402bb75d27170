"""From the decoded blocks of a file to the one packed stream that a tensor is in memory.

A file cuts a tensor into blocks, each of which stands for itself; the stream in memory runs
through, and has fillers where `relindex` puts them. A decoded block has gaps of at most 8 bits
and labels, of which 0 is a filler, or a mask and labels.

The NumPy twins go by way of positions, at several times the memory.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .. import native, relindex
from ..bits import packing
from ..errors import ArgumentError, FormatError
from ..native import join as native_join
from ..native import relindex as native_relindex
from ..structs import GapBlock, MaskBlock
from ..tensors import MAX_BITS, Int64Array, UInt8Array

DecodedBlock = GapBlock | MaskBlock  # those of a tensor are of one kind


@dataclass(frozen=True)
class Survey:
    """The numbers of survivors, fillers and zeros in consecutive blocks as one stream."""

    survivors: int = 0
    fillers: tuple[int, ...] = (0,) * (MAX_BITS + 1)  # for gaps of each width; 0 for width 0
    zeros: int = 0  # after the last survivor

    def plus(self, survivors: int, fillers: tuple[int, ...], zeros: int) -> "Survey":
        """Return the survey of these blocks and of those that follow."""
        pairs = zip(self.fillers, fillers, strict=True)
        return Survey(self.survivors + survivors, tuple(map(sum, pairs)), zeros)


def from_gaps(labels: UInt8Array, gaps: UInt8Array, elements: int) -> GapBlock:
    """Return the entries of a relative block; one outside the elements is a FormatError."""
    if native.active():
        native_relindex.check_gaps(gaps, elements)
    else:
        relindex.decode(gaps, elements)
    return GapBlock(labels, gaps, elements)


def check_mask(mask: UInt8Array, count: int, elements: int, block: int) -> None:
    """Raise FormatError unless a mask has `count` bits, all of them elements of block `block`."""
    if native.active():
        ones = native_join.count_bits(mask)
    else:
        ones = int(np.unpackbits(mask).sum(dtype=np.int64))
    if ones != count:
        raise FormatError(f"a mask of {ones} bits for {count} entries (block {block})")
    if elements % 8 and mask.size and mask[-1] >> elements % 8:
        raise FormatError(f"a mask has a bit beyond its elements (block {block})")


def from_dense(labels: UInt8Array) -> MaskBlock:
    """Return a block that has a label for each element."""
    if native.active():
        return MaskBlock(*native_join.dense_mask(labels), len(labels))
    survives = labels != 0
    mask = np.packbits(survives, bitorder="little")
    return MaskBlock(mask, labels[survives] - np.uint8(1), len(labels))


def survey(blocks: Iterable[DecodedBlock], before: Survey | None = None) -> Survey:
    """Count the entries of a stream of these blocks, or of these and those that were before.

    Examples
    --------
    >>> block = from_dense(np.array([0, 3, 0, 0, 0, 0, 1], np.uint8))
    >>> survey([block, block]) == survey([block], survey([block]))
    True
    >>> survey([block, block]).survivors, survey([block, block]).fillers
    (4, (0, 4, 2, 0, 0, 0, 0, 0, 0))
    """
    counted = before or Survey()
    for block in blocks:
        if native.active():
            counted = counted.plus(*native_join.survey(block, counted.zeros))
        else:
            positions, _ = survivors_of([block], counted.zeros)
            fillers = 0, *relindex.filler_counts(positions).tolist()
            zeros = counted.zeros + block.elements - 1 - int(positions.max(initial=-1))
            counted = counted.plus(len(positions), fillers, zeros)
    return counted


def join(
    blocks: Iterable[DecodedBlock], widths: tuple[int, int], room: int
) -> tuple[UInt8Array, UInt8Array, int] | None:
    """Make consecutive blocks one stream, with labels and gaps of `widths` bits.

    Return packed labels, packed gaps, and the number of entries; None if that exceeds `room`,
    which for masks is what `survey` counts. Memory that can't be had is an ArgumentError.
    """
    if not native.active():
        positions, kept = survivors_of(blocks)
        if len(positions) + relindex.filler_count(positions, widths[1]) > room:
            return None
        stream = relindex.encode(positions, int(positions.max(initial=-1)) + 1, widths[1])
        values = stream.spread(kept), stream.gaps
        labels, gaps = map(packing.pack, values, widths)
        return labels, gaps, len(stream.gaps)
    try:
        labels, gaps = (np.empty(packing.packed_size(bits, room), np.uint8) for bits in widths)
    except (MemoryError, ValueError, OverflowError) as error:  # beyond NumPy's largest size
        raise ArgumentError(f"{room} entries of {widths[1]}-bit gaps: {error}") from None
    count = native_join.join(blocks, widths, room, labels, gaps)
    if count is None:
        return None
    sizes = [packing.packed_size(bits, count) for bits in widths]
    return labels[: sizes[0]], gaps[: sizes[1]], count


def survivors_of(blocks: Iterable[DecodedBlock], first: int = 0) -> tuple[Int64Array, UInt8Array]:
    """Return positions and labels of the survivors, of which `first` elements lie before."""
    all_positions, all_labels = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for block in blocks:
        if isinstance(block, MaskBlock):
            bits = np.unpackbits(block.mask, count=block.elements, bitorder="little")
            positions, labels = np.flatnonzero(bits), block.less_one + np.uint8(1)
        else:
            survives = block.labels != 0
            positions = relindex.decode(block.gaps, block.elements)[survives]
            labels = block.labels[survives]
        all_positions.append(positions + first)
        all_labels.append(labels)
        first += block.elements
    return np.concatenate(all_positions), np.concatenate(all_labels)
