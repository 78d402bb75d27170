"""Products with a compressed tensor, straight from its packed gaps and labels.

A tensor of shape ``(R, …)`` acts as the matrix of shape ``(R, C)`` that its row-major
elements form. The NumPy twins here define the results; they expand coordinates,
while the C kernels keep nothing but the packed bytes.

Notes
-----
- A pruned weight is absent. Deviation: where x isn't finite, the dense product
  has ``0 * inf = nan`` in every row; here, an element of x reaches only the rows
  with a surviving weight in its column.
- Elements of a row may be summed in any order and at any precision from float32
  up. Of n products, the error is below ``(n + 1) * eps * sum(abs(w * x))`` with the
  float32 ``eps = 2**-23``, and backends differ by that much.
"""

from typing import TYPE_CHECKING

import numpy as np

from . import native
from .tensors import Float32Array, Int64Array

if TYPE_CHECKING:
    from .compressed import CompressedTensor


def matvec(w: "CompressedTensor", x: Float32Array) -> Float32Array:
    """Compute ``y = W x``; arguments validated by ``CompressedTensor.__matmul__``.

    Parameters
    ----------
    w : CompressedTensor of shape (R, …)
    x : ndarray of shape (C,), float32, contiguous

    Returns
    -------
    ndarray of shape (R,), float32
    """
    if native.active():
        return native.matvec(w, x)
    return _matmat(w, x[:, np.newaxis])[:, 0]


def matmat(w: "CompressedTensor", x: Float32Array) -> Float32Array:
    """Compute ``Y = W X``; arguments validated by ``CompressedTensor.__matmul__``.

    Parameters
    ----------
    w : CompressedTensor of shape (R, …)
    x : ndarray of shape (C, n), float32, contiguous

    Returns
    -------
    ndarray of shape (R, n), float32
    """
    return native.matmat(w, x) if native.active() else _matmat(w, x)


def coordinates(w: "CompressedTensor") -> tuple[Int64Array, Int64Array, Float32Array]:
    """Return row, column and value of each surviving weight, in row-major order."""
    labels = w.labels()
    survives = labels != 0
    row, col = np.divmod(w.positions()[survives], w.cols)
    return row, col, w.codebook[labels[survives]]


def _matmat(w: "CompressedTensor", x: Float32Array) -> Float32Array:
    """Multiply the weights of each row with the rows of x that their columns name."""
    row, col, value = coordinates(w)
    y = np.zeros((w.rows, x.shape[1]), np.float32)
    used, starts, counts = np.unique(row, return_index=True, return_counts=True)
    with np.errstate(over="ignore", invalid="ignore"):  # inf and nan are results like others
        for r, start, count in zip(used, starts, counts, strict=True):
            entries = slice(start, start + count)
            y[r] = value[entries] @ x[col[entries]]
    return y
