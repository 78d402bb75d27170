"""The network that a list of layers describes, where it says enough for that.

Beyond the fields that `layers` reads, an entry has these, in Caffe's words and with its defaults:

- ``inputs``, a list of the blobs that the layer takes, and ``output``, the one that it gives
  (by default its name). A blob that it takes and gives is changed in place.
- ``Convolution``: ``stride`` 1, ``pad`` 0.
- ``Pooling``: ``pool``, ``"MAX"`` or ``"AVE"``; ``kernel``, ``stride`` 1, ``pad`` 0; windows may
  hang over the edge. ``"global": true`` is the mean of everything, and so is ``AVE`` of a
  ``kernel`` 1, which would do nothing: the authors' list has it where Caffe states no kernel.
- ``LRN``: ``local_size`` 5, ``alpha`` 1, ``beta`` 0.75, ``k`` 1.
- ``Dropout``: ``dropout_ratio`` 0.5.
- ``ReLU``, ``Concat`` (of channels), ``InnerProduct``, ``Softmax`` (last; it is left out).
- ``Input``: ``shape``, a list of channels, height and width. Without one the blob ``"data"`` is
  the network's input, and its shape is known only if the network is one of the zoo.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..checks import is_finite
from ..errors import ArgumentError, FormatError, shown
from ..nn import zoo
from ..nn.conv import Conv2D
from ..nn.definition import find_in_zoo, to_definition
from ..nn.layers import Concat, Dropout, Flatten, Layer, Linear, ReLU
from ..nn.network import Network
from ..nn.norm import LocalResponseNorm
from ..nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from ..nn.wiring import INPUT
from .layers import parse_entries, whole

_NAME = "converted"  # a list has no name for the network
_DATA = "data"  # Caffe's name for the input
_MAX_SOURCES = 10_000


class _Unknown(Exception):
    """The list says too little, or has a layer that isn't known here."""


def parse_network(data: bytes, what: str = "layers") -> Network | None:
    """Build the network of a list of layers.

    Parameters
    ----------
    data : bytes
        The JSON file.
    what : str
        Names it in messages.

    Returns
    -------
    Network or None
        None if the list doesn't say enough, as one of names and shapes alone does, or has a
        layer of which nothing is known here.

    Raises
    ------
    FormatError
        If it contradicts itself, naming the entry: a blob that no layer before gives, channels
        or shapes that don't fit, a value that makes no sense.
    """
    graph = _Graph()
    entries = parse_entries(data, what)
    known = all("inputs" in entry or entry["type"] == "Input" for _, entry in entries)
    if not known or not entries:
        return None
    try:
        for where, entry in entries:
            try:
                graph.add(entry)
            except ArgumentError as error:
                raise FormatError(f"{where}: {error}") from None
        return graph.network()
    except _Unknown:
        return None
    except ArgumentError as error:
        raise FormatError(f"{what}: {error}") from None


