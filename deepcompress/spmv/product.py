"""Products with a compressed tensor, straight from its packed gaps and labels.

A tensor of shape ``(R, …)`` acts as the matrix of shape ``(R, C)`` that its row-major
elements form. The NumPy twins here define the results; they expand coordinates,
while the C kernels keep nothing but the packed bytes, rearranged by `layout`.

Notes
-----
- A pruned weight is a zero: where x isn't finite, rows without a weight there get
  ``0 * inf = nan``, as they do from the dense product. That takes a slow path.
- Elements of a row may be summed in any order and at any precision from float32
  up. Of n products, the error is below ``(n + 1) * eps * sum(abs(w * x))`` with the
  float32 ``eps = 2**-23``, and backends differ by that much. The number of threads changes
  no bit: a row is always one thread's, and summed in the same order.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import native
from ..checks import as_real_array
from ..errors import ArgumentError
from ..native import spmv as native_spmv
from ..tensors import Float32Array, Int64Array

if TYPE_CHECKING:
    from ..packed.tensor import CompressedTensor


def dot(w: "CompressedTensor", x: npt.ArrayLike, out: Float32Array | None = None) -> Float32Array:
    """Multiply the (R, C) matrix with a vector or a matrix of columns, as ``CompressedTensor.dot``.

    Parameters
    ----------
    w : CompressedTensor of shape (R, …)
    x : array_like of shape (C,) or (C, n)
        Real numbers; converted to float32.
    out : ndarray of shape (R,) or (R, n), float32, optional
        Takes the product; contiguous and apart from `x`.

    Returns
    -------
    ndarray of shape (R,) or (R, n), float32
        `out`, if given. See `spmv` for rounding and for x that isn't finite.

    Raises
    ------
    ArgumentError
        If the rank is below 2, x has another shape or isn't real, `out` can't take the
        product or overlaps x, or the memory for the product can't be had.
    """
    if len(w.shape) < 2:
        raise ArgumentError(f"a tensor of shape {w.shape} isn't a matrix")
    array = as_real_array(x, "x")
    if array.ndim not in (1, 2) or len(array) != w.cols:
        raise ArgumentError(f"x must have shape ({w.cols},) or ({w.cols}, n), got {array.shape}")
    shape = (w.rows, *array.shape[1:])
    if out is not None:
        check_out(out, shape, array)
    try:
        out = np.empty(shape, np.float32) if out is None else out
        flags = array.flags  # looked at here, as `require` takes longer than a small product
        if array.dtype != np.float32 or not (flags.c_contiguous and flags.aligned):
            array = np.require(array, np.float32, ["C", "A"])
        if native.active() and native_spmv.all_finite(array):
            _native(w, array, out)
        else:
            columns = array if array.ndim == 2 else array[:, np.newaxis]
            out[...] = _exact(w, columns).reshape(shape)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold x and a product of {shape}: {error}") from None
    return out


def coordinates(w: "CompressedTensor") -> tuple[Int64Array, Int64Array, Float32Array]:
    """Return row, column and value of each surviving weight, in row-major order."""
    positions, labels = w.survivors()
    row, col = np.divmod(positions, max(w.cols, 1))
    return row, col, w.codebook[labels]


def check_out(out: Any, shape: tuple[int, ...], x: npt.NDArray[Any]) -> None:
    """Raise unless `out` can take the product."""
    if not isinstance(out, np.ndarray) or out.dtype != np.float32 or out.shape != shape:
        got = f"{out.dtype} of {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ArgumentError(f"out must be a float32 array of shape {shape}, got {got}")
    if not (out.flags.writeable and out.flags.c_contiguous and out.flags.aligned):
        raise ArgumentError("out must be writeable, contiguous in row-major order and aligned")
    if not out.dtype.isnative:
        raise ArgumentError("out must have the byte order of this machine")
    if np.may_share_memory(out, x):
        raise ArgumentError("out must not overlap x")


def _native(w: "CompressedTensor", x: Float32Array, y: Float32Array) -> None:
    """Compute with the C kernels for x that is finite."""
    if x.ndim == 2 and x.shape[1] == 1:  # as of a batch of one: several times faster so
        x, y = x.reshape(-1), y.reshape(-1)
    layout = w.layout()
    if layout is None:
        flat = native_spmv.matvec_flat if x.ndim == 1 else native_spmv.matmat_flat
        flat(w, x, y)
    else:
        product = native_spmv.matvec if x.ndim == 1 else native_spmv.matmat
        product(w.codebook, layout, x, y)


def _exact(w: "CompressedTensor", x: Float32Array) -> Float32Array:
    """Multiply with all that NumPy has for numbers that aren't finite."""
    return exact_product((w.rows, w.cols), coordinates(w), x)


def exact_product(
    shape: tuple[int, int],
    entries: tuple[Int64Array, Int64Array, Float32Array],
    x: Float32Array,
) -> Float32Array:
    """Multiply the weights of each row with the rows of x that their columns name.

    Then give nan to each row that has a zero where x isn't finite. `entries` are row, column and
    value of the weights of a matrix of `shape`, in row-major order.
    """
    row, col, value = entries
    y = np.zeros((shape[0], x.shape[1]), np.float32)
    used, starts, counts = np.unique(row, return_index=True, return_counts=True)
    with np.errstate(over="ignore", invalid="ignore"):  # inf and nan are results like others
        for r, start, count in zip(used, starts, counts, strict=True):
            own = slice(start, start + count)
            y[r] = value[own] @ x[col[own]]
    endless = ~np.isfinite(x)
    for j in np.flatnonzero(endless.any(axis=0)):
        met = np.bincount(row[endless[col, j] & (value != 0)], minlength=shape[0])
        y[met < np.count_nonzero(endless[:, j]), j] = np.nan
    return y
