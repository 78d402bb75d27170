"""A network is a named sequence of layers; its parameters live outside, in a dict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from .layers import Array, Dropout, Layer, Params, Shape
from .losses import softmax_cross_entropy
from .parallel import workers

INITIALIZERS = {"he": 2.0, "xavier": 1.0}  # variance of a weight times its fan-in


@dataclass(frozen=True)
class Network:
    """A sequence of layers from images to logits.

    Attributes
    ----------
    name : str
    layers : tuple of Layer
        With unique names.
    input_shape : tuple of int
        Shape of one input: ``(features,)`` or ``(channels, height, width)``.

    Raises
    ------
    ArgumentError
        If two layers have one name, or a layer can't take what the one before gives.
    """

    name: str
    layers: tuple[Layer, ...]
    input_shape: Shape

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.layers]
        for name in names:
            if names.count(name) > 1:
                raise ArgumentError(f"network {self.name!r}: two layers are called {name!r}")
        _ = self.output_shape

    @property
    def output_shape(self) -> Shape:
        """Shape of one output, usually ``(classes,)``."""
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.output_shape(shape)
        return shape

    @property
    def param_shapes(self) -> dict[str, Shape]:
        """Full name and shape of every parameter, in the order of the layers."""
        return {
            name: shape for layer in self.layers for name, shape in layer.param_shapes().items()
        }

    def init(
        self,
        rng: np.random.Generator,
        scheme: str = "he",
        dtype: npt.DTypeLike = np.float32,
    ) -> dict[str, Array]:
        """Draw fresh parameters: normal weights, zero biases.

        Parameters
        ----------
        rng : numpy.random.Generator
        scheme : {"he", "xavier"}
            A weight's variance is 2 / fan-in (He et al. 2015, for ReLU) or 1 / fan-in
            (Caffe's "xavier").
        dtype : dtype
            float32, or float64 to check gradients.

        Returns
        -------
        dict of str to ndarray
        """
        if scheme not in INITIALIZERS:
            raise ArgumentError(f"initializer {scheme!r}: choose from {sorted(INITIALIZERS)}")
        params: dict[str, Array] = {}
        for name, shape in self.param_shapes.items():
            if name.endswith(".bias"):
                params[name] = np.zeros(shape, dtype)
            else:
                deviation = np.sqrt(INITIALIZERS[scheme] / np.prod(shape[1:]))
                params[name] = (rng.standard_normal(shape) * deviation).astype(dtype)
        return params

    def with_dropout(self, rates: Mapping[str, float]) -> "Network":
        """Return the network with the given rates in its dropout layers, 0 where not named.

        Raises
        ------
        ArgumentError
            If a name isn't that of a dropout layer.
        """
        known = {layer.name for layer in self.layers if isinstance(layer, Dropout)}
        for name in rates:
            if name not in known:
                raise ArgumentError(f"network {self.name!r} has no dropout layer {name!r}")
        layers = tuple(
            replace(layer, rate=rates.get(layer.name, 0.0)) if isinstance(layer, Dropout) else layer
            for layer in self.layers
        )
        return replace(self, layers=layers)

    def check_params(self, params: Params) -> None:
        """Raise `ArgumentError` unless `params` has every parameter in its right shape."""
        for name, shape in self.param_shapes.items():
            if name not in params:
                raise ArgumentError(f"network {self.name!r}: parameter {name!r} is missing")
            if tuple(params[name].shape) != shape:
                raise ArgumentError(
                    f"network {self.name!r}: parameter {name!r} has shape "
                    f"{tuple(params[name].shape)}, expected {shape}"
                )
        for name in params:
            if name not in self.param_shapes:
                raise ArgumentError(f"network {self.name!r} has no parameter {name!r}")

    def columns(self, x: Array) -> Array:
        """Turn inputs (B, ...) into the layers' layout (..., B)."""
        columns = x.reshape(len(x), -1).T
        if len(self.input_shape) == 1:
            return columns  # BLAS takes a transposed view as it is
        return np.ascontiguousarray(columns).reshape(*self.input_shape, len(x))

    def forward(
        self, params: Params, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, list[Any]]:
        """Return the logits (classes, B) of inputs (..., B), and all caches."""
        caches = []
        for layer in self.layers:
            x, cache = layer.forward(params, x, rng)
            caches.append(cache)
        return x, caches

    def backward(self, params: Params, caches: list[Any], dlogits: Array) -> dict[str, Array]:
        """Return the gradient of every parameter, by name. Overwrites `dlogits`."""
        grads: dict[str, Array] = {}
        dy: Array | None = dlogits
        first = next(layer for layer in self.layers if layer.param_shapes())
        for layer, cache in zip(reversed(self.layers), reversed(caches), strict=True):
            assert dy is not None
            dy, layer_grads = layer.backward(params, cache, dy, layer is not first)
            grads.update(layer_grads)
            if layer is first:  # nothing before it has anything to learn
                break
        return grads

    def loss_and_grads(
        self,
        params: Params,
        x: Array,
        labels: npt.NDArray[np.integer],
        rng: np.random.Generator | None = None,
        count: int | None = None,
    ) -> tuple[float, dict[str, Array]]:
        """Return the mean cross-entropy of inputs (B, ...) and its gradients.

        `count` is the divisor of the mean, as in `softmax_cross_entropy`; dropout needs `rng`.
        """
        logits, caches = self.forward(params, self.columns(x), rng)
        loss, dlogits = softmax_cross_entropy(logits, labels, count)
        return loss, self.backward(params, caches, dlogits)

    def predict(
        self, params: Params, x: Array, batch_size: int = 250, threads: int | None = None
    ) -> Array:
        """Return the logits of a data set.

        Parameters
        ----------
        params : mapping of str to ndarray
            A weight may be compressed.
        x : ndarray of shape (n, ...), each row an input
            Any shape with the right number of features per row.
        batch_size : int
            Inputs per pass: bounds the memory; the result depends on it only by rounding.
        threads : int, optional
            Passes at a time, all processors by default; has no influence on the result.

        Returns
        -------
        ndarray of shape (n, classes)
        """
        self.check_params(params)
        self.check_inputs(x)
        if batch_size < 1:
            raise ArgumentError(f"batch_size {batch_size} is not positive")

        def logits(start: int) -> Array:
            columns = self.columns(x[start : start + batch_size])
            for layer in self.layers:
                columns, _ = layer.forward(params, columns)
            return columns.T

        with workers(threads) as run:
            parts: Sequence[Array] = run(logits, range(0, len(x), batch_size))
        if not parts:
            return np.zeros((0, *self.output_shape), x.dtype)
        return np.concatenate(parts)

    def check_inputs(self, x: Array) -> None:
        """Raise `ArgumentError` unless each row of `x` has the size of an input."""
        features = int(np.prod(self.input_shape))
        if x.ndim < 2 or int(np.prod(x.shape[1:])) != features:
            raise ArgumentError(
                f"network {self.name!r}: inputs of shape {x.shape}, "
                f"expected (n, {features}) or (n, *{self.input_shape})"
            )
        if x.dtype not in (np.float32, np.float64):
            raise ArgumentError(
                f"network {self.name!r}: inputs of dtype {x.dtype}, expected float32 or float64"
            )
