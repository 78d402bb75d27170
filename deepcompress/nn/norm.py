"""Normalization: across neighbouring channels as in AlexNet, and by statistics per channel."""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .layers import Array, Gradients, Layer, Params, Rng, Shape


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """Divide by the strength of neighbouring channels (Krizhevsky et al. 2012, section 3.3).

    ``y = x / (k + alpha/size * sum of x**2)**beta``, the sum over `size` channels with the
    channel itself in the middle, fewer at the ends. This is Caffe's ``ACROSS_CHANNELS``, with
    its defaults; the authors of AlexNet don't divide alpha by the size.
    """

    size: int = 5
    alpha: float = 1.0
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or self.size % 2 == 0:
            raise ArgumentError(f"layer {self.name!r}: size {self.size} must be odd and positive")
        _require_at_least_0(self, alpha=self.alpha, beta=self.beta)
        if not (math.isfinite(self.k) and self.k > 0):
            raise ArgumentError(f"layer {self.name!r}: k {self.k} must be positive and finite")

    def output_shape(self, shape: Shape) -> Shape:
        self._require(len(shape) == 3, shape, "(C, H, W)")
        return shape

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, H, W, B) -> the same."""
        scale = self._over_channels(x * x)
        scale *= x.dtype.type(self.alpha / self.size)
        scale += x.dtype.type(self.k)
        divided = self._inverse_power(scale)
        return x * divided, (x, scale, divided)

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, H, W, B) -> the same.

        The output of channel j depends on x_i by its scale: d scale_j / d x_i = 2 alpha/size x_i.
        """
        x, scale, divided = cache
        through_scale = self._over_channels(dy * x * divided / scale)
        factor = x.dtype.type(2 * self.alpha * self.beta / self.size)
        return dy * divided - factor * x * through_scale, {}

    def _over_channels(self, x: Array) -> Array:
        """Return the sum over each channel and its neighbours, fewer at the ends."""
        total = x.copy()
        for distance in range(1, min(self.size // 2, len(x) - 1) + 1):
            total[distance:] += x[:-distance]
            total[:-distance] += x[distance:]
        return total

    def _inverse_power(self, scale: Array) -> Array:
        """Return ``scale**-beta``; square roots take a tenth of the time of `np.power`."""
        if self.beta == 0.75:
            root = np.sqrt(scale)
            inverse: Array = 1 / (root * np.sqrt(root))
            return inverse
        power: Array = scale ** scale.dtype.type(-self.beta)
        return power


@dataclass(frozen=True)
class Scale(Layer):
    """A factor and a summand for each channel, ``y = weight * x + bias``; Caffe's ``Scale``.

    For images or vectors.
    """

    channels: int

    def __post_init__(self) -> None:
        if self.channels < 1:
            raise ArgumentError(f"layer {self.name!r}: {self.channels} channels")

    def param_shapes(self) -> dict[str, Shape]:
        return {f"{self.name}.{part}": (self.channels,) for part in ("weight", "bias")}

    def output_shape(self, shape: Shape) -> Shape:
        fits = len(shape) in (1, 3) and shape[0] == self.channels
        self._require(fits, shape, f"({self.channels},) or ({self.channels}, H, W)")
        return shape

    def affine(self, params: Params) -> tuple[Array, Array]:
        """Return the factor and the summand of each channel."""
        return params[f"{self.name}.weight"], params[f"{self.name}.bias"]

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, ..., B) -> the same."""
        factor, summand = (_along_channels(part, x) for part in self.affine(params))
        y: Array = x * factor
        y += summand
        return y, x

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the same; ``dweight`` and ``dbias`` are sums over pixels and batch."""
        x, weight = cache, params[f"{self.name}.weight"]
        grads = {
            f"{self.name}.weight": _sum_channels(dy * x),
            f"{self.name}.bias": _sum_channels(dy),
        }
        return (dy * _along_channels(weight, dy) if need_dx else None), grads


@dataclass(frozen=True)
class BatchNorm(Scale):
    """Batch normalization by statistics that are known (Ioffe and Szegedy 2015).

    ``y = weight * (x - mean) / sqrt(variance + epsilon) + bias`` per channel, where mean and
    variance are parameters like the others: for networks that were trained elsewhere. They are
    never taken from the batch, not even in training; leave them out of the trainables to keep
    them as they are. `folding.fold_batch_norm` makes the layer vanish.
    """

    epsilon: float = 1e-5

    def __post_init__(self) -> None:
        super().__post_init__()
        _require_at_least_0(self, epsilon=self.epsilon)

    def param_shapes(self) -> dict[str, Shape]:
        more = {f"{self.name}.{part}": (self.channels,) for part in ("mean", "variance")}
        return super().param_shapes() | more

    def affine(self, params: Params) -> tuple[Array, Array]:
        weight, bias, mean, variance = (params[name] for name in self.param_shapes())
        factor = weight / np.sqrt(variance + variance.dtype.type(self.epsilon))
        return factor, bias - mean * factor

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the same; mean and variance have gradients, too."""
        x = cache
        weight, _, mean, variance = (params[name] for name in self.param_shapes())
        variance = variance + variance.dtype.type(self.epsilon)
        deviation = np.sqrt(variance)
        sums = _sum_channels(dy)
        dweight = (_sum_channels(dy * x) - mean * sums) / deviation
        dmean, dvariance = -weight / deviation * sums, -weight * dweight / (2 * variance)
        grads = dict(zip(self.param_shapes(), (dweight, sums, dmean, dvariance), strict=True))
        return (dy * _along_channels(weight / deviation, dy) if need_dx else None), grads


def _along_channels(values: Array, x: Array) -> Array:
    """Return one value per channel, (C,), in a shape that spreads over `x`, (C, ..., B)."""
    return values.reshape(-1, *[1] * (x.ndim - 1))


def _sum_channels(x: Array) -> Array:
    """Return the sum of each channel of `x`, (C, ..., B) -> (C,)."""
    sums: Array = x.reshape(len(x), -1).sum(axis=1)
    return sums


def _require_at_least_0(layer: Layer, **values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value >= 0):
            raise ArgumentError(f"layer {layer.name!r}: {name} {value} must be finite, 0 or more")
