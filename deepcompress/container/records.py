"""Constants of the ``.dcnn`` format, and a tensor as a file holds it.

``docs/format.md`` specifies the format. Names are the document's, in lower case; a number of
bytes or bits has its unit in its name there as here.
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array

MAGIC = b"\x89DCNN\r\n\x1a"
VERSION = 1
PREFIX = struct.Struct("<8sBI")  # Magic_Number, Format_Version, Header_Bytes
CRC = struct.Struct("<I")
RAW, RELATIVE, DENSE, BITMASK = range(4)
ENCODINGS = ("raw", "relative", "dense", "bitmask")
CODERS = ("fixed", "huffman", "rans")  # from the simplest to the strongest
DTYPES = tuple(
    np.dtype(name).newbyteorder("<")
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
)
FLOAT32 = DTYPES.index(np.dtype("<f4"))
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
    """

    shape: tuple[int, ...]
    codebook: Float32Array
    coding: Coding
    label_table: bytes
    position_table: bytes
    blocks: tuple[Block, ...]


Record = SharedRecord | npt.NDArray[Any]


@dataclass(frozen=True)
class Section:
    """Bytes of a file: their tensor ("" for the file's own), and the part that they hold."""

    tensor: str
    part: str
    size_bytes: int
