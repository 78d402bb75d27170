"""Reads the head and the blocks of a tensor of shared weights."""

import math
from dataclasses import dataclass

import numpy as np

from ..dtypes import FLOAT16, FLOAT32, ElementType
from ..errors import ArgumentError
from ..tensors import FIXED_WIDTH, MAX_BITS, Float32Array
from .cursor import Cursor
from .grids import grid_codebook
from .records import (
    BITMASK,
    CONTEXT,
    CONTEXT_ELEMENTS_PER_BYTE,
    CONTEXT_FREE_BYTES,
    CRC,
    DENSE,
    GRID,
    HALF,
    MAX_BLOCK_BITS,
    MAX_CENTROIDS,
    RELATIVE,
    SYMBOLS_PER_BYTE,
    TRELLIS,
    VERSION,
    Block,
    Coding,
    SharedRecord,
    coder_count,
)
from .sizes import block_count, block_size, codebook_bytes, stream_bits, stream_symbols

WIDE_FLOATS = ("float32", "float64")  # whose centroids may be stored as float16


@dataclass(frozen=True, slots=True)  # there may be many
class BlockSize:
    """The fields of a block in the head: ``Entry_Count`` and the sizes of its streams."""

    count: int
    label_bytes: int
    position_bytes: int


@dataclass(frozen=True)
class SharedHead:
    """The head of a tensor of shared weights.

    Attributes
    ----------
    coding : Coding
    codebook : ndarray of shape (K,), float32
    label_table, position_table : bytes
    blocks : tuple of BlockSize
    bytes : int
        Size of the head.
    spans : tuple of (int, int)
        Begin and end of each block in the tensor's data.
    dtype : ElementType
    """

    coding: Coding
    codebook: Float32Array
    label_table: bytes
    position_table: bytes
    blocks: tuple[BlockSize, ...]
    bytes: int
    spans: tuple[tuple[int, int], ...]
    dtype: ElementType = FLOAT32

    def record(self, shape: tuple[int, ...], blocks: tuple[Block, ...]) -> SharedRecord:
        """Return the record with the given blocks."""
        tables = self.label_table, self.position_table
        return SharedRecord(shape, self.codebook, self.coding, *tables, blocks, self.dtype)

    def parts(self, encoding: int) -> list[tuple[str, int]]:
        """Return the uses of the tensor's data, with bytes that sum to its size."""
        tables = len(self.label_table) + len(self.position_table)
        codebook = codebook_bytes(self.coding, self.dtype, len(self.codebook) - 1)
        return [
            ("header", self.bytes - codebook - tables),
            ("codebooks", codebook),
            ("code tables", tables),
            ("labels", sum(block.label_bytes for block in self.blocks)),
            (
                "gaps" if encoding == RELATIVE else "mask",
                sum(block.position_bytes for block in self.blocks),
            ),
            ("checksums", CRC.size * (1 if len(self.blocks) == 1 else len(self.blocks) + 1)),
        ]


