"""Convolution as one matrix product over gathered patches (im2col)."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from ..errors import ArgumentError
from .layers import Array, Layer, Params, Shape, times
from .parallel import Run, serially, slices

BAND_BYTES = 2 << 20  # that inference gathers at a time, on each thread
PRODUCTS = 1 << 23  # of numbers, that are worth a thread where there is nothing to gather
LONG_RUN = 128  # columns with which a product is as fast as it gets, or nearly


@dataclass(frozen=True)
class Conv2D(Layer):
    """Cross-correlation of images with square kernels, plus a bias.

    Input ``(inputs, H, W, B)``, weight ``(outputs, inputs // groups, kernel, kernel)``, output
    ``(outputs, OH, OW, B)`` with ``OH = (H + 2*padding - kernel) // stride + 1``.
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
        fits = len(shape) == 3 and shape[0] == self.inputs
        fits = fits and min(shape[1:]) + 2 * self.padding >= self.kernel
        smallest = max(1, self.kernel - 2 * self.padding)
        self._require(fits, shape, f"({self.inputs}, H, W) with H, W >= {smallest}")
        height, width = (
            (extent + 2 * self.padding - self.kernel) // self.stride + 1 for extent in shape[1:]
        )
        return self.outputs, height, width

    def forward(
        self, params: Params, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, Any]:
        weight = params[f"{self.name}.weight"]
        shape = self.output_shape(x.shape[:3])
        patches = self._patches(self._padded(x, 0, x.shape[1] + 2 * self.padding), shape)
        y: Array = np.empty(
            (self.groups, self.outputs // self.groups, shape[1], patches.shape[3]), x.dtype
        )
        if isinstance(weight, np.ndarray):
            np.matmul(self._kernel_rows(weight)[:, None], patches, out=y.transpose(0, 2, 1, 3))
        else:
            for group, columns in enumerate(self._columns(patches)):
                rows = slice(group * y.shape[1], (group + 1) * y.shape[1])
                y[group] = times(weight[rows], columns).reshape(y.shape[1:])
        y = y.reshape(self.outputs, -1)
        y += params[f"{self.name}.bias"][:, None]
        return y.reshape(*shape, -1), (patches, x.shape)

    def infer(
        self,
        params: Params,
        x: Array,
        overwrite: bool = False,
        run: Run = serially,
        relu: bool = False,
    ) -> Array:
        weight, bias = params[f"{self.name}.weight"], params[f"{self.name}.bias"]
        shape, batch = self.output_shape(x.shape[:3]), x.shape[3]
        if hasattr(weight, "convolve"):
            options = {"stride": self.stride, "padding": self.padding, "groups": self.groups}
            convolved: Array = weight.convolve(x, bias=bias, relu=relu, **options)
            return convolved
        if not isinstance(weight, np.ndarray) or x.size == 0:
            return self._rectified(super().infer(params, x), relu)
        y = np.empty((self.outputs, shape[1], shape[2] * batch), x.dtype)
        if self.kernel == self.stride == 1 and not self.padding:  # nothing to gather
            kernels = weight.reshape(self.groups, self.outputs // self.groups, -1)
            columns = x.reshape(self.groups, kernels.shape[2], -1)
            products, summands = y.reshape(*kernels.shape[:2], -1), bias.reshape(self.groups, -1, 1)

            def infer_columns(some: slice) -> None:
                part = np.matmul(kernels, columns[..., some], out=products[..., some])
                part += summands
                self._rectified(part, relu)

            # The fewer columns, the more of the time goes into bringing weights in order.
            worth = max(PRODUCTS, LONG_RUN // 2 * weight.size)
            run(infer_columns, slices(products.shape[2], weight.size, worth))
            return y.reshape(*shape, batch)
        kernels = self._kernel_rows(weight) if y.shape[2] >= LONG_RUN else weight

        def infer_band(rows: slice) -> None:
            band = y[:, rows]
            self._infer_band(kernels, x, rows.start, band)
            band += bias[:, None, None]
            self._rectified(band, relu)

        run(infer_band, slices(shape[1], self._row_bytes(x, shape), BAND_BYTES))
        return y.reshape(*shape, batch)

    def _rectified(self, y: Array, relu: bool) -> Array:
        """Return the output, in its place what a ReLU makes of it if there is one."""
        return np.maximum(y, 0, out=y) if relu else y

    def _row_bytes(self, x: Array, shape: Shape) -> int:
        """Return about how much has to be gathered for a row of the output."""
        row: int = x.shape[0] * self.kernel * shape[2] * x.shape[3] * x.itemsize
        row *= self.stride if shape[2] * x.shape[3] >= LONG_RUN else self.kernel
        return row

    def _infer_band(self, kernels: Array, x: Array, top: int, y: Array) -> None:
        """Write rows of the output, from `top` on, to `y` of shape (O, rows, OW*B).

        `kernels` are in the order of `_patches` if rows are long, else as they are.
        """
        first = top * self.stride
        image = self._padded(x, first, first + (y.shape[1] - 1) * self.stride + self.kernel)
        patches = self._patches(image, (self.outputs, y.shape[1], y.shape[2] // x.shape[3]))
        grouped = y.reshape(self.groups, -1, *y.shape[1:])
        if y.shape[2] >= LONG_RUN:
            products = grouped.transpose(0, 2, 1, 3)
            np.matmul(kernels[:, None], patches, out=products)
        else:
            rows = kernels.reshape(self.groups, grouped.shape[1], -1)
            grouped[...] = np.matmul(rows, self._columns(patches)).reshape(grouped.shape)

    def backward(
        self, params: Params, cache: Any, dy: Array, need_dx: bool = True
    ) -> tuple[Array | None, dict[str, Array]]:
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

    def _padded(self, x: Array, first: int, last: int) -> Array:
        """Return rows of the padded image."""
        channels, height, width, batch = x.shape
        pad = self.padding
        if not pad:
            return x[:, first:last]
        padded = np.zeros((channels, last - first, width + 2 * pad, batch), x.dtype)
        top, bottom = max(first - pad, 0), min(last - pad, height)
        if top < bottom:
            padded[:, top + pad - first : bottom + pad - first, pad:-pad] = x[:, top:bottom]
        return padded

    def _patches(self, x: Array, shape: Shape) -> Array:
        """Return the receptive fields, (groups, OH, kernel * C/groups * kernel, OW*B).

        `x` is padded.

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
        """Return the kernels in the order of `_patches`, (groups, O, k * C/groups * k)."""
        rows = np.ascontiguousarray(weight.transpose(0, 2, 1, 3))
        return rows.reshape(self.groups, self.outputs // self.groups, -1)

    def _columns(self, patches: Array) -> Array:
        """Return the fields in a weight's own order, (groups, C/groups * k * k, OH*OW*B)."""
        groups, height, _, run = patches.shape
        fields = patches.reshape(groups, height, self.kernel, -1, self.kernel, run)
        return fields.transpose(0, 3, 2, 4, 1, 5).reshape(groups, -1, height * run)

    def _image_gradient(self, weight: Array, dy_rows: Array, x_shape: Shape) -> Array:
        """Return the gradient of the input from that of the output rows, (groups, OH, O, OW*B)."""
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
