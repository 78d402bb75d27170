"""Convolution with a matrix of shared weights, straight from the form in which it is held.

A weight of shape (O, C/groups, k, k) is the matrix of O rows that products see, and its
convolution is the product with the columns that im2col gathers: their row (c, i, j) holds the
elements of channel c under place (i, j) of the kernels, one column for each place of the output.
The NumPy twin here gathers bands of the output; the C kernels gather tiles of rows of some
columns, which fit a processor's first cache, and nothing more.

The notes of `spmv.product` on rounding, on threads and on x that isn't finite hold here as well.
The zeros of the padding are zeros of x.
"""

import operator
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from .. import native
from ..checks import as_real_array
from ..errors import ArgumentError
from ..native import spconv as native_spconv
from ..native import spmv as native_spmv
from ..structs import ColumnBlocks, Form, Geometry
from ..tensors import Float32Array
from . import plain
from .forms import coordinates
from .product import check_out

BAND_ELEMENTS = 1 << 20  # of the gathered columns that the twin holds at a time


def convolve(
    w: Form,
    kernel: int,
    x: npt.ArrayLike,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    bias: npt.ArrayLike | None = None,
    relu: bool = False,
    out: Float32Array | None = None,
) -> Float32Array:
    """Cross-correlate images with the kernels of a weight, of size `kernel`.

    Parameters
    ----------
    w : Stream, Layout or ColumnBlocks
        A matrix of O rows and C/groups * kernel**2 columns. The C kernels take column blocks.
    kernel : int
        Height and width of a kernel, k.
    x : array_like of shape (C, H, W, B)
        B images, the batch last, as in `nn`; real numbers, converted to float32.
    stride, padding, groups : int
        As of ``nn.conv.Conv2D``.
    bias : array_like of shape (O,), optional
        Added to all places of an output.
    relu : bool
        Whether negative results become 0.
    out : ndarray of shape (O, OH, OW, B), float32, optional
        Takes the result; contiguous and apart from `x` and `bias`.

    Returns
    -------
    ndarray of shape (O, OH, OW, B), float32
        `out`, if given, with ``OH = (H + 2*padding - k) // stride + 1``.

    Raises
    ------
    ArgumentError
        If an option or the shape of x doesn't fit, x or the bias isn't real, `out` can't take the
        result, or the memory for it can't be had.
    """
    array = as_real_array(x, "x")
    g = _geometry(w, kernel, array, stride, padding, groups)
    shape = w.rows, g.out_height, g.out_width, g.batch
    if not isinstance(relu, (bool, np.bool_)):
        raise ArgumentError(f"relu must be True or False, got {relu!r}")
    added = None if bias is None else _as_bias(bias, w.rows)
    if out is not None:
        check_out(out, shape, array)
        if added is not None and np.may_share_memory(out, added):
            raise ArgumentError("out must not overlap bias")
    try:
        out = np.empty(shape, np.float32) if out is None else out
        array = np.require(array, np.float32, ["C", "A"])
        if out.size == 0:
            return out
        if isinstance(w, ColumnBlocks) and native.active() and native_spmv.all_finite(array):
            native_spconv.convolve(w, g, array, added, bool(relu), out)
        else:
            _with_numpy(w, g, array, added, relu, out)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold x and a convolution of {shape}: {error}") from None
    return out


def _geometry(
    w: Form, kernel: int, x: npt.NDArray[Any], stride: int, padding: int, groups: int
) -> Geometry:
    """Return how to convolve, or raise unless all of it fits."""
    stride = _at_least(1, stride, "stride")
    padding = _at_least(0, padding, "padding")
    groups = _at_least(1, groups, "groups")
    inputs = groups * w.cols // kernel**2
    if w.rows % groups:
        raise ArgumentError(f"{w.rows} outputs can't be split into {groups} groups")
    if x.ndim != 4 or x.shape[0] != inputs:
        raise ArgumentError(f"x must have shape ({inputs}, H, W, B), got {x.shape}")
    if min(x.shape[1:3]) + 2 * padding < kernel:
        raise ArgumentError(
            f"x of shape {x.shape} with padding {padding} is smaller than a kernel of {kernel}"
        )
    height, width = ((side + 2 * padding - kernel) // stride + 1 for side in x.shape[1:3])
    channels, rows, cols, batch = x.shape
    return Geometry(channels, rows, cols, batch, kernel, stride, padding, groups, height, width)


def _at_least(lowest: int, value: Any, name: str) -> int:
    """Return an option as an integer, or raise."""
    try:
        checked = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name} must be an integer, got {value!r}") from None
    if not lowest <= checked < 2**31:
        raise ArgumentError(f"{name} must be at least {lowest} and below 2**31, got {checked}")
    return checked


def _as_bias(bias: npt.ArrayLike, outputs: int) -> Float32Array:
    """Return the bias as contiguous float32, or raise."""
    array = as_real_array(bias, "bias")
    if array.shape != (outputs,):
        raise ArgumentError(f"bias must have shape ({outputs},), got {array.shape}")
    return np.require(array, np.float32, ["C", "A"])


def _with_numpy(
    w: Form, g: Geometry, x: Float32Array, bias: Float32Array | None, relu: bool, y: Float32Array
) -> None:
    """Compute bands of the output as products of each group; for any x."""
    row, col, value = coordinates(w)
    rows_each, pad = w.rows // g.groups, g.padding
    firsts = np.searchsorted(row, np.arange(g.groups + 1) * rows_each)
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height = max(1, BAND_ELEMENTS // max(w.cols * g.groups * g.out_width * g.batch, 1))
    for top in range(0, g.out_height, height):
        bottom = min(top + height, g.out_height)
        band = padded[:, top * g.stride : (bottom - 1) * g.stride + g.kernel]
        columns = _gather(band, g).reshape(g.groups, w.cols, (bottom - top) * g.out_width * g.batch)
        for group in range(g.groups):
            own = slice(firsts[group], firsts[group + 1])
            entries = row[own] - group * rows_each, col[own], value[own]
            product = plain.multiply((rows_each, w.cols), entries, columns[group])
            rows = slice(group * rows_each, (group + 1) * rows_each)
            y[rows, top:bottom] = product.reshape(rows_each, bottom - top, g.out_width, g.batch)
    with np.errstate(over="ignore", invalid="ignore"):
        if bias is not None:
            y += bias[:, np.newaxis, np.newaxis, np.newaxis]
        if relu:
            np.maximum(y, 0, out=y)


def _gather(band: Float32Array, geometry: Geometry) -> Float32Array:
    """Return the elements under the kernels in a band of a padded image, (C, k, k, rows, OW, B)."""
    size, stride = geometry.kernel, geometry.stride
    fields = sliding_window_view(band, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.ascontiguousarray(fields.transpose(0, 4, 5, 1, 2, 3))
