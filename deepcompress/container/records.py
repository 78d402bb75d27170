"""Constants of the ``.dcnn`` format, and a tensor as a file holds it.

``docs/format.md`` specifies the format. Names are the document's, in lower case; a number of
bytes or bits has its unit in its name there as here.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..dtypes import FLOAT32, NUMPY_LACKS, TYPES, ElementType
from ..tensors import Float32Array

MAGIC = b"\x89DCNN\r\n\x1a"
VERSION = 4  # the newest; a file has the lowest version that can hold it
PREFIX = struct.Struct("<8sBI")  # Magic_Number, Format_Version, Header_Bytes
CRC = struct.Struct("<I")
RAW, RELATIVE, DENSE, BITMASK, PLANES, TIED, DELTA, CONTEXT, GROUPED = range(9)
ENCODINGS = (
    *("raw", "relative", "dense", "bitmask", "planes", "tied", "delta", "context", "grouped"),
)
SHARED = (RELATIVE, DENSE, BITMASK, CONTEXT)
SHARED_ENCODINGS = tuple(ENCODINGS[encoding] for encoding in SHARED)
CODERS = ("fixed", "huffman", "rans1", "rans")  # by their numbers in files
DTYPES = tuple(one.bits for one in TYPES if one.name not in NUMPY_LACKS)  # those of version 1
TRELLIS = 1  # in a Coder_Descriptor of contexts, of version 4: labels are along a trellis
GRID = 2  # as well: centroids are multiples of a step
HALF = 8  # in a Coder_Descriptor, of version 3: centroids are float16
WIDE_DTYPE = 15  # in a Tensor_Descriptor: the dtype is in the byte that follows
MAX_RANK = 32
MAX_NAME_BYTES = 65535
MAX_COMMON_BYTES = 255
MAX_CENTROIDS = 255
MAX_BLOCK_BITS = 62
UNROTATED = 128  # in the byte that has Block_Bits
RAW_CHUNK_BYTES = 1 << 20
DIGEST_BYTES = 16  # of a base's tensor
SYMBOLS_PER_BYTE = 64  # at most, in a stream that isn't at fixed width
CONTEXT_ELEMENTS_PER_BYTE, CONTEXT_FREE_BYTES = 1 << 12, 4  # of bytes, and so many more


def coder_count(version: int) -> int:
    """Return how many of `CODERS` a version has: rANS of several states came with version 3.

    Examples
    --------
    >>> [CODERS[coder_count(version) - 1] for version in (1, 2, 3, 4)]
    ['rans1', 'rans1', 'rans', 'rans']
    """
    return len(CODERS) if version > 2 else CODERS.index("rans")


@dataclass(frozen=True)
class Coding:
    """How a tensor of shared weights is written.

    Attributes
    ----------
    encoding : int
        `RELATIVE`, `DENSE`, `BITMASK` or `CONTEXT`, which has one block and no coders.
    label_coder, position_coder : int
        Indices into `CODERS`; the latter is 0 for a dense tensor.
    gap_bits : int
        Width of a gap, 1 to 8, for a relative tensor; else 0.
    block_bits : int
        log2 of the elements of a block, 0 to 62.
    half : bool
        Whether centroids are stored as float16, of a float32 or float64 tensor.
    trellis : bool
        Whether labels that are coded by contexts are told among those that a trellis allows.
    grid : bool
        Whether of centroids there is only the step, of a float32 or float64 tensor in contexts.
    """

    encoding: int
    label_coder: int = 0
    position_coder: int = 0
    gap_bits: int = 0
    block_bits: int = 20
    half: bool = False
    trellis: bool = False
    grid: bool = False

    @property
    def coders(self) -> str | None:
        """The coders of labels and positions in words; contexts have a trellis or nothing."""
        if self.encoding == CONTEXT:
            return "trellis" if self.trellis else None
        return f"{CODERS[self.label_coder]}/{CODERS[self.position_coder]}"


@dataclass(frozen=True)
class PlaneCoding:
    """How a tensor that isn't shared is written in planes.

    Attributes
    ----------
    coders : tuple of int
        Indices into `CODERS`, one for each byte of a word, the lowest first.
    block_bits : int
        log2 of the words of a block, 0 to 62.
    unrotated : bool
        Whether the sign of a float stays the highest bit of its word.
    """

    coders: tuple[int, ...]
    block_bits: int = 16
    unrotated: bool = False


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
    blocks : tuple of tuple of bytes-like
        The streams of each block, one for each plane; all blocks, or those that were asked for.
        Those that were read are views of the file.
    """

    shape: tuple[int, ...]
    dtype: ElementType
    coding: PlaneCoding
    tables: tuple[bytes, ...]
    blocks: tuple[tuple[bytes | memoryview, ...], ...]


@dataclass(frozen=True)
class PlannedPlanes:
    """A tensor in planes whose bytes aren't there yet: they are best written where they are to be.

    Attributes
    ----------
    shape : tuple of int
    dtype : ElementType
    coding : PlaneCoding
    data_bytes : int
        ``Data_Bytes``.
    write_to : callable
        Takes the CRC of the ``Tensor_Header`` and memory of `data_bytes` bytes, and writes all
        chunks there, as those of a PlanesRecord.
    """

    shape: tuple[int, ...]
    dtype: ElementType
    coding: PlaneCoding
    data_bytes: int
    write_to: Callable[[int, memoryview], None]


@dataclass(frozen=True)
class TiedRecord:
    """A tensor that is the same as the one of a number, counted from 0, before it."""

    shape: tuple[int, ...]
    dtype: ElementType
    index: int


@dataclass(frozen=True)
class DeltaRecord:
    """A tensor as its difference to one of a base model.

    Attributes
    ----------
    shape : tuple of int
    dtype : ElementType
    digest : bytes
        ``Base_Digest``.
    words : PlanesRecord or None
        The differences of the words, unsigned integers; None where there is none.
    """

    shape: tuple[int, ...]
    dtype: ElementType
    digest: bytes
    words: PlanesRecord | None


@dataclass(frozen=True)
class GroupedRecord:
    """A tensor whose groups of `group_rows` rows have shared weights each, in one block."""

    shape: tuple[int, ...]
    dtype: ElementType
    group_rows: int
    groups: tuple[SharedRecord, ...]


Record = SharedRecord | PlanesRecord | TiedRecord | DeltaRecord | GroupedRecord | npt.NDArray[Any]
ToWrite = Record | PlannedPlanes


@dataclass(frozen=True)
class Section:
    """Bytes of a file: their tensor ("" for the file's own), and the part that they hold."""

    tensor: str
    part: str
    size_bytes: int
