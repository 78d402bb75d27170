"""A network is a small graph of named layers; its parameters live outside, in a dict.

Most layers take the output of the layer before; `Network.sources` names the exceptions. Here
the two branches of a fire module, of 1x1 and of 3x3 kernels, part and meet::

    layers    squeeze, expand1, expand3, concat
    sources   {"expand3": ["squeeze"], "concat": ["expand1", "expand3"]}
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from .layers import Array, Dropout, Layer, Params, Shape
from .losses import softmax_cross_entropy
from .parallel import workers
from .wiring import INPUT, Stage, Step, departures, evaluate, fused, plan

INITIALIZERS = {"he": 2.0, "xavier": 1.0}  # variance of a weight times its fan-in
_FLOATS = np.dtype(np.float32), np.dtype(np.float64)
MAX_ELEMENTS = 2**31  # in an activation for one input: far more than a real network has


@dataclass(frozen=True)
class Network:
    """A graph of layers from images to logits.

    Attributes
    ----------
    name : str
    layers : tuple of Layer
        With unique names, each after its sources. The output of the last one is the
        network's; every other output is taken by some layer.
    input_shape : tuple of int
        Shape of one input: ``(features,)`` or ``(channels, height, width)``.
    sources : mapping of str to sequence of str
        By a layer's name, the layers whose outputs it takes; ``"input"`` is the network's
        input. A layer that isn't named takes the output of the layer before it, the first one
        the input. Entries that only say so are left out when the network is made.

    Raises
    ------
    ArgumentError
        If two layers have the same name; if a source doesn't come before its layer, or gives a
        shape that the layer can't take; if no layer takes an output; if one has 2**31 numbers.
    """

    name: str
    layers: tuple[Layer, ...]
    input_shape: Shape
    sources: Mapping[str, Sequence[str]] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        try:
            if math.prod(self.input_shape) >= MAX_ELEMENTS:
                raise ArgumentError(f"inputs of shape {self.input_shape} are too large")
            object.__setattr__(self, "sources", dict(departures(self.steps)))
        except ArgumentError as error:
            raise ArgumentError(f"network {self.name!r}: {error}") from None
        _ = self.shapes

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The layers in order, each with its sources and those that aren't needed after it."""
        return plan(self.layers, self.sources)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The steps of inference."""
        return fused(self.steps)

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """Shape of the input and of each layer's output, by name, without the batch."""
        shapes = {INPUT: self.input_shape}
        for step in self.steps:
            shapes[step.layer.name] = shape = step.layer.output_shape(step.of(shapes))
            if math.prod(shape) >= MAX_ELEMENTS:
                raise ArgumentError(
                    f"layer {step.layer.name!r}: an output of shape {shape} is too large"
                )
        return shapes

    @property
    def output_shape(self) -> Shape:
        """Shape of one output, usually ``(classes,)``."""
        return self.shapes[self.layers[-1].name]

    @property
    def param_shapes(self) -> dict[str, Shape]:
        """Full name and shape of every parameter, in the order of the layers."""
        return {
            name: shape for layer in self.layers for name, shape in layer.param_shapes().items()
        }

    def init(
        self, rng: np.random.Generator, scheme: str = "he", dtype: npt.DTypeLike = np.float32
    ) -> dict[str, Array]:
        """Draw fresh parameters: normal weights, zero biases, and normalizations that do nothing.

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
            if name.endswith((".bias", ".mean")):
                params[name] = np.zeros(shape, dtype)
            elif len(shape) == 1:  # scales and variances
                params[name] = np.ones(shape, dtype)
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
        if len(x) == 1:
            return x.reshape(*self.input_shape, 1)  # nothing moves
        # In one order, whatever that of the inputs is: BLAS may round the other one differently.
        columns = np.ascontiguousarray(x).reshape(len(x), -1).T
        if len(self.input_shape) == 1:
            return columns  # BLAS takes a transposed view as it is
        return np.ascontiguousarray(columns).reshape(*self.input_shape, len(x))

    def forward(
        self, params: Params, x: Array, rng: np.random.Generator | None = None
    ) -> tuple[Array, list[Any]]:
        """Return the logits (classes, B) of inputs (..., B), and all caches."""
        values, caches = {INPUT: x}, []
        for step in self.steps:
            y, cache = step.layer.forward(params, step.of(values), rng)
            caches.append(cache)
            for name in step.done:
                del values[name]
            values[step.layer.name] = y
        return y, caches

    def backward(self, params: Params, caches: list[Any], dlogits: Array) -> dict[str, Array]:
        """Return the gradient of every parameter, by name. Overwrites `dlogits`."""
        grads: dict[str, Array] = {}
        dvalues: dict[str, Array] = {self.layers[-1].name: dlogits}
        for place, step, need_dx in self._way_back:
            dy = dvalues.pop(step.layer.name)
            dx, layer_grads = step.layer.backward(params, caches[place], dy, need_dx)
            grads.update(layer_grads)
            parts: Any = dx if step.layer.several else (dx,)
            for source, part in zip(step.sources, parts, strict=True):
                if source in self._learners:  # where an output is taken twice, gradients add up
                    dvalues[source] = dvalues[source] + part if source in dvalues else part
        return grads

    def learners(self) -> set[str]:
        """Return the layers with parameters in or before them: only these need a gradient."""
        return set(self._learners)

    @cached_property
    def _learners(self) -> set[str]:
        """Return the layers with parameters in or before them: only these need a gradient."""
        learners: set[str] = set()
        for step in self.steps:
            if step.layer.param_shapes() or not learners.isdisjoint(step.sources):
                learners.add(step.layer.name)
        return learners

    @cached_property
    def _way_back(self) -> tuple[tuple[int, Step, bool], ...]:
        """Return the places and steps of these layers, the last first, and if they need dx."""
        return tuple(
            (place, step, not self._learners.isdisjoint(step.sources))
            for place, step in reversed(list(enumerate(self.steps)))
            if step.layer.name in self._learners
        )

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
            return self.infer(params, x[start : start + batch_size])

        with workers(threads) as run:
            parts: Sequence[Array] = run(logits, range(0, len(x), batch_size))
        if not parts:
            return np.zeros((0, *self.output_shape), x.dtype)
        return np.concatenate(parts)

    def infer(self, params: Params, x: Array) -> Array:
        """Return the logits of one batch, (B, classes), in a single pass; arguments as `predict`'s.

        On the calling thread alone; see `wiring.evaluate`.
        """
        return np.moveaxis(evaluate(self.stages, params, self.columns(x)), -1, 0)

    def check_inputs(self, x: Array) -> None:
        """Raise `ArgumentError` unless each row of `x` has the size of an input."""
        features = math.prod(self.input_shape)
        if x.ndim < 2 or math.prod(x.shape[1:]) != features:
            raise ArgumentError(
                f"network {self.name!r}: inputs of shape {x.shape}, "
                f"expected (n, {features}) or (n, *{self.input_shape})"
            )
        if x.dtype not in _FLOATS:
            raise ArgumentError(
                f"network {self.name!r}: inputs of dtype {x.dtype}, expected float32 or float64"
            )
