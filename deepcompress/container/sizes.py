"""What writers and readers derive alike of a tensor: sizes of its parts, starts of checksums.

`container` specifies them.
"""

import zlib

from ..bits.packing import fixed_width as fixed_width
from .cursor import varint
from .records import BITMASK, CRC, DENSE, RAW_CHUNK_BYTES, RELATIVE, Coding


def block_count(size: int, block_bits: int) -> int:
    """Return B, into how many blocks a tensor of `size` elements is cut."""
    return max(1, -(-size >> block_bits))


def block_size(size: int, block_bits: int, block: int) -> int:
    """Return how many elements a block of such a tensor has."""
    return min(size - (block << block_bits), 1 << block_bits)


def stream_bits(coding: Coding, k: int) -> tuple[int, int]:
    """Return the widths of labels and positions; 0 where there are no positions."""
    label = fixed_width(max(k - 1, 0)) if coding.encoding == BITMASK else fixed_width(k)
    return label, {RELATIVE: coding.gap_bits, DENSE: 0, BITMASK: 8}[coding.encoding]


def stream_symbols(coding: Coding, count: int, elements: int) -> tuple[int, int]:
    """Return how many labels and positions a block of S = `count` entries has."""
    positions = {RELATIVE: count, DENSE: 0, BITMASK: (elements + 7) // 8}[coding.encoding]
    return (elements if coding.encoding == DENSE else count), positions


def raw_size(size_bytes: int) -> int:
    """Return the size of the data of a raw tensor with so many bytes of elements."""
    return size_bytes + CRC.size * max(1, -(-size_bytes // RAW_CHUNK_BYTES))


def chunk_crc_start(head: bytes, index: int) -> int:
    """Return the value from which the CRC of a tensor's chunk continues."""
    crc = zlib.crc32(head)
    return zlib.crc32(varint(index), crc) if index else crc
