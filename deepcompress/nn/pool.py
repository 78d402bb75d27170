"""Max and average pooling, with Caffe's windows that may hang over the edge."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape


@dataclass(frozen=True)
class _Pool2D(Layer):
    """Square windows over ``(C, H, W, B)``; the channels are independent.

    With `round_up`, the number of windows is rounded up, as Caffe always does, and the last may
    hang over the edge; one that would start beyond the image and its first padding is dropped.
    Without, only windows inside the padded image count (PyTorch's default).
    """

    kernel: int
    stride: int
    padding: int = 0  # below the kernel, so that every window sees a real pixel
    round_up: bool = False

    def __post_init__(self) -> None:
        if min(self.kernel, self.stride) < 1 or not 0 <= self.padding < self.kernel:
            raise ArgumentError(
                f"layer {self.name!r}: kernel {self.kernel}, stride {self.stride}, padding "
                f"{self.padding}; expected positive sizes and 0 <= padding < kernel"
            )

    def output_shape(self, shape: Shape) -> Shape:
        fits = len(shape) == 3 and min(shape[1:]) + 2 * self.padding >= self.kernel
        smallest = max(1, self.kernel - 2 * self.padding)
        self._require(fits, shape, f"(C, H, W) with H, W >= {smallest}")
        return shape[0], self._windows(shape[1]), self._windows(shape[2])

    def _windows(self, extent: int) -> int:
        """Count the windows along an axis of `extent` pixels."""
        space = extent + 2 * self.padding - self.kernel
        if not self.round_up:
            return space // self.stride + 1
        count = -(-space // self.stride) + 1
        if (count - 1) * self.stride >= extent + self.padding:
            count -= 1
        return count

    def _padded(self, x: Array, fill: float) -> Array:
        """Return `x` surrounded by `fill` up to the edge of the last window."""
        around = [(0, 0)]
        for extent in x.shape[1:3]:
            end = (self._windows(extent) - 1) * self.stride + self.kernel
            around.append((self.padding, max(0, end - self.padding - extent)))
        if not any(map(any, around)):
            return x
        return np.pad(x, [*around, (0, 0)], constant_values=fill)

    def _taps(self, padded: Array, rows: int, cols: int) -> Iterator[Array]:
        """Yield a view of all windows' pixels at each place of the window, in row-major order."""
        for i in range(self.kernel):
            for j in range(self.kernel):
                yield padded[
                    :,
                    i : i + self.stride * (rows - 1) + 1 : self.stride,
                    j : j + self.stride * (cols - 1) + 1 : self.stride,
                ]


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
        padded, y, (_, height, width, _) = cache
        dpadded = np.zeros(padded.shape, dy.dtype)
        left = np.ones(y.shape, np.bool_)  # windows whose maximum hasn't been found yet
        rows, cols = dy.shape[1:3]
        taps, dtaps = (self._taps(images, rows, cols) for images in (padded, dpadded))
        for tap, dtap in zip(taps, dtaps, strict=True):
            found = tap == y
            found &= left
            left ^= found
            if self.stride >= self.kernel:  # no overlap, so nothing to add to
                np.multiply(dy, found, out=dtap)
            else:
                dtap += dy * found
        pad = self.padding
        return dpadded[:, pad : pad + height, pad : pad + width], {}


@dataclass(frozen=True)
class AvgPool2D(_Pool2D):
    """The mean of each window.

    The divisor is Caffe's (and PyTorch's default): zeros of the padding count as pixels, places
    beyond the padding, where a window hangs over, do not.
    """

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
        _, height, width, _ = x_shape
        share = dy * self._weights(x_shape).astype(dy.dtype)
        dpadded = np.zeros(padded_shape, dy.dtype)
        for tap in self._taps(dpadded, *dy.shape[1:3]):
            tap += share
        pad = self.padding
        return dpadded[:, pad : pad + height, pad : pad + width], {}

    def _weights(self, x_shape: Shape) -> Array:
        """Return 1 / pixels of each window, shape (OH, OW, 1)."""
        counts = []
        for extent in x_shape[1:3]:
            first = np.arange(self._windows(extent)) * self.stride
            last = np.minimum(first + self.kernel, extent + 2 * self.padding)
            counts.append(last - first)
        return 1 / np.multiply.outer(*counts)[:, :, None]


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
