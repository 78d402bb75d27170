"""Convolution with a matrix of shared weights, straight from the form in which it is held.

A weight of shape (O, C/groups, kh, kw) is the matrix of O rows that products see, and its
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

Sides = int | tuple[int, ...]

BAND_ELEMENTS = 1 << 20  # of the gathered columns that the twin holds at a time


def convolve(
    w: Form,
    kernel: Sides,
    x: npt.ArrayLike,
    *,
    stride: Sides = 1,
    padding: Sides = 0,
    groups: int = 1,
    dilation: Sides = 1,
    bias: npt.ArrayLike | None = None,
    relu: bool = False,
    out: Float32Array | None = None,
) -> Float32Array:
    """Cross-correlate images with the kernels of a weight, of size `kernel`.

    Parameters
    ----------
    w : Stream, Layout or ColumnBlocks
        A matrix of O rows and C/groups * kh * kw columns. The C kernels take column blocks.
    kernel : int or pair of int
        Height kh and width kw of a kernel.
    x : array_like of shape (C, H, W, B)
        B images, the batch last, as in `nn`; real numbers, converted to float32.
    stride, padding, groups, dilation
        As of ``nn.conv.Conv2D``: whole numbers; but for `groups` they may be tuples, of two, and
        four of `padding`.
    bias : array_like of shape (O,), optional
        Added to all places of an output.
    relu : bool
        Whether negative results become 0.
    out : ndarray of shape (O, OH, OW, B), float32, optional
        Takes the result; contiguous and apart from `x` and `bias`.

    Returns
    -------
    ndarray of shape (O, OH, OW, B), float32
        `out`, if given, with ``OH = (H + 2*padding - dilation*(kh - 1) - 1) // stride + 1``.

    Raises
    ------
    ArgumentError
        If an option or the shape of x doesn't fit, x or the bias isn't real, `out` can't take the
        result, or the memory for it can't be had.
    """
    array = as_real_array(x, "x")
    g, edges = _geometry(w, array, kernel, stride, padding, dilation, groups)
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
            _with_numpy(w, g, edges, array, added, relu, out)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(f"can't hold x and a convolution of {shape}: {error}") from None
    return out


def _geometry(
    w: Form,
    x: npt.NDArray[Any],
    kernel: Sides,
    stride: Sides,
    padding: Sides,
    dilation: Sides,
    groups: int,
) -> tuple[Geometry, tuple[int, ...]]:
    """Return how to convolve, and the padding of all sides, or raise unless all of it fits."""
    size = _sides(1, kernel, "kernel", 2)
    steps = _sides(1, stride, "stride", 2)
    edges = _sides(0, padding, "padding", 4)
    apart = _sides(1, dilation, "dilation", 2)
    groups = _at_least(1, groups, "groups")
    inputs = groups * w.cols // (size[0] * size[1])
    if w.rows % groups:
        raise ArgumentError(f"{w.rows} outputs can't be split into {groups} groups")
    if x.ndim != 4 or x.shape[0] != inputs:
        raise ArgumentError(f"x must have shape ({inputs}, H, W, B), got {x.shape}")
    room = [
        side + before + after - d * (k - 1) - 1
        for side, before, after, k, d in zip(
            x.shape[1:3], edges[:2], edges[2:], size, apart, strict=True
        )
    ]
    if min(room) < 0:
        shown = size[0] if size[0] == size[1] else size
        raise ArgumentError(
            f"x of shape {x.shape} with padding {padding} is smaller than a kernel of {shown}"
        )
    height, width = (space // step + 1 for space, step in zip(room, steps, strict=True))
    channels, rows, cols, batch = x.shape
    images = channels, rows, cols, batch
    return Geometry(*images, size, steps, edges[:2], apart, groups, height, width), edges


def _sides(lowest: int, value: Sides, name: str, count: int) -> tuple[int, ...]:
    """Return an option for each of so many sides, or raise."""
    numbers = value if isinstance(value, (tuple, list)) else (value,) * count
    if len(numbers) != count:
        raise ArgumentError(f"{name} must be an integer or {count} of them, got {value!r}")
    return tuple(_at_least(lowest, number, name) for number in numbers)


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
    w: Form,
    g: Geometry,
    edges: tuple[int, ...],
    x: Float32Array,
    bias: Float32Array | None,
    relu: bool,
    y: Float32Array,
) -> None:
    """Compute bands of the output as products of each group; for any x."""
    row, col, value = coordinates(w)
    rows_each, step = w.rows // g.groups, g.stride[0]
    firsts = np.searchsorted(row, np.arange(g.groups + 1) * rows_each)
    top, left, bottom, right = edges
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    reach = g.dilation[0] * (g.kernel[0] - 1) + 1
    height = max(1, BAND_ELEMENTS // max(w.cols * g.groups * g.out_width * g.batch, 1))
    for first in range(0, g.out_height, height):
        end = min(first + height, g.out_height)
        band = padded[:, first * step : (end - 1) * step + reach]
        columns = _gather(band, g).reshape(g.groups, w.cols, (end - first) * g.out_width * g.batch)
        for group in range(g.groups):
            own = slice(firsts[group], firsts[group + 1])
            entries = row[own] - group * rows_each, col[own], value[own]
            product = plain.multiply((rows_each, w.cols), entries, columns[group])
            rows = slice(group * rows_each, (group + 1) * rows_each)
            y[rows, first:end] = product.reshape(rows_each, end - first, g.out_width, g.batch)
    with np.errstate(over="ignore", invalid="ignore"):
        if bias is not None:
            y += bias[:, np.newaxis, np.newaxis, np.newaxis]
        if relu:
            np.maximum(y, 0, out=y)


def _gather(band: Float32Array, g: Geometry) -> Float32Array:
    """Return the elements under the kernels in a band of padded images, (C, kh, kw, …, OW, B)."""
    (tall, wide), (down, right) = g.dilation, g.stride
    reach = tall * (g.kernel[0] - 1) + 1, wide * (g.kernel[1] - 1) + 1
    fields = sliding_window_view(band, reach, axis=(1, 2))
    fields = fields[:, ::down, ::right, :, ::tall, ::wide]
    return np.ascontiguousarray(fields.transpose(0, 4, 5, 1, 2, 3))
