"""From the decoded blocks of a file to the one packed stream that a tensor is in memory.

A file cuts a tensor into blocks, each of which stands for itself; the stream in memory runs
through, and has fillers where `relindex` puts them. What lies between is a block's *entries*:
gaps of at most 8 bits and labels, of which 0 is a filler.

The NumPy twins go by way of positions, at several times the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import bitpack, native, native_blocks, relindex
from .errors import ArgumentError, FormatError
from .tensors import MAX_BITS, Int64Array, UInt8Array


@dataclass(frozen=True)
class Entries:
    """The entries of one block.

    Attributes
    ----------
    labels : ndarray of shape (S,), uint8
        0 for a filler, wherever it is.
    gaps : ndarray of shape (S,), uint8
        As in `relindex`, from the beginning of the block.
    elements : int
        Of the block; all entries lie within.
    """

    labels: UInt8Array
    gaps: UInt8Array
    elements: int


@dataclass(frozen=True)
class Survey:
    """What the blocks of a tensor are as one stream.

    Attributes
    ----------
    survivors : int
    fillers : tuple of 9 int
        How many fillers gaps of each width need; 0 for width 0.
    """

    survivors: int
    fillers: tuple[int, ...]


def from_gaps(labels: UInt8Array, gaps: UInt8Array, elements: int) -> Entries:
    """Return entries as they are in a relative block.

    Raises
    ------
    FormatError
        If one lies outside the elements.
    """
    if native.active():
        native_blocks.check_gaps(gaps, elements)
    else:
        relindex.decode(gaps, elements)
    return Entries(labels, gaps, elements)


def from_mask(mask: UInt8Array, less_one: UInt8Array, elements: int) -> Entries:
    """Return the entries of a bitmask that `check_mask` has seen and of its bits' labels less 1."""
    if native.active():
        return Entries(*native_blocks.mask_entries(mask, less_one, elements), elements)
    bits = np.unpackbits(mask, count=elements, bitorder="little")
    return _entries(np.flatnonzero(bits), less_one + np.uint8(1), elements)


def check_mask(mask: UInt8Array, count: int, elements: int, block: int) -> None:
    """Raise unless a mask has `count` bits, all of them elements; `block` is for the message.

    Raises
    ------
    FormatError
    """
    ones = native_blocks.count_bits(mask) if native.active() else _count_bits(mask)
    if ones != count:
        raise FormatError(f"a mask of {ones} bits for {count} entries (block {block})")
    if elements % 8 and mask.size and mask[-1] >> elements % 8:
        raise FormatError(f"a mask has a bit beyond its elements (block {block})")


def from_dense(labels: UInt8Array) -> Entries:
    """Return the entries of a block that has a label for each element."""
    if native.active():
        return Entries(*native_blocks.dense_entries(labels), len(labels))
    positions = np.flatnonzero(labels)
    return _entries(positions, labels[positions], len(labels))


def survey(blocks: Sequence[Entries]) -> Survey:
    """Count what `join` would write.

    Examples
    --------
    >>> block = from_dense(np.array([0, 3, 0, 0, 0, 0, 1], np.uint8))
    >>> survey([block, block]).survivors, survey([block, block]).fillers
    (4, (0, 4, 2, 0, 0, 0, 0, 0, 0))
    """
    if native.active():
        return Survey(*native_blocks.survey(blocks))
    positions, _ = _survivors(blocks)
    fillers = [relindex.filler_count(positions, bits) for bits in range(1, MAX_BITS + 1)]
    return Survey(len(positions), (0, *fillers))


def count_fillers(blocks: Sequence[Entries], gap_bits: int) -> tuple[int, int]:
    """Return the survivors, and the fillers that gaps of one width need; faster than `survey`."""
    if native.active():
        return native_blocks.count_fillers(blocks, gap_bits)
    positions, _ = _survivors(blocks)
    return len(positions), relindex.filler_count(positions, gap_bits)


def join(
    blocks: Sequence[Entries], count: int, label_bits: int, gap_bits: int
) -> tuple[UInt8Array, UInt8Array]:
    """Return the survivors of consecutive blocks as one stream, packed labels and gaps.

    Parameters
    ----------
    blocks : sequence of Entries
    count : int
        Their survivors and the fillers that gaps of that width need.
    label_bits, gap_bits : int
        Widths, 1 to 8; every label fits.

    Raises
    ------
    ArgumentError
        If the memory can't be had.
    """
    try:
        labels, gaps = (
            np.empty(bitpack.packed_size(bits, count), np.uint8) for bits in (label_bits, gap_bits)
        )
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"{count} entries of {gap_bits}-bit gaps: {error}") from None
    if native.active():
        native_blocks.join(blocks, (label_bits, gap_bits), labels, gaps)
        return labels, gaps
    positions, kept = _survivors(blocks)
    stream = relindex.encode(positions, sum(block.elements for block in blocks), gap_bits)
    with_fillers = np.zeros(count, np.uint8)
    with_fillers[~stream.fillers] = kept
    return bitpack.pack(with_fillers, label_bits), bitpack.pack(stream.gaps, gap_bits)


def survivors(block: Entries) -> tuple[Int64Array, UInt8Array]:
    """Return positions in the block, and labels, of its survivors."""
    survives = block.labels != 0
    return relindex.decode(block.gaps, block.elements)[survives], block.labels[survives]


def _survivors(blocks: Sequence[Entries]) -> tuple[Int64Array, UInt8Array]:
    """Return position in the tensor and label of each survivor."""
    all_positions, labels, first = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)], 0
    for block in blocks:
        own, own_labels = survivors(block)
        all_positions.append(own + first)
        labels.append(own_labels)
        first += block.elements
    return np.concatenate(all_positions), np.concatenate(labels)


def _entries(positions: Int64Array, labels: UInt8Array, elements: int) -> Entries:
    """Return survivors as entries with gaps of 8 bits."""
    stream = relindex.encode(positions, elements, MAX_BITS)
    with_fillers = np.zeros(len(stream.gaps), np.uint8)
    with_fillers[~stream.fillers] = labels
    return Entries(with_fillers, stream.gaps, elements)


def _count_bits(mask: UInt8Array) -> int:
    return int(np.unpackbits(mask).sum(dtype=np.int64))
