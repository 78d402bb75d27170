"""Stacks of fully connected layers, whose gradients C computes: all shards of a mini-batch at once.

The mathematics is that of `layers`, and so is the result, bit for bit: `Stack.gradients` is
`Network.loss_and_grads` of each shard, and their sum. But a step of such a network is many short
operations: Python's threads, a shard each, wait for the interpreter's lock for longer than they
gain. Arrays are kept from step to step, as fresh memory costs as much as filling it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import nn as kernels
from .layers import Array, Dropout, Linear, ReLU, Rng
from .losses import softmax_cross_entropy
from .network import Network


@dataclass(frozen=True)
class _Dense:
    """A fully connected layer and what follows it."""

    linear: Linear
    has_relu: bool = False
    dropout: Dropout | None = None


class Stack:
    """A network of layers `Linear`, each but the last with `ReLU` or `Dropout` behind it, or both.

    Parameters
    ----------
    network : Network
        One that `stack_of` takes.
    params : dict of str to ndarray
        All parameters, float32; a step reads their memory.
    threads : int
        At most so many; they have no influence on the result.
    """

    def __init__(self, network: Network, params: Mapping[str, Array], threads: int) -> None:
        self._network, self._params, self._threads = network, params, threads
        parts = _parts(network)
        assert parts is not None
        self._first, self._layers = parts
        self._arrays: dict[tuple[int, int], dict[str, Array]] = {}  # by shard and its size

    def takes(self, shards: Sequence[tuple[Array, npt.NDArray[np.integer]]]) -> bool:
        """Tell whether inputs and labels of shards are as C takes them; NumPy takes any.

        A product with one column is another one of BLAS.
        """
        inputs = self._layers[0].linear.inputs
        return all(
            x.dtype == np.float32 and len(x) == len(labels) > 1 and x.size == len(x) * inputs
            for x, labels in shards
        )

    def gradients(
        self,
        shards: Sequence[tuple[Array, npt.NDArray[np.integer]]],
        rngs: Sequence[Rng],
        count: int,
    ) -> tuple[float, dict[str, Array]]:
        """Return the loss and the gradients of all shards, given as `takes` has them.

        Gradients are in arrays that the next step overwrites.
        """
        layers: list[kernels.Dense] = []
        for index, ((x, _), rng) in enumerate(zip(shards, rngs, strict=True)):
            layers += self._shard(index, x, rng)
        depth = len(self._layers)
        lasts = layers[depth - 1 :: depth]
        stack = kernels.StackStep(layers, len(shards), self._threads)
        stack.forward()
        total = 0.0
        for last, (_, labels) in zip(lasts, shards, strict=True):
            loss, last.dy[...] = softmax_cross_entropy(last.y, labels, count)
            total += loss
        stack.backward()
        grads: dict[str, Array] = {}
        for at, part in enumerate(self._layers):
            name = part.linear.name
            first, *others = (one.dy.sum(axis=1) for one in layers[at::depth])
            for other in others:
                first += other
            grads |= {f"{name}.weight": layers[at].dweight, f"{name}.bias": first}
        return total, grads

    def _shard(self, index: int, x: Array, rng: Rng) -> list[kernels.Dense]:
        """Return the layers of a shard, with the noise of dropout."""
        below = self._network.columns(x)
        for dropout in self._first:
            below, _ = dropout.forward({}, below, rng)
        if not (below.flags.c_contiguous or below.flags.f_contiguous):
            below = np.ascontiguousarray(below)
        key = (index, len(x))
        arrays = self._arrays.setdefault(key, {}) or self._arrays_of(key)
        layers = []
        for part in self._layers:
            name = part.linear.name
            y, dy, dweight = (arrays[f"{name}.{what}"] for what in ("y", "dy", "dweight"))
            scale = part.dropout.factors(y, rng) if part.dropout else None
            weight, bias = self._params[f"{name}.weight"], self._params[f"{name}.bias"]
            layers.append(kernels.Dense(weight, bias, below, scale, y, dy, dweight, part.has_relu))
            below = y
        return layers

    def _arrays_of(self, key: tuple[int, int]) -> dict[str, Array]:
        arrays = self._arrays[key]
        for part in self._layers:
            linear = part.linear
            for what in ("y", "dy"):
                arrays[f"{linear.name}.{what}"] = np.empty((linear.outputs, key[1]), np.float32)
            weights = np.empty((linear.outputs, linear.inputs), np.float32)
            arrays[f"{linear.name}.dweight"] = weights
        return arrays


def stack_of(network: Network, params: Mapping[str, Array], threads: int) -> Stack | None:
    """Return the stack that a network is; None if it isn't one, or not one for C."""
    if not native.active() or not kernels.has_stacks() or _parts(network) is None:
        return None
    is_for_c = all(one.dtype == np.float32 and one.flags.c_contiguous for one in params.values())
    return Stack(network, params, threads) if is_for_c else None


def _parts(network: Network) -> tuple[list[Dropout], list[_Dense]] | None:
    """Return dropout before the first layer, and the layers; None if the network is no stack."""
    if network.sources or not isinstance(network.layers[-1], Linear):
        return None
    first: list[Dropout] = []
    layers: list[_Dense] = []
    for layer in network.layers:
        last = layers[-1] if layers else None
        if isinstance(layer, Linear) and min(layer.inputs, layer.outputs) > 1:
            layers.append(_Dense(layer))
        elif isinstance(layer, Dropout) and last is None:
            first.append(layer)
        elif isinstance(layer, Dropout) and last and last.dropout is None:
            layers[-1] = _Dense(last.linear, last.has_relu, layer)
        elif isinstance(layer, ReLU) and last and not last.has_relu and last.dropout is None:
            layers[-1] = _Dense(last.linear, True)
        else:
            return None
    return first, layers
