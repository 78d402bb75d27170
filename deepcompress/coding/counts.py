"""How often each symbol would occur in the blocks of a tensor, without its streams.

The counts are all that a price needs, and those of each encoding and gap width follow from
one pass over the survivors. `count_symbols` counts the symbols themselves, and so
defines the counts of `SymbolCounter`.

B blocks; k centroids; A symbols in an alphabet (see `coding.symbols`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..container.records import DENSE, RELATIVE, Coding
from ..container.sizes import block_count, block_size
from ..tensors import MAX_BITS, Int64Array, Survivors, UInt8Array
from .symbols import BlockSymbols, alphabets

_WIDEST = 1 << MAX_BITS
CHUNK_SURVIVORS = 1 << 18  # at a time, so that they stay in the cache and take little memory


@dataclass(frozen=True)
class BlockCounts:
    """The counts of each block in one encoding."""

    entries: Int64Array  # (B,)
    labels: Int64Array  # (B, A), as are the positions, with another alphabet
    positions: Int64Array


def count_symbols(blocks: list[BlockSymbols], coding: Coding, k: int) -> BlockCounts:
    """Count the symbols of blocks that are there; the definition of `SymbolCounter`."""
    labels, positions = alphabets(coding, k)
    return BlockCounts(
        np.array([block.count for block in blocks], np.int64),
        np.array([np.bincount(block.labels, minlength=labels) for block in blocks]),
        np.array([np.bincount(block.positions, minlength=positions) for block in blocks]),
    )


class SymbolCounter:
    """Counts the symbols of one tensor, cut into blocks of ``2**block_bits`` elements."""

    def __init__(self, weights: Survivors, block_bits: int) -> None:
        positions, size, k = weights.positions, weights.size, len(weights.codebook) - 1
        blocks = block_count(size, block_bits)
        starts = np.arange(blocks, dtype=np.int64) << block_bits
        self._cuts = np.append(np.searchsorted(positions, starts), len(positions))
        self._survivors = np.diff(self._cuts)
        self._elements = np.full(blocks, 1 << block_bits, np.int64)
        self._elements[-1] = block_size(size, block_bits, blocks - 1)
        self._positions, self._block_bits = positions, block_bits
        self._labels = np.zeros((blocks, k + 1), np.int64)
        self._runs = np.zeros((blocks, _WIDEST), np.int64)
        self._high_runs = np.zeros(blocks, np.int64)
        for own, chunk in self._chunks():
            self._count_chunk(own, positions[chunk], weights.labels[chunk])

    def _chunks(self) -> Iterator[tuple[slice, slice]]:
        """Yield blocks of `CHUNK_SURVIVORS` and more together, and their survivors."""
        first = 0
        while first < len(self._survivors):
            start = int(self._cuts[first])
            last = int(np.searchsorted(self._cuts, start + CHUNK_SURVIVORS, side="left"))
            last = min(max(last, first + 1), len(self._survivors))
            yield slice(first, last), slice(start, int(self._cuts[last]))
            first = last

    def _count_chunk(self, own: slice, positions: Int64Array, labels: UInt8Array) -> None:
        """Count labels and runs of zeros of some blocks, of which the positions are all."""
        blocks, codes = own.stop - own.start, self._labels.shape[1]
        block = (positions >> self._block_bits) - own.start
        by_label = np.bincount(block * codes + labels, minlength=blocks * codes)
        self._labels[own] = by_label.reshape(blocks, codes)
        runs = positions.copy()  # of zeros before each survivor, within its block
        runs[1:] -= positions[:-1] + 1
        is_used = self._survivors[own] > 0
        cuts = self._cuts[own.start : own.stop + 1] - self._cuts[own.start]
        first = cuts[:-1][is_used]
        runs[first] = positions[first] & ((1 << self._block_bits) - 1)
        # All widths follow from the lowest 8 bits of the runs and the sum of the others.
        key = (block << MAX_BITS) | (runs & (_WIDEST - 1))
        self._runs[own] = np.bincount(key, minlength=blocks * _WIDEST).reshape(blocks, _WIDEST)
        high = np.concatenate([np.zeros(1, np.int64), np.cumsum(runs >> MAX_BITS)])
        self._high_runs[own] = np.diff(high[cuts])

    def count(self, coding: Coding) -> BlockCounts:
        """Count the symbols of an encoding with blocks of the size given before."""
        if coding.encoding == RELATIVE:
            return self._relative(coding.gap_bits)
        if coding.encoding == DENSE:
            labels = self._labels.copy()
            labels[:, 0] = self._elements - self._survivors
            return BlockCounts(self._elements, labels, np.zeros((len(labels), 0), np.int64))
        return BlockCounts(self._survivors, self._labels[:, 1:], self._mask_bytes())

    def _relative(self, gap_bits: int) -> BlockCounts:
        fillers = self._runs @ (np.arange(_WIDEST) >> gap_bits)
        fillers += self._high_runs << (MAX_BITS - gap_bits)
        labels = self._labels.copy()
        labels[:, 0] = fillers
        gaps = self._runs.reshape(len(labels), -1, 1 << gap_bits).sum(axis=1)
        gaps[:, -1] += fillers
        return BlockCounts(self._survivors + fillers, labels, gaps)

    def _mask_bytes(self) -> Int64Array:
        """Return how often each byte occurs in the masks of the blocks, shape (B, 256)."""
        counts = np.zeros((len(self._survivors), 256), np.int64)
        for own, chunk in self._chunks():
            positions = self._positions[chunk]
            if len(positions):
                counts[own] = self._mask_bytes_of(own, positions)
        counts[:, 0] = (self._elements + 7) // 8 - counts.sum(axis=1)
        return counts

    def _mask_bytes_of(self, own: slice, positions: Int64Array) -> Int64Array:
        """Return how often each byte but 0 occurs in the masks of some blocks."""
        local = positions & ((1 << self._block_bits) - 1)
        byte = local >> 3
        is_last = np.ones(len(byte), np.bool_)  # of the survivors that share a byte
        is_last[:-1] = byte[1:] != byte[:-1]
        ends = self._cuts[own.start + 1 : own.stop + 1] - self._cuts[own.start]
        is_last[ends[self._survivors[own] > 0] - 1] = True
        last = np.flatnonzero(is_last)
        # Sums modulo 256, whose differences are exact, as each bit of a byte occurs once.
        bits = np.left_shift(np.uint8(1), local.astype(np.uint8) & np.uint8(7))
        sums = np.cumsum(bits, dtype=np.uint8)
        values = np.diff(sums[last], prepend=np.uint8(0))
        block = (positions[last] >> self._block_bits) - own.start
        size = 256 * (own.stop - own.start)
        return np.bincount(block * 256 + values, minlength=size).reshape(-1, 256)