@dataclass
class _Graph:
    """The layers that the entries so far have built.

    Attributes
    ----------
    input_shape : tuple of int or None
        As an entry gave it.
    layers, sources
        As a `Network` has them.
    blobs : dict of str to str
        The layer whose output a blob is now.
    channels : dict of str to (int or None, bool)
        Channels of each layer's output, if known, and whether each is an image.
    """

    input_shape: tuple[int, ...] | None = None
    layers: list[Layer] = field(default_factory=list)
    sources: dict[str, Sequence[str]] = field(default_factory=dict)
    blobs: dict[str, str] = field(default_factory=dict)
    channels: dict[str, tuple[int | None, bool]] = field(default_factory=dict)
    ended: bool = False

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append the layer of an entry."""
        if entry["type"] == "Input":
            self._add_input(entry)
            return
        if not self.blobs:
            self.blobs[_DATA], self.channels[INPUT] = INPUT, (None, True)
        taken, given = self._blobs(entry)
        if self.ended:
            raise _Unknown  # after a softmax
        if entry["type"] == "Softmax":
            if [self.blobs[blob] for blob in taken] != [layer.name for layer in self.layers[-1:]]:
                raise _Unknown  # of something else than the end
            self.ended = True
            return
        layer = _layer(entry)
        sources = [self.blobs[blob] for blob in taken]
        if len(sources) > 1 and not layer.several:
            raise ArgumentError(f"takes one blob, not {len(sources)}")
        if isinstance(layer, Linear) and self.channels[sources[0]][1]:
            sources = [self._flatten(layer, sources)]
        self._append(layer, sources)
        self.blobs[given] = layer.name

    def network(self) -> Network:
        """Return the network, named after one of the zoo if it is that."""
        taken = {name for names in self.sources.values() for name in names}
        if not self.layers or any(layer.name not in taken for layer in self.layers[:-1]):
            raise _Unknown  # nothing, or more than one output
        layers = tuple(self.layers)
        if self.input_shape is not None:
            network = Network(_NAME, layers, self.input_shape, self.sources)
            to_definition(network)  # or raise if it is too large for any use
            return find_in_zoo(network) or network
        for known in (build() for build in zoo.ZOO.values()):
            try:
                network = Network(known.name, layers, known.input_shape, self.sources)
            except ArgumentError:
                continue
            if network.with_dropout({}) == known.with_dropout({}):
                return known
        raise _Unknown

    def _add_input(self, entry: Mapping[str, Any]) -> None:
        if self.layers or self.blobs:
            raise _Unknown  # a second input
        axes = entry.get("shape")
        if not isinstance(axes, list) or len(axes) not in (1, 3):
            raise ArgumentError(f"shape must be a list of 1 or 3 numbers, not {shown(axes)}")
        self.input_shape = tuple(whole("an axis of shape", axis) for axis in axes)
        self.blobs[_text(entry.get("output", entry["name"]))] = INPUT
        self.channels[INPUT] = (self.input_shape[0], len(axes) == 3)

    def _blobs(self, entry: Mapping[str, Any]) -> tuple[list[str], str]:
        taken = entry["inputs"]
        if not isinstance(taken, list) or not 0 < len(taken) <= _MAX_SOURCES:
            raise ArgumentError(f"inputs must be a list of blobs, not {shown(taken)}")
        for blob in taken:
            if _text(blob) not in self.blobs:
                raise ArgumentError(f"takes {shown(blob)}, which no entry before it gives")
        given = _text(entry.get("output", entry["name"]))
        if given in self.blobs and given not in taken:
            raise ArgumentError(f"gives {shown(given)}, as an entry before it does")
        return taken, given

    def _flatten(self, layer: Linear, sources: Sequence[str]) -> str:
        """Append a layer that turns an image into a vector, and return its name."""
        count = self.channels[sources[0]][0]
        if count is not None and layer.inputs % count:
            raise ArgumentError(
                f"takes {layer.inputs} numbers, but gets images of {count} channels"
            )
        name = "flatten"
        if name in self.channels:
            name = f"{layer.name}/flatten"
        self._append(Flatten(name), sources)
        return name

    def _append(self, layer: Layer, sources: Sequence[str]) -> None:
        if layer.name in self.channels:
            raise ArgumentError(f"a layer before it has the name {shown(layer.name)}, too")
        self.channels[layer.name] = _channels(layer, [self.channels[name] for name in sources])
        self.sources[layer.name] = sources
        self.layers.append(layer)


def _layer(entry: Mapping[str, Any]) -> Layer:
    """Return the layer of an entry, whatever it takes."""
    name, kind = entry["name"], entry["type"]
    if kind == "Convolution":
        inputs, outputs = _required(entry, "in_channels"), _required(entry, "out_channels")
        window = _required(entry, "kernel"), whole("stride", entry.get("stride", 1)), _pad(entry)
        return Conv2D(name, inputs, outputs, *window, whole("group", entry.get("group", 1)))
    if kind == "InnerProduct":
        return Linear(name, _required(entry, "in_channels"), _required(entry, "out_channels"))
    if kind == "Pooling":
        return _pooling(entry)
    if kind == "LRN":
        defaults = {"alpha": 1.0, "beta": 0.75, "k": 1.0}
        numbers = {key: _number(key, entry.get(key, value)) for key, value in defaults.items()}
        return LocalResponseNorm(name, whole("local_size", entry.get("local_size", 5)), **numbers)
    if kind == "Dropout":
        return Dropout(name, _number("dropout_ratio", entry.get("dropout_ratio", 0.5)))
    if kind in ("ReLU", "Concat"):
        return ReLU(name) if kind == "ReLU" else Concat(name)
    raise _Unknown


def _pooling(entry: Mapping[str, Any]) -> Layer:
    name, everywhere = entry["name"], entry.get("global", False)
    if not isinstance(everywhere, bool):
        raise ArgumentError(f"global must be true or false, not {shown(everywhere)}")
    kinds = {"MAX": MaxPool2D, "AVE": AvgPool2D}
    if entry.get("pool") not in ("MAX", "AVE") or (everywhere and entry["pool"] == "MAX"):
        raise _Unknown
    if everywhere:
        return GlobalAvgPool2D(name)
    sizes = _required(entry, "kernel"), whole("stride", entry.get("stride", 1)), _pad(entry)
    if sizes == (1, 1, 0) and entry["pool"] == "AVE":
        return GlobalAvgPool2D(name)
    return kinds[entry["pool"]](name, *sizes, round_up=True)


def _channels(layer: Layer, taken: Sequence[tuple[int | None, bool]]) -> tuple[int | None, bool]:
    """Return a layer's channels, and whether they are images, or raise if it can't take these."""
    count, is_image = taken[0]
    if isinstance(layer, (Conv2D, Linear)):
        fits = is_image == isinstance(layer, Conv2D) and count in (None, layer.inputs)
        if not fits:
            kind = "images" if is_image else "vectors"
            raise ArgumentError(f"takes {layer.inputs} channels, but gets {kind} of {count}")
        return layer.outputs, is_image
    if isinstance(layer, Concat):
        if any(one[1] != is_image for one in taken):
            raise ArgumentError("can't join images with vectors")
        counts = [one[0] for one in taken]
        return (None if None in counts else sum(filter(None, counts))), is_image
    if isinstance(layer, Flatten):
        return None, False
    if not is_image and not isinstance(layer, (ReLU, Dropout)):
        raise ArgumentError("takes images, but gets vectors")
    return count, is_image and not isinstance(layer, GlobalAvgPool2D)


def _required(entry: Mapping[str, Any], key: str) -> int:
    return whole(key, entry.get(key))


def _pad(entry: Mapping[str, Any]) -> int:
    return whole("pad", entry.get("pad", 0), least=0)


def _number(what: str, value: Any) -> float:
    if is_finite(value, -(2**31), 2**31):
        return float(value)
    raise ArgumentError(f"{what} must be a number, not {shown(value)}")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"a blob's name must be text, not {shown(value)}")
    return value
