"""Which encoding, gap width and coders cost a tensor the fewest bytes: priced, not tried.

The price of a coding is exact: the counts of its symbols (see `coding.counts`) say how long
each stream gets under a Huffman code or at fixed width. Only rANS has to be tried.

Deviation: the paper stores gaps for each layer (section 2). Where most weights survive, a
bitmask or a label for each element takes fewer bytes.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from ..container.cursor import varint
from ..container.records import (
    BITMASK,
    CODERS,
    DENSE,
    ENCODINGS,
    MAX_BLOCK_BITS,
    RELATIVE,
    SYMBOLS_PER_BYTE,
    Coding,
)
from ..container.sizes import stream_bits
from ..container.writer import shared_size
from ..packed.stream import has_needed_fillers_only
from ..packed.survivors import unpack
from ..packed.tensor import CompressedTensor
from ..tensors import FIXED_WIDTH, MAX_BITS, Int64Array, Survivors, UInt8Array
from .coders import CODES
from .counts import BlockCounts, SymbolCounter, count_symbols
from .symbols import BlockSymbols, block_symbols

BLOCK_BITS = 20  # large enough that blocks cost nothing, small enough to be decoded side by side
MOST_BLOCKS_BITS = 10


@dataclass(frozen=True)
class Choice:
    """The codings that are open to a tensor.

    Attributes
    ----------
    coder : str
        The strongest coder of a stream, one of `container.CODERS`; each takes the one with the
        fewest bytes up to it.
    encoding : {"relative", "dense", "bitmask"} or None
        None takes the one with the fewest bytes.
    gap_bits : int or None
        Width of the gaps; given, the encoding is relative.
    block_bits : int or None
        log2 of the elements of a block, 0 to 62; None takes 20, or more where
        there would be over 1024 blocks.
    """

    coder: str = "huffman"
    encoding: str | None = None
    gap_bits: int | None = None
    block_bits: int | None = None


@dataclass(frozen=True)
class Price:
    """A coding, and the bytes of the tensor's data with it."""

    coding: Coding
    size_bytes: int


def choose(weights: Survivors | CompressedTensor, choice: Choice) -> Price:
    """Return the coding with the fewest bytes; of equal ones, the first of `prices`."""
    return min(prices(weights, choice), key=lambda price: price.size_bytes)


def prices(weights: Survivors | CompressedTensor, choice: Choice) -> Iterator[Price]:
    """Yield the price of each encoding and gap width, each stream with its best coder.

    A packed tensor whose fillers aren't where `relindex.encode` puts them has only one encoding
    that keeps them: relative, in one block.
    """
    k = len(weights.codebook) - 1
    if isinstance(weights, CompressedTensor):
        if not has_needed_fillers_only(weights.labels(), weights.gaps(), weights.gap_bits):
            coding = Coding(RELATIVE, gap_bits=weights.gap_bits, block_bits=MAX_BLOCK_BITS)
            blocks = list(block_symbols(weights, coding))
            yield _price(coding, count_symbols(blocks, coding, k), k, choice.coder, lambda: blocks)
            return
        weights = unpack(weights)
    block_bits = choice.block_bits
    if block_bits is None:
        block_bits = max(BLOCK_BITS, (weights.size - 1).bit_length() - MOST_BLOCKS_BITS)
    counter = SymbolCounter(weights, block_bits)
    best: int | None = None
    for coding in _codings(choice, block_bits):
        if best is not None and _least(coding, weights.size) >= best:
            continue  # as where a tensor is huge and nearly empty: not even to be tried
        made = _made_once(weights, coding)
        price = _price(coding, counter.count(coding), k, choice.coder, made)
        best = price.size_bytes if best is None else min(best, price.size_bytes)
        yield price


def _codings(choice: Choice, block_bits: int) -> Iterator[Coding]:
    """Yield each encoding and gap width that may be chosen, the coders left open."""
    wanted = "relative" if choice.gap_bits is not None else choice.encoding
    widths = range(1, MAX_BITS + 1) if choice.gap_bits is None else [choice.gap_bits]
    for encoding in (RELATIVE, DENSE, BITMASK):
        if wanted in (None, ENCODINGS[encoding]):
            for gap_bits in widths if encoding == RELATIVE else [0]:
                yield Coding(encoding, gap_bits=gap_bits, block_bits=block_bits)


def _made_once(weights: Survivors, coding: Coding) -> Callable[[], list[BlockSymbols]]:
    """Return a function that makes the blocks of a coding when it is first called."""
    return cache(lambda: list(block_symbols(weights, coding)))


def _least(coding: Coding, size: int) -> int:
    """Return the least bytes that a coding's streams take, by the bound of `SYMBOLS_PER_BYTE`."""
    symbols = {RELATIVE: 0, DENSE: size, BITMASK: size // 8}[coding.encoding]
    return symbols // SYMBOLS_PER_BYTE


@dataclass(frozen=True)
class _StreamPrice:
    """A stream's coder, and the bytes of its table and of each block's part."""

    coder: int
    table_bytes: int
    block_bytes: Sequence[int]

    @property
    def size_bytes(self) -> int:
        """All that it adds to the tensor's data, its sizes in the head included."""
        size = self.table_bytes + sum(self.block_bytes)
        if self.coder != FIXED_WIDTH:
            size += sum(len(varint(part)) for part in [self.table_bytes, *self.block_bytes])
        return size


def _price(
    coding: Coding,
    counts: BlockCounts,
    k: int,
    coder: str,
    blocks: Callable[[], list[BlockSymbols]],
) -> Price:
    """Return a coding with the best coders up to the given one, and its price."""
    widths, strongest = stream_bits(coding, k), CODERS.index(coder)
    labels = _stream_price(
        counts.labels, widths[0], strongest, lambda: [block.labels for block in blocks()]
    )
    positions = _stream_price(
        counts.positions, widths[1], strongest, lambda: [block.positions for block in blocks()]
    )
    coding = replace(coding, label_coder=labels.coder, position_coder=positions.coder)
    size = shared_size(
        coding,
        k,
        (labels.table_bytes, positions.table_bytes),
        list(zip(counts.entries.tolist(), labels.block_bytes, positions.block_bytes, strict=True)),
    )
    return Price(coding, size)


def _stream_price(
    counts: Int64Array, width: int, strongest: int, streams: Callable[[], Sequence[UInt8Array]]
) -> _StreamPrice:
    """Return the cheapest way to code the symbols of all blocks; of equal ones, the simplest."""
    symbols, all_counts = counts.sum(axis=1), counts.sum(axis=0)
    best: _StreamPrice | None = None
    for coder in range(strongest + 1):
        code = CODES[coder].make(all_counts, width)
        price = _StreamPrice(coder, len(code.table()), code.sizes(counts, streams))
        bounds = SYMBOLS_PER_BYTE * np.array(price.block_bytes)
        is_bounded = not code.has_table or bool((symbols <= bounds).all())
        if best is None or (is_bounded and price.size_bytes < best.size_bytes):
            best = price
    assert best is not None
    return best
