"""The network that a list of layers describes, where it says enough for that.

Beyond the fields that `layers` reads, an entry has these, in Caffe's words and with its defaults:

- ``inputs``, a list of the blobs that the layer takes, and ``output``, the one that it gives
  (by default its name). A blob that it takes and gives is changed in place.
- ``Convolution``: ``stride`` 1, ``pad`` 0, ``dilation`` 1.
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
from dataclasses import dataclass, field, fields
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
from ..nn.windows import Sides
from ..nn.wiring import INPUT
from .layers import parse_entries, whole

_NAME = "converted"  # a list has no name for the network
_DATA = "data"  # Caffe's name for the input
_MAX_SOURCES = 10_000
_LAYERS: dict[str, type[Layer]] = {"ReLU": ReLU, "Concat": Concat, "Dropout": Dropout}
_LAYERS |= {"Convolution": Conv2D, "InnerProduct": Linear, "LRN": LocalResponseNorm}
# Caffe's words for the fields of our layers, and its defaults.
_WORDS = {"inputs": "in_channels", "outputs": "out_channels", "padding": "pad", "groups": "group"}
_WORDS |= {"size": "local_size", "rate": "dropout_ratio"}
_DEFAULTS: dict[str, float] = {"stride": 1, "padding": 0, "groups": 1, "dilation": 1}
_DEFAULTS |= {"size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0, "rate": 0.5}


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
    entries = parse_entries(data, what)
    if not all("inputs" in entry or entry["type"] == "Input" for _, entry in entries):
        return None
    graph, where = _Graph(), what
    try:
        for place, entry in entries:
            where = place
            graph.add(entry)
        where = what
        return graph.network()
    except _Unknown:
        return None
    except ArgumentError as error:
        raise FormatError(f"{where}: {error}") from None


@dataclass
class _Graph:
    """The layers that the entries so far have built; layers and sources are as in a `Network`."""

    input_shape: tuple[int, ...] | None = None  # as an entry gave it
    layers: list[Layer] = field(default_factory=list)
    sources: dict[str, Sequence[str]] = field(default_factory=dict)
    # The layer whose output a blob is now; each layer's channels, if known, and if it is an image.
    blobs: dict[str, str] = field(default_factory=dict)
    channels: dict[str, tuple[int | None, bool]] = field(default_factory=dict)
    ended: bool = False  # by a softmax

    def add(self, entry: Mapping[str, Any]) -> None:
        """Append the layer of an entry."""
        if entry["type"] == "Input":
            self._add_input(entry)
            return
        if not self.blobs:
            self.blobs[_DATA], self.channels[INPUT] = INPUT, (None, True)
        taken, given = self._blobs(entry)
        sources = [self.blobs[blob] for blob in taken]
        if entry["type"] == "Softmax" and not self.ended:
            if sources != [layer.name for layer in self.layers[-1:]]:
                raise _Unknown  # of something else than the end
            self.ended = True
            return
        if self.ended:
            raise _Unknown  # after a softmax
        layer = _layer(entry)
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
        """Take the network's input, which comes before all layers."""
        if self.layers or self.blobs:
            raise _Unknown  # a second input
        axes = entry.get("shape")
        if not isinstance(axes, list) or len(axes) not in (1, 3):
            raise ArgumentError(f"shape must be a list of 1 or 3 numbers, not {shown(axes)}")
        self.input_shape = tuple(whole("an axis of shape", axis) for axis in axes)
        self.blobs[_text(entry.get("output", entry["name"]))] = INPUT
        self.channels[INPUT] = (self.input_shape[0], len(axes) == 3)

    def _blobs(self, entry: Mapping[str, Any]) -> tuple[list[str], str]:
        """Return the blobs that an entry takes, and the one that it gives."""
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
            images = f"images of {count} channels"
            raise ArgumentError(f"takes {layer.inputs} numbers, but gets {images}")
        name = "flatten" if "flatten" not in self.channels else f"{layer.name}/flatten"
        self._append(Flatten(name), sources)
        return name

    def _append(self, layer: Layer, sources: Sequence[str]) -> None:
        """Append a layer that takes these layers' outputs."""
        if layer.name in self.channels:
            raise ArgumentError(f"a layer before it has the name {shown(layer.name)}, too")
        self.channels[layer.name] = _channels(layer, [self.channels[name] for name in sources])
        self.sources[layer.name] = sources
        self.layers.append(layer)


def _layer(entry: Mapping[str, Any]) -> Layer:
    """Return the layer of an entry, whatever it takes."""
    kind = _pooling(entry) if entry["type"] == "Pooling" else _LAYERS.get(entry["type"])
    if kind is None:
        raise _Unknown
    values: dict[str, Any] = {"name": entry["name"]}
    for one in fields(kind)[1:]:
        key = _WORDS.get(one.name, one.name)
        value = entry.get(key, _DEFAULTS.get(one.name))
        if one.type is bool:  # windows may hang over the edge, and zeros of the padding count
            value = True
        elif one.type in (int, Sides):
            value = whole(key, value, least=0 if key == "pad" else 1)
        elif is_finite(value, -(2**31), 2**31):
            value = float(value)
        else:
            raise ArgumentError(f"{key} must be a number, not {shown(value)}")
        values[one.name] = value
    layer = kind(**values)
    return GlobalAvgPool2D(layer.name) if layer == AvgPool2D(layer.name, 1, 1, 0, True) else layer


def _pooling(entry: Mapping[str, Any]) -> type[Layer] | None:
    """Return the kind of a pooling, None if it isn't known here."""
    everywhere, pool = entry.get("global", False), entry.get("pool")
    if not isinstance(everywhere, bool):
        raise ArgumentError(f"global must be true or false, not {shown(everywhere)}")
    if pool == "AVE":
        return GlobalAvgPool2D if everywhere else AvgPool2D
    return MaxPool2D if pool == "MAX" and not everywhere else None


def _channels(layer: Layer, taken: Sequence[tuple[int | None, bool]]) -> tuple[int | None, bool]:
    """Return a layer's channels, and whether they are images, or raise if it can't take these."""
    count, is_image = taken[0]
    if isinstance(layer, (Conv2D, Linear)):
        if is_image != isinstance(layer, Conv2D) or count not in (None, layer.inputs):
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


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ArgumentError(f"a blob's name must be text, not {shown(value)}")
    return value
