"""Products with the transpose of a packed matrix: ``w.T @ x``, and ``x @ w``."""

import operator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .. import native, spmv
from ..checks import as_real_array
from ..errors import ArgumentError
from ..structs import Layout
from ..tensors import Float32Array
from .forms import Forms

LINE = 16  # float32 in a cache line


class PackedMatrix(Protocol):
    """What has a transpose: a tensor with one codebook, or with one for each group of rows."""

    @property
    def shape(self) -> tuple[int, ...]:
        """R and C, or the shape of a tensor that is no matrix."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the dense matrix."""
        ...

    @property
    def density(self) -> float:
        """Share of the elements that survived pruning."""
        ...

    def to_dense(self) -> npt.NDArray[Any]:
        """Return the matrix with all its zeros."""
        ...

    def to_float32(self) -> Float32Array:
        """Return the matrix as products see it."""
        ...

    def dot(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply the matrix with a vector or a matrix of columns."""
        ...

    @property
    def T(self) -> "TransposedTensor":
        """The transpose."""
        ...


class TransposedTensor:
    """The transpose of a packed matrix, ``w.T``: a view for products.

    A network that multiplies ``x @ w``, as Keras and scikit-learn do, has weights of shape
    (in, out); their products are those of ``w.T`` with columns of x.

    The first product rearranges the weights column by column to a layout of their own, which the
    tensor keeps. Products then run the same kernels as ``w @ x`` does, and the same bounds hold of
    their rounding. The layout takes the place of the packed arrays, as that for ``w @ x`` does:
    a tensor that is multiplied in one way alone takes no more memory, in both ways about twice
    as much.

    Examples
    --------
    >>> import deepcompress as dc
    >>> dense = np.zeros((300, 200), np.float32)  # (in, out)
    >>> dense[::3, ::5] = 0.5
    >>> w = dc.compress({"kernel": dense}, dc.Config({"bits": 2}))["kernel"]
    >>> w.T
    TransposedTensor(shape=(200, 300), dtype=float32)
    >>> x = np.ones((4, 300), np.float32)
    >>> (x @ w).shape, (w.T @ x.T).shape
    ((4, 200), (200, 4))
    >>> (np.ones(300) @ w)[:6]
    array([50.,  0.,  0.,  0.,  0., 50.], dtype=float32)
    """

    __array_ufunc__ = None  # so that `ndarray @ w.T` is ours

    def __init__(self, original: PackedMatrix, groups: tuple[Forms, ...]) -> None:
        """Take a matrix, and the forms of its groups of rows, from first to last.

        Raises
        ------
        ArgumentError
            If the rank isn't 2.
        """
        if len(original.shape) != 2:
            raise ArgumentError(f"a tensor of shape {original.shape} isn't a matrix")
        self._original, self._groups = original, groups

    def __repr__(self) -> str:
        """Return shape and dtype."""
        return f"{type(self).__name__}(shape={self.shape}, dtype={self.dtype})"

    @property
    def shape(self) -> tuple[int, int]:
        """C and R of the matrix of shape (R, C)."""
        rows, cols = self._original.shape
        return cols, rows

    @property
    def rows(self) -> int:
        """C, the elements of a product."""
        return self.shape[0]

    @property
    def cols(self) -> int:
        """R, the elements of x."""
        return self.shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the dense matrix."""
        return self._original.dtype

    @property
    def density(self) -> float:
        """Share of the elements that survived pruning, 0.0 for an empty matrix."""
        return self._original.density

    @property
    def T(self) -> PackedMatrix:
        """The tensor of which this is the transpose."""
        return self._original

    def to_dense(self) -> npt.NDArray[Any]:
        """Return the matrix with all its zeros, in its dtype; raise as `CompressedTensor`'s."""
        return self._original.to_dense().T

    def to_float32(self) -> Float32Array:
        """Return the matrix as products see it, with all its zeros; raise as `to_dense`."""
        return self._original.to_float32().T

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """Give NumPy the dense matrix, where it would else make an object of this one."""
        if copy is False:
            raise ValueError("a compressed tensor has no dense array that could be shared")
        return self.to_dense().astype(dtype or self.dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy the tensor, and transpose that."""
        return operator.attrgetter("T"), (self._original,)

    def __matmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply as `dot`."""
        return self.dot(x)

    def __rmatmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply a vector or a matrix of rows, of shape (C,) or (n, C), with this one."""
        return from_left(x, self)

    def dot(self, x: npt.ArrayLike, out: Float32Array | None = None) -> Float32Array:
        """Multiply the (C, R) matrix with a vector or a matrix of columns, as `spmv.dot`.

        Parameters
        ----------
        x : array_like of shape (R,) or (R, n)
            Real numbers; converted to float32.
        out : ndarray of shape (C,) or (C, n), float32, optional
            Takes the product; contiguous and apart from `x`.

        Returns
        -------
        ndarray of shape (C,) or (C, n), float32
            `out`, if given.

        Raises
        ------
        ArgumentError
            As `spmv.dot`.
        """
        if len(self._groups) == 1:
            return _multiply(self._groups[0], x, out)
        array = as_real_array(x, "x")
        if array.ndim not in (1, 2) or len(array) != self.cols:
            shapes = f"({self.cols},) or ({self.cols}, n)"
            raise ArgumentError(f"x must have shape {shapes}, got {array.shape}")
        if out is not None:
            spmv.check_out(out, (self.rows, *array.shape[1:]), array)
        first, *others = self._groups
        total, at = _multiply(first, array[: first.rows], out), first.rows
        for group in others:
            with np.errstate(over="ignore", invalid="ignore"):  # inf and nan are results
                total += _multiply(group, array[at : at + group.rows])
            at += group.rows
        return total

    def layout(self) -> Layout | None:
        """Return the form for products, built by the first caller.

        None if there is none, as for `CompressedTensor.layout`, or if there are codebooks by
        groups of rows: then each group has its own.
        """
        if len(self._groups) > 1:
            return None
        forms = _transposed(self._groups[0])
        return forms.layout() if forms else None


def from_left(x: npt.ArrayLike, w: PackedMatrix | TransposedTensor) -> Float32Array:
    """Return ``x @ w``: the product of a vector or a matrix of rows with a matrix.

    Parameters
    ----------
    x : array_like of shape (R,) or (n, R)
        Real numbers; converted to float32.
    w : CompressedTensor, GroupedTensor or TransposedTensor
        Of shape (R, C).

    Returns
    -------
    ndarray of shape (C,) or (n, C), float32
        A matrix is in column-major order, as the kernels have columns.

    Raises
    ------
    ArgumentError
        If `w` isn't a matrix, or as `spmv.dot`.
    """
    if len(w.shape) != 2:
        raise ArgumentError(f"a tensor of shape {w.shape} isn't a matrix")
    array, rows = as_real_array(x, "x"), w.shape[0]
    if array.ndim not in (1, 2) or array.shape[-1] != rows:
        raise ArgumentError(f"x must have shape ({rows},) or (n, {rows}), got {array.shape}")
    return w.T.dot(_columns(array)).T


def _columns(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return rows as columns, in row-major order if there are several.

    Whole cache lines are written at a time, which takes a third of the time of a plain copy.
    """
    if x.ndim == 1 or x.T.flags.c_contiguous:
        return x.T
    try:
        columns = np.empty(x.shape[::-1], np.float32)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold x of shape {x.shape}: {error}") from None
    for start in range(0, len(x), LINE):
        columns[:, start : start + LINE] = x[start : start + LINE].T
    return columns


def _multiply(forms: Forms, x: npt.ArrayLike, out: Float32Array | None = None) -> Float32Array:
    """Multiply the transpose of what has these forms, as `spmv.dot`."""
    columns = spmv.columns_of(x)
    transposed = _transposed(forms, columns) if native.active() else None
    if transposed is None:
        return spmv.dot(forms.any(), x, out, transposed=True)
    return spmv.dot(transposed.of_products(columns), x, out)


def _transposed(forms: Forms, columns: int = 1) -> Forms | None:
    try:
        return forms.transposed(columns)
    except MemoryError as error:
        shape = forms.rows, forms.cols
        raise ArgumentError(f"can't hold the transpose of {shape}: {error}") from None
