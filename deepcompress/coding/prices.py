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
    CONTEXT,
    DENSE,
    ENCODINGS,
    MAX_BLOCK_BITS,
    RELATIVE,
    SYMBOLS_PER_BYTE,
    Coding,
    SharedRecord,
)
from ..container.sizes import stream_bits
from ..container.writer import shared_size
from ..dtypes import ElementType
from ..packed.stream import has_needed_fillers_only
from ..packed.survivors import unpack
from ..packed.tensor import CompressedTensor
from ..tensors import FIXED_WIDTH, MAX_BITS, Int64Array, Survivors, UInt8Array
from . import encoder
from .coders import CODES, up_to
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
    encoding : {"relative", "dense", "bitmask", "context"} or None
        None takes the one with the fewest bytes of the first three. The last one takes the fewest
        of all, but long to read, and older readers don't know it.
    gap_bits : int or None
        Width of the gaps; given, the encoding is relative.
    block_bits : int or None
        log2 of the elements of a block, 0 to 62; None takes 20, or more where
        there would be over 1024 blocks.
    half : bool
        Whether centroids, all of which float16 has, are stored as such.
    small : bool
        Whether a float32 array that isn't shared is stored in planes however small it is.
    """

    coder: str = "huffman"
    encoding: str | None = None
    gap_bits: int | None = None
    block_bits: int | None = None
    half: bool = False
    small: bool = False


@dataclass(frozen=True)
class Price:
    """A coding, and the bytes of the tensor's data with it.

    `record` is there if those had to be made to be counted, as contexts take long.
    """

    coding: Coding
    size_bytes: int
    record: SharedRecord | None = None


def choose(weights: Survivors | CompressedTensor, choice: Choice) -> Price:
    """Return the coding with the fewest bytes; of equal ones, the first of `prices`.

    Few of them are priced: those that their entropy doesn't rule out.
    """
    if choice.encoding == ENCODINGS[CONTEXT]:
        return _context_price(weights, choice.half)
    k = len(weights.codebook) - 1
    strongest = CODERS.index(choice.coder)
    candidates = list(_candidates(weights, choice))
    least = [_least_bytes(candidate, k, strongest) for candidate in candidates]
    best: tuple[int, int, Price] | None = None
    for index in sorted(range(len(candidates)), key=lambda index: least[index]):
        if best is not None and least[index] > best[0]:
            break
        price = _price(candidates[index], k, strongest)
        found = price.size_bytes, index, price
        best = found if best is None else min(best, found, key=lambda one: one[:2])
    assert best is not None
    return best[2]


def prices(weights: Survivors | CompressedTensor, choice: Choice) -> Iterator[Price]:
    """Yield the price of each encoding and gap width, each stream with its best coder.

    A packed tensor whose fillers aren't where `relindex.encode` puts them has only one encoding
    that keeps them: relative, in one block.
    """
    if choice.encoding == ENCODINGS[CONTEXT]:
        yield _context_price(weights, choice.half)
        return
    k, strongest = len(weights.codebook) - 1, CODERS.index(choice.coder)
    best: int | None = None
    for candidate in _candidates(weights, choice):
        if best is not None and candidate.symbols // SYMBOLS_PER_BYTE >= best:
            continue  # as where a tensor is huge and nearly empty: not even to be tried
        price = _price(candidate, k, strongest)
        best = price.size_bytes if best is None else min(best, price.size_bytes)
        yield price


def _context_price(weights: Survivors | CompressedTensor, half: bool) -> Price:
    """Return the price of labels coded by contexts, which tells only who codes them.

    Labels that were chosen along a trellis are coded along it where that takes fewer bytes.
    """
    coding = Coding(CONTEXT, block_bits=MAX_BLOCK_BITS, half=half, trellis=True, grid=True)
    found = _coded(weights, coding)
    if not found.coding.trellis:
        return found
    plain = _coded(weights, replace(coding, trellis=False))
    return found if found.size_bytes < plain.size_bytes else plain


def _coded(weights: Survivors | CompressedTensor, coding: Coding) -> Price:
    """Return the price of a coding by contexts, with its record."""
    record = encoder.encode(weights, coding)
    (block,), k = record.blocks, len(weights.codebook) - 1
    sizes = block.count, len(block.labels), 0
    size_bytes = shared_size(record.coding, k, (0, 0), [sizes], weights.element_type)
    return Price(record.coding, size_bytes, record)


@dataclass(frozen=True)
class _Candidate:
    """A coding that may be chosen, its coders left open: its counts, and how its blocks are made.

    `symbols` is a bound from below of the symbols that have to be in streams.
    """

    coding: Coding
    counts: BlockCounts
    element_type: ElementType
    blocks: Callable[[], list[BlockSymbols]]
    symbols: int


def _candidates(weights: Survivors | CompressedTensor, choice: Choice) -> Iterator[_Candidate]:
    """Yield the codings that are open to a tensor, in the order of `prices`."""
    if isinstance(weights, CompressedTensor):
        if not has_needed_fillers_only(weights.labels(), weights.gaps(), weights.gap_bits):
            coding = Coding(RELATIVE, gap_bits=weights.gap_bits, block_bits=MAX_BLOCK_BITS)
            blocks = list(block_symbols(weights, coding))
            counts = count_symbols(blocks, coding, len(weights.codebook) - 1)
            yield _Candidate(coding, counts, weights.element_type, lambda: blocks, 0)
            return
        weights = unpack(weights)
    block_bits = choice.block_bits
    if block_bits is None:
        block_bits = max(BLOCK_BITS, (weights.size - 1).bit_length() - MOST_BLOCKS_BITS)
    counter = SymbolCounter(weights, block_bits)
    for coding in _codings(choice, block_bits):
        symbols = {RELATIVE: 0, DENSE: weights.size, BITMASK: weights.size // 8}[coding.encoding]
        counts, made = counter.count(coding), _made_once(weights, coding)
        yield _Candidate(coding, counts, weights.element_type, made, symbols)


def _codings(choice: Choice, block_bits: int) -> Iterator[Coding]:
    """Yield each encoding and gap width that may be chosen, the coders left open."""
    wanted = "relative" if choice.gap_bits is not None else choice.encoding
    widths = range(1, MAX_BITS + 1) if choice.gap_bits is None else [choice.gap_bits]
    for encoding in (RELATIVE, DENSE, BITMASK):
        if wanted in (None, ENCODINGS[encoding]):
            for gap_bits in widths if encoding == RELATIVE else [0]:
                yield Coding(encoding, 0, 0, gap_bits, block_bits, choice.half)


def _made_once(weights: Survivors, coding: Coding) -> Callable[[], list[BlockSymbols]]:
    """Return a function that makes the blocks of a coding when it is first called."""
    return cache(lambda: list(block_symbols(weights, coding)))


def _least_bytes(candidate: _Candidate, k: int, strongest: int) -> int:
    """Return a bound from below of the price of a candidate, with any coder allowed."""
    bits, codes = 0.0, [CODES[coder] for coder in up_to(strongest)]
    for counts in (candidate.counts.labels.sum(axis=0), candidate.counts.positions.sum(axis=0)):
        symbols = int(counts.sum())
        occurring = counts[counts > 0]
        entropy = float((occurring * np.log2(symbols / occurring)).sum())
        bits += min(code.least_bits(symbols, entropy) for code in codes)
    sizes = [(entries, 0, 0) for entries in candidate.counts.entries.tolist()]
    without_streams = shared_size(candidate.coding, k, (0, 0), sizes, candidate.element_type)
    return without_streams + max(int(bits / 8), candidate.symbols // SYMBOLS_PER_BYTE)


@dataclass(frozen=True)
class StreamPrice:
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


def _price(candidate: _Candidate, k: int, strongest: int) -> Price:
    """Return a coding with the best coders up to the strongest, and its price."""
    coding, counts, blocks = candidate.coding, candidate.counts, candidate.blocks
    widths = stream_bits(coding, k)
    labels = stream_price(
        counts.labels, widths[0], strongest, lambda: [block.labels for block in blocks()]
    )
    positions = stream_price(
        counts.positions, widths[1], strongest, lambda: [block.positions for block in blocks()]
    )
    coding = replace(coding, label_coder=labels.coder, position_coder=positions.coder)
    size = shared_size(
        coding,
        k,
        (labels.table_bytes, positions.table_bytes),
        list(zip(counts.entries.tolist(), labels.block_bytes, positions.block_bytes, strict=True)),
        candidate.element_type,
    )
    return Price(coding, size)


def stream_price(
    counts: Int64Array, width: int, strongest: int, streams: Callable[[], Sequence[UInt8Array]]
) -> StreamPrice:
    """Return the cheapest way to code the symbols of all blocks; of equal ones, the simplest."""
    symbols, all_counts = counts.sum(axis=1), counts.sum(axis=0)
    best: StreamPrice | None = None
    for coder in up_to(strongest):
        code = CODES[coder].make(all_counts, width)
        price = StreamPrice(coder, len(code.table()), code.sizes(counts, streams))
        bounds = SYMBOLS_PER_BYTE * np.array(price.block_bytes)
        is_bounded = not code.has_table or bool((symbols <= bounds).all())
        if best is None or (is_bounded and price.size_bytes < best.size_bytes):
            best = price
    assert best is not None
    return best
