"""Products with a matrix of shared weights, straight from the form in which it is held.

The NumPy twin, `plain`, defines the results; it expands coordinates, while the C kernels keep
nothing but the packed bytes, as they are or rearranged to a layout.

Notes
-----
- A pruned weight is a zero: where x isn't finite, rows without a weight there get
  ``0 * inf = nan``, as they do from the dense product. That takes a slow path.
- Elements of a row may be summed in any order and at any precision from float32
  up. The error of n products is below ``(n + 1) * eps * sum(abs(w * x))`` with the
  float32 ``eps = 2**-23``, and backends differ by that much. The number of threads changes
  no bit: a row is always one thread's, and summed in the same order.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import native
from ..checks import as_real_array
from ..errors import ArgumentError
from ..native import spmv as native_spmv
from ..structs import ColumnBlocks, Form, Layout, Stream
from ..tensors import Float32Array
from . import plain
from .forms import coordinates


def dot(
    w: Form, x: npt.ArrayLike, out: Float32Array | None = None, *, transposed: bool = False
) -> Float32Array:
    """Multiply the (R, C) matrix with a vector or a matrix of columns.

    Parameters
    ----------
    w : Stream, Layout or ColumnBlocks
        The C kernels take the first two.
    x : array_like of shape (C,) or (C, n)
        Real numbers; converted to float32.
    out : ndarray of shape (R,) or (R, n), float32, optional
        Takes the product; contiguous and apart from `x`.
    transposed : bool
        Whether to multiply with the (C, R) matrix instead, where R and C change places. NumPy
        does it, whatever the form: for speed, have the form of that matrix built.

    Returns
    -------
    ndarray of shape (R,) or (R, n), float32
        `out`, if given. The notes above tell of rounding and of x that isn't finite.

    Raises
    ------
    ArgumentError
        If x has another shape or isn't real, `out` can't take the product or overlaps x, or the
        memory for the product can't be had.
    """
    array = as_real_array(x, "x")
    rows, cols = (w.cols, w.rows) if transposed else (w.rows, w.cols)
    if array.ndim not in (1, 2) or len(array) != cols:
        raise ArgumentError(f"x must have shape ({cols},) or ({cols}, n), got {array.shape}")
    shape = (rows, *array.shape[1:])
    if out is not None:
        check_out(out, shape, array)
    try:
        out = np.empty(shape, np.float32) if out is None else out
        flags = array.flags  # looked at here, as `require` takes longer than a small product
        if array.dtype != np.float32 or not (flags.c_contiguous and flags.aligned):
            array = np.require(array, np.float32, ["C", "A"])
        is_native = native.active() and not transposed and native_spmv.all_finite(array)
        if isinstance(w, ColumnBlocks) or not is_native:
            columns = array if array.ndim == 2 else array[:, np.newaxis]
            entries = coordinates(w, transposed=transposed)
            out[...] = plain.multiply((rows, cols), entries, columns).reshape(shape)
        else:
            _native(w, array, out)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold x and a product of {shape}: {error}") from None
    return out


def columns_of(x: Any) -> int:
    """Return the columns of what a matrix is to be multiplied with; 1 for what isn't an array."""
    shape = getattr(x, "shape", None)
    if not isinstance(shape, tuple):
        try:
            shape = np.shape(x)
        except Exception:  # whatever it raises, the product will tell
            return 1
    return shape[1] if len(shape) == 2 else 1


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


def _native(w: Stream | Layout, x: Float32Array, y: Float32Array) -> None:
    """Compute with the C kernels for x that is finite."""
    if x.ndim == 2 and x.shape[1] == 1:  # a batch of one: several times faster as a vector
        x, y = x.reshape(-1), y.reshape(-1)
    if isinstance(w, Stream):
        (native_spmv.matvec_plain if x.ndim == 1 else native_spmv.matmat_plain)(w, x, y)
    else:
        (native_spmv.matvec if x.ndim == 1 else native_spmv.matmat)(w, x, y)
