"""Layers that move numbers and compute nothing: other shapes, other orders, zeros around."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape
from .windows import Sides, Window, compact

MAX_AXES = 3  # that are put into another order


@dataclass(frozen=True)
class Reshape(Layer):
    """The same numbers in another shape, in row-major order."""

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        if not self.shape or min(self.shape) < 1:
            raise ArgumentError(f"layer {self.name!r}: shape {self.shape} isn't of positive axes")

    def output_shape(self, shape: Shape) -> Shape:
        count = math.prod(self.shape)
        self._require(math.prod(shape) == count, shape, f"{count} numbers for {self.shape}")
        return self.shape

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """``(..., B) -> (*shape, B)``; the cache is x's shape."""
        return x.reshape(*self.shape, x.shape[-1]), x.shape

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """``(*shape, B) -> (..., B)``."""
        return dy.reshape(cache), {}


@dataclass(frozen=True)
class Permute(Layer):
    """The axes of an input, the batch aside, in another order: ``numpy.transpose``'s."""

    axes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "axes", tuple(self.axes))
        if sorted(self.axes) != list(range(len(self.axes))) or len(self.axes) not in (2, MAX_AXES):
            raise ArgumentError(
                f"layer {self.name!r}: axes {self.axes} aren't 0 and 1, or 0, 1 and 2, in any order"
            )

    def output_shape(self, shape: Shape) -> Shape:
        self._require(len(shape) == len(self.axes), shape, f"{len(self.axes)} axes")
        return tuple(shape[axis] for axis in self.axes)

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(..., B) -> the same axes in another order."""
        return np.ascontiguousarray(x.transpose(*self.axes, len(self.axes))), None

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """As `forward`, and back."""
        back = np.argsort(self.axes)
        return np.ascontiguousarray(dy.transpose(*back, len(back))), {}


@dataclass(frozen=True)
class Pad(Layer):
    """Zeros around images: one number of pixels, or those on the top, left, bottom and right."""

    padding: Sides

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", compact(self.name, "padding", self.padding, 4))
        if min(self.window.padding) < 0:
            raise ArgumentError(f"layer {self.name!r}: padding {self.padding} is negative")

    @property
    def window(self) -> Window:
        """A window of one pixel, with the padding."""
        return Window.of(1, 1, self.padding)

    def output_shape(self, shape: Shape) -> Shape:
        self._require(len(shape) == 3, shape, "(C, H, W)")
        return shape[0], *self.window.counts(shape[1:])

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, H, W, B) -> (C, top + H + bottom, left + W + right, B); the cache is x's shape."""
        return self.window.padded(x), x.shape

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, top + H + bottom, left + W + right, B) -> (C, H, W, B)."""
        return self.window.inner(dy, cache), {}
