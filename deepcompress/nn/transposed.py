"""Transposed convolution: what a convolution does to gradients, as a layer of its own."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .conv import Conv2D
from .layers import Array, Gradients, Layer, Params, Rng, Shape
from .windows import Sides, Window, compact


@dataclass(frozen=True)
class ConvTranspose2D(Layer):
    """Each pixel's multiple of a kernel, `stride` pixels from the next one's, summed; plus a bias.

    The weight has shape (I, O/G, kh, kw), as in PyTorch and ONNX, and
    ``OH = (H - 1)*stride + dilation*(kh - 1) + 1 + more - top - bottom``: `padding` cuts off,
    and `more`, below the stride, adds rows below and columns to the right that few kernels meet.
    """

    inputs: int
    outputs: int
    kernel: Sides
    stride: Sides = 1
    padding: Sides = 0
    groups: int = 1
    dilation: Sides = 1
    more: Sides = 0

    def __post_init__(self) -> None:
        mirrored = self.mirrored  # checks the other options
        for name in ("kernel", "stride", "padding", "dilation"):
            object.__setattr__(self, name, getattr(mirrored, name))
        object.__setattr__(self, "more", compact(self.name, "more", self.more, 2))
        below = all(0 <= m < s for m, s in zip(self._more, self.window.stride, strict=True))
        if not below:
            raise ArgumentError(
                f"layer {self.name!r}: more {self.more}; expected 0 <= more < stride"
            )

    @property
    def mirrored(self) -> Conv2D:
        """The convolution whose gradient this is: it takes our output and gives our input."""
        sizes = self.kernel, self.stride, self.padding, self.groups, self.dilation
        return Conv2D(self.name, self.outputs, self.inputs, *sizes)

    @property
    def window(self) -> Window:
        """The options in full."""
        return self.mirrored.window

    @property
    def _more(self) -> tuple[int, ...]:
        return self.more if isinstance(self.more, tuple) else (self.more, self.more)

    def param_shapes(self) -> dict[str, Shape]:
        weight, bias = self.mirrored.param_shapes().items()
        return dict([weight, (bias[0], (self.outputs,))])

    def output_shape(self, shape: Shape) -> Shape:
        fits = len(shape) == 3 and shape[0] == self.inputs
        self._require(fits, shape, f"({self.inputs}, H, W)")
        window = self.window
        steps = zip(shape[1:], window.stride, window.reach, window.around, self._more, strict=True)
        height, width = ((n - 1) * s + reach + more - cut for n, s, reach, cut, more in steps)
        self._require(min(height, width) > 0, shape, f"more than the padding {self.padding} cuts")
        return self.outputs, height, width

    def padded_shape(self, shape: Shape) -> Shape:
        """Return the shape of an output before the padding is cut off."""
        outputs, *sides = self.output_shape(shape)
        return outputs, *(n + cut for n, cut in zip(sides, self.window.around, strict=True))

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(I, H, W, B) -> (O, OH, OW, B); the cache is x."""
        weight, bias = params[f"{self.name}.weight"], params[f"{self.name}.bias"]
        rows = x.reshape(self.groups, self.inputs // self.groups, x.shape[1], -1)
        shape = *self.output_shape(x.shape[:3]), x.shape[3]
        rows = np.ascontiguousarray(rows.transpose(0, 2, 1, 3))
        y = self.mirrored.image_gradient(weight, rows, shape)
        return y + bias[:, None, None, None], x

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(O, OH, OW, B) -> (I, H, W, B): the convolution, and its gradient by the weight."""
        mirrored, name = self.mirrored, f"{self.name}.weight"
        own = {name: params[name], f"{self.name}.bias": np.zeros(self.inputs, dy.dtype)}
        dx, patches = mirrored.forward(own, dy)
        grads = mirrored.backward(own, patches, cache, need_dx=False)[1]
        grads[f"{self.name}.bias"] = dy.reshape(self.outputs, -1).sum(axis=1)
        return (dx if need_dx else None), grads

    def flipped(self, weight: Array) -> Array:
        """Return the weight of a plain convolution that does the same, (O, I/G, kh, kw).

        It takes images with ``stride - 1`` zeros between their pixels, and others around.
        """
        groups, inputs = self.groups, self.inputs // self.groups
        grouped = weight.reshape(groups, inputs, -1, *weight.shape[2:])
        turned = grouped.transpose(0, 2, 1, 3, 4)[..., ::-1, ::-1]
        return np.ascontiguousarray(turned.reshape(self.outputs, inputs, *weight.shape[2:]))
