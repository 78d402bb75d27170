"""A compressed tensor as something else: a dense array, SciPy's matrix, or some of its rows."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import relindex
from ..dtypes import ElementType
from ..errors import ArgumentError
from ..tensors import GapStream, SharedWeights
from .forms import Forms

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Shape = tuple[int, ...]


def to_dense(shape: Shape, forms: Forms, element_type: ElementType) -> npt.NDArray[Any]:
    """Return the tensor with all its zeros; raise as ``CompressedTensor.to_dense``."""
    dtype = element_type.numpy()
    try:
        dense = np.zeros(shape, dtype)
        positions, labels = forms.survivors()
        dense.reshape(-1)[positions] = forms.codebook.astype(dtype)[labels]
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold {shape} densely: {error}") from None
    return dense


def to_scipy_csr(shape: Shape, forms: Forms) -> "csr_array":
    """Return SciPy's matrix; raise as ``CompressedTensor.to_scipy_csr``."""
    from scipy.sparse import csr_array  # here, as few need it and it takes long to load

    if len(shape) < 2:
        raise ArgumentError(f"a tensor of shape {shape} isn't a matrix")
    rows, cols = forms.rows, forms.cols
    try:
        positions, labels = forms.survivors()
        row, col = np.divmod(positions, max(cols, 1))
        row_starts = np.searchsorted(row, np.arange(rows + 1))
    except (MemoryError, ValueError) as error:
        raise ArgumentError(f"can't index {rows} rows: {error}") from None
    return csr_array((forms.codebook[labels], col, row_starts), shape=(rows, cols))


def take_rows(shape: Shape, forms: Forms, rows: slice) -> tuple[Shape, SharedWeights, GapStream]:
    """Return shape, weights and gaps of consecutive rows; raise as ``CompressedTensor[rows]``."""
    if not isinstance(rows, slice) or rows.step not in (None, 1) or not shape:
        raise ArgumentError(f"only slices of consecutive rows can be taken, not {rows!r}")
    start, stop, _ = rows.indices(forms.rows)
    taken = (max(stop - start, 0), *shape[1:])
    positions, labels = forms.survivors()
    inside = (positions >= start * forms.cols) & (positions < stop * forms.cols)
    weights = SharedWeights(forms.codebook, labels[inside], forms.label_bits)
    own = positions[inside] - start * forms.cols
    return taken, weights, relindex.encode(own, math.prod(taken), forms.gap_bits)
