"""One compressed tensor -> its record in a file: the last stages, entropy coding included.

`coding.decoder` goes the way back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .. import relindex
from ..container.records import (
    BITMASK,
    DENSE,
    RELATIVE,
    SYMBOLS_PER_BYTE,
    Block,
    Coding,
    SharedRecord,
)
from ..container.sizes import block_count, block_size, fixed_width, stream_bits
from ..errors import ArgumentError
from ..huffman.codes import histogram
from ..packed.tensor import CompressedTensor
from ..tensors import HUFFMAN, MAX_BITS, RANS, Int64Array, SharedWeights, UInt8Array
from . import coders
from .coders import Code


@dataclass(frozen=True)
class BlockSymbols:
    """What is to be coded of one block: S entries, their labels, and their positions."""

    count: int
    labels: UInt8Array
    positions: UInt8Array


def encode(tensor: CompressedTensor, coding: Coding) -> SharedRecord:
    """Encode a tensor.

    Parameters
    ----------
    tensor : CompressedTensor
    coding : Coding
        With blocks of a size that leaves only one, a relative tensor whose gaps have the
        same width keeps its fillers as they are; otherwise they are placed anew. Where rANS
        would put more symbols into a byte than a file may, Huffman codes take its place.

    Returns
    -------
    SharedRecord

    """
    blocks = list(block_symbols(tensor, coding))
    codes = make_codes(coding, len(tensor.codebook) - 1, blocks)
    labels = [codes[0].encode(block.labels) for block in blocks]
    positions = [codes[1].encode(block.positions) for block in blocks]
    if coding.label_coder == RANS and not _bounded([b.labels for b in blocks], labels):
        return encode(tensor, replace(coding, label_coder=HUFFMAN))
    if coding.position_coder == RANS and not _bounded([b.positions for b in blocks], positions):
        return encode(tensor, replace(coding, position_coder=HUFFMAN))
    counts = [block.count for block in blocks]
    return SharedRecord(
        tensor.shape,
        tensor.codebook,
        coding,
        codes[0].table(),
        codes[1].table(),
        tuple(map(Block, counts, labels, positions)),
    )


def _bounded(symbols: list[UInt8Array], streams: list[bytes]) -> bool:
    """Tell whether no stream has more symbols to a byte than a file may hold."""
    return all(
        len(one) <= SYMBOLS_PER_BYTE * len(stream)
        for one, stream in zip(symbols, streams, strict=True)
    )


def make_codes(coding: Coding, k: int, blocks: list[BlockSymbols]) -> tuple[Code, Code]:
    """Return the best codes for the labels and positions of all blocks."""
    sizes, widths = alphabets(coding, k), stream_bits(coding, k)
    labels = np.sum([histogram(block.labels) for block in blocks], axis=0)[: sizes[0]]
    positions = np.sum([histogram(block.positions) for block in blocks], axis=0)[: sizes[1]]
    return (
        coders.make(coding.label_coder, labels, widths[0]),
        coders.make(coding.position_coder, positions, max(widths[1], 1)),
    )


def alphabets(coding: Coding, k: int) -> tuple[int, int]:
    """Return the sizes of the alphabets of labels and positions."""
    return k if coding.encoding == BITMASK else k + 1, {
        RELATIVE: 1 << coding.gap_bits,
        DENSE: 0,
        BITMASK: 256,
    }[coding.encoding]


def survivors(tensor: CompressedTensor) -> tuple[Int64Array, UInt8Array]:
    """Return positions and labels of the weights that aren't 0."""
    labels = tensor.labels()
    return tensor.positions()[labels != 0], labels[labels != 0]


def block_symbols(
    tensor: CompressedTensor,
    coding: Coding,
    known_survivors: tuple[Int64Array, UInt8Array] | None = None,
) -> Iterator[BlockSymbols]:
    """Cut a tensor into blocks and express each by symbols."""
    count = block_count(tensor.size, coding.block_bits)
    if coding.encoding == RELATIVE and count == 1 and tensor.gap_bits == coding.gap_bits:
        yield BlockSymbols(tensor.count, tensor.labels(), tensor.gaps())
        return
    positions, labels = known_survivors or survivors(tensor)
    starts = np.arange(1, count, dtype=np.int64) << coding.block_bits
    cuts = [0, *np.searchsorted(positions, starts).tolist(), len(positions)]
    for block in range(count):
        part = slice(cuts[block], cuts[block + 1])
        elements = block_size(tensor.size, coding.block_bits, block)
        local = positions[part] - (block << coding.block_bits)
        yield _express(local, labels[part], elements, coding)


def _express(
    positions: Int64Array, labels: UInt8Array, elements: int, coding: Coding
) -> BlockSymbols:
    """Return the symbols of one block, whose positions begin at 0."""
    if coding.encoding == RELATIVE:
        stream = relindex.encode(positions, elements, coding.gap_bits)
        with_fillers = np.zeros(len(stream.gaps), np.uint8)
        with_fillers[~stream.fillers] = labels
        return BlockSymbols(len(with_fillers), with_fillers, stream.gaps)
    try:
        expanded = np.zeros(elements, np.uint8)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"{elements} elements can't be written one by one: {error}") from None
    if coding.encoding == DENSE:
        expanded[positions] = labels
        return BlockSymbols(elements, expanded, np.zeros(0, np.uint8))
    expanded[positions] = 1
    mask = np.packbits(expanded, bitorder="little")
    return BlockSymbols(len(labels), labels - np.uint8(1), mask)


def from_survivors(
    shape: tuple[int, ...],
    codebook: np.ndarray[tuple[int], np.dtype[np.float32]],
    positions: Int64Array,
    labels: UInt8Array,
    gap_bits: int,
) -> CompressedTensor:
    """Pack the weights that aren't 0, with fillers where they are needed."""
    size = int(np.prod(shape, dtype=object))
    weights = SharedWeights(codebook, labels, fixed_width(len(codebook) - 1))
    return CompressedTensor.from_parts(shape, weights, relindex.encode(positions, size, gap_bits))


def narrowest_gap_bits(positions: Int64Array, label_bits: int) -> int:
    """Return the gap width with the fewest bits in memory, labels of fillers included."""
    fillers = [0, *relindex.filler_counts(positions).tolist()]
    return cheapest_gap_bits(len(positions), fillers, label_bits)


def cheapest_gap_bits(survivors: int, fillers: Sequence[int], label_bits: int) -> int:
    """Return the same from the number of fillers that gaps of each width need."""

    def bits(gap_bits: int) -> int:
        return (survivors + fillers[gap_bits]) * (label_bits + gap_bits)

    return min(range(1, MAX_BITS + 1), key=bits)
