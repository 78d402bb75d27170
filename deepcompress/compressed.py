"""A tensor that stays compressed in memory and is used as it is."""

import math
import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from . import bitpack, native, relindex, spmv
from .errors import ArgumentError, FormatError
from .tensors import Float32Array, GapStream, Int64Array, SharedWeights, UInt8Array

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False)
class CompressedTensor:
    """Shared weights and relative indices of one tensor, packed, and products with them.

    Whatever is constructed has been checked, so that an instance is safe for each
    kernel. The arrays are copied and read-only.

    Parameters
    ----------
    shape : tuple of int
        Any rank. Products see a matrix of `rows` × `cols`.
    codebook : ndarray of shape (K,), float32
        Finite; ``codebook[0] == 0.0``; ``1 <= K <= 2**label_bits``.
    label_bits, gap_bits : int
        Widths, 1 to 8.
    count : int
        Stored entries S, fillers included.
    labels_packed, gaps_packed : ndarray of uint8
        S labels and S gaps, as from `bitpack.pack`.

    Raises
    ------
    ArgumentError
        If an argument has the wrong type, dtype, rank or range.
    FormatError
        If the packed bytes or the codebook break a rule: length, padding, labels
        without a centroid, entries outside the tensor, centroids that aren't finite.

    Examples
    --------
    >>> weights = SharedWeights(np.array([0, -2, 1.5], np.float32), np.array([2, 1], np.uint8), 2)
    >>> w = CompressedTensor.from_parts((2, 3), weights, relindex.encode([1, 5], 6, 2))
    >>> w.to_dense()
    array([[ 0. ,  1.5,  0. ],
           [ 0. ,  0. , -2. ]], dtype=float32)
    >>> w @ np.array([1, 10, 100])
    array([  15., -200.], dtype=float32)
    """

    shape: tuple[int, ...]
    codebook: Float32Array = field(repr=False)
    label_bits: int
    gap_bits: int
    count: int
    labels_packed: UInt8Array = field(repr=False)
    gaps_packed: UInt8Array = field(repr=False)

    __array_ufunc__ = None  # so that `ndarray @ w` is a TypeError, not a puzzle

    def __post_init__(self) -> None:
        """Copy the arrays and validate everything."""
        set_field = object.__setattr__  # the class is frozen
        set_field(self, "shape", _check_shape(self.shape))
        set_field(self, "label_bits", bitpack.check_bits(self.label_bits, "label_bits"))
        set_field(self, "gap_bits", bitpack.check_bits(self.gap_bits, "gap_bits"))
        set_field(self, "codebook", _check_codebook(self.codebook, self.label_bits))
        for name in ("labels_packed", "gaps_packed"):
            set_field(self, name, _frozen(bitpack.as_uint8(getattr(self, name), name)))
        bitpack.check_packed(self.labels_packed, self.label_bits, self.count)
        bitpack.check_packed(self.gaps_packed, self.gap_bits, self.count)
        if native.active():
            native.validate(self)
        else:
            _validate(self)

    @classmethod
    def from_parts(
        cls, shape: tuple[int, ...], weights: SharedWeights, gaps: GapStream
    ) -> "CompressedTensor":
        """Pack what `quantize` and `relindex` made of one tensor.

        Raises
        ------
        ArgumentError, FormatError
            If there are more or fewer labels than entries that aren't fillers, or
            as the class.
        """
        if len(weights.labels) != np.count_nonzero(~gaps.fillers):
            raise ArgumentError(
                f"{len(weights.labels)} labels for {np.count_nonzero(~gaps.fillers)} positions"
            )
        labels = np.zeros(len(gaps.gaps), np.uint8)
        labels[~gaps.fillers] = weights.labels
        return cls.from_entries(
            shape, weights.codebook, (labels, weights.bits), (gaps.gaps, gaps.gap_bits)
        )

    @classmethod
    def from_entries(
        cls,
        shape: tuple[int, ...],
        codebook: Float32Array,
        labels: tuple[UInt8Array, int],
        gaps: tuple[UInt8Array, int],
    ) -> "CompressedTensor":
        """Pack the labels and gaps of all entries, each given with its width in bits.

        Raises
        ------
        ArgumentError, FormatError
            As the class.
        """
        (label_values, label_bits), (gap_values, gap_bits) = labels, gaps
        return cls(
            shape,
            codebook,
            label_bits,
            gap_bits,
            len(gap_values),
            bitpack.pack(label_values, label_bits),
            bitpack.pack(gap_values, gap_bits),
        )

    @property
    def size(self) -> int:
        """Number of elements of the dense tensor."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """R, the first axis; 1 for a tensor of rank 0."""
        return self.shape[0] if self.shape else 1

    @property
    def cols(self) -> int:
        """C, the product of all other axes."""
        return math.prod(self.shape[1:])

    @property
    def density(self) -> float:
        """Share of the elements that survived pruning, 0.0 for an empty tensor."""
        return np.count_nonzero(self.labels()) / self.size if self.size else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that labels, gaps and codebook take in memory."""
        return self.labels_packed.nbytes + self.gaps_packed.nbytes + self.codebook.nbytes

    def labels(self) -> UInt8Array:
        """Return the label of each entry, shape (S,); 0 for a filler."""
        return bitpack.unpack(self.labels_packed, self.label_bits, self.count)

    def gaps(self) -> UInt8Array:
        """Return the gap before each entry, shape (S,)."""
        return bitpack.unpack(self.gaps_packed, self.gap_bits, self.count)

    def positions(self) -> Int64Array:
        """Return the position of each entry in the flattened tensor, shape (S,)."""
        return relindex.decode(self.gaps(), self.size)

    def to_dense(self) -> Float32Array:
        """Return the tensor with all its zeros.

        Raises
        ------
        ArgumentError
            If that much memory can't be had: a shape of any size fits a small file.
        """
        try:
            dense = np.zeros(self.shape, np.float32)
        except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
            raise ArgumentError(f"can't hold {self.shape} densely: {error}") from None
        dense.reshape(-1)[self.positions()] = self.codebook[self.labels()]
        return dense

    def to_scipy_csr(self) -> "csr_array":
        """Return the (R, C) matrix of the surviving weights in SciPy's form.

        Raises
        ------
        ArgumentError
            If the rank is below 2.
        """
        from scipy.sparse import csr_array  # here, as few need it and it takes long to load

        self._check_is_matrix()
        row, col, value = spmv.coordinates(self)
        row_starts = np.searchsorted(row, np.arange(self.rows + 1))
        return csr_array((value, col, row_starts), shape=(self.rows, self.cols))

    def __matmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply the (R, C) matrix with a vector or a matrix of columns.

        Parameters
        ----------
        x : array_like of shape (C,) or (C, n)
            Real numbers; converted to float32.

        Returns
        -------
        ndarray of shape (R,) or (R, n), float32
            See `spmv` for rounding and for x that isn't finite.

        Raises
        ------
        ArgumentError
            If the rank is below 2, or x has another shape or isn't real.
        """
        self._check_is_matrix()
        array = np.asarray(x)
        if array.dtype.kind not in "biuf":
            raise ArgumentError(f"x must be of real numbers, got {array.dtype}")
        if array.ndim not in (1, 2) or len(array) != self.cols:
            raise ArgumentError(
                f"x must have shape ({self.cols},) or ({self.cols}, n), got {array.shape}"
            )
        array = np.ascontiguousarray(array, np.float32)
        return spmv.matvec(self, array) if array.ndim == 1 else spmv.matmat(self, array)

    def __getitem__(self, rows: slice) -> "CompressedTensor":
        """Return consecutive rows (slices of the first axis) as a tensor of their own.

        Raises
        ------
        ArgumentError
            If `rows` isn't a slice of step 1, or the rank is 0.
        """
        if not isinstance(rows, slice) or rows.step not in (None, 1) or not self.shape:
            raise ArgumentError(f"only slices of consecutive rows can be taken, not {rows!r}")
        start, stop, _ = rows.indices(self.rows)
        shape = (max(stop - start, 0), *self.shape[1:])
        labels, positions = self.labels(), self.positions()
        inside = (labels > 0) & (positions >= start * self.cols) & (positions < stop * self.cols)
        gaps = relindex.encode(
            positions[inside] - start * self.cols, math.prod(shape), self.gap_bits
        )
        weights = SharedWeights(self.codebook, labels[inside], self.label_bits)
        return self.from_parts(shape, weights, gaps)

    def _check_is_matrix(self) -> None:
        if len(self.shape) < 2:
            raise ArgumentError(f"a tensor of shape {self.shape} isn't a matrix")


def _check_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape of Python integers that aren't negative, or raise."""
    try:
        checked = tuple(operator.index(axis) for axis in shape)
    except TypeError:
        raise ArgumentError(f"shape must be a tuple of integers, got {shape!r}") from None
    if min(checked, default=0) < 0 or math.prod(filter(None, checked)) >= 2**63:
        raise ArgumentError(f"shape {checked} has a negative axis or too many elements")
    return checked


def _check_codebook(codebook: npt.ArrayLike, label_bits: int) -> Float32Array:
    """Return a read-only copy, or raise unless the invariants of a codebook hold."""
    array = np.asarray(codebook)
    if array.dtype != np.float32 or array.ndim != 1 or not 1 <= len(array) <= 2**label_bits:
        raise ArgumentError(
            f"codebook must be a float32 array of 1 to {2**label_bits} centroids, "
            f"got {array.dtype} of shape {array.shape}"
        )
    if array[0] != 0 or np.signbit(array[0]):
        raise FormatError(f"codebook[0] must be 0.0, got {array[0]}")
    if not np.isfinite(array).all():
        raise FormatError(f"centroid {int(np.isfinite(array).argmin())} isn't finite")
    frozen: Float32Array = _frozen(array)
    return frozen


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous copy that can't be written to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def _validate(w: CompressedTensor) -> None:
    """Raise unless labels and positions are in range; all else validated before."""
    labels = w.labels()
    if labels.size and labels.max() >= len(w.codebook):
        entry = int((labels >= len(w.codebook)).argmax())
        raise FormatError(f"a label has no centroid (entry {entry})")
    relindex.decode(w.gaps(), w.size)
