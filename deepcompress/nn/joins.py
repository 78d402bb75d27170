"""Layers that take several outputs and compute with them: residual sums, and channel gates."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from .layers import Array, Gradients, Layer, Params, Rng, Shape


@dataclass(frozen=True)
class Add(Layer):
    """The sum of outputs of one shape, such as a residual block's (He et al. 2016)."""

    several: ClassVar[bool] = True

    def output_shape(self, shape: Any) -> Shape:
        first: Shape = shape[0]
        for one in shape:
            self._require(one == first, one, f"{first} like the first")
        return first

    def forward(self, params: Params, x: Any, rng: Rng = None) -> tuple[Array, Any]:
        """[(C, ..., B), ...] -> (C, ..., B); the cache is how many there are."""
        y: Array = x[0].copy()
        for one in x[1:]:
            y += one
        return y, len(x)

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> [(C, ..., B), ...]."""
        return [dy.copy() for _ in range(cache)], {}


@dataclass(frozen=True)
class Multiply(Layer):
    """The product of two outputs of one shape, or of images and a gate: a number per channel.

    The gate is a vector or an image of one pixel (Hu et al. 2018); it comes second.
    """

    several: ClassVar[bool] = True

    def output_shape(self, shape: Any) -> Shape:
        first: Shape = shape[0]
        self._require(len(shape) == 2, first, "two inputs")
        gates = (first[:1], (*first[:1], 1, 1)) if len(first) == 3 else ()
        expected = " or ".join(map(str, (first, *gates)))
        self._require(shape[1] in (first, *gates), shape[1], f"{expected}, to fit the first")
        return first

    def forward(self, params: Params, x: Any, rng: Rng = None) -> tuple[Array, Any]:
        """[(C, ..., B), the same or (C, B) or (C, 1, 1, B)] -> (C, ..., B); the cache is x."""
        values, factors = x
        return values * _over_places(factors, values), x

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the shapes of both; a gate gets the sums over all places."""
        values, factors = cache
        spread = _over_places(factors, values)
        dfactors = dy * values
        if spread.shape != values.shape:
            dfactors = dfactors.sum(axis=(1, 2))
        return [dy * spread, dfactors.reshape(factors.shape)], {}


def _over_places(factors: Array, values: Array) -> Array:
    """Return factors in a shape that spreads over `values`."""
    if factors.size == values.size:
        return factors.reshape(values.shape)
    return factors.reshape(len(factors), *[1] * (values.ndim - 2), factors.shape[-1])


def is_gate(shape: Shape, of: Shape) -> bool:
    """Tell whether the second factor of images of a shape has one number for each channel."""
    return shape != of and np.prod(shape, dtype=np.int64) == of[0]
