"""A tensor whose rows have codebooks by groups, as packed tensors of consecutive rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..dtypes import FLOAT32, ElementType
from ..errors import ArgumentError
from ..tensors import Float32Array, Int64Array, UInt8Array
from .tensor import CompressedTensor
from .transposed import TransposedTensor, from_left


@dataclass(frozen=True, eq=False)
class GroupedTensor:
    """Shared weights with a codebook for each group of rows, and products with them.

    A row is a slice of the first axis: an output channel. Group g has the rows from
    ``g * group_rows`` on. Each group is a tensor of its own, and a product is put together from
    theirs, with the same kernels.

    Attributes
    ----------
    shape : tuple of int
        Of rank 2 and more.
    group_rows : int
        Rows of a group, of which the last may have fewer.
    groups : tuple of CompressedTensor
        At least two, all of one dtype.

    Raises
    ------
    ArgumentError
        If the groups don't make up the shape.
    """

    shape: tuple[int, ...]
    group_rows: int
    groups: tuple[CompressedTensor, ...]

    __array_ufunc__ = None  # so that `ndarray @ w` is ours

    def __post_init__(self) -> None:
        shapes = group_shapes(self.shape, self.group_rows)
        if [group.shape for group in self.groups] != shapes:
            raise ArgumentError(f"groups of {self.group_rows} rows don't make up {self.shape}")
        if len({group.element_type for group in self.groups}) != 1:
            raise ArgumentError("groups of a tensor have one dtype")

    def __repr__(self) -> str:
        """Return the scalars."""
        name, dtype = type(self).__name__, self.element_type
        return f"{name}(shape={self.shape}, group_rows={self.group_rows}, dtype={dtype})"

    @property
    def element_type(self) -> ElementType:
        """The type of the dense tensor's elements."""
        return self.groups[0].element_type

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the dense tensor; ArgumentError if that needs a package that isn't there."""
        return self.groups[0].dtype

    @property
    def size(self) -> int:
        """Number of elements of the dense tensor."""
        return sum(group.size for group in self.groups)

    @property
    def rows(self) -> int:
        """R, the first axis."""
        return self.shape[0]

    @property
    def cols(self) -> int:
        """C, the product of all other axes."""
        return self.groups[0].cols

    @property
    def density(self) -> float:
        """Share of the elements that survived pruning, 0.0 for an empty tensor."""
        return len(self.survivors()[1]) / self.size if self.size else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that labels, gaps and codebooks take in memory, as they are held."""
        return sum(group.nbytes for group in self.groups)

    @property
    def codebooks(self) -> tuple[Float32Array, ...]:
        """The codebook of each group."""
        return tuple(group.codebook for group in self.groups)

    def survivors(self) -> tuple[Int64Array, UInt8Array]:
        """Return the position (ascending) of each surviving weight, and its label in its group."""
        found = [group.survivors() for group in self.groups]
        step = self.group_rows * self.cols
        positions = [own + number * step for number, (own, _) in enumerate(found)]
        return np.concatenate(positions), np.concatenate([labels for _, labels in found])

    def to_dense(self) -> npt.NDArray[Any]:
        """Return the tensor with all its zeros, in its dtype; raise as `CompressedTensor`'s."""
        return np.concatenate([group.to_dense() for group in self.groups])

    def to_float32(self) -> Float32Array:
        """Return the tensor as products see it, with all its zeros; raise as `to_dense`."""
        return self.of_type(FLOAT32).to_dense()

    def of_type(self, element_type: ElementType) -> "GroupedTensor":
        """Return the same tensor with another dtype, as `CompressedTensor.of_type`."""
        groups = tuple(group.of_type(element_type) for group in self.groups)
        return GroupedTensor(self.shape, self.group_rows, groups)

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
        return TransposedTensor(self, tuple(group._forms for group in self.groups))

    def __rmatmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply a vector or a matrix of rows, of shape (R,) or (n, R), with the matrix.

        The same as ``(w.T @ x.T).T``, which see for memory and speed.

        Raises
        ------
        ArgumentError
            If the rank isn't 2, or as `spmv.dot`.
        """
        return from_left(x, self)

    def dot(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply the (R, C) matrix with a vector or a matrix of columns, as `spmv.dot`."""
        return np.concatenate([group.dot(x) for group in self.groups])

    def __getitem__(self, rows: slice) -> "GroupedTensor | CompressedTensor":
        """Return consecutive rows (slices of the first axis) that whole groups have.

        Raises
        ------
        ArgumentError
            If `rows` isn't a slice of step 1, or begins or ends within a group, unless all of it
            is in one.
        """
        if not isinstance(rows, slice) or rows.step not in (None, 1):
            raise ArgumentError(f"only slices of consecutive rows can be taken, not {rows!r}")
        start, stop, _ = rows.indices(self.rows)
        first, last = start // self.group_rows, max(stop - 1, start) // self.group_rows
        first = min(first, len(self.groups) - 1)
        if last <= first:
            begin = first * self.group_rows
            return self.groups[first][start - begin : max(stop - begin, start - begin)]
        if start % self.group_rows or (stop % self.group_rows and stop != self.rows):
            raise ArgumentError(f"rows {start} to {stop} cut groups of {self.group_rows} rows")
        shape = (stop - start, *self.shape[1:])
        return GroupedTensor(shape, self.group_rows, self.groups[first : last + 1])


def group_shapes(shape: tuple[int, ...], group_rows: int) -> list[tuple[int, ...]]:
    """Return the shape of each group of a tensor's rows, or raise ArgumentError.

    Examples
    --------
    >>> group_shapes((10, 3), 4)
    [(4, 3), (4, 3), (2, 3)]
    """
    if len(shape) < 2 or not 1 <= group_rows < shape[0]:
        raise ArgumentError(f"a tensor of shape {shape} has no groups of {group_rows} rows")
    starts = range(0, shape[0], group_rows)
    return [(min(group_rows, shape[0] - start), *shape[1:]) for start in starts]
