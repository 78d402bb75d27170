"""Convolution as one matrix product over gathered patches (im2col)."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape
from .windows import Sides, Window, compact


@dataclass(frozen=True)
class Conv2D(Layer):
    """Cross-correlation of images with kernels, plus a bias.

    The weight has shape (O, I/G, kh, kw). Each of `kernel`, `stride` and `dilation` is one number,
    or one for the height and one for the width; `padding` is one, or those of the top, left,
    bottom and right. Places of a kernel are `dilation` pixels apart, and
    ``OH = (H + top + bottom - dilation*(kh - 1) - 1) // stride + 1``.
    Group g of the outputs sees only group g of the inputs, as in AlexNet; with a group for each
    input, a convolution is depthwise.
    """

    inputs: int
    outputs: int
    kernel: Sides
    stride: Sides = 1
    padding: Sides = 0
    groups: int = 1
    dilation: Sides = 1

    def __post_init__(self) -> None:
        for name, count in (("kernel", 2), ("stride", 2), ("padding", 4), ("dilation", 2)):
            value = compact(self.name, name, getattr(self, name), count)
            object.__setattr__(self, name, value)
        window = self.window
        sizes = window.kernel + window.stride + window.dilation
        if min(self.inputs, self.outputs, self.groups, *sizes) < 1:
            raise ArgumentError(f"layer {self.name!r}: sizes, stride and groups must be positive")
        if min(window.padding) < 0:
            raise ArgumentError(f"layer {self.name!r}: padding {self.padding} is negative")
        if self.inputs % self.groups or self.outputs % self.groups:
            raise ArgumentError(
                f"layer {self.name!r}: {self.inputs} inputs and {self.outputs} outputs "
                f"can't be split into {self.groups} groups"
            )

    @property
    def window(self) -> Window:
        """The options in full."""
        return Window.of(self.kernel, self.stride, self.padding, self.dilation)

    @property
    def is_depthwise(self) -> bool:
        """Whether each output sees one input alone, and there are several."""
        return self.groups == self.inputs > 1

    def param_shapes(self) -> dict[str, Shape]:
        kernels = (self.outputs, self.inputs // self.groups, *self.window.kernel)
        return {f"{self.name}.weight": kernels, f"{self.name}.bias": (self.outputs,)}

    def output_shape(self, shape: Shape) -> Shape:
        """Return (O, OH, OW) for (C, H, W), or raise."""
        fits = len(shape) == 3 and shape[0] == self.inputs
        fits = fits and min(self.window.space(shape[1:])) >= 0
        self._require(fits, shape, f"({self.inputs}, H, W) with {self.window.smallest}")
        return self.outputs, *self.window.counts(shape[1:])

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(I, H, W, B) -> (O, OH, OW, B); the cache is the patches, and x's shape."""
        weight, bias = params[f"{self.name}.weight"], params[f"{self.name}.bias"]
        shape = self.output_shape(x.shape[:3])
        if not isinstance(weight, np.ndarray):
            options = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
            if self.dilation != 1:
                options["dilation"] = self.dilation
            return weight.convolve(x, bias=bias, **options), None
        patches = self._patches(self.window.padded(x), shape)
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
        height, width = self.window.kernel
        dweight = products.reshape(*kernels, height, -1, width).transpose(0, 1, 3, 2, 4)
        grads = {
            f"{self.name}.weight": dweight.reshape(weight.shape),
            f"{self.name}.bias": dy.reshape(self.outputs, -1).sum(axis=1),
        }
        if not need_dx:
            return None, grads
        return self.image_gradient(weight, np.ascontiguousarray(dy_rows), x_shape), grads

    def _patches(self, x: Array, shape: Shape) -> Array:
        """Return the receptive fields of padded images, (G, OH, kh * I/G * kw, OW*B).

        Only the columns of a field are copied: for each row of the image, all its pieces as wide
        as a kernel. The fields of an output row are `kh` such rows, which lie one behind the
        other, so that the rest of im2col is a view with overlaps; dilated ones are copied.
        """
        batch, size, reach = x.shape[3], self.window.kernel[0], self.window.reach[1]
        (down, right), (tall, wide) = self.window.stride, self.window.dilation
        # C, H, OW, B, kw
        pieces = sliding_window_view(x, reach, axis=2)[:, :, ::right, :, ::wide]
        grouped = pieces.reshape(self.groups, -1, *pieces.shape[1:]).transpose(0, 2, 1, 5, 3, 4)
        rows = np.ascontiguousarray(grouped).reshape(self.groups, len(x[0]), -1, shape[2] * batch)
        group, row, place, one = rows.strides
        fields = as_strided(
            rows,
            (self.groups, shape[1], size, *rows.shape[2:]),
            (group, row * down, row * tall, place, one),
            writeable=False,
        )
        return fields.reshape(self.groups, shape[1], -1, rows.shape[3])

    def _kernel_rows(self, weight: Array) -> Array:
        """Return the kernels in the order of `_patches`, (G, O/G, kh * I/G * kw)."""
        rows = np.ascontiguousarray(weight.transpose(0, 2, 1, 3))
        return rows.reshape(self.groups, self.outputs // self.groups, -1)

    def image_gradient(self, weight: Array, dy_rows: Array, x_shape: Shape) -> Array:
        """Return the gradient of the input from that of the output rows, (G, OH, O/G, OW*B)."""
        channels, height, width, batch = x_shape
        groups, _, _, run = dy_rows.shape
        (tall, wide), right = self.window.around, self.window.stride[1]
        kernels = self._kernel_rows(weight).reshape(
            groups, -1, self.window.kernel[0], channels // groups * self.window.kernel[1]
        )
        dpieces = np.zeros((groups, height + tall, kernels.shape[3], run), dy_rows.dtype)
        self._gather_rows(kernels.transpose(0, 2, 1, 3), dy_rows, dpieces)
        dx = np.zeros((channels, height + tall, width + wide, batch), dy_rows.dtype)
        dx_rows = dx.reshape(groups, -1, *dx.shape[1:]).transpose(0, 2, 1, 3, 4)
        dpieces = dpieces.reshape(*dx_rows.shape[:3], -1, run // batch, batch)
        for j in range(self.window.kernel[1]):
            first = j * self.window.dilation[1]
            dx_rows[:, :, :, first : first + right * (run // batch - 1) + 1 : right] += dpieces[
                :, :, :, j
            ]
        return self.window.inner(dx, x_shape)

    def _gather_rows(self, kernels: Array, dy_rows: Array, dpieces: Array) -> None:
        """Add to the rows of the padded image what the output rows that meet them give.

        `kernels` are (G, kh, O/G, I/G * kw); `dpieces` are (G, H, I/G * kw, OW*B).
        """
        groups, outputs, _, run = dy_rows.shape
        step, apart = self.window.stride[0], self.window.dilation[0]
        if apart > 1:
            for i in range(kernels.shape[1]):
                products = np.matmul(kernels[:, i].transpose(0, 2, 1)[:, None], dy_rows)
                dpieces[:, i * apart : i * apart + step * (outputs - 1) + 1 : step] += products
            return
        # Row h of the padded image meets kernel row i in output row (h - i) / step. From the
        # first output row that meets it to the last, i falls by `step`, hence the flip.
        flipped = [np.ascontiguousarray(kernels[:, r::step][:, ::-1]) for r in range(step)]
        for h in range(dpieces.shape[1]):
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
