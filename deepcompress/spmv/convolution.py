"""Convolution with a compressed tensor, straight from its packed weights.

A weight of shape (O, C/groups, k, k) is the matrix of O rows that products see, and its
convolution is the product with the columns that im2col gathers: row (c, i, j) of them holds what
place (i, j) of the kernels meets in channel c, one column for each place of the output. The NumPy
twin here gathers bands of the output; the C kernels gather `blocks` of rows of some columns,
which fit a processor's first cache, and nothing more.

What `spmv` says of rounding, of threads and of x that isn't finite holds here as well. The zeros
of the padding are zeros of x.
"""

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from .. import native, spmv
from ..checks import as_real_array
from ..errors import ArgumentError
from ..native import spconv as native_spconv
from ..native import spmv as native_spmv
from ..tensors import Float32Array

if TYPE_CHECKING:
    from ..packed.tensor import CompressedTensor

BAND_ELEMENTS = 1 << 20  # of the gathered columns that the twin holds at a time


@dataclass(frozen=True)
class Geometry:
    """What is convolved: an image (C, H, W, B) to (O, OH, OW, B).

    Parameters
    ----------
    channels, height, width, batch : int
        C, H, W and B.
    outputs, kernel, stride, padding, groups : int
        O and the attributes of the convolution.
    """

    channels: int
    height: int
    width: int
    batch: int
    outputs: int
    kernel: int
    stride: int
    padding: int
    groups: int

    @property
    def out_height(self) -> int:
        """Number of places of the kernel along the height."""
        return (self.height + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_width(self) -> int:
        """Number of places of the kernel along the width."""
        return (self.width + 2 * self.padding - self.kernel) // self.stride + 1

    @property
    def out_shape(self) -> tuple[int, int, int, int]:
        """Shape of the result."""
        return self.outputs, self.out_height, self.out_width, self.batch


def convolve(
    w: "CompressedTensor",
    x: npt.ArrayLike,
    *,
    stride: int = 1,
    padding: int = 0,
    groups: int = 1,
    bias: npt.ArrayLike | None = None,
    relu: bool = False,
    out: Any = None,
) -> Float32Array:
    """Cross-correlate images with the kernels of a weight, as ``CompressedTensor.convolve``.

    Parameters
    ----------
    w : CompressedTensor of shape (O, C/groups, k, k)
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
        If `w` isn't such a weight, an option or the shape of x doesn't fit, x or the bias isn't
        real, `out` can't take the result, or the memory for it can't be had.
    """
    array = as_real_array(x, "x")
    geometry = _geometry(w, array, stride, padding, groups)
    if not isinstance(relu, (bool, np.bool_)):
        raise ArgumentError(f"relu must be True or False, got {relu!r}")
    added = None if bias is None else _as_bias(bias, w.rows)
    if out is not None:
        spmv.check_out(out, geometry.out_shape, array)
        if added is not None and np.may_share_memory(out, added):
            raise ArgumentError("out must not overlap bias")
    try:
        out = np.empty(geometry.out_shape, np.float32) if out is None else out
        array = np.require(array, np.float32, ["C", "A"])
        if out.size == 0:
            return out  # type: ignore[no-any-return]
        blocks = w.blocks() if native.active() and native_spmv.all_finite(array) else None
        if blocks is not None:
            native_spconv.convolve(w, blocks, geometry, array, added, bool(relu), out)
        else:
            _with_numpy(w, geometry, array, added, relu, out)
    except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
        raise ArgumentError(
            f"can't hold x and a convolution of {geometry.out_shape}: {error}"
        ) from None
    return out  # type: ignore[no-any-return]


def _geometry(
    w: "CompressedTensor", x: npt.NDArray[Any], stride: int, padding: int, groups: int
) -> Geometry:
    """Return what is to be convolved, or raise unless all of it fits."""
    if len(w.shape) != 4 or w.shape[2] != w.shape[3] or w.shape[2] == 0:
        raise ArgumentError(f"a tensor of shape {w.shape} isn't a weight of square kernels")
    stride = _at_least(1, stride, "stride")
    padding = _at_least(0, padding, "padding")
    groups = _at_least(1, groups, "groups")
    outputs, inputs, kernel, _ = w.shape
    if outputs % groups:
        raise ArgumentError(f"{outputs} outputs can't be split into {groups} groups")
    if x.ndim != 4 or x.shape[0] != groups * inputs:
        raise ArgumentError(f"x must have shape ({groups * inputs}, H, W, B), got {x.shape}")
    if min(x.shape[1:3]) + 2 * padding < kernel:
        raise ArgumentError(
            f"x of shape {x.shape} with padding {padding} is smaller than a kernel of {kernel}"
        )
    channels, height, width, batch = x.shape
    return Geometry(channels, height, width, batch, outputs, kernel, stride, padding, groups)


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
    w: "CompressedTensor",
    geometry: Geometry,
    x: Float32Array,
    bias: Float32Array | None,
    relu: bool,
    y: Float32Array,
) -> None:
    """Compute bands of the output as products of each group; for any x."""
    g = geometry
    row, col, value = spmv.coordinates(w)
    rows_each = g.outputs // g.groups
    firsts = np.searchsorted(row, np.arange(g.groups + 1) * rows_each)
    pad = g.padding
    padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    height = max(1, BAND_ELEMENTS // max(w.cols * g.groups * g.out_width * g.batch, 1))
    for top in range(0, g.out_height, height):
        bottom = min(top + height, g.out_height)
        band = padded[:, top * g.stride : (bottom - 1) * g.stride + g.kernel]
        columns = _gather(band, g).reshape(g.groups, w.cols, (bottom - top) * g.out_width * g.batch)
        for group in range(g.groups):
            own = slice(firsts[group], firsts[group + 1])
            entries = row[own] - group * rows_each, col[own], value[own]
            product = spmv.exact_product((rows_each, w.cols), entries, columns[group])
            rows = slice(group * rows_each, (group + 1) * rows_each)
            y[rows, top:bottom] = product.reshape(rows_each, bottom - top, g.out_width, g.batch)
    with np.errstate(over="ignore", invalid="ignore"):
        if bias is not None:
            y += bias[:, np.newaxis, np.newaxis, np.newaxis]
        if relu:
            np.maximum(y, 0, out=y)


def _gather(band: Float32Array, geometry: Geometry) -> Float32Array:
    """Return what the kernels meet in a band of a padded image, (C, k, k, rows, OW, B)."""
    size, stride = geometry.kernel, geometry.stride
    fields = sliding_window_view(band, (size, size), axis=(1, 2))[:, ::stride, ::stride]
    return np.ascontiguousarray(fields.transpose(0, 4, 5, 1, 2, 3))
