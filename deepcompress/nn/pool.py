"""Max and average pooling, with Caffe's windows that may hang over the edge."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape
from .windows import Sides, Window, compact


@dataclass(frozen=True)
class _Pool2D(Layer):
    """Windows over ``(C, H, W, B)``; the channels are independent.

    `kernel` and `stride` are one number, or height and width; `padding` is one number, or those
    of the top, left, bottom and right.

    With `round_up`, the number of windows is rounded up, as Caffe always does, and the last may
    hang over the edge; one that would start beyond the image and its first padding is dropped.
    Without, only windows inside the padded image count (PyTorch's default).
    """

    kernel: Sides
    stride: Sides
    padding: Sides = 0  # below the kernel, so that every window sees a real pixel
    round_up: bool = False

    def __post_init__(self) -> None:
        for name, count in (("kernel", 2), ("stride", 2), ("padding", 4)):
            value = compact(self.name, name, getattr(self, name), count)
            object.__setattr__(self, name, value)
        window = self.window
        fits = all(0 <= p < k for p, k in zip(window.padding, 2 * window.kernel, strict=True))
        if min(window.kernel + window.stride) < 1 or not fits:
            raise ArgumentError(
                f"layer {self.name!r}: kernel {self.kernel}, stride {self.stride}, padding "
                f"{self.padding}; expected positive sizes and 0 <= padding < kernel"
            )

    @property
    def window(self) -> Window:
        """The options in full."""
        return Window.of(self.kernel, self.stride, self.padding)

    def output_shape(self, shape: Shape) -> Shape:
        fits = len(shape) == 3 and min(self.window.space(shape[1:])) >= 0
        self._require(fits, shape, f"(C, H, W) with {self.window.smallest}")
        return shape[0], *self._windows(shape[1:])

    def _windows(self, shape: Shape) -> Shape:
        """Count the windows in an image of (H, W), down and right."""
        if not self.round_up:
            return self.window.counts(shape)
        counts = []
        sizes = zip(shape, self.window.space(shape), self.window.stride, strict=True)
        for (extent, space, stride), first in zip(sizes, self.window.padding[:2], strict=True):
            count = -(-space // stride) + 1
            counts.append(count - ((count - 1) * stride >= extent + first))
        return tuple(counts)

    def _padded(self, x: Array, fill: float) -> Array:
        """Return `x` surrounded by `fill` up to the edge of the last window."""
        window, shape = self.window, x.shape[1:3]
        ends = zip(self._windows(shape), window.stride, window.space(shape), strict=True)
        return window.padded(x, fill, [max(0, (n - 1) * step - space) for n, step, space in ends])

    def _taps(self, padded: Array, rows: int, cols: int) -> Iterator[Array]:
        return self.window.taps(padded, rows, cols)


@dataclass(frozen=True)
class MaxPool2D(_Pool2D):
    """The largest value of each window; padding never wins.

    Among equal values the first in row-major order gets the gradient, as in Caffe and PyTorch.
    """

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, H, W, B) -> (C, OH, OW, B); the cache is the padded images, y, and x's shape."""
        padded = self._padded(x, -np.inf)
        taps = self._taps(padded, *self.output_shape(x.shape[:3])[1:])
        y = next(taps).copy()
        for tap in taps:
            np.maximum(y, tap, out=y)
        return y, (padded, y, x.shape)

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, OH, OW, B) -> (C, H, W, B): to the first place that holds the maximum."""
        padded, y, shape = cache
        dpadded = np.zeros(padded.shape, dy.dtype)
        left = np.ones(y.shape, np.bool_)  # windows whose maximum hasn't been found yet
        is_apart = all(s >= k for s, k in zip(self.window.stride, self.window.kernel, strict=True))
        rows, cols = dy.shape[1:3]
        taps, dtaps = (self._taps(images, rows, cols) for images in (padded, dpadded))
        for tap, dtap in zip(taps, dtaps, strict=True):
            found = tap == y
            found &= left
            left ^= found
            if is_apart:  # nothing to add to
                np.multiply(dy, found, out=dtap)
            else:
                dtap += dy * found
        return self.window.inner(dpadded, shape), {}


@dataclass(frozen=True)
class AvgPool2D(_Pool2D):
    """The mean of each window.

    The divisor is Caffe's (and PyTorch's default): zeros of the padding count as pixels, places
    beyond the padding, where a window hangs over, do not. Without `counts_padding` only pixels
    of the image count (ONNX's default).
    """

    counts_padding: bool = True

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, H, W, B) -> (C, OH, OW, B)."""
        padded = self._padded(x, 0)
        taps = self._taps(padded, *self.output_shape(x.shape[:3])[1:])
        y = next(taps).copy()
        for tap in taps:
            y += tap
        y *= self._weights(x.shape).astype(x.dtype)
        return y, (x.shape, padded.shape)

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, OH, OW, B) -> (C, H, W, B)."""
        x_shape, padded_shape = cache
        share = dy * self._weights(x_shape).astype(dy.dtype)
        dpadded = np.zeros(padded_shape, dy.dtype)
        for tap in self._taps(dpadded, *dy.shape[1:3]):
            tap += share
        return self.window.inner(dpadded, x_shape), {}

    def _weights(self, x_shape: Shape) -> Array:
        """Return 1 / pixels of each window, shape (OH, OW, 1)."""
        window, counts = self.window, []
        for axis, extent in enumerate(x_shape[1:3]):
            before, after = window.padding[axis], window.padding[axis + 2]
            count = self._windows(x_shape[1:3])[axis]
            first = np.arange(count) * window.stride[axis]
            last = first + window.kernel[axis]
            if self.counts_padding:
                last = np.minimum(last, extent + before + after)
            else:
                first, last = np.maximum(first, before), np.minimum(last, extent + before)
            counts.append(last - first)
        weights: Array = 1 / np.multiply.outer(*counts)[:, :, None]
        return weights


@dataclass(frozen=True)
class GlobalAvgPool2D(Layer):
    """The mean of each channel, ``(C, H, W, B) -> (C, B)``."""

    def output_shape(self, shape: Shape) -> Shape:
        self._require(len(shape) == 3, shape, "(C, H, W)")
        return (shape[0],)

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, H, W, B) -> (C, B)."""
        y: Array = x.mean(axis=(1, 2))
        return y, x.shape

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, B) -> (C, H, W, B)."""
        share = dy / dy.dtype.type(cache[1] * cache[2])
        return np.broadcast_to(share[:, None, None], cache).copy(), {}
