"""Which tensors of Keras's are matrices and filters, whose axes are in another order than here.

A dense layer's weights have the shape (in, out), ``"io"``; those of a two-dimensional convolution
have (height, width, in, out), ``"hwio"``. The layer says so, not the rank: an embedding is no
matrix of products. Keras's description of the model tells a layer's class by its name. Without
it, the groups of ``.weights.h5`` files are called after the class.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

LAYOUTS = {"Dense": (2, "io"), "Conv2D": (4, "hwio")}
_KERNELS = ("0", "kernel", "kernel:0")  # a layer's first variable
_GROUP = re.compile(r"(dense|conv2d)(?:_\d+)?")
_BY_GROUP = {"dense": "Dense", "conv2d": "Conv2D"}


def classes(config: Any) -> dict[str, str]:
    """Return the classes of the layers in a description, in JSON, by their names."""
    try:
        described = json.loads(config) if isinstance(config, (bytes, str)) else None
        return dict(_classes(described))
    except (ValueError, RecursionError):
        return {}


def _classes(value: Any) -> Any:
    """Yield names and classes of layers at any depth."""
    if isinstance(value, list):
        for one in value:
            yield from _classes(one)
    elif isinstance(value, dict):
        kind, config = value.get("class_name"), value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        if isinstance(kind, str) and isinstance(name, str):
            yield name, kind
        for one in value.values():
            yield from _classes(one)


def found(
    shapes: Mapping[str, tuple[int, ...]], by_layer: Mapping[str, str], layers: Mapping[str, str]
) -> dict[str, str]:
    """Return the layouts of those tensors that have one.

    Parameters
    ----------
    shapes : mapping of str to tuple of int
        By the tensors' paths.
    by_layer : mapping of str to str
        Classes of layers by their names, as of `classes`.
    layers : mapping of str to str
        Names of layers by the paths of groups, where the file says so.
    """
    made = {}
    for name, shape in shapes.items():
        group, _, variable = name.rpartition("/")
        rank, layout = LAYOUTS.get(_class_of(group, by_layer, layers), (None, ""))
        if variable in _KERNELS and len(shape) == rank:
            made[name] = layout
    return made


def _class_of(group: str, by_layer: Mapping[str, str], layers: Mapping[str, str]) -> str:
    """Return the class of the layer whose variables are in a group."""
    parts = group.split("/")
    if group in layers and layers[group] in by_layer:
        return by_layer[layers[group]]
    if parts[-1] == "vars" and len(parts) > 1:
        match = _GROUP.fullmatch(parts[-2])
        return _BY_GROUP[match[1]] if match else ""
    return by_layer.get(parts[-1], "")
