"""Max and average pooling, with Caffe's windows that may hang over the edge."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import Array, Layer, Params, Shape
from .parallel import Run, serially, slices

FEW_IMAGES = 8  # at most: a pixel holds so few numbers that to pick some is slow


@dataclass(frozen=True)
class _Pool2D(Layer):
    """Square windows over ``(C, H, W, B)``; the channels are independent.

    Attributes
    ----------
    kernel, stride, padding : int
        ``padding < kernel``, so that every window sees a real pixel.
    round_up : bool
        False: only windows inside the padded image count (PyTorch's default). True: the number
        of windows is rounded up, as Caffe always does, and the last may hang over the edge; one
        that would start beyond the image and its first padding is dropped.
    """

    kernel: int
    stride: int
    padding: int = 0
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
        channels, height, width, batch = x.shape
        _, rows, cols = self.output_shape(x.shape[:3])
        pad = self.padding
        tall = max(pad + height, (rows - 1) * self.stride + self.kernel)
        wide = max(pad + width, (cols - 1) * self.stride + self.kernel)
        if (tall, wide) == (height, width):
            return x
        padded = np.full((channels, tall, wide, batch), fill, x.dtype)
        padded[:, pad : pad + height, pad : pad + width] = x
        return padded

    def _taps(self, padded: Array, rows: int, cols: int) -> Iterator[Array]:
        """Yield, for each place in the window in row-major order, a view of all windows' there."""
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

    def forward(
        self, params: Params, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        padded = self._padded(x, -np.inf)
        taps = self._taps(padded, *self.output_shape(x.shape[:3])[1:])
        y = next(taps).copy()
        winner = np.zeros(y.shape, np.min_scalar_type(self.kernel**2))
        for place, tap in enumerate(taps, start=1):
            # A later place only wins by being larger, and then its number is the largest yet.
            better = (tap > y) * winner.dtype.type(place)
            np.maximum(winner, better, out=winner)
            np.maximum(y, tap, out=y)
        return y, (winner, x.shape, padded.shape)

    def infer(
        self, params: Params, x: Array, overwrite: bool = False, run: Run = serially
    ) -> Array:
        y = np.empty((*self.output_shape(x.shape[:3]), x.shape[3]), x.dtype)

        def pool(channels: slice) -> None:
            rows = self._running_max(x[channels], 1)
            fits = not self.padding and (y.shape[2] - 1) * self.stride + self.kernel <= x.shape[2]
            if fits and x.shape[3] <= FEW_IMAGES:
                y[channels] = self._max_of_neighbours(rows)[:, :, :: self.stride][
                    :, :, : y.shape[2]
                ]
            else:
                y[channels] = self._running_max(rows, 2)

        run(pool, slices(len(x), x[:1].nbytes))
        return y

    def _max_of_neighbours(self, x: Array) -> Array:
        """Return the maxima of windows that begin at each pixel of a row, where there are any.

        All rows are one long run, with which NumPy is fast; what mixes two rows isn't for use.
        """
        pixels, batch = np.ascontiguousarray(x).reshape(-1), x.shape[3]
        y = pixels.copy()
        for place in range(1, self.kernel):
            some = y[: max(0, len(y) - place * batch)]
            np.maximum(some, pixels[place * batch :], out=some)
        return y.reshape(x.shape)

    def _running_max(self, x: Array, axis: int) -> Array:
        """Return the maxima of the windows along one axis of images, without a padded copy."""
        extent, pad, step = x.shape[axis], self.padding, self.stride
        windows = self._windows(extent)
        pixels = np.moveaxis(x, axis, 0)
        whole: list[tuple[slice, Array]] = []  # of places where all windows have a pixel
        parts: list[tuple[slice, Array]] = []  # and of others
        for place in range(min(self.kernel, extent + pad)):
            first = max(0, -(-(pad - place) // step))  # before it, windows have padding here
            end = min(windows, (extent - 1 + pad - place) // step + 1)  # and from here on
            if first < end:
                taps = pixels[first * step + place - pad :: step][: end - first]
                (whole if len(taps) == windows else parts).append((slice(first, end), taps))
        if len(whole) > 1:
            y: Array = np.maximum(whole[0][1], whole[1][1])
        elif whole:
            y = whole[0][1].copy("K")
        else:
            y = np.full((windows, *pixels.shape[1:]), -np.inf, x.dtype)
        for some, taps in [*whole[2:], *parts]:
            np.maximum(y[some], taps, out=y[some])
        return np.moveaxis(y, 0, axis)

    def backward(
        self, params: Params, cache: Any, dy: Array, need_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        winner, (_, height, width, _), padded_shape = cache
        dpadded = np.zeros(padded_shape, dy.dtype)
        for place, tap in enumerate(self._taps(dpadded, *dy.shape[1:3])):
            if self.stride >= self.kernel:  # no overlap, so nothing to add to
                np.multiply(dy, winner == place, out=tap)
            else:
                tap += dy * (winner == place)
        pad = self.padding
        return dpadded[:, pad : pad + height, pad : pad + width], {}


@dataclass(frozen=True)
class AvgPool2D(_Pool2D):
    """The mean of each window.

    The divisor is Caffe's (and PyTorch's default): zeros of the padding count as pixels, places
    beyond the padding, where a window hangs over, do not.
    """

    def forward(
        self, params: Params, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        padded = self._padded(x, 0)
        taps = self._taps(padded, *self.output_shape(x.shape[:3])[1:])
        y = next(taps).copy()
        for tap in taps:
            y += tap
        y *= self._weights(x.shape).astype(x.dtype)
        return y, (x.shape, padded.shape)

    def infer(
        self, params: Params, x: Array, overwrite: bool = False, run: Run = serially
    ) -> Array:
        parts = run(
            lambda channels: self.forward(params, x[channels])[0], slices(len(x), x[:1].nbytes)
        )
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def backward(
        self, params: Params, cache: Any, dy: Array, need_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
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

    def forward(
        self, params: Params, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        y: Array = x.mean(axis=(1, 2))
        return y, x.shape

    def backward(
        self, params: Params, cache: Any, dy: Array, need_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
        share = dy / dy.dtype.type(cache[1] * cache[2])
        return np.broadcast_to(share[:, None, None], cache).copy(), {}
