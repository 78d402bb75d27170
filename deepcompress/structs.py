"""Twins of the C structs: the forms in which a tensor is multiplied, and programs of networks.

They are plain records, read-only, whose arrays have been validated by whoever made them; the
packages that make them say what is in them. ``csrc/deepcompress.h`` has the C side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from .tensors import Float32Array, UInt8Array

Name = Any  # of a program's value: a string, or a pair for a piece of a concatenation


class LayoutKind(IntEnum):
    """How a matrix lies in memory for products: ``enum dc_layout_kind``."""

    LANES = 0
    MASKS = 1
    TILES = 2


class OperationKind(IntEnum):
    """What an operation of a program does: ``enum dc_operation_kind``."""

    CONVOLVE = 0
    MULTIPLY = 1
    MAX_POOL = 2
    AVERAGE = 3
    NORMALIZE = 4
    RECTIFY = 5
    COPY = 6


@dataclass(frozen=True, eq=False)
class Stream:
    """Shared weights and relative indices of a matrix, packed: ``struct dc_tensor``.

    Attributes
    ----------
    rows, cols : int
    count : int
        Stored entries S, fillers included.
    codebook : ndarray of shape (K,), float32
    label_bits, gap_bits : int
        Widths, 1 to 8.
    labels, gaps : ndarray of uint8
        Packed by `bits.packing`.
    """

    rows: int
    cols: int
    count: int
    codebook: Float32Array
    label_bits: int
    gap_bits: int
    labels: UInt8Array
    gaps: UInt8Array

    @property
    def nbytes(self) -> int:
        """Bytes of labels and gaps in memory."""
        return self.labels.nbytes + self.gaps.nbytes


@dataclass(frozen=True, eq=False)
class Layout:
    """A matrix rearranged for products: ``struct dc_layout``.

    Attributes
    ----------
    kind : LayoutKind
        `spmv.lanes`, `spmv.masks` or `spmv.tiles` define the bytes.
    rows, cols : int
        Below 2**31.
    codebook : ndarray of shape (K,), float32
    gap_bits, label_bits : int
        Widths, 1 to 8. Only lanes have gaps, else 0; a label takes 8 bits in masks.
    data : ndarray of uint8
    starts : ndarray of shape (parts + 1,), uint64
        Where in `data` each part begins (its labels, for masks), and the last one ends.
    order : ndarray of uint32
        The row in each lane, shape (rows,); else empty.
    cache : dict
        The C struct, once `native` has made it.
    """

    kind: LayoutKind
    rows: int
    cols: int
    codebook: Float32Array
    gap_bits: int
    label_bits: int
    data: UInt8Array
    starts: npt.NDArray[np.uint64]
    order: npt.NDArray[np.uint32]
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> int:
        """Number of groups in lanes, of rows for masks, of 256 rows each for tiles."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes in memory, but for the codebook."""
        return self.data.nbytes + self.starts.nbytes + self.order.nbytes


@dataclass(frozen=True, eq=False)
class ColumnBlocks:
    """A matrix rearranged for convolutions: ``struct dc_column_blocks``.

    Attributes
    ----------
    rows, cols : int
    codebook : ndarray of shape (K,), float32
    block_cols : int
        Columns of a block, one of `spmv.column_blocks.WIDTHS`.
    data : ndarray of uint16
    starts : ndarray of uint64
        Element ``block * parts + part`` is where that part begins; one more for the end.
    cache : dict
        The C struct, once `native` has made it.
    """

    rows: int
    cols: int
    codebook: Float32Array
    block_cols: int
    data: npt.NDArray[np.uint16]
    starts: npt.NDArray[np.uint64]
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
    """An operation on images (C, H, W, B), batch last: ``struct dc_geometry``.

    Attributes
    ----------
    channels, height, width, batch : int
        C, H, W and B.
    kernel, stride, padding, groups : int
    out_height, out_width : int
        Places of the kernel along the height and the width.
    """

    channels: int
    height: int
    width: int
    batch: int
    kernel: int = 1
    stride: int = 1
    padding: int = 0
    groups: int = 1
    out_height: int = 1
    out_width: int = 1


@dataclass(frozen=True, kw_only=True)
class Operation:
    """What C does for a layer: ``struct dc_operation``.

    Attributes
    ----------
    kind : OperationKind
    taken, given : str
        Names of the values.
    geometry : Geometry
    outputs : int
        Rows of the weight.
    weight : ColumnBlocks, Layout or ndarray, optional
        For a convolution, a product, or either.
    bias : ndarray, optional
    relu : bool
    size, alpha, k
        Of a normalization.
    block_cols : int
        Of a dense weight in a convolution.
    work : float
        About how long it takes, in products of a packed convolution.
    """

    kind: OperationKind
    taken: Name
    given: Name
    geometry: Geometry
    outputs: int = 0
    weight: ColumnBlocks | Layout | Float32Array | None = None
    bias: Float32Array | None = None
    relu: bool = False
    size: int = 0
    alpha: float = 0.0
    k: float = 0.0
    block_cols: int = 0
    work: float = 0.0


@dataclass(frozen=True)
class Program:
    """Operations, and where in one block of memory their values are.

    Attributes
    ----------
    operations : tuple of Operation
    places : mapping
        First element of each value; None for the program's own input.
    elements : int
        Size of the block of memory.
    result : tuple of (int, tuple of int)
        First element and shape of the last value.
    """

    operations: tuple[Operation, ...]
    places: Mapping[Name, int | None]
    elements: int
    result: tuple[int, tuple[int, ...]]

    @property
    def work(self) -> float:
        """About how long it takes, in products of a packed convolution."""
        return sum(operation.work for operation in self.operations)


@dataclass(frozen=True)
class GapBlock:
    """One decoded block of a file's tensor, whose entries have gaps; ``struct dc_block``.

    Attributes
    ----------
    labels : ndarray of shape (S,), uint8
        0 for a filler, wherever it is.
    gaps : ndarray of shape (S,), uint8
        As in `relindex`, from the beginning of the block.
    elements : int
        Of the block; all entries lie within.
    """

    labels: UInt8Array
    gaps: UInt8Array
    elements: int


@dataclass(frozen=True)
class MaskBlock:
    """One decoded block of which a mask tells where its survivors are.

    Attributes
    ----------
    mask : ndarray of uint8
        A bit for each element, as `container` has them.
    less_one : ndarray of uint8
        The label of each survivor less 1.
    elements : int
    """

    mask: UInt8Array
    less_one: UInt8Array
    elements: int
