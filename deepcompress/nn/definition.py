"""A network as plain data, to travel in a file's metadata, and back.

A definition has JSON's types only::

    {"name": "tiny", "input_shape": [3, 8, 8], "layers": [
        {"type": "Conv2D", "name": "conv", "inputs": 3, "outputs": 4, "kernel": 3},
        {"type": "ReLU", "name": "relu"},
        {"type": "Concat", "name": "both", "sources": ["conv", "relu"]}]}

A layer's ``type`` is the name of its class and the other keys are its fields, left out where
they have their default. ``sources`` are given for a layer that doesn't take the output of the
layer before it (see `Network`).
"""

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, replace
from typing import Any

from ..checks import is_finite, is_name, is_whole
from ..errors import ArgumentError, ConfigError, FormatError, shown
from . import zoo
from .activations import Clip, HardSigmoid, HardSwish, LeakyReLU, Sigmoid, SiLU, Softmax, Tanh
from .conv import Conv2D
from .joins import Add, Multiply
from .layers import Concat, Dropout, Flatten, Layer, Linear, ReLU
from .network import MAX_ELEMENTS, Network
from .norm import BatchNorm, LocalResponseNorm, Scale
from .pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from .rearranging import Pad, Permute, Reshape
from .transposed import ConvTranspose2D
from .windows import Sides, Window, spread

TYPES: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        *(Conv2D, Linear, ReLU, MaxPool2D, AvgPool2D, GlobalAvgPool2D, Concat, Flatten, Dropout),
        *(LocalResponseNorm, BatchNorm, Scale),
        *(Clip, LeakyReLU, Sigmoid, Tanh, SiLU, HardSigmoid, HardSwish, Softmax),
        *(Add, Multiply, Reshape, Permute, Pad, ConvTranspose2D),
    )
}

_KEYS = ("name", "input_shape", "layers")
_MAX_NAME_BYTES = 1024  # far below the limit for a tensor's name in a .dcnn file
_MAX_ENTRIES = 10_000  # layers, and sources of one of them
_MAX_WHOLE = 2**31 - 1
_MAX_AXES = 8  # of a shape, and numbers for the sides of a window


def to_definition(network: Network) -> dict[str, Any]:
    """Return a network's definition.

    Raises
    ------
    ArgumentError
        If a layer isn't one of this package, or couldn't be read again, naming it.

    Examples
    --------
    >>> from deepcompress.nn.layers import Linear
    >>> to_definition(Network("tiny", (Linear("ip", 2, 3),), (2,)))["layers"]
    [{'type': 'Linear', 'name': 'ip', 'inputs': 2, 'outputs': 3}]
    """
    layers = []
    for layer in network.layers:
        kind = type(layer).__name__
        if TYPES.get(kind) is not type(layer):
            raise ArgumentError(f"layer {layer.name!r}: {kind} isn't a layer that a file can name")
        entry: dict[str, Any] = {"type": kind}
        for field in fields(layer):
            value = getattr(layer, field.name)
            if value != field.default:
                entry[field.name] = list(value) if isinstance(value, tuple) else value
        if layer.name in network.sources:
            entry["sources"] = list(network.sources[layer.name])
        layers.append(entry)
    definition = {"name": network.name, "input_shape": list(network.input_shape), "layers": layers}
    try:
        from_definition(definition)
    except FormatError as error:
        raise ArgumentError(str(error)) from None
    return definition


def from_definition(definition: Any) -> Network:
    """Build the network of a definition of unknown origin.

    Raises
    ------
    FormatError
        If it isn't a definition, or defines no valid network, naming the layer.
    """
    where = "network definition"
    try:
        _require_keys(definition, _KEYS, _KEYS)
        name = _name("name", definition["name"])
        where += f" {name!r}"
        input_shape = _list("input_shape", definition["input_shape"])
        entries = _list("layers", definition["layers"])
        layers, sources = [], {}
        for index, entry in enumerate(entries):
            try:
                kind, values, names = _read_layer(entry)
            except ArgumentError as error:
                raise ArgumentError(f"layer {_label(entry, index)}: {error}") from None
            layers.append(kind(**values))
            if names is not None:
                sources[values["name"]] = names
        shape = tuple(_whole("an axis of input_shape", axis, 1) for axis in input_shape)
        network = Network(name, tuple(layers), shape, sources)
        _check_paddings(network)
    except ArgumentError as error:
        raise FormatError(f"{where}: {error}") from None
    return network


def find_in_zoo(network: Network) -> Network | None:
    """Return the zoo's network that equals this one but for name and dropout rates, if any."""
    for build in zoo.ZOO.values():
        known = build()
        if replace(network, name=known.name).with_dropout({}) == known.with_dropout({}):
            return known
    return None


def to_metadata(network: Network) -> str | dict[str, Any]:
    """Return a network's entry in a file: its name if it is in the zoo, or a definition."""
    known = find_in_zoo(network)
    return to_definition(network) if known is None else known.name


def from_metadata(value: Any) -> Network:
    """Build the network that a file names or defines; inverse of `to_metadata`.

    Raises
    ------
    ConfigError
        If the zoo has no network of that name.
    FormatError
        If it isn't a name or a definition.
    """
    if not isinstance(value, str):
        return from_definition(value)
    if value not in zoo.ZOO:
        raise ConfigError(f"network {shown(value)}: choose from {', '.join(sorted(zoo.ZOO))}")
    return zoo.build(value)


