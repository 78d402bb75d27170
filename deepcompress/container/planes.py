"""Reads the head of a tensor that is stored in planes."""

import math
from dataclasses import dataclass

from ..dtypes import ElementType
from ..tensors import FIXED_WIDTH
from .cursor import Cursor
from .records import (
    CRC,
    MAX_BLOCK_BITS,
    SYMBOLS_PER_BYTE,
    UNROTATED,
    VERSION,
    PlaneCoding,
    PlanesRecord,
    coder_count,
)
from .sizes import block_count, block_size

Planes = tuple[memoryview, ...]  # the streams of a block


@dataclass(frozen=True)
class PlanesHead:
    """The head of a tensor in planes.

    Attributes
    ----------
    coding : PlaneCoding
    tables : tuple of bytes
    blocks : tuple of tuple of int
        ``Plane_Bytes`` of each plane of each block.
    bytes : int
        Size of the head.
    spans : tuple of (int, int)
        Begin and end of each block in the tensor's data.
    """

    coding: PlaneCoding
    tables: tuple[bytes, ...]
    blocks: tuple[tuple[int, ...], ...]
    bytes: int
    spans: tuple[tuple[int, int], ...]

    def record(
        self, shape: tuple[int, ...], dtype: ElementType, blocks: tuple[Planes, ...]
    ) -> PlanesRecord:
        """Return the record with the given blocks."""
        return PlanesRecord(shape, dtype, self.coding, self.tables, blocks)

    def parts(self, rank: int) -> list[tuple[str, int]]:
        """Return the uses of the tensor's data, with bytes; vectors are taken for biases."""
        tables = sum(map(len, self.tables))
        return [
            ("header", self.bytes - tables),
            ("code tables", tables),
            ("biases" if rank <= 1 else "raw", sum(map(sum, self.blocks))),
            ("checksums", CRC.size * (1 if len(self.blocks) == 1 else len(self.blocks) + 1)),
        ]


def parse_head(
    cursor: Cursor, shape: tuple[int, ...], dtype: ElementType, version: int = VERSION
) -> PlanesHead:
    """Read and check the head at the start of a tensor's data.

    Raises
    ------
    FormatError
        If a rule is broken, or the data could not hold what the head declares.
    """
    block_bits = cursor.byte("size of the blocks")
    # > Unrotated is 1 where they aren't. It is 0 before version 3, and unless words are floats.
    unrotated = version > 2 and dtype.kind in "fc" and bool(block_bits & UNROTATED)
    block_bits -= UNROTATED * unrotated
    if block_bits > MAX_BLOCK_BITS:
        raise cursor.error(f"blocks of 2**{block_bits} words")
    # Plane_Coder of each plane, then sizes of tables and streams, then each Plane_Table.
    coders = tuple(cursor.take(dtype.word_bytes, "coders of the planes"))
    if max(coders) >= coder_count(version):
        raise cursor.error(f"unknown coder {max(coders)}")
    coded = [coder != FIXED_WIDTH for coder in coders]
    table_bytes = [cursor.varint("size of a table") if is_coded else 0 for is_coded in coded]
    words = math.prod(shape) * dtype.words
    count = block_count(words, block_bits)
    # Where there are several blocks, each has a CRC, and a byte at least.
    if count > 1 and count * (1 + CRC.size) > cursor.left:
        raise cursor.error(f"{count} blocks in {cursor.left} bytes")
    blocks = tuple(
        _parse_block_size(cursor, coded, block_size(words, block_bits, block))
        for block in range(count)
    )
    tables = tuple(bytes(cursor.take(size, "code table of a plane")) for size in table_bytes)
    head_bytes = end = cursor.offset
    spans: list[tuple[int, int]] = []
    for sizes in blocks:
        begin = end + (CRC.size if count > 1 else 0)
        end = begin + sum(sizes)
        spans.append((begin, end))
    coding = PlaneCoding(coders, block_bits, unrotated)
    return PlanesHead(coding, tables, blocks, head_bytes, tuple(spans))


def _parse_block_size(cursor: Cursor, coded: list[bool], words: int) -> tuple[int, ...]:
    """Read and check the sizes of a block's planes in the head."""
    sizes = []
    for is_coded in coded:
        # > A plane whose coder is 0 takes a byte for each word.
        sizes.append(cursor.varint("bytes of a plane") if is_coded else words)
        # > A stream whose coder isn't 0 has at most 64 symbols to a byte.
        if words > SYMBOLS_PER_BYTE * sizes[-1]:
            raise cursor.error(f"{words} symbols in a stream of {sizes[-1]} bytes")
        if sizes[-1] > cursor.left:
            raise cursor.error(f"a stream of {sizes[-1]} bytes, {cursor.left} are left")
    return tuple(sizes)


def parse_block(data: memoryview, head: PlanesHead, index: int) -> Planes:
    """Cut the bytes of a block into its planes, without a copy."""
    planes, at = [], 0
    for size in head.blocks[index]:
        planes.append(data[at : at + size])
        at += size
    return tuple(planes)
