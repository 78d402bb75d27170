"""Convolution as one matrix product over gathered patches (im2col)."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape


@dataclass(frozen=True)
class Conv2D(Layer):
    """Cross-correlation of images with square kernels, plus a bias.

    The weight has shape (O, I/G, k, k), and ``OH = (H + 2*padding - kernel) // stride + 1``.
    Group g of the outputs sees only group g of the inputs, as in AlexNet.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int = 1
    padding: int = 0
    groups: int = 1

    def __post_init__(self) -> None:
        if min(self.inputs, self.outputs, self.kernel, self.stride, self.groups) < 1:
            raise ArgumentError(f"layer {self.name!r}: sizes, stride and groups must be positive")
        if self.padding < 0:
            raise ArgumentError(f"layer {self.name!r}: padding {self.padding} is negative")
        if self.inputs % self.groups or self.outputs % self.groups:
            raise ArgumentError(
                f"layer {self.name!r}: {self.inputs} inputs and {self.outputs} outputs "
                f"can't be split into {self.groups} groups"
            )

    def param_shapes(self) -> dict[str, Shape]:
        kernels = (self.outputs, self.inputs // self.groups, self.kernel, self.kernel)
        return {f"{self.name}.weight": kernels, f"{self.name}.bias": (self.outputs,)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (O, OH, OW) for (C, H, W), or raise."""
        fits = len(shape) == 3 and shape[0] == self.inputs
        fits = fits and min(shape[1:]) + 2 * self.padding >= self.kernel
        smallest = max(1, self.kernel - 2 * self.padding)
        self._require(fits, shape, f"({self.inputs}, H, W) with H, W >= {smallest}")
        height, width = (
            (extent + 2 * self.padding - self.kernel) // self.stride + 1 for extent in shape[1:]
        )
        return self.outputs, height, width

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(I, H, W, B) -> (O, OH, OW, B); the cache is the patches, and x's shape."""
        weight, bias = params[f"{self.name}.weight"], params[f"{self.name}.bias"]
        shape = self.output_shape(x.shape[:3])
        if not isinstance(weight, np.ndarray):
            options = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
            return weight.convolve(x, bias=bias, **options), None
        around = (self.padding, self.padding)
        padded = np.pad(x, ((0, 0), around, around, (0, 0))) if self.padding else x
        patches = self._patches(padded, shape)
        grouped = self.groups, self.outputs // self.groups, shape[1], patches.shape[3]
        y: Array = np.empty(grouped, x.dtype)
        np.matmul(self._kernel_rows(weight)[:, None], patches, out=y.transpose(0, 2, 1, 3))
        y = y.reshape(self.outputs, -1)
        y += bias[:, None]
        return y.reshape(*shape, -1), (patches, x.shape)

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(O, OH, OW, B) -> (I, H, W, B); products of dy's rows with the patches, summed."""
        patches, x_shape = cache
        weight = params[f"{self.name}.weight"]
        kernels = (self.groups, self.outputs // self.groups)
        dy_rows = dy.reshape(*kernels, dy.shape[1], -1).transpose(0, 2, 1, 3)
        products = np.matmul(dy_rows, patches.transpose(0, 1, 3, 2)).sum(axis=1)
        dweight = products.reshape(*kernels, self.kernel, -1, self.kernel).transpose(0, 1, 3, 2, 4)
        grads = {
            f"{self.name}.weight": dweight.reshape(weight.shape),
            f"{self.name}.bias": dy.reshape(self.outputs, -1).sum(axis=1),
        }
        if not need_dx:
            return None, grads
        return self._image_gradient(weight, np.ascontiguousarray(dy_rows), x_shape), grads

    def _patches(self, x: Array, shape: Shape) -> Array:
        """Return the receptive fields of padded images, (G, OH, k * I/G * k, OW*B).

        Only the columns of a field are copied: for each row of the image, all its pieces of width
        `kernel`. The fields of an output row are `kernel` such rows, which lie one behind the
        other, so that the rest of im2col is a view with overlaps.
        """
        batch, size = x.shape[3], self.kernel
        pieces = sliding_window_view(x, size, axis=2)[:, :, :: self.stride]  # C, H, OW, B, kernel
        grouped = pieces.reshape(self.groups, -1, *pieces.shape[1:]).transpose(0, 2, 1, 5, 3, 4)
        rows = np.ascontiguousarray(grouped).reshape(self.groups, len(x[0]), -1, shape[2] * batch)
        group, row, place, one = rows.strides
        return as_strided(
            rows,
            (self.groups, shape[1], size * rows.shape[2], rows.shape[3]),
            (group, row * self.stride, place, one),
            writeable=False,
        )

    def _kernel_rows(self, weight: Array) -> Array:
        """Return the kernels in the order of `_patches`, (G, O/G, k * I/G * k)."""
        rows = np.ascontiguousarray(weight.transpose(0, 2, 1, 3))
        return rows.reshape(self.groups, self.outputs // self.groups, -1)

    def _image_gradient(self, weight: Array, dy_rows: Array, x_shape: Shape) -> Array:
        """Return the gradient of the input from that of the output rows, (G, OH, O/G, OW*B)."""
        channels, height, width, batch = x_shape
        groups, outputs, _, run = dy_rows.shape
        pad, size, step = self.padding, self.kernel, self.stride
        # Row h of the padded image meets kernel row i in output row (h - i) / step. From the
        # first output row that meets it to the last, i falls by `step`, hence the flip.
        kernels = self._kernel_rows(weight).reshape(groups, -1, size, channels // groups * size)
        kernels = kernels.transpose(0, 2, 1, 3)
        flipped = [np.ascontiguousarray(kernels[:, r::step][:, ::-1]) for r in range(step)]
        dpieces = np.zeros((groups, height + 2 * pad, kernels.shape[3], run), dy_rows.dtype)
        for h in range(height + 2 * pad):
            rows = flipped[h % step]
            skip = rows.shape[1] - 1 - h // step
            first, end = max(0, -skip), min(h // step + 1, outputs)
            if first < end:
                kernel_rows = rows[:, first + skip : end + skip].reshape(groups, -1, rows.shape[3])
                np.matmul(
                    kernel_rows.transpose(0, 2, 1),
                    dy_rows[:, first:end].reshape(groups, -1, run),
                    out=dpieces[:, h],
                )
        dx = np.zeros((channels, height + 2 * pad, width + 2 * pad, batch), dy_rows.dtype)
        dx_rows = dx.reshape(groups, -1, *dx.shape[1:]).transpose(0, 2, 1, 3, 4)
        dpieces = dpieces.reshape(*dx_rows.shape[:3], size, run // batch, batch)
        for j in range(size):
            dx_rows[:, :, :, j : j + step * (run // batch) : step] += dpieces[:, :, :, j]
        return dx[:, pad : pad + height, pad : pad + width]
