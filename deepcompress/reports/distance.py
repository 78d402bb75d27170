"""How far a tensor is from its original."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..coding.reading import Tensor
from ..errors import ArgumentError
from ..packed.tensor import CompressedTensor
from ..tensors import Int64Array, UInt8Array

_CHUNK = 1 << 18  # elements at a time, so that there are no further copies of large tensors


@dataclass(frozen=True)
class Distance:
    """The differences between two tensors of one shape.

    Attributes
    ----------
    elements : int
    differing : int
        Elements whose values differ. NaN equals NaN, and 0.0 equals -0.0.
    unmeasured : int
        Those of them whose difference is no finite number, such as NaN and 1: they count
        for none of the figures below.
    largest, rms : float
        The largest absolute difference, and the root of the mean square of all.
    relative_rms : float or None
        ``rms`` against the root mean square of the finite elements of the original; None
        if that is 0.
    """

    elements: int
    differing: int
    unmeasured: int
    largest: float
    rms: float
    relative_rms: float | None


def distance(tensor: Tensor, original: Tensor) -> Distance:
    """Measure how far a tensor is from its original.

    Parameters
    ----------
    tensor, original : CompressedTensor or ndarray
        Tensors of one shape, and of any dtypes of numbers. Two compressed ones are compared
        where either has a weight, so that their zeros take neither time nor memory.

    Raises
    ------
    ArgumentError
        If the shapes differ, or a tensor can't be held densely.

    Examples
    --------
    >>> far = distance(np.array([1.0, np.nan, 5.0]), np.array([1.0, np.nan, 2.0]))
    >>> far.differing, far.largest, round(far.rms, 3)
    (1, 3.0, 1.732)
    """
    if tensor.shape != original.shape:
        raise ArgumentError(f"shapes {tensor.shape} and {original.shape} can't be compared")
    differing = 0
    differences, magnitudes = _SumOfSquares(), _SumOfSquares()
    for a, b in _pairs(tensor, original):
        with np.errstate(over="ignore", invalid="ignore"):
            equal = (a == b) | ((a != a) & (b != b))
            apart = np.where(equal, 0.0, _absolute_difference(a, b))
            sizes = np.abs(b.astype(np.complex128 if b.dtype.kind == "c" else np.float64))
        differing += len(a) - int(np.count_nonzero(equal))
        differences.add(apart)
        magnitudes.add(sizes)
    elements = math.prod(tensor.shape)
    rms, reference = differences.root(elements), magnitudes.root(elements)
    relative = rms / reference if reference and math.isfinite(rms / reference) else None
    unmeasured, largest = differences.left_out, differences.largest
    return Distance(elements, differing, unmeasured, largest, rms, relative)


def differing_labels(tensor: CompressedTensor, other: CompressedTensor) -> int:
    """Return how many elements have another label, one that was pruned having 0.

    Raises
    ------
    ArgumentError
        If the shapes differ.
    """
    if tensor.shape != other.shape:
        raise ArgumentError(f"shapes {tensor.shape} and {other.shape} can't be compared")
    ours, theirs = _at_either(tensor, other)
    return int(np.count_nonzero(ours != theirs))


class _SumOfSquares:
    """A sum of squares that neither overflows nor vanishes: scaled by the largest, as in BLAS."""

    def __init__(self) -> None:
        self.largest = self._scaled = 0.0
        self.left_out = 0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Add the squares of those values that are finite; count the others as left out."""
        finite = np.isfinite(values)
        self.left_out += len(values) - int(np.count_nonzero(finite))
        values = values[finite]
        largest = float(values.max(initial=0.0))
        if largest > self.largest:
            self._scaled *= (self.largest / largest) ** 2
            self.largest = largest
        if self.largest:
            self._scaled += float(np.square(values / self.largest).sum())

    def root(self, elements: int) -> float:
        """Return the root of the mean; elements neither added nor left out are zeros."""
        count = elements - self.left_out
        return self.largest * math.sqrt(self._scaled / count) if count else 0.0


def _pairs(tensor: Tensor, original: Tensor) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any]]]:
    """Yield values to be compared side by side; values left out are 0 in both."""
    if isinstance(tensor, CompressedTensor) and isinstance(original, CompressedTensor):
        labels = _at_either(tensor, original)
        a, b = tensor.codebook[labels[0]], original.codebook[labels[1]]
    else:
        a, b = (np.asarray(one).reshape(-1) for one in (tensor, original))
    for start in range(0, len(a), _CHUNK):
        yield a[start : start + _CHUNK], b[start : start + _CHUNK]


def _at_either(a: CompressedTensor, b: CompressedTensor) -> tuple[UInt8Array, UInt8Array]:
    """Return the labels of both wherever one of them has a weight."""
    found: list[tuple[Int64Array, UInt8Array]] = [a.survivors(), b.survivors()]
    union = np.union1d(found[0][0], found[1][0])
    expanded = [np.zeros(len(union), np.uint8) for _ in found]
    for labels, (positions, own) in zip(expanded, found, strict=True):
        labels[np.searchsorted(union, positions)] = own
    return expanded[0], expanded[1]


def _absolute_difference(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return ``abs(a - b)``; of integers without the rounding of large ones to floats."""
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        # Modulo 2**64, in which the positive one of the two differences is exact.
        wide_a, wide_b = a.astype(np.uint64), b.astype(np.uint64)
        return np.where(a > b, wide_a - wide_b, wide_b - wide_a).astype(np.float64)
    wide = np.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else np.float64
    return np.abs(a.astype(wide) - b.astype(wide))
