"""A tensor that stays compressed in memory and is used as it is."""

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import native, relindex, spmv
from ..bits import packing
from ..dtypes import FLOAT32, ElementType, named
from ..errors import ArgumentError
from ..spmv import choose
from ..structs import ColumnBlocks, Layout, Stream
from ..tensors import Float32Array, GapStream, Int64Array, SharedWeights, UInt8Array
from .forms import GAPS, LABELS, Forms, OfStream
from .stream import check_codebook, check_shape, check_type, checked, matrix_of
from .transposed import TransposedTensor, from_left

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclass(frozen=True, eq=False, init=False, repr=False)
class CompressedTensor:
    """Shared weights and relative indices of one tensor, packed, and products with them.

    Whatever is constructed has been checked, so that an instance is safe for each
    kernel. The arrays are copied and read-only.

    The first product of a matrix rearranges gaps and labels (see `layout`), the first
    convolution likewise (see `blocks`), and the first product ``x @ w`` or ``w.T @ x`` (see `T`).
    From then on they are held in that form; the packed ones are rebuilt at each access.

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
        S labels and S gaps, as from `bits.packing.pack`.
    element_type : ElementType, dtype or str
        Of the dense tensor: a float or an integer, of which each centroid is a value. Products
        are computed in float32, whatever it is.

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
    >>> np.array([1, 10]) @ w
    array([  0. ,   1.5, -20. ], dtype=float32)
    """

    shape: tuple[int, ...]
    codebook: Float32Array
    label_bits: int
    gap_bits: int
    count: int
    labels_packed: OfStream = LABELS
    gaps_packed: OfStream = GAPS
    element_type: ElementType = FLOAT32
    _forms: Forms = field(init=False)

    __array_ufunc__ = None  # so that `ndarray @ w` is ours

    def __init__(
        self,
        shape: tuple[int, ...],
        codebook: npt.ArrayLike,
        label_bits: int,
        gap_bits: int,
        count: int,
        labels_packed: UInt8Array,
        gaps_packed: UInt8Array,
        element_type: ElementType | npt.DTypeLike = FLOAT32,
    ) -> None:
        """Copy the arrays and validate everything."""
        shape = check_shape(shape)
        widths, packed = (label_bits, gap_bits), (labels_packed, gaps_packed)
        self._hold(shape, checked(matrix_of(shape), codebook, widths, count, packed))
        vars(self).update(element_type=check_type(self.codebook, named(element_type)))

    def _hold(self, shape: tuple[int, ...], stream: Stream, is_minimal: bool = False) -> None:
        """Fill the fields, which are frozen from then on."""
        vars(self).update(
            shape=shape,
            codebook=stream.codebook,
            label_bits=stream.label_bits,
            gap_bits=stream.gap_bits,
            count=stream.count,
            _forms=Forms(stream, is_minimal),
        )

    def __repr__(self) -> str:
        """Return the scalars."""
        names = "shape", "label_bits", "gap_bits", "count"
        shown = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        shown += f", dtype={self.element_type}" if self.element_type != FLOAT32 else ""
        return f"{type(self).__name__}({shown})"

    @classmethod
    def from_parts(
        cls, shape: tuple[int, ...], weights: SharedWeights, gaps: GapStream
    ) -> "CompressedTensor":
        """Pack the weights and gaps that `quantize` and `relindex` made of one tensor.

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
        labels = gaps.spread(weights.labels), weights.bits
        return cls.from_entries(shape, weights.codebook, labels, (gaps.gaps, gaps.gap_bits))

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
            packing.pack(label_values, label_bits),
            packing.pack(gap_values, gap_bits),
        )

    @classmethod
    def from_checked(
        cls, shape: tuple[int, ...], stream: Stream, is_minimal: bool = False
    ) -> "CompressedTensor":
        """Take a stream of which the codebook alone needs a check, and a copy.

        Labels and gaps are known to pass the checks of the class, and must not be modified
        afterwards. If `is_minimal`, there are fillers only where `relindex` puts them.
        """
        stream = replace(stream, codebook=check_codebook(stream.codebook, stream.label_bits))
        for array in (stream.labels, stream.gaps):
            array.flags.writeable = False
        tensor = cls.__new__(cls)
        tensor._hold(shape, stream, is_minimal)
        return tensor

    def of_type(self, element_type: ElementType) -> "CompressedTensor":
        """Return the same tensor with another dtype; it shares whatever this one holds.

        Raises
        ------
        ArgumentError
            If weights of the dtype can't be shared, or a centroid is no value of it.
        """
        if element_type == self.element_type:
            return self
        tensor = type(self).__new__(type(self))
        element_type = check_type(self.codebook, element_type)
        vars(tensor).update(vars(self) | {"element_type": element_type})
        return tensor

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the dense tensor; ArgumentError if that needs a package that isn't there."""
        return self.element_type.numpy()

    @property
    def size(self) -> int:
        """Number of elements of the dense tensor."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """R, the first axis; 1 for a tensor of rank 0."""
        return matrix_of(self.shape)[0]

    @property
    def cols(self) -> int:
        """C, the product of all other axes."""
        return matrix_of(self.shape)[1]

    @property
    def density(self) -> float:
        """Share of the elements that survived pruning, 0.0 for an empty tensor."""
        return len(self.survivors()[1]) / self.size if self.size else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that labels, gaps and codebook take in memory, as they are held."""
        return self.codebook.nbytes + self._forms.nbytes

    def labels(self) -> UInt8Array:
        """Return the label of each entry, shape (S,); 0 for a filler."""
        return packing.unpack(self.labels_packed, self.label_bits, self.count)

    def gaps(self) -> UInt8Array:
        """Return the gap before each entry, shape (S,)."""
        return packing.unpack(self.gaps_packed, self.gap_bits, self.count)

    def positions(self) -> Int64Array:
        """Return the position of each entry in the flattened tensor, shape (S,)."""
        return relindex.decode(self.gaps(), self.size)

    def survivors(self) -> tuple[Int64Array, UInt8Array]:
        """Return the position (ascending) and the label of each surviving weight."""
        return self._forms.survivors()

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """Give NumPy the dense tensor, where it would else make an object of this one."""
        if copy is False:
            raise ValueError("a compressed tensor has no dense array that could be shared")
        return self.to_dense().astype(dtype or self.dtype, copy=False)

    def __matmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply as `dot`."""
        return self.dot(x)

    @property
    def T(self) -> TransposedTensor:
        """The transpose of a matrix, a view for products; ArgumentError if the rank isn't 2."""
        return TransposedTensor(self, (self._forms,))

    def __rmatmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply a vector or a matrix of rows, of shape (R,) or (n, R), with the matrix.

        The same as ``(w.T @ x.T).T``, which see for memory and speed.

        Raises
        ------
        ArgumentError
            If the rank isn't 2, or as `spmv.dot`.
        """
        return from_left(x, self)

    def dot(self, x: npt.ArrayLike, out: Float32Array | None = None) -> Float32Array:
        """Multiply the (R, C) matrix with a vector or a matrix of columns, as `spmv.dot`.

        Raises
        ------
        ArgumentError
            If the rank is below 2, or as `spmv.dot`.
        """
        self._check_matrix()
        if not native.active():
            return spmv.dot(self._forms.any(), x, out)
        try:
            form = self._forms.of_products(spmv.columns_of(x))
        except MemoryError as error:
            shape = self.rows, *np.shape(x)[1:]
            raise ArgumentError(f"can't hold x and a product of {shape}: {error}") from None
        return spmv.dot(form, x, out)

    def _check_matrix(self) -> None:
        if len(self.shape) < 2:
            raise ArgumentError(f"a tensor of shape {self.shape} isn't a matrix")

    def convolve(
        self,
        x: npt.ArrayLike,
        *,
        stride: int | tuple[int, ...] = 1,
        padding: int | tuple[int, ...] = 0,
        groups: int = 1,
        dilation: int | tuple[int, ...] = 1,
        bias: npt.ArrayLike | None = None,
        relu: bool = False,
        out: Float32Array | None = None,
    ) -> Float32Array:
        """Cross-correlate images with a weight of shape (O, C/groups, kh, kw), as `spmv.convolve`.

        Raises
        ------
        ArgumentError
            If this isn't such a weight, or as `spmv.convolve`.
        """
        shape = self.shape
        if len(shape) != 4 or 0 in shape[2:]:
            raise ArgumentError(f"a tensor of shape {shape} isn't a weight of kernels")
        try:
            blocks = self._forms.blocks() if native.active() else None
        except MemoryError as error:
            raise ArgumentError(f"can't hold column blocks of {shape}: {error}") from None
        return spmv.convolve(
            blocks or self._forms.any(),
            shape[2:],
            x,
            stride=stride,
            padding=padding,
            groups=groups,
            dilation=dilation,
            bias=bias,
            relu=relu,
            out=out,
        )

    def to_dense(self) -> npt.NDArray[Any]:
        """Return the tensor with all its zeros, in its dtype.

        Raises
        ------
        ArgumentError
            If that much memory can't be had: a shape of any size fits a small file; or if the
            dtype needs a package that isn't there.
        """
        dtype = self.dtype
        try:
            dense = np.zeros(self.shape, dtype)
            positions, labels = self.survivors()
            dense.reshape(-1)[positions] = self.codebook.astype(dtype)[labels]
        except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
            raise ArgumentError(f"can't hold {self.shape} densely: {error}") from None
        return dense

    def to_float32(self) -> Float32Array:
        """Return the tensor as products see it, with all its zeros; raise as `to_dense`."""
        return self.of_type(FLOAT32).to_dense()

    def to_scipy_csr(self) -> "csr_array":
        """Return the (R, C) matrix of the surviving weights in SciPy's form.

        Raises
        ------
        ArgumentError
            If the rank is below 2, or the memory for an index of all rows can't be had.
        """
        from scipy.sparse import csr_array  # here, as few need it and it takes long to load

        self._check_matrix()
        try:
            positions, labels = self.survivors()
            row, col = np.divmod(positions, max(self.cols, 1))
            row_starts = np.searchsorted(row, np.arange(self.rows + 1))
        except (MemoryError, ValueError) as error:
            raise ArgumentError(f"can't index {self.rows} rows: {error}") from None
        return csr_array((self.codebook[labels], col, row_starts), shape=(self.rows, self.cols))

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
        positions, labels = self.survivors()
        inside = (positions >= start * self.cols) & (positions < stop * self.cols)
        weights = SharedWeights(self.codebook, labels[inside], self.label_bits)
        own = positions[inside] - start * self.cols
        gaps = relindex.encode(own, math.prod(shape), self.gap_bits)
        return self.from_parts(shape, weights, gaps).of_type(self.element_type)

    def stream(self) -> Stream:
        """Return the packed form; rebuilt for the caller if another has replaced it."""
        return self._forms.stream()

    def layout(
        self, prefer: str = "auto", *, columns: int = 1, among_others: bool = False
    ) -> Layout | None:
        """Return the form for products, built by the first caller; None if there is none.

        It then replaces the packed arrays, if they can be rebuilt from it: if they have
        fillers only where `relindex` puts them.

        Parameters
        ----------
        prefer : str
            ``"memory"`` for a form of a fifth of CSR's bytes or less, which is also the fastest for
            products with several columns. ``"speed"`` for the fastest with a vector, which takes
            a third of CSR's bytes to seven eighths. ``"auto"`` for the second where it takes half
            of CSR's bytes or less, or an eighth of the processor's largest cache; but if a form was
            built before, for that one.
        columns : int
            Of what it is multiplied with: with several, ``"auto"`` is the first. Both are
            held if both are asked for.
        among_others : bool
            Whether other matrices are multiplied in between, so that less of the cache is its own.

        Raises
        ------
        ArgumentError
            If `prefer` is anything else.
        """
        if prefer not in choose.PREFER:
            raise ArgumentError(f"prefer must be one of {', '.join(choose.PREFER)}: {prefer!r}")
        return self._forms.layout(prefer, columns=columns, among_others=among_others)

    def blocks(self) -> ColumnBlocks | None:
        """Return the form for convolutions, as `layout` the one for products."""
        return self._forms.blocks()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the arguments of the constructor."""
        streams = self.label_bits, self.gap_bits, self.count, self.labels_packed, self.gaps_packed
        name = self.element_type.name
        return type(self), (self.shape, self.codebook, *streams, name)
