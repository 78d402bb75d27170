"""Sizes and checksums that writers and readers derive alike, named as in ``docs/format.md``."""

import zlib

from ..bits.packing import fixed_width
from ..dtypes import ElementType
from .cursor import varint
from .grids import GRID_BYTES
from .records import BITMASK, CONTEXT, CRC, DENSE, RAW_CHUNK_BYTES, RELATIVE, Coding


def block_count(element_count: int, block_bits: int) -> int:
    """Return ``Block_Count`` of a tensor."""
    return max(1, -(-element_count >> block_bits))


def block_size(element_count: int, block_bits: int, block: int) -> int:
    """Return the number of elements of a block."""
    # > 2**Block_Bits elements, of which the last may have fewer
    return min(element_count - (block << block_bits), 1 << block_bits)


def stream_bits(coding: Coding, centroid_count: int) -> tuple[int, int]:
    """Return the widths of labels and positions; 0 where there are no positions."""
    # > For a bitmask without centroids, the width is one.
    largest = max(centroid_count - 1, 0) if coding.encoding == BITMASK else centroid_count
    positions = {RELATIVE: coding.gap_bits, DENSE: 0, BITMASK: 8, CONTEXT: 0}
    return fixed_width(largest), positions[coding.encoding]


def stream_symbols(coding: Coding, entry_count: int, elements: int) -> tuple[int, int]:
    """Return the numbers of labels and positions of a block."""
    positions = {RELATIVE: entry_count, DENSE: 0, BITMASK: (elements + 7) // 8, CONTEXT: 0}
    labels = elements if coding.encoding in (DENSE, CONTEXT) else entry_count
    return labels, positions[coding.encoding]


def codebook_bytes(coding: Coding, dtype: ElementType, centroid_count: int) -> int:
    """Return the bytes of all centroids."""
    if coding.grid:
        return GRID_BYTES
    return centroid_count * (2 if coding.half else dtype.centroid_bits.itemsize)


def raw_chunk_count(element_bytes: int) -> int:
    """Return the number of chunks of a raw tensor whose elements take so many bytes."""
    # > Only a tensor without elements has an empty chunk.
    return max(1, -(-element_bytes // RAW_CHUNK_BYTES))


def raw_size(element_bytes: int) -> int:
    """Return ``Data_Bytes`` of a raw tensor whose elements take so many bytes."""
    return element_bytes + CRC.size * raw_chunk_count(element_bytes)


def chunk_crc_start(tensor_header: bytes, index: int) -> int:
    """Return the CRC from which ``Chunk_CRC`` of a chunk continues."""
    # > Chunk_CRC of chunk 0 is CRC(chunk, CRC(Tensor_Header)). Chunk_CRC of chunk i > 0 is
    # > CRC(chunk, CRC(varint i, CRC(Tensor_Header))).
    crc = zlib.crc32(tensor_header)
    return zlib.crc32(varint(index), crc) if index else crc
