"""Layers as pure functions: forward, backward, and nothing remembered in between.

A layer holds hyperparameters only. Weights live in a plain dict with full names
(``"conv1.weight"``, ``"conv1.bias"``), and `forward` hands back an opaque ``cache`` for
`backward`. Inference is `forward` without the cache.

Layout: **the batch is the last axis**. B images are ``(channels, height, width, B)``
and B vectors ``(features, B)``, so that

- every product is ``weight @ columns``, the form that a packed weight offers too;
- the result of a convolution is the next layer's input, without a transposition;
- shifted slices of an image are contiguous runs of ``width * B`` numbers, which makes
  im2col and pooling cheap in NumPy.

`Network` turns the usual batch-first arrays into this layout and back.

Legend of shapes, for all layers: ``B`` inputs in a batch; ``C`` channels, of images ``H`` high
and ``W`` wide; ``F`` features of a vector; a layer with weights takes ``I`` channels or features
and gives ``O``, from groups ``G`` of channels; windows and kernels of ``k`` × ``k`` pixels give
images of ``OH`` × ``OW``; ``(C, ..., B)`` is a batch of images or of vectors.
"""

# ruff: noqa: D102 -- overriding methods are documented where they are declared

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError

Array = npt.NDArray[Any]  # float32 to train, float64 to check gradients
Params = Mapping[str, Any]  # ndarrays; at inference also compressed weights
Shape = tuple[int, ...]
Rng = np.random.Generator | None
Gradients = tuple[Any, dict[str, Array]]  # of the input, or None, and of each parameter


@dataclass(frozen=True)
class Layer(ABC):
    """Base of all layers."""

    name: str  # unique in its network; parameters are ``"<name>.weight"`` and ``"<name>.bias"``
    several: ClassVar[bool] = False  # whether x and dx are lists of arrays

    def param_shapes(self) -> dict[str, Shape]:
        """Return the full name and shape of each parameter, the weight first."""
        return {}

    @abstractmethod
    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of one output for one input of `shape`, both without the batch.

        Raises
        ------
        ArgumentError
            If the layer can't take such an input; the message names the layer.
        """

    @abstractmethod
    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """Return the output and the cache for `backward`.

        Parameters
        ----------
        params : mapping of str to ndarray
            All parameters of the network, by full name. A weight may be packed: anything with
            ``weight @ columns``, or ``weight.convolve(x, ...)`` where it is a convolution's.
        x : ndarray of shape (..., B)
        rng : numpy.random.Generator, optional
            Given only in training: the source of dropout's noise.
        """

    @abstractmethod
    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """Return the gradients of the loss with respect to the input and each parameter.

        Parameters
        ----------
        params : mapping of str to ndarray
            The same as in `forward`; weights must be ndarrays here.
        cache : object
            From `forward`.
        dy : ndarray
            Gradient with respect to the output. The layer may overwrite it.
        need_dx : bool
            False in the network's first layer, which saves the work.
        """

    def _require(self, condition: bool, shape: Shape, expected: str) -> None:
        """Raise unless an input of `shape` fits."""
        if not condition:
            raise ArgumentError(f"layer {self.name!r}: input of shape {shape}, expected {expected}")


@dataclass(frozen=True)
class Linear(Layer):
    """Fully connected layer, ``y = W x + b`` with W of shape (outputs, inputs)."""

    inputs: int
    outputs: int

    def __post_init__(self) -> None:
        if min(self.inputs, self.outputs) < 1:
            raise ArgumentError(
                f"layer {self.name!r}: {self.inputs} inputs and {self.outputs} outputs, "
                "expected positive numbers"
            )

    def param_shapes(self) -> dict[str, Shape]:
        return {
            f"{self.name}.weight": (self.outputs, self.inputs),
            f"{self.name}.bias": (self.outputs,),
        }

    def output_shape(self, shape: Shape) -> Shape:
        self._require(shape == (self.inputs,), shape, f"({self.inputs},)")
        return (self.outputs,)

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(I, B) -> (O, B): ``y = W x + b``."""
        weight = params[f"{self.name}.weight"]
        y: Array = weight @ (x if isinstance(weight, np.ndarray) else np.ascontiguousarray(x))
        y += params[f"{self.name}.bias"][:, None]
        return y, x

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(O, B) -> (I, B): ``dx = W' dy``, ``dW = dy x'``, and ``db`` is the sum of dy."""
        x = cache
        grads = {f"{self.name}.weight": dy @ x.T, f"{self.name}.bias": dy.sum(axis=1)}
        return (params[f"{self.name}.weight"].T @ dy if need_dx else None), grads


@dataclass(frozen=True)
class ReLU(Layer):
    """Rectifier, ``y = max(x, 0)``; its derivative at 0 is taken as 0."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, ..., B) -> the same; the cache is y, which is positive where x is."""
        y = np.maximum(x, 0)
        return y, y

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the same."""
        return np.multiply(dy, cache > 0, out=dy), {}


@dataclass(frozen=True)
class Dropout(Layer):
    """Inverted dropout: in training each input is zeroed with probability `rate`.

    Survivors are scaled by ``1 / (1 - rate)``, so that inference does nothing. The paper
    lowers the rate when it retrains a pruned network (Han et al. 2015, section 3.2).
    """

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ArgumentError(f"layer {self.name!r}: dropout rate {self.rate} is not in [0, 1)")

    def output_shape(self, shape: Shape) -> Shape:
        return shape

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, ..., B) -> the same; the cache is the factor of each number."""
        scale = self.factors(x, rng)
        return (x, None) if scale is None else (x * scale, scale)

    def factors(self, x: Array, rng: Rng) -> Array | None:
        """Draw the factor of each number of `x`; None if all are 1."""
        if rng is None or self.rate == 0:
            return None
        keep = rng.random(x.shape, dtype=np.float32) >= self.rate
        scale: Array = keep * x.dtype.type(1 / (1 - self.rate))
        return scale

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C, ..., B) -> the same."""
        return (dy if cache is None else np.multiply(dy, cache, out=dy)), {}


@dataclass(frozen=True)
class Flatten(Layer):
    """Images to vectors, ``(C, H, W, B) -> (C*H*W, B)``, in row-major order."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def forward(self, params: Params, x: Array, rng: Rng = None) -> tuple[Array, Any]:
        """(C, H, W, B) -> (F, B)."""
        return x.reshape(-1, x.shape[-1]), x.shape

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(F, B) -> (C, H, W, B)."""
        return dy.reshape(cache), {}


@dataclass(frozen=True)
class Concat(Layer):
    """The channels of several inputs, which differ only in their number, one behind the other."""

    several: ClassVar[bool] = True

    def output_shape(self, shape: Any) -> Shape:
        expected = ", ".join(["channels", *map(str, shape[0][1:])])
        for one in shape:
            self._require(one[1:] == shape[0][1:], one, f"({expected}) like the first")
        return (sum(one[0] for one in shape), *shape[0][1:])

    def forward(self, params: Params, x: Any, rng: Rng = None) -> tuple[Array, Any]:
        """[(C_1, ..., B), (C_2, ..., B), ...] -> (C_1 + C_2 + ..., ..., B)."""
        return np.concatenate(x), [len(one) for one in x]

    def backward(self, params: Params, cache: Any, dy: Array, need_dx: bool = True) -> Gradients:
        """(C_1 + C_2 + ..., ..., B) -> [(C_1, ..., B), (C_2, ..., B), ...]."""
        return np.split(dy, np.cumsum(cache)[:-1]), {}