def parse_head(
    cursor: Cursor,
    shape: tuple[int, ...],
    encoding: int,
    dtype: ElementType = FLOAT32,
    version: int = VERSION,
) -> SharedHead:
    """Read and check the head at the start of a tensor's data, in a file of a version.

    Raises
    ------
    FormatError
        If a rule is broken, or the data could not hold what the head declares.
    """
    may_be_half = version > 2 and dtype.name in WIDE_FLOATS
    if encoding == CONTEXT:
        # > Trellis is 0 before version 4.
        # > Grid is 0 before version 4, and unless Dtype is float32 or float64.
        is_fourth = version > 3
        may_have = HALF * may_be_half | TRELLIS * is_fourth | GRID * (may_be_half and is_fourth)
        return _parse_context(cursor, math.prod(shape), dtype, may_have)
    coding = _parse_coding(cursor, encoding, may_be_half, version)
    centroid_count = cursor.varint("number of centroids")
    if centroid_count > MAX_CENTROIDS:
        raise cursor.error(f"{centroid_count} centroids, {MAX_CENTROIDS} is the most")
    coded = [coder != FIXED_WIDTH for coder in (coding.label_coder, coding.position_coder)]
    table_bytes = [cursor.varint("size of a table") if is_coded else 0 for is_coded in coded]
    size = math.prod(shape)
    count = block_count(size, coding.block_bits)
    # Each block has a byte at least, and where there are several, each has a CRC.
    if count > 1 and count * (1 + CRC.size) > cursor.left:
        raise cursor.error(f"{count} blocks in {cursor.left} bytes")
    elements = (block_size(size, coding.block_bits, block) for block in range(count))
    blocks = tuple(_parse_block_size(cursor, coding, centroid_count, n) for n in elements)
    # > Label 0 is the weight 0, label i is the i-th centroid.
    codebook = np.zeros(centroid_count + 1, np.float32)
    codebook[1:] = _parse_centroids(cursor, centroid_count, FLOAT16 if coding.half else dtype)
    label_table = bytes(cursor.take(table_bytes[0], "code table of the labels"))
    position_table = bytes(cursor.take(table_bytes[1], "code table of the positions"))
    head_bytes = end = cursor.offset
    spans: list[tuple[int, int]] = []
    for block in blocks:
        begin = end + (CRC.size if count > 1 else 0)
        end = begin + block.label_bytes + block.position_bytes
        spans.append((begin, end))
    tables = label_table, position_table
    return SharedHead(coding, codebook, *tables, blocks, head_bytes, tuple(spans), dtype)


def _parse_context(cursor: Cursor, elements: int, dtype: ElementType, may_have: int) -> SharedHead:
    """Read and check the head of a tensor whose labels are coded by contexts.

    `may_have` are the bits that its descriptor may have.
    """
    # > Coder_Descriptor is 0 but for Half_Centroids, Grid and Trellis: there are no other coders.
    descriptor = cursor.byte("coders")
    if descriptor & ~may_have:
        raise cursor.error(f"unknown coder in {descriptor:#04x}")
    half = bool(descriptor & HALF)
    centroid_count = cursor.varint("number of centroids")
    if centroid_count > MAX_CENTROIDS:
        raise cursor.error(f"{centroid_count} centroids, {MAX_CENTROIDS} is the most")
    grid = bool(descriptor & GRID)
    # > Half_Centroids and Grid aren't both 1.
    if half and grid:
        raise cursor.error("centroids that are float16 and multiples of a step")
    if grid:
        codebook = _parse_grid(cursor, centroid_count)
    else:
        codebook = np.zeros(centroid_count + 1, np.float32)
        codebook[1:] = _parse_centroids(cursor, centroid_count, FLOAT16 if half else dtype)
    head_bytes = cursor.offset
    if cursor.left < CRC.size:
        raise cursor.error(f"a checksum needs {CRC.size} bytes, {cursor.left} are left")
    context_stream = cursor.left - CRC.size  # its bytes
    # > Element_Count is at most 4096 * (Stream_Bytes + 4).
    if elements > CONTEXT_ELEMENTS_PER_BYTE * (context_stream + CONTEXT_FREE_BYTES):
        raise cursor.error(f"{elements} elements in a stream of {context_stream} bytes")
    coding = Coding(
        CONTEXT, block_bits=MAX_BLOCK_BITS, half=half, trellis=bool(descriptor & TRELLIS), grid=grid
    )
    blocks, spans = (
        (BlockSize(elements, context_stream, 0),),
        ((head_bytes, head_bytes + context_stream),),
    )
    return SharedHead(coding, codebook, b"", b"", blocks, head_bytes, spans, dtype)


def _parse_centroids(cursor: Cursor, count: int, dtype: ElementType) -> Float32Array:
    """Read and check the centroids."""
    stored = dtype.centroid_bits
    bits = np.frombuffer(cursor.take(stored.itemsize * count, "codebook"), stored)
    values = dtype.widened(bits) if dtype.itemsize < 4 else bits.astype(np.float32, copy=False)
    if not np.isfinite(values).all():
        raise cursor.error("a centroid isn't finite")
    # > Every centroid is a value of Dtype.
    try:
        rounded = dtype.rounded(values)
        is_exact = rounded is values or np.array_equal(rounded, values)
    except ArgumentError:  # beyond the dtype's range
        is_exact = False
    if not is_exact:
        raise cursor.error(f"a centroid is no {dtype}")
    return values


