"""One tensor -> the symbols of each of its blocks, which are counted, priced, and coded."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .. import relindex
from ..container.records import BITMASK, CONTEXT, DENSE, RELATIVE, Coding
from ..container.sizes import block_count, block_size
from ..errors import ArgumentError
from ..packed.survivors import unpack
from ..packed.tensor import CompressedTensor
from ..tensors import Int64Array, Survivors, UInt8Array


@dataclass(frozen=True)
class BlockSymbols:
    """The symbols of one block: S = `count` entries, their labels, and their positions."""

    count: int
    labels: UInt8Array
    positions: UInt8Array


def alphabets(coding: Coding, k: int) -> tuple[int, int]:
    """Return the sizes of the alphabets of labels and positions."""
    return k if coding.encoding == BITMASK else k + 1, {
        RELATIVE: 1 << coding.gap_bits,
        DENSE: 0,
        BITMASK: 256,
        CONTEXT: 0,
    }[coding.encoding]


def block_symbols(weights: Survivors | CompressedTensor, coding: Coding) -> Iterator[BlockSymbols]:
    """Cut a tensor into blocks and express each by symbols.

    A packed tensor whose gaps have the same width keeps its fillers as they are where one block
    holds it all; otherwise they are placed anew.
    """
    blocks = block_count(weights.size, coding.block_bits)
    if isinstance(weights, CompressedTensor):
        if coding.encoding == RELATIVE and blocks == 1 and weights.gap_bits == coding.gap_bits:
            yield BlockSymbols(weights.count, weights.labels(), weights.gaps())
            return
        weights = unpack(weights)
    starts = np.arange(1, blocks, dtype=np.int64) << coding.block_bits
    cuts = [0, *np.searchsorted(weights.positions, starts).tolist(), len(weights.positions)]
    for block in range(blocks):
        own = slice(cuts[block], cuts[block + 1])
        elements = block_size(weights.size, coding.block_bits, block)
        local = weights.positions[own] - (block << coding.block_bits)
        yield _express(local, weights.labels[own], elements, coding)


def _express(
    positions: Int64Array, labels: UInt8Array, elements: int, coding: Coding
) -> BlockSymbols:
    """Return the symbols of one block, whose positions begin at 0."""
    if coding.encoding == RELATIVE:
        stream = relindex.encode(positions, elements, coding.gap_bits)
        return BlockSymbols(len(stream.gaps), stream.spread(labels), stream.gaps)
    try:
        expanded = np.zeros(elements, np.uint8)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"{elements} elements can't be written one by one: {error}") from None
    if coding.encoding in (DENSE, CONTEXT):
        expanded[positions] = labels
        return BlockSymbols(elements, expanded, np.zeros(0, np.uint8))
    expanded[positions] = 1
    mask = np.packbits(expanded, bitorder="little")
    return BlockSymbols(len(labels), labels - np.uint8(1), mask)
