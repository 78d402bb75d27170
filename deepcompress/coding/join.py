"""From the decoded blocks of a file to the one packed stream that a tensor is in memory.

A file cuts a tensor into blocks, each of which stands for itself; the stream in memory runs
through, and has fillers where `relindex` puts them. What lies between is a block's *entries*:
gaps of at most 8 bits and labels, of which 0 is a filler. A few blocks are decoded at a time, and
added to the stream.

The NumPy twins go by way of positions, at several times the memory.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import native, relindex
from ..bits import packing
from ..errors import ArgumentError, FormatError
from ..native import join as native_join
from ..tensors import MAX_BITS, Int64Array, UInt8Array

GROWTH = 8  # an eighth more than needed


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
class Masked:
    """One block of which a mask tells where its survivors are.

    Attributes
    ----------
    mask : ndarray of uint8
        A bit for each element, as `container` has them.
    less_one : ndarray of uint8
        The label of each survivor less 1.
    elements : int
    """

    mask: UInt8Array
    less_one: UInt8Array
    elements: int


Decoded = Entries | Masked  # a block; those of a tensor are of one kind


@dataclass(frozen=True)
class Survey:
    """What consecutive blocks of a tensor are as one stream.

    Attributes
    ----------
    survivors : int
    fillers : tuple of 9 int
        How many fillers gaps of each width need; 0 for width 0.
    zeros : int
        How many there are after the last survivor.
    """

    survivors: int = 0
    fillers: tuple[int, ...] = (0,) * (MAX_BITS + 1)
    zeros: int = 0

    def plus(self, survivors: int, fillers: tuple[int, ...], zeros: int) -> "Survey":
        """Return what it is with those that follow."""
        both = zip(self.fillers, fillers, strict=True)
        return Survey(self.survivors + survivors, tuple(map(sum, both)), zeros)


def from_gaps(labels: UInt8Array, gaps: UInt8Array, elements: int) -> Entries:
    """Return entries as they are in a relative block.

    Raises
    ------
    FormatError
        If one lies outside the elements.
    """
    if native.active():
        native_join.check_gaps(gaps, elements)
    else:
        relindex.decode(gaps, elements)
    return Entries(labels, gaps, elements)


def check_mask(mask: UInt8Array, count: int, elements: int, block: int) -> None:
    """Raise unless a mask has `count` bits, all of them elements; `block` is for the message.

    Raises
    ------
    FormatError
    """
    ones = native_join.count_bits(mask) if native.active() else _count_bits(mask)
    if ones != count:
        raise FormatError(f"a mask of {ones} bits for {count} entries (block {block})")
    if elements % 8 and mask.size and mask[-1] >> elements % 8:
        raise FormatError(f"a mask has a bit beyond its elements (block {block})")


def from_dense(labels: UInt8Array) -> Masked:
    """Return a block that has a label for each element."""
    if native.active():
        return Masked(*native_join.dense_mask(labels), len(labels))
    mask = np.packbits(labels != 0, bitorder="little")
    return Masked(mask, labels[labels != 0] - np.uint8(1), len(labels))


def survey(blocks: Sequence[Decoded], before: Survey | None = None) -> Survey:
    """Count what a stream of those gaps would hold; with what was counted of the blocks before.

    Examples
    --------
    >>> block = from_dense(np.array([0, 3, 0, 0, 0, 0, 1], np.uint8))
    >>> survey([block, block]) == survey([block], survey([block]))
    True
    >>> survey([block, block]).survivors, survey([block, block]).fillers
    (4, (0, 4, 2, 0, 0, 0, 0, 0, 0))
    """
    counted = before or Survey()
    if not native.active():
        positions, _, zeros = _survivors(blocks, counted.zeros)
        fillers = (0, *relindex.filler_counts(positions).tolist())
        return counted.plus(len(positions), fillers, zeros)
    for block in blocks:
        if isinstance(block, Masked):
            counted = counted.plus(*native_join.mask_survey(block, counted.zeros))
        else:
            counted = counted.plus(*native_join.survey(block, counted.zeros))
    return counted


class Joined:
    """The survivors of consecutive blocks as one stream, packed labels and gaps.

    Parameters
    ----------
    label_bits, gap_bits : int
        Widths, 1 to 8; every label fits.
    room : int
        For how many entries there is to be room at first. It grows as needed.
    most_fillers : int, optional
        Only for blocks of entries, which are then looked at before there is room for them.

    Raises
    ------
    ArgumentError
        If the memory can't be had, here or in `add`.
    """

    def __init__(
        self, label_bits: int, gap_bits: int, room: int, most_fillers: int | None = None
    ) -> None:
        self.gap_bits, self._fillers = gap_bits, 0
        self._widths, self._room, self._most_fillers = (label_bits, gap_bits), room, most_fillers
        self._stream: native_join.Joined | _Twin
        self._stream = (native_join.Joined if native.active() else _Twin)(label_bits, gap_bits)
        self._arrays = np.zeros(0, np.uint8), np.zeros(0, np.uint8)
        self._resize(room)

    @property
    def count(self) -> int:
        """Entries so far."""
        return self._stream.count

    def add(self, blocks: Sequence[Decoded]) -> bool:
        """Add blocks; or, where that takes more than `most_fillers` in all, return False."""
        entries = [block for block in blocks if isinstance(block, Entries)]
        if self._most_fillers is not None:
            survivors, fillers = self._stream.look_at(entries)
            self._fillers += fillers
            if self._fillers > self._most_fillers:
                return False
            needed = self.count + survivors + fillers
            if needed > self._room:
                self._resize(needed + needed // GROWTH)
        if entries:
            self._stream.add(entries, *self._arrays)
        else:
            self._stream.add_masks([b for b in blocks if isinstance(b, Masked)], *self._arrays)
        return True

    def finish(self) -> tuple[UInt8Array, UInt8Array]:
        """Return labels and gaps; nothing can be added any more."""
        self._resize(self.count)
        return self._arrays[0], self._arrays[1]

    def _resize(self, room: int) -> None:
        try:
            for array, bits in zip(self._arrays, self._widths, strict=True):
                array.resize(packing.packed_size(bits, room), refcheck=False)
        except (MemoryError, ValueError, OverflowError) as error:  # beyond NumPy's largest size
            raise ArgumentError(f"{room} entries of {self._widths[1]}-bit gaps: {error}") from None
        self._room = room


class _Twin:
    """What `native.join.Joined` is."""

    def __init__(self, label_bits: int, gap_bits: int) -> None:
        self._widths, self._zeros, self._written = (label_bits, gap_bits), 0, 0
        self._rest = [np.zeros(0, np.uint8), np.zeros(0, np.uint8)]  # of eight that share bytes

    @property
    def count(self) -> int:
        return self._written

    def look_at(self, blocks: Sequence[Entries]) -> tuple[int, int]:
        positions, _, _ = _survivors(blocks, self._zeros)
        return len(positions), relindex.filler_count(positions, self._widths[1])

    def add(self, blocks: Sequence[Decoded], labels: UInt8Array, gaps: UInt8Array) -> None:
        positions, kept, self._zeros = _survivors(blocks, self._zeros)
        stream = relindex.encode(positions, int(positions.max(initial=-1)) + 1, self._widths[1])
        with_fillers = np.zeros(len(stream.gaps), np.uint8)
        with_fillers[~stream.fillers] = kept
        for i, (array, added) in enumerate(((labels, with_fillers), (gaps, stream.gaps))):
            values, bits = np.concatenate([self._rest[i], added]), self._widths[i]
            packed = packing.pack(values, bits)
            array[self._written // 8 * bits :][: len(packed)] = packed
            self._rest[i] = values[len(values) // 8 * 8 :]
        self._written += len(with_fillers)

    add_masks = add


def survivors(block: Decoded) -> tuple[Int64Array, UInt8Array]:
    """Return positions in the block, and labels, of its survivors."""
    if isinstance(block, Masked):
        bits = np.unpackbits(block.mask, count=block.elements, bitorder="little")
        return np.flatnonzero(bits), block.less_one + np.uint8(1)
    survives = block.labels != 0
    return relindex.decode(block.gaps, block.elements)[survives], block.labels[survives]


def _survivors(blocks: Sequence[Decoded], zeros: int) -> tuple[Int64Array, UInt8Array, int]:
    """Return position and label of each survivor behind so many zeros, and the zeros at the end."""
    all_positions, labels, first = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)], zeros
    for block in blocks:
        own, own_labels = survivors(block)
        all_positions.append(own + first)
        labels.append(own_labels)
        first += block.elements
    positions = np.concatenate(all_positions)
    return positions, np.concatenate(labels), first - 1 - int(positions.max(initial=-1))


def _count_bits(mask: UInt8Array) -> int:
    return int(np.unpackbits(mask).sum(dtype=np.int64))