def _parse_grid(cursor: Cursor, count: int) -> Float32Array:
    """Read and check the codebook of a grid."""
    below = cursor.byte("number of centroids below 0")
    (step,) = np.frombuffer(cursor.take(4, "step of the centroids"), "<f4")
    # > Below_Count is at most Centroid_Count, which isn't 0.
    if below > count or count == 0:
        raise cursor.error(f"{below} centroids below 0, of {count}")
    # > Step is above 0, and all centroids are finite.
    if 0 < step < np.inf and np.isfinite(codebook := grid_codebook(step, below, count)).all():
        return codebook
    raise cursor.error(f"a step of {step} for {count} centroids")


def _parse_coding(cursor: Cursor, encoding: int, may_be_half: bool, version: int) -> Coding:
    """Read and check the fields of the head that are a `Coding`."""
    coder_descriptor, block_bits = cursor.take(2, "coders and size of the blocks")
    # > Half_Centroids is 1 where centroids are float16. It is 0 before version 3, and unless Dtype
    # > is float32 or float64.
    half = may_be_half and bool(coder_descriptor & HALF)
    position_coder, label_coder = divmod(coder_descriptor - HALF * half, 16)
    gap_bits = cursor.byte("width of the gaps") if encoding == RELATIVE else 0
    # > Versions 1 and 2 have no rANS of several states.
    if max(label_coder, position_coder) >= coder_count(version):
        raise cursor.error(f"unknown coder in {coder_descriptor:#04x}")
    # > Position_Coder is 0 where Encoding is dense.
    if encoding == DENSE and position_coder:
        raise cursor.error("a dense tensor has no positions to code")
    if block_bits > MAX_BLOCK_BITS:
        raise cursor.error(f"blocks of 2**{block_bits} elements")
    if encoding == RELATIVE and not 1 <= gap_bits <= MAX_BITS:
        raise cursor.error(f"gaps of {gap_bits} bits")
    return Coding(encoding, label_coder, position_coder, gap_bits, block_bits, half)


def _parse_block_size(
    cursor: Cursor, coding: Coding, centroid_count: int, elements: int
) -> BlockSize:
    """Read and check the fields of a block in the head."""
    # > Entry_Count is at most the number of elements of the block; where Encoding is dense, it is
    # > that number.
    count = elements if coding.encoding == DENSE else cursor.varint("entries of a block")
    if count > elements:
        raise cursor.error(f"{count} stored entries in {elements} elements")
    # > If Centroid_Count is 0, so is Entry_Count.
    if count and not centroid_count and coding.encoding == BITMASK:
        raise cursor.error(f"{count} entries without a centroid")
    sizes = []
    for symbols, width, coder in zip(
        stream_symbols(coding, count, elements),
        stream_bits(coding, centroid_count),
        (coding.label_coder, coding.position_coder),
        strict=True,
    ):
        if coder == FIXED_WIDTH:  # > S symbols take ceil(S * b / 8) bytes.
            sizes.append((symbols * width + 7) // 8)
        else:
            sizes.append(cursor.varint("bytes of a stream"))
            # > A stream whose coder isn't 0 has at most 64 symbols to a byte.
            if symbols > SYMBOLS_PER_BYTE * sizes[-1]:
                raise cursor.error(f"{symbols} symbols in a stream of {sizes[-1]} bytes")
        if sizes[-1] > cursor.left:
            raise cursor.error(f"a stream of {sizes[-1]} bytes, {cursor.left} are left")
    return BlockSize(count, *sizes)


def parse_block(data: memoryview, head: SharedHead, index: int) -> Block:
    """Cut the bytes of a block into ``Labels`` and ``Positions``."""
    size = head.blocks[index]
    labels = bytes(data[: size.label_bytes])
    return Block(size.count, labels, bytes(data[size.label_bytes :]))
