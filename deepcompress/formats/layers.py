"""The list of a network's layers, which a ``.net`` file lacks: a JSON file beside it.

A list of objects, one per layer, in the network's order. Each has a ``name`` and a
``type``; of those that carry weights, ``Convolution`` and ``InnerProduct`` in Caffe's
words, also:

- ``out_channels`` and ``in_channels``, whole numbers from 1 on;
- of a convolution, ``kernel``, the side of its square window, and, if not 1, ``group``,
  which divides both numbers of channels.

All other fields describe the network, which `caffe` builds.
"""

import json
import math
import os
from dataclasses import dataclass
from typing import Any

from ..checks import is_name, is_whole
from ..errors import ArgumentError, FormatError, shown
from ..files.reading import read_file

_RANKS = {"Convolution": 4, "InnerProduct": 2}
_MAX_NAME_BYTES = 1024  # far below what a tensor's name may have in a .dcnn file


@dataclass(frozen=True)
class WeightLayer:
    """A layer with weights and biases.

    Attributes
    ----------
    name : str
        1 to 1024 bytes in UTF-8.
    shape : tuple of int
        (out, in // group, k, k) for a convolution, (out, in) for an inner product.

    Raises
    ------
    ArgumentError
        If it is anything else.
    """

    name: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if not is_name(self.name, _MAX_NAME_BYTES):
            raise ArgumentError(
                f"a name must have 1 to {_MAX_NAME_BYTES} bytes in UTF-8, not {shown(self.name)}"
            )
        if not isinstance(self.shape, tuple) or len(self.shape) not in _RANKS.values():
            raise ArgumentError(f"the shape must have 2 or 4 axes, not {shown(self.shape)}")
        for axis in self.shape:
            whole("an axis", axis)
        if self.size >= 2**63:
            raise ArgumentError(f"the shape {self.shape} has 2**63 elements or more")

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


def load_layers(path: str | os.PathLike[str]) -> tuple[WeightLayer, ...]:
    """Read a file of layers and return those with weights, in their order.

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't such a list, naming the entry.
    """
    return parse_layers(read_file(path), os.fspath(path))


def parse_layers(data: bytes, what: str = "layers") -> tuple[WeightLayer, ...]:
    """Read the bytes of a file of layers, as `load_layers` does; `what` names them in messages.

    Examples
    --------
    >>> entry = '{"name": "c", "type": "Convolution", "in_channels": 3, "out_channels": 8, '
    >>> parse_layers(b'[' + entry.encode() + b'"kernel": 5}, {"name": "r", "type": "ReLU"}]')
    (WeightLayer(name='c', shape=(8, 3, 5, 5)),)
    """
    layers: dict[str, WeightLayer] = {}
    for where, entry in parse_entries(data, what):
        if entry["type"] not in _RANKS:
            continue
        try:
            layer = WeightLayer(entry["name"], _weight_shape(entry))
        except ArgumentError as error:
            raise FormatError(f"{where}: {error}") from None
        if layer.name in layers:
            raise FormatError(f"{where}: a layer before it has the same name")
        layers[layer.name] = layer
    if not layers:
        raise FormatError(f"{what}: no layer in it has weights ({' or '.join(_RANKS)})")
    return tuple(layers.values())


def parse_entries(data: bytes, what: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the objects of the list, whose name and type are text, each with its place."""
    try:
        entries = json.loads(data, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what}: not JSON: {error}") from None
    if not isinstance(entries, list):
        raise FormatError(f"{what}: must be a list of layers, not a {type(entries).__name__}")
    placed = []
    for index, entry in enumerate(entries):
        where = f"{what}: entry {index}"
        try:
            if not isinstance(entry, dict):
                raise ArgumentError("must be an object")
            where += f", {shown(_text(entry, 'name'))}"
            _text(entry, "type")
        except ArgumentError as error:
            raise FormatError(f"{where}: {error}") from None
        placed.append((where, entry))
    return placed


def _weight_shape(entry: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape of the weights of a convolution or an inner product."""
    out_channels, in_channels = (
        whole(key, _required(entry, key)) for key in ("out_channels", "in_channels")
    )
    if entry["type"] == "InnerProduct":
        return out_channels, in_channels
    kernel = whole("kernel", _required(entry, "kernel"))
    group = whole("group", entry.get("group", 1))
    if out_channels % group or in_channels % group:
        raise ArgumentError(
            f"{group} groups don't divide {in_channels} channels in, {out_channels} out"
        )
    return out_channels, in_channels // group, kernel, kernel


def _text(entry: dict[str, Any], key: str) -> str:
    value = _required(entry, key)
    if not isinstance(value, str):
        raise ArgumentError(f"{key} must be text, not {shown(value)}")
    return value


def _required(entry: dict[str, Any], key: str) -> Any:
    if key not in entry:
        raise ArgumentError(f"has no {key}")
    return entry[key]


def whole(what: str, value: Any, least: int = 1) -> int:
    """Return a whole number from `least` on, below 2**63, or raise."""
    if not is_whole(value, least, 2**63 - 1):
        raise ArgumentError(f"{what} must be a whole number from {least} on, not {shown(value)}")
    return int(value)


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object of a JSON file, or raise ValueError if it has a key twice."""
    built: dict[str, Any] = {}
    for key, value in pairs:
        if key in built:
            raise ValueError(f"an object has the key {shown(key)} twice")
        built[key] = value
    return built
