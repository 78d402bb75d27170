"""A network's parts from its file: definition, preprocessing, and each weight in its form."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import dtypes, native
from ..coding.reading import Tensor
from ..errors import ArgumentError, shown
from ..nn.conv import Conv2D
from ..nn.definition import from_metadata
from ..nn.network import Network
from ..nn.transposed import ConvTranspose2D
from ..packed.grouped import GroupedTensor
from ..packed.tensor import CompressedTensor
from . import crossover
from .parameters import ParameterSource
from .preprocessing import Preprocessing


def read_definition(metadata: Mapping[str, Any]) -> tuple[Network, Preprocessing | None]:
    """Return the network and the preprocessing that a file's metadata describes."""
    named = metadata.get("network")
    if not isinstance(named, (str, dict)):
        why = metadata.get("no_network")
        reason = f": {shown(why)}" if isinstance(why, str) else ""
        raise ArgumentError(f"its metadata names no network{reason}")
    network = from_metadata(named)
    if "preprocessing" not in metadata:
        return network, None
    return network, Preprocessing.from_metadata(metadata["preprocessing"])


def check_names(
    network: Network,
    sources: Mapping[str, ParameterSource],
    shapes: Mapping[str, tuple[int, ...]],
    *,
    has_others: bool,
) -> None:
    """Raise unless a file has the network's tensors, by their shapes alone."""
    for name, needed in network.param_shapes.items():
        source = sources[name]
        if source.tensor is None:
            continue
        if source.tensor not in shapes:
            raise ArgumentError(f"tensor {source.tensor!r} of network {network.name!r} is missing")
        if not source.fits(shapes[source.tensor], needed):
            given = f"{shapes[source.tensor]}{', transposed' if source.transposed else ''}"
            what = "" if source.tensor == name else f" for {name!r}"
            raise ArgumentError(
                f"tensor {source.tensor!r} has shape {given}, network {network.name!r} "
                f"needs {needed}{what}"
            )
    for name in () if has_others else shapes:
        if name not in network.param_shapes:
            raise ArgumentError(f"network {network.name!r} has no tensor {name!r}")


def dense_weights(network: Network) -> set[str]:
    """Return the weights for which there are no packed products.

    Those of a depthwise convolution are few, and so are a transposed one's, of whose columns it
    would need products.
    """
    return {
        f"{layer.name}.weight"
        for layer in network.layers
        if isinstance(layer, ConvTranspose2D) or (isinstance(layer, Conv2D) and layer.is_depthwise)
    }


def check_preprocessing(network: Network, preprocessing: Preprocessing | None) -> None:
    """Raise unless pictures become inputs of the network."""
    if preprocessing is None:
        return
    shape = network.input_shape
    if preprocessing.input_shape != shape and shape != (math.prod(preprocessing.input_shape),):
        raise ArgumentError(
            f"preprocessing gives inputs of shape {preprocessing.input_shape}, "
            f"network {network.name!r} takes {shape}"
        )


def checked(name: str, tensor: Tensor) -> Tensor:
    """Return a tensor as a network runs it: weights as they are, vectors dense, in float32."""
    if isinstance(tensor, GroupedTensor):
        return tensor.to_float32()  # as programs have one codebook to a weight
    if isinstance(tensor, CompressedTensor):
        return tensor if len(tensor.shape) > 1 else tensor.to_float32()
    element_type = dtypes.of(tensor.dtype)
    if element_type is None or element_type.kind != "f":
        raise ArgumentError(f"tensor {name!r} is of {tensor.dtype}, a network's are floats")
    return np.ascontiguousarray(tensor, np.float32)


def held(network: Network, name: str, tensor: Tensor, dense: str, max_bytes: int | None) -> Tensor:
    """Return a weight in its form for running, packed or dense."""
    if not isinstance(tensor, CompressedTensor):
        return tensor
    must_be_dense = dense == "always" or name in dense_weights(network)
    if not must_be_dense and (dense == "never" or not _runs_dense(network, name, tensor)):
        return tensor
    size_bytes = 4 * tensor.size
    if max_bytes is not None and size_bytes > max_bytes:
        if not must_be_dense:
            return tensor
        raise ArgumentError(
            f"tensor {name!r} takes {size_bytes:,} bytes, max_bytes is {max_bytes:,}"
        )
    return tensor.to_float32()


def by_winograd(
    network: Network, params: Mapping[str, Tensor], max_bytes: int | None
) -> frozenset[str]:
    """Return the weights whose convolutions are fastest by Winograd's transforms.

    These take four times a dense array's memory, beside the weights as they are held.
    """
    isa, found = native.info()["isa"], []
    for layer in network.layers:
        if not isinstance(layer, Conv2D) or layer.groups > 1:
            continue
        window, name = layer.window, f"{layer.name}.weight"
        if (window.kernel, window.stride, window.dilation) != ((3, 3), (1, 1), (1, 1)):
            continue
        weight, sides = params[name], network.shapes[layer.name][1:]
        if max_bytes is not None and 16 * layer.outputs * layer.inputs * 9 > max_bytes:
            continue
        packed = weight.labels() if isinstance(weight, CompressedTensor) else None
        entries = weight.size if packed is None else np.count_nonzero(packed)
        sizes = layer.outputs, layer.inputs, int(entries)
        if crossover.convolution_runs_winograd(*sizes, sides, isa):
            found.append(name)
    return frozenset(found)


def _runs_dense(network: Network, name: str, tensor: CompressedTensor) -> bool:
    """Tell whether one input at a time is run faster by the weight as a dense array."""
    layer_name = name.removesuffix(".weight")
    layer = next(layer for layer in network.layers if layer.name == layer_name)
    survivors, isa = int(np.count_nonzero(tensor.labels())), native.info()["isa"]
    if isinstance(layer, Conv2D):
        pixels = math.prod(network.shapes[layer_name][1:])
        group = tensor.rows // layer.groups, tensor.cols, survivors // layer.groups
        return crossover.convolution_runs_dense(*group, pixels, isa)
    sizes = tensor.rows, tensor.cols, survivors
    return crossover.runs_dense(*sizes, 1, isa, native.threads(), among_others=True)
