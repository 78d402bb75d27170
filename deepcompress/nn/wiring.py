"""Which layer takes whose output, and when an output is needed no more."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError
from .layers import Layer

INPUT = "input"  # the name of what the network itself takes


@dataclass(frozen=True)
class Step:
    """A layer's turn.

    Attributes
    ----------
    layer : Layer
    sources : tuple of str
        The layers whose outputs it takes, or `INPUT`.
    done : tuple of str
        Those of `sources` that no later layer takes.
    """

    layer: Layer
    sources: tuple[str, ...]
    done: tuple[str, ...]

    def of(self, values: Mapping[str, Any]) -> Any:
        """Return what the layer takes, given by name: a list if it takes several."""
        taken = [values[name] for name in self.sources]
        return taken if self.layer.several else taken[0]


def plan(layers: Sequence[Layer], sources: Mapping[str, Sequence[str]]) -> tuple[Step, ...]:
    """Return a network's steps in order.

    Raises
    ------
    ArgumentError
        If they are no network: see `Network`.
    """
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


def departures(steps: Sequence[Step]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield name and sources of each layer that takes anything but the output of the one before."""
    before = INPUT
    for step in steps:
        if step.sources != (before,):
            yield step.layer.name, step.sources
        before = step.layer.name


def _taken(layer: Layer, names: Sequence[str], places: Mapping[str, int]) -> tuple[str, ...]:
    """Return a layer's sources, or raise unless they come before it and it can take so many."""
    if isinstance(names, str) or not names or (len(names) > 1 and not layer.several):
        count = "names, one or more" if layer.several else "a name alone, in a sequence"
        raise ArgumentError(f"layer {layer.name!r}: its sources must be {count}, not {names!r}")
    for name in names:
        if name not in places:
            raise ArgumentError(f"layer {layer.name!r}: takes {name!r}, which is no layer")
        if places[name] >= places[layer.name]:
            raise ArgumentError(f"layer {layer.name!r}: takes {name!r}, which isn't before it")
    return tuple(names)
