"""A compressed tensor as something else: a dense array, SciPy's matrix, or some of its rows.

They are methods of `CompressedTensor`.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from .. import relindex, spmv
from ..errors import ArgumentError
from ..tensors import Float32Array, SharedWeights

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from .tensor import CompressedTensor


def to_dense(w: "CompressedTensor") -> Float32Array:
    """Return the tensor with all its zeros.

    Raises
    ------
    ArgumentError
        If that much memory can't be had: a shape of any size fits a small file.
    """
    try:
        dense = np.zeros(w.shape, np.float32)
        positions, labels = w.survivors()
        dense.reshape(-1)[positions] = w.codebook[labels]
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold {w.shape} densely: {error}") from None
    return dense


def to_scipy_csr(w: "CompressedTensor") -> "csr_array":
    """Return the (R, C) matrix of the surviving weights in SciPy's form.

    Raises
    ------
    ArgumentError
        If the rank is below 2, or the memory for an index of all rows can't be had.
    """
    from scipy.sparse import csr_array  # here, as few need it and it takes long to load

    if len(w.shape) < 2:
        raise ArgumentError(f"a tensor of shape {w.shape} isn't a matrix")
    try:
        row, col, value = spmv.coordinates(w._forms.any())
        row_starts = np.searchsorted(row, np.arange(w.rows + 1))
    except (MemoryError, ValueError) as error:
        raise ArgumentError(f"can't index {w.rows} rows: {error}") from None
    return csr_array((value, col, row_starts), shape=(w.rows, w.cols))


def take_rows(w: "CompressedTensor", rows: slice) -> "CompressedTensor":
    """Return consecutive rows (slices of the first axis) as a tensor of their own.

    Raises
    ------
    ArgumentError
        If `rows` isn't a slice of step 1, or the rank is 0.
    """
    if not isinstance(rows, slice) or rows.step not in (None, 1) or not w.shape:
        raise ArgumentError(f"only slices of consecutive rows can be taken, not {rows!r}")
    start, stop, _ = rows.indices(w.rows)
    shape = (max(stop - start, 0), *w.shape[1:])
    positions, labels = w.survivors()
    inside = (positions >= start * w.cols) & (positions < stop * w.cols)
    own, weights = positions[inside] - start * w.cols, labels[inside]
    gaps = relindex.encode(own, math.prod(shape), w.gap_bits)
    return w.from_parts(shape, SharedWeights(w.codebook, weights, w.label_bits), gaps)
