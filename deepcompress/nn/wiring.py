"""The wiring of a network's layers: sources, the last use of each output, inference in NumPy."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError
from .activations import Clip
from .conv import Conv2D
from .joins import Add
from .layers import Array, Layer, Linear, Params, ReLU
from .norm import Scale

INPUT = "input"  # the name of the network's own input
RECTIFIED = Conv2D, Linear, Scale, Add  # layers that have a ReLU behind them done along the way


@dataclass(frozen=True)
class Step:
    """One layer in the order of work."""

    layer: Layer
    sources: tuple[str, ...]  # the layers whose outputs it takes, or `INPUT`
    done: tuple[str, ...]  # the sources that no later layer takes

    def of(self, values: Mapping[str, Any]) -> Any:
        """Return the layer's input out of values by name: a list if it takes several."""
        taken = [values[name] for name in self.sources]
        return taken if self.layer.several else taken[0]


@dataclass(frozen=True)
class Stage:
    """A step of inference, with the ReLU behind it or without; that may have an upper limit."""

    step: Step
    relu: bool
    name: str  # of the output: the layer's, or that of the ReLU
    high: float = math.inf  # of the ReLU; 6 for ReLU6

    def rectified(self, y: Array) -> Array:
        """Return the layer's output with the ReLU done, in place."""
        if self.relu:
            np.maximum(y, 0, out=y)
            if self.high < math.inf:
                np.minimum(y, y.dtype.type(self.high), out=y)
        return y


def plan(layers: Sequence[Layer], sources: Mapping[str, Sequence[str]]) -> tuple[Step, ...]:
    """Return a network's steps in order, or raise ArgumentError as `Network` does."""
    if not layers:
        raise ArgumentError("a network needs a layer at least")
    places = {INPUT: -1}
    for place, layer in enumerate(layers):
        if layer.name == INPUT:
            raise ArgumentError(f"a layer is called {INPUT!r}, the name of the network's input")
        if layer.name in places:
            raise ArgumentError(f"two layers are called {layer.name!r}")
        places[layer.name] = place
    for name in sources:
        if places.get(name, -1) < 0:
            raise ArgumentError(f"sources are given for {name!r}, which is no layer")
    taken = [
        _taken(layer, sources.get(layer.name, (before,)), places)
        for before, layer in zip(places, layers, strict=False)  # keeps the order, INPUT first
    ]
    last_use = {name: place for place, names in enumerate(taken) for name in names}
    for layer in layers[:-1]:
        if layer.name not in last_use:
            raise ArgumentError(f"layer {layer.name!r}: no layer takes its output")
    return tuple(
        Step(layer, names, tuple(name for name in dict.fromkeys(names) if last_use[name] == place))
        for place, (layer, names) in enumerate(zip(layers, taken, strict=True))
    )


def fused(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Join each ReLU to the layer that computes before it, if no other layer takes its output."""
    stages: list[Stage] = []
    for step in steps:
        before = stages[-1] if stages else None
        if (
            before is not None
            and not before.relu
            and (high := _limit(step.layer)) is not None
            and step.sources == step.done == (before.name,)
            and isinstance(before.step.layer, RECTIFIED)
        ):
            stages[-1] = Stage(before.step, True, step.layer.name, high)
        else:
            stages.append(Stage(step, False, step.layer.name))
    return tuple(stages)


def evaluate(stages: Sequence[Stage], params: Params, x: Array, source: str = INPUT) -> Array:
    """Return the output (..., B) of stages that all depend on `x`, the output of `source`.

    Caches are dropped at once, and outputs when no later stage takes them: beside the weights,
    memory holds little more than one step takes, gathers and gives.
    """
    values = {source: x}
    for stage in stages:
        y = stage.step.layer.forward(params, stage.step.of(values))[0]
        for name in stage.step.done:
            del values[name]
        values[stage.name] = stage.rectified(y)
    return values[stages[-1].name] if stages else x


def departures(steps: Sequence[Step]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and sources of each layer that takes anything but the output of the one before."""
    before = INPUT
    for step in steps:
        if step.sources != (before,):
            yield step.layer.name, step.sources
        before = step.layer.name


def _limit(layer: Layer) -> float | None:
    """Return the upper limit of a ReLU; None for another layer."""
    if isinstance(layer, Clip):
        low, high = layer.limits
        return high if low == 0 else None
    return math.inf if isinstance(layer, ReLU) else None


def _taken(layer: Layer, names: Sequence[str], places: Mapping[str, int]) -> tuple[str, ...]:
    """Return a layer's sources; raise unless they come before it and aren't too many for it."""
    if isinstance(names, str) or not names or (len(names) > 1 and not layer.several):
        count = "names, one or more" if layer.several else "a name alone, in a sequence"
        raise ArgumentError(f"layer {layer.name!r}: its sources must be {count}, not {names!r}")
    for name in names:
        if name not in places:
            raise ArgumentError(f"layer {layer.name!r}: takes {name!r}, which is no layer")
        if places[name] >= places[layer.name]:
            raise ArgumentError(f"layer {layer.name!r}: takes {name!r}, which isn't before it")
    return tuple(names)
