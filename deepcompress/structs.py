"""Twins of the C structs: the forms in which a tensor is multiplied, and programs of networks.

They are plain, read-only records of arrays that have been validated.
``csrc/deepcompress.h`` says more of each field; `cache` has the C struct, once `native` made it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from .tensors import Float32Array, UInt8Array

Name = Any  # of a program's value: a string, or a pair for a piece of a concatenation


class OperationKind(IntEnum):
    """What an operation of a program does: ``enum dc_operation_kind``."""

    CONVOLVE = 0
    MULTIPLY = 1
    MAX_POOL = 2
    AVERAGE = 3
    NORMALIZE = 4
    RECTIFY = 5
    COPY = 6
    DEPTHWISE = 7
    MEAN_POOL = 8
    SCALE = 9
    ADD = 10
    TIMES = 11
    ACTIVATE = 12
    SOFTMAX = 13
    PAD = 14
    PERMUTE = 15
    WINOGRAD = 16


class Function(IntEnum):
    """An activation: ``enum dc_function``."""

    CLIP = 0
    LEAKY_RELU = 1
    SIGMOID = 2
    TANH = 3
    SILU = 4
    HARD_SIGMOID = 5
    HARD_SWISH = 6


@dataclass(frozen=True, eq=False)
class Stream:
    """Shared weights and relative indices of a matrix, packed: ``struct dc_tensor``."""

    rows: int
    cols: int
    count: int  # stored entries S, fillers included
    codebook: Float32Array  # (K,)
    label_bits: int  # 1 to 8
    gap_bits: int  # 1 to 8
    labels: UInt8Array  # packed by `bits.packing`, like the gaps
    gaps: UInt8Array

    @property
    def nbytes(self) -> int:
        """Bytes in memory, but for the codebook."""
        return self.labels.nbytes + self.gaps.nbytes


@dataclass(frozen=True, eq=False)
class Layout:
    """A matrix rearranged for products: ``struct dc_layout``."""

    kind: str  # of ``enum dc_layout_kind``, in lower case: the module of `spmv` that defines it
    rows: int  # below 2**31, like the columns
    cols: int
    codebook: Float32Array  # (K,)
    gap_bits: int  # 1 to 8 in lanes, else 0
    label_bits: int  # 1 to 8; 8 in masks and lists
    data: UInt8Array
    starts: npt.NDArray[np.uint64]  # (parts + 1,): where in the data each part begins, and the end
    order: npt.NDArray[np.uint32]  # lanes: (rows,), the row in each; lists: (1,); else empty
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> int:
        """Number of groups in lanes, of rows for masks, of 32 rows for lists, of 256 for tiles."""
        return len(self.starts) - 1

    @property
    def work_bytes(self) -> int:
        """Bytes of data that stand for how long a product takes: about one for an entry."""
        return self.data.nbytes // 4 if self.kind == "lists" else self.data.nbytes

    @property
    def nbytes(self) -> int:
        """Bytes in memory, but for the codebook."""
        return self.data.nbytes + self.starts.nbytes + self.order.nbytes


@dataclass(frozen=True, eq=False)
class ColumnBlocks:
    """A matrix rearranged for convolutions: ``struct dc_column_blocks``."""

    rows: int
    cols: int
    codebook: Float32Array  # (K,)
    block_cols: int  # columns of a block, one of `spmv.column_blocks.WIDTHS`
    data: npt.NDArray[np.uint16]
    starts: npt.NDArray[np.uint64]  # where part p of block b begins, at b * parts + p; and the end
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def nbytes(self) -> int:
        """Bytes in memory, but for the codebook."""
        return self.data.nbytes + self.starts.nbytes

    @property
    def entries(self) -> int:
        """Number of survivors."""
        return len(self.data) - self.rows * -(-self.cols // self.block_cols)


Form = Stream | Layout | ColumnBlocks


@dataclass(frozen=True)
class Geometry:
    """An operation on images (C, H, W, B), batch last: ``struct dc_geometry``."""

    channels: int
    height: int
    width: int
    batch: int
    kernel: tuple[int, ...] = (1, 1)  # down and right, like the three that follow
    stride: tuple[int, ...] = (1, 1)
    padding: tuple[int, ...] = (0, 0)  # above and left
    dilation: tuple[int, ...] = (1, 1)
    groups: int = 1
    out_height: int = 1  # places of the kernel along the height
    out_width: int = 1


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What C does for a layer: ``struct dc_operation``, with names of values for its addresses."""

    kind: OperationKind
    taken: Name
    given: Name
    geometry: Geometry
    outputs: int = 0  # rows of the weight
    weight: ColumnBlocks | Layout | Float32Array | None = None
    bias: Float32Array | None = None
    other: Name | None = None  # a second value that is taken
    relu: bool = False
    high: float = math.inf  # of the ReLU
    size: int = 0  # of a normalization, like alpha and k; a `Function`; or a flag
    step: tuple[int, ...] = (0, 0, 0)
    alpha: float = 0.0
    k: float = 0.0
    block_cols: int = 0  # of a dense weight in a convolution
    work: float = 0.0  # about how long it takes, in products of a packed convolution

    @property
    def elements(self) -> int:
        """Elements of what is given, by an operation that leaves channels as they are."""
        g = self.geometry
        return g.channels * g.out_height * g.out_width * g.batch


@dataclass(frozen=True)
class Program:
    """Operations, and where in one stretch of memory their values are."""

    operations: tuple[Operation, ...]
    places: Mapping[Name, int | None]  # first element of each value; None for the program's input
    elements: int  # of the stretch of memory
    result: tuple[int, tuple[int, ...]]  # first element and shape of the last value

    @property
    def work(self) -> float:
        """About how long it takes, in products of a packed convolution."""
        return sum(operation.work for operation in self.operations)


@dataclass(frozen=True)
class GapBlock:
    """One decoded block of a file's tensor, whose entries have gaps; ``struct dc_block``."""

    labels: UInt8Array  # (S,); 0 for a filler, wherever it is
    gaps: UInt8Array  # (S,); as in `relindex`, from the beginning of the block
    elements: int  # of the block; all entries lie within


@dataclass(frozen=True)
class MaskBlock:
    """One decoded block of which a mask tells where its survivors are."""

    mask: UInt8Array  # a bit for each element, as `container` has them
    less_one: UInt8Array  # the label of each survivor less 1
    elements: int


@dataclass(frozen=True)
class LabelMatrix:
    """How a tensor's elements lie: `rows` of `cols`, which are kernels in rows of `width`."""

    rows: int
    cols: int
    kernel: int = 1
    width: int = 1


@dataclass(frozen=True)
class LabelLevels:
    """The order of centroids: the magnitude and the sign of each label, and the way back.

    Attributes
    ----------
    magnitude : ndarray of shape (256,), uint8
        0 for label 0 and those without a centroid.
    negative : ndarray of shape (256,), uint8
    label : ndarray of shape (2, 256), uint8
        By `negative` and `magnitude`.
    count : (int, int)
        How many centroids have either sign.
    trellis : bool
        Whether labels are told among those that a trellis allows.
    """

    magnitude: UInt8Array
    negative: UInt8Array
    label: UInt8Array
    count: tuple[int, int]
    trellis: bool = False