def _read_layer(entry: Any) -> tuple[type[Layer], dict[str, Any], list[str] | None]:
    """Return a layer's class, its fields, and its sources if they are given."""
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise ArgumentError(f"must be an object with a type, not {shown(entry)}")
    kind = TYPES.get(entry["type"])
    if kind is None:
        raise ArgumentError(f"unknown type {shown(entry['type'])}, expected one of {list(TYPES)}")
    known = {field.name: field for field in fields(kind)}
    needed = [field.name for field in known.values() if field.default is MISSING]
    _require_keys(entry, ["type", *needed], ["type", "sources", *known])
    values = {
        key: _READERS[known[key].type](key, value) for key, value in entry.items() if key in known
    }
    if "sources" not in entry:
        return kind, values, None
    return kind, values, [_name("a source", one) for one in _list("sources", entry["sources"])]


def _check_paddings(network: Network) -> None:
    """Raise if an image and its padding are too large: its output alone may be small."""
    for step in network.steps:
        layer = step.layer
        if isinstance(layer, ConvTranspose2D):  # its images have zeros between and around them
            padded = layer.padded_shape(network.shapes[step.sources[0]])
            sides = [
                side + reach for side, reach in zip(padded[1:], layer.window.reach, strict=True)
            ]
            count = max(layer.inputs, layer.outputs) * math.prod(sides)
        elif any(spread(getattr(layer, "padding", 0), 4)):
            channels, *extents = network.shapes[step.sources[0]]
            window: Window = layer.window  # type: ignore[attr-defined]
            count = channels * math.prod(map(sum, zip(extents, window.around, strict=True)))
        else:
            continue
        if count >= MAX_ELEMENTS:
            raise ArgumentError(
                f"layer {layer.name!r}: padding {layer.padding} is too large"  # type: ignore[attr-defined]
            )


def _require_keys(value: Any, needed: Any, known: Any) -> None:
    """Raise unless a value is an object with all keys of `needed` and none beyond `known`."""
    if not isinstance(value, Mapping):
        raise ArgumentError(f"must be an object, not {shown(value)}")
    for key in needed:
        if key not in value:
            raise ArgumentError(f"has no {key}")
    for key in value:
        if key not in known:
            raise ArgumentError(f"unknown field {shown(key)}, expected one of {list(known)}")


def _list(what: str, value: Any) -> list[Any]:
    if isinstance(value, list) and 0 < len(value) <= _MAX_ENTRIES:
        return value
    raise ArgumentError(f"{what} must be a list of 1 to {_MAX_ENTRIES} entries, not {shown(value)}")


def _name(what: str, value: Any) -> str:
    """Return a text of fit length, or raise, naming the field."""
    if is_name(value, _MAX_NAME_BYTES):
        return str(value)
    raise ArgumentError(
        f"{what} must be text of 1 to {_MAX_NAME_BYTES} bytes in UTF-8, not {shown(value)}"
    )


def _whole(what: str, value: Any, least: int = 0) -> int:
    """Return a whole number in range, or raise, naming the field."""
    if isinstance(value, int) and is_whole(value, least, _MAX_WHOLE):  # what JSON holds
        return value
    raise ArgumentError(
        f"{what} must be a whole number, {least} … {_MAX_WHOLE}, not {shown(value)}"
    )


def _wholes(what: str, value: Any) -> tuple[int, ...]:
    """Return whole numbers, or raise, naming the field."""
    if isinstance(value, list) and 0 < len(value) <= _MAX_AXES:
        return tuple(_whole(what, one) for one in value)
    raise ArgumentError(
        f"{what} must be a list of 1 to {_MAX_AXES} whole numbers, not {shown(value)}"
    )


def _sides(what: str, value: Any) -> Sides:
    """Return a whole number or several, or raise, naming the field."""
    if isinstance(value, list) and 1 < len(value) <= _MAX_AXES:
        return _wholes(what, value)
    if isinstance(value, list):
        raise ArgumentError(
            f"{what} must be a whole number, 0 … {_MAX_WHOLE}, or some, not {shown(value)}"
        )
    return _whole(what, value)


def _number(what: str, value: Any) -> float:
    """Return a number, or raise, naming the field."""
    if isinstance(value, (int, float)) and is_finite(value, -_MAX_WHOLE, _MAX_WHOLE):
        return float(value)
    raise ArgumentError(f"{what} must be a number, not {shown(value)}")


def _flag(what: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    raise ArgumentError(f"{what} must be true or false, not {shown(value)}")


def _limit(what: str, value: Any) -> float | None:
    return None if value is None else _number(what, value)


_READERS: dict[Any, Any] = {str: _name, int: _whole, float: _number, bool: _flag}
_READERS |= {Sides: _sides, tuple[int, ...]: _wholes, float | None: _limit}


def _label(entry: Any, index: int) -> str:
    name = entry.get("name") if isinstance(entry, dict) else None
    return f"{index}" if name is None else f"{index}, {shown(name)}"
