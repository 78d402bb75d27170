"""One compressed tensor <-> its record in a file: the last stages, entropy coding included."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from . import coders, relindex
from .coders import Code
from .compressed import CompressedTensor
from .container import (
    BITMASK,
    DENSE,
    RELATIVE,
    SYMBOLS_PER_BYTE,
    Block,
    Coding,
    SharedRecord,
)
from .container_layout import block_count, block_size, fixed_width, stream_bits, stream_symbols
from .errors import ArgumentError, FormatError
from .tensors import HUFFMAN, MAX_BITS, RANS, Int64Array, SharedWeights, UInt8Array


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
    labels = [np.bincount(block.labels, minlength=sizes[0]) for block in blocks]
    positions = [np.bincount(block.positions, minlength=sizes[1]) for block in blocks]
    return (
        coders.make(coding.label_coder, np.sum(labels, axis=0), widths[0]),
        coders.make(coding.position_coder, np.sum(positions, axis=0), max(widths[1], 1)),
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
    size = int(np.prod(record.shape, dtype=object))
    for index, block in enumerate(record.blocks, start=first):
        elements = block_size(size, coding.block_bits, index)
        label_count, position_count = stream_symbols(coding, block.count, elements)
        labels = codes[0].decode(block.labels, label_count)
        positions = codes[1].decode(block.positions, position_count)
        limit = alphabets(coding, k)[0]
        if labels.size and labels.max() >= limit:
            entry = int((labels >= limit).argmax())
            raise FormatError(f"a label has no centroid (entry {entry} of block {index})")
        if coding.encoding == BITMASK:
            _check_mask(positions, block.count, elements, index)
        yield BlockSymbols(block.count, labels, positions)


def _check_mask(mask: UInt8Array, count: int, elements: int, block: int) -> None:
    ones = int(np.unpackbits(mask).sum(dtype=np.int64))
    if ones != count:
        raise FormatError(f"a mask of {ones} bits for {count} entries (block {block})")
    if elements % 8 and mask.size and mask[-1] >> elements % 8:
        raise FormatError(f"a mask has a bit beyond its elements (block {block})")


def decode_survivors(record: SharedRecord, first: int = 0) -> tuple[Int64Array, UInt8Array]:
    """Return positions in the tensor, and labels, of the weights that aren't 0.

    Parameters
    ----------
    record : SharedRecord
    first : int
        Which of the tensor's blocks the record's first one is.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid.
    """
    coding = record.coding
    size = int(np.prod(record.shape, dtype=object))
    all_positions, all_labels = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)]
    for index, block in enumerate(decode_symbols(record, first), start=first):
        labels = block.labels
        elements = block_size(size, coding.block_bits, index)
        if coding.encoding == RELATIVE:
            positions = relindex.decode(block.positions, elements)[labels != 0]
            labels = labels[labels != 0]
        elif coding.encoding == DENSE:
            positions = np.flatnonzero(labels)
            labels = labels[positions]
        else:
            bits = np.unpackbits(block.positions, count=elements, bitorder="little")
            positions = np.flatnonzero(bits)
            labels = labels + np.uint8(1)
        all_positions.append(positions + (index << coding.block_bits))
        all_labels.append(labels)
    return np.concatenate(all_positions), np.concatenate(all_labels)


def decode(record: SharedRecord) -> CompressedTensor:
    """Turn a record with all its blocks into the packed form that the kernels run.

    Raises
    ------
    FormatError
        If a table, a stream, or what is in it isn't valid.
    """
    k = len(record.codebook) - 1
    if record.coding.encoding == RELATIVE and len(record.blocks) == 1:
        (block,) = decode_symbols(record)
        return CompressedTensor.from_entries(
            record.shape,
            record.codebook,
            (block.labels, fixed_width(k)),
            (block.positions, record.coding.gap_bits),
        )
    return from_part(record, record.shape, *decode_survivors(record))


def from_part(
    record: SharedRecord, shape: tuple[int, ...], positions: Int64Array, labels: UInt8Array
) -> CompressedTensor:
    """Pack weights of a record that aren't 0 as a tensor of the given shape.

    The gaps have the width that they have in the record, unless that takes more fillers
    than the record has entries: between blocks, zeros need fillers in memory only.
    """
    gap_bits, stored = record.coding.gap_bits, sum(block.count for block in record.blocks)
    if not gap_bits or relindex.filler_count(positions, gap_bits) > stored:
        gap_bits = narrowest_gap_bits(positions, fixed_width(len(record.codebook) - 1))
    return from_survivors(shape, record.codebook, positions, labels, gap_bits)


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
    entries = len(positions) + relindex.filler_counts(positions)
    bits = entries * (label_bits + np.arange(1, MAX_BITS + 1))
    return int(bits.argmin()) + 1
