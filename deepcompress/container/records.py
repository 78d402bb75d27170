"""Constants of the ``.dcnn`` format, and a tensor as a file holds it.

``docs/format.md`` specifies the format. Names are the document's, in lower case; a number of
bytes or bits has its unit in its name there as here.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..dtypes import FLOAT32, NUMPY_LACKS, TYPES, ElementType
from ..tensors import Float32Array

MAGIC = b"\x89DCNN\r\n\x1a"
VERSION = 2  # the newest; a file has the lowest version that can hold it
PREFIX = struct.Struct("<8sBI")  # Magic_Number, Format_Version, Header_Bytes
CRC = struct.Struct("<I")
RAW, RELATIVE, DENSE, BITMASK, PLANES = range(5)
ENCODINGS = ("raw", "relative", "dense", "bitmask", "planes")
SHARED = (RELATIVE, DENSE, BITMASK)
SHARED_ENCODINGS = tuple(ENCODINGS[encoding] for encoding in SHARED)
CODERS = ("fixed", "huffman", "rans")  # from the simplest to the strongest
DTYPES = tuple(one.bits for one in TYPES if one.name not in NUMPY_LACKS)  # those of version 1
WIDE_DTYPE = 15  # in a Tensor_Descriptor: the dtype is in the byte that follows
MAX_RANK = 32
MAX_NAME_BYTES = 65535
MAX_COMMON_BYTES = 255
MAX_CENTROIDS = 255
MAX_BLOCK_BITS = 62
RAW_CHUNK_BYTES = 1 << 20
SYMBOLS_PER_BYTE = 64  # at most, in a stream that isn't at fixed width


@dataclass(frozen=True)
class Coding:
    """How a tensor of shared weights is written.

    Attributes
    ----------
    encoding : int
        `RELATIVE`, `DENSE` or `BITMASK`.
    label_coder, position_coder : int
        Indices into `CODERS`; the latter is 0 for a dense tensor.
    gap_bits : int
        Width of a gap, 1 to 8, for a relative tensor; else 0.
    block_bits : int
        log2 of the elements of a block, 0 to 62.
    """

    encoding: int
    label_coder: int = 0
    position_coder: int = 0
    gap_bits: int = 0
    block_bits: int = 20


@dataclass(frozen=True)
class PlaneCoding:
    """How a tensor that isn't shared is written in planes.

    Attributes
    ----------
    coders : tuple of int
        Indices into `CODERS`, one for each byte of a word, the lowest first.
    block_bits : int
        log2 of the words of a block, 0 to 62.
    """

    coders: tuple[int, ...]
    block_bits: int = 16


@dataclass(frozen=True)
class Block:
    """A block's streams as a file holds them; `count` is ``Entry_Count``."""

    count: int
    labels: bytes
    positions: bytes


@dataclass(frozen=True)
class SharedRecord:
    """A tensor of shared weights as a file holds it.

    Attributes
    ----------
    shape : tuple of int
    codebook : ndarray of shape (K,), float32
        ``codebook[0] == 0.0`` is not stored: K is ``Centroid_Count`` + 1.
    coding : Coding
    label_table, position_table : bytes
        Empty where the coder has none.
    blocks : tuple of Block
        All of them, or those that were asked for.
    dtype : ElementType
        Of the elements; each centroid is a value of it.
    """

    shape: tuple[int, ...]
    codebook: Float32Array
    coding: Coding
    label_table: bytes
    position_table: bytes
    blocks: tuple[Block, ...]
    dtype: ElementType = FLOAT32


@dataclass(frozen=True)
class PlanesRecord:
    """A tensor that isn't shared, in planes as a file holds them.

    Attributes
    ----------
    shape : tuple of int
    dtype : ElementType
    coding : PlaneCoding
    tables : tuple of bytes
        The code table of each plane, empty where the coder has none.
    blocks : tuple of tuple of bytes
        The streams of each block, one for each plane; all blocks, or those that were asked for.
    """

    shape: tuple[int, ...]
    dtype: ElementType
    coding: PlaneCoding
    tables: tuple[bytes, ...]
    blocks: tuple[tuple[bytes, ...], ...]


Record = SharedRecord | PlanesRecord | npt.NDArray[Any]


@dataclass(frozen=True)
class Section:
    """Bytes of a file: their tensor ("" for the file's own), and the part that they hold."""

    tensor: str
    part: str
    size_bytes: int
