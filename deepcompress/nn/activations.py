"""Activations besides ReLU: a function of each number, and softmax over the channels.

The sigmoid is ``1 / (1 + exp(-x))``. ONNX and PyTorch have all of these by the same names.
"""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape


@dataclass(frozen=True)
class _Elementwise(Layer):
    """A function of each number alone."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    @abstractmethod
    def apply(self, x: Array) -> Array:
        """Return the function of `x`, in a new array of its dtype."""

    @abstractmethod
    def slope(self, x: Array) -> Array:
        """Return the derivative at `x`; where there are two, that from the left."""

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, ..., B) -> the same; the cache is x."""
        return self.apply(x), x

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the same."""
        return np.multiply(dy, self.slope(cache), out=dy), {}

    def _require_finite(self, **values: float | None) -> None:
        for name, value in values.items():
            if value is not None and not math.isfinite(value):
                raise ArgumentError(f"layer {self.name!r}: {name} {value} must be finite")


@dataclass(frozen=True)
class Clip(_Elementwise):
    """``min(max(x, low), high)``; 0 and 6 make ReLU6. Its derivative at either is taken as 0."""

    low: float | None = None  # no limit
    high: float | None = None

    def __post_init__(self) -> None:
        self._require_finite(low=self.low, high=self.high)
        low, high = self.limits
        if not low <= high:
            raise ArgumentError(f"layer {self.name!r}: low {low} is above high {high}")

    @property
    def limits(self) -> tuple[float, float]:
        """Both limits, infinite where there is none."""
        return (
            -math.inf if self.low is None else self.low,
            math.inf if self.high is None else self.high,
        )

    def apply(self, x: Array) -> Array:
        y: Array = np.clip(x, *(x.dtype.type(limit) for limit in self.limits))
        return y

    def slope(self, x: Array) -> Array:
        low, high = self.limits
        inside: Array = ((x > low) & (x < high)).astype(x.dtype)
        return inside


@dataclass(frozen=True)
class LeakyReLU(_Elementwise):
    """x, and where that is negative, ``slope_below * x``."""

    slope_below: float = 0.01

    def __post_init__(self) -> None:
        self._require_finite(slope_below=self.slope_below)

    def apply(self, x: Array) -> Array:
        return np.where(x < 0, x * x.dtype.type(self.slope_below), x)

    def slope(self, x: Array) -> Array:
        slope: Array = np.where(x > 0, x.dtype.type(1), x.dtype.type(self.slope_below))
        return slope


@dataclass(frozen=True)
class Sigmoid(_Elementwise):
    """The sigmoid, from 0 to 1."""

    def apply(self, x: Array) -> Array:
        return sigmoid(x)

    def slope(self, x: Array) -> Array:
        y = sigmoid(x)
        slope: Array = y * (1 - y)
        return slope


@dataclass(frozen=True)
class Tanh(_Elementwise):
    """The hyperbolic tangent."""

    def apply(self, x: Array) -> Array:
        return np.tanh(x)

    def slope(self, x: Array) -> Array:
        slope: Array = 1 - np.tanh(x) ** 2
        return slope


@dataclass(frozen=True)
class SiLU(_Elementwise):
    """``x * sigmoid(x)``, also called swish (Elfwing et al. 2017)."""

    def apply(self, x: Array) -> Array:
        y: Array = x * sigmoid(x)
        return y

    def slope(self, x: Array) -> Array:
        y = sigmoid(x)
        slope: Array = y + x * y * (1 - y)
        return slope


@dataclass(frozen=True)
class HardSigmoid(_Elementwise):
    """A ramp from 0 to 1, ``min(max(alpha * x + beta, 0), 1)``."""

    alpha: float = 1 / 6  # PyTorch's; ONNX has 0.2 by default
    beta: float = 0.5

    def __post_init__(self) -> None:
        self._require_finite(alpha=self.alpha, beta=self.beta)

    def apply(self, x: Array) -> Array:
        return _ramp(x, self.alpha, self.beta)

    def slope(self, x: Array) -> Array:
        slope: Array = x.dtype.type(self.alpha) * _on_ramp(x, self.alpha, self.beta)
        return slope


@dataclass(frozen=True)
class HardSwish(_Elementwise):
    """``x * min(max(x / 6 + 1/2, 0), 1)`` (Howard et al. 2019)."""

    def apply(self, x: Array) -> Array:
        y: Array = x * _ramp(x, 1 / 6, 0.5)
        return y

    def slope(self, x: Array) -> Array:
        slope: Array = x * x.dtype.type(1 / 6) * _on_ramp(x, 1 / 6, 0.5)
        return slope + _ramp(x, 1 / 6, 0.5)


@dataclass(frozen=True)
class Softmax(Layer):
    """Powers of e, divided by their sum over the channels: of a vector, or at each place."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, ..., B) -> the same; the cache is y."""
        y: Array = np.exp(x - x.max(axis=0, keepdims=True))
        y /= y.sum(axis=0, keepdims=True)
        return y, y

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the same: ``dx = y * (dy - sum of dy * y)``."""
        y = cache
        return y * (dy - (dy * y).sum(axis=0, keepdims=True)), {}


def sigmoid(x: Array) -> Array:
    """Return ``1 / (1 + exp(-x))``, by powers that can't overflow."""
    power = np.exp(-np.abs(x))
    y: Array = np.where(x < 0, power, x.dtype.type(1)) / (1 + power)
    return y


def _ramp(x: Array, alpha: float, beta: float) -> Array:
    y: Array = np.clip(x.dtype.type(alpha) * x + x.dtype.type(beta), 0, 1)
    return y


def _on_ramp(x: Array, alpha: float, beta: float) -> Array:
    y = x.dtype.type(alpha) * x + x.dtype.type(beta)
    inside: Array = ((y > 0) & (y < 1)).astype(x.dtype)
    return inside
