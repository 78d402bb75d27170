"""The frozen records that stages hand to each other, and their invariants.

Legend, used in every docstring of the package:

- ``size``: number of elements of the dense tensor, of any rank, flattened in
  row-major order; ``R`` rows (first axis) and ``C = size // R`` columns.
- ``N``: surviving (non-zero) weights; ``S >= N``: stored entries, fillers included.
- ``K``: length of a codebook, ``K <= 2**bits``.
- *label*: index of a centroid in the codebook. Label 0 is the zero weight:
  ``codebook[0] == 0.0`` always, survivors have labels ``1 … K-1`` and a filler
  has label 0, as in the authors' own files.
- *gap*: number of zero positions skipped between a stored entry and the one
  before it (the first gap counts from position -1), so that
  ``positions = cumsum(gaps + 1) - 1``.
- *filler*: a stored entry of weight zero, needed where a gap exceeds
  ``2**gap_bits - 1``.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .dtypes import FLOAT32, ElementType

MAX_BITS = 8  # labels and gaps are at most one byte wide

FIXED_WIDTH, HUFFMAN, RANS1, RANS = 0, 1, 2, 3  # coders of a stream, as numbered in files

Float32Array = npt.NDArray[np.float32]
Float64Array = npt.NDArray[np.float64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
Int64Array = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class SharedWeights:
    """Output of `quantize`: the surviving weights of one tensor behind a codebook.

    Attributes
    ----------
    codebook : ndarray of shape (K,), float32
        ``codebook[0] == 0.0``; ``codebook[1:]`` ascends.
    labels : ndarray of shape (N,), uint8
        Label of each survivor in row-major order, ``1 <= label < K``.
    bits : int
        Width of a label, 1 to 8, ``K <= 2**bits``.
    """

    codebook: Float32Array
    labels: UInt8Array
    bits: int


@dataclass(frozen=True)
class GapStream:
    """Output of `relindex`: where the stored entries of one tensor lie.

    Attributes
    ----------
    gaps : ndarray of shape (S,), uint8
        Each ``< 2**gap_bits``.
    fillers : ndarray of shape (S,), bool
        True where the entry is a filler.
    gap_bits : int
        Width of a gap, 1 to 8.
    """

    gaps: UInt8Array
    fillers: BoolArray
    gap_bits: int

    def spread(self, labels: UInt8Array) -> UInt8Array:
        """Return the label of each entry, 0 for a filler, from those of the survivors."""
        spread = np.zeros(len(self.gaps), np.uint8)
        spread[~self.fillers] = labels
        return spread


@dataclass(frozen=True)
class Survivors:
    """The weights of one tensor that aren't 0, to be priced, encoded, and packed last.

    Attributes
    ----------
    shape : tuple of int
        The dense tensor's.
    codebook : ndarray of shape (K,), float32
        As in `SharedWeights`.
    positions : ndarray of shape (N,), int64
        In the flattened tensor, ascending.
    labels : ndarray of shape (N,), uint8
        ``1 <= label < K``.
    element_type : ElementType
        The dtype of the dense tensor; each centroid is a value of it.
    """

    shape: tuple[int, ...]
    codebook: Float32Array
    positions: Int64Array
    labels: UInt8Array
    element_type: ElementType = FLOAT32

    @property
    def size(self) -> int:
        """Number of elements of the dense tensor."""
        return math.prod(self.shape)
