"""A network without its dead units, which trains faster and computes the same.

Pruning leaves units without a weight on one of their sides. Such a unit is *dead*: its other
weights can go, too, and with them its place in every product. `Compact` says which places of
the full tensors are left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ..errors import ArgumentError
from .conv import Conv2D
from .layers import Array, Layer, Linear
from .network import Network

Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Compact:
    """What is left of a network when its dead units are taken out.

    Attributes
    ----------
    network : Network
        With fewer inputs, channels and features.
    inputs : ndarray of int
        The inputs that it takes: features, or channels of images, of those of the full network.
    places : dict of str to ndarray of int
        For each parameter, the places of its elements in the flattened tensor of the full
        network, in the shape that it has in this one; ascending.
    """

    network: Network
    inputs: Places
    places: dict[str, Places]

    def take(self, tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return tensors of this network from those of the full one."""
        return {name: tensor.reshape(-1)[self.places[name]] for name, tensor in tensors.items()}

    def put(self, small: Mapping[str, Array], tensors: Mapping[str, Array]) -> dict[str, Array]:
        """Return the full network's tensors, with the elements of this one's in their places."""
        full = {name: tensor.copy() for name, tensor in tensors.items()}
        for name, values in small.items():
            full[name].reshape(-1)[self.places[name]] = values
        return full


def live_masks(masks: Sequence[Bools]) -> tuple[list[Bools], list[Bools]]:
    """Prune the weights of dead units.

    Parameters
    ----------
    masks : sequence of ndarray of bool
        Survivors of the weight tensors of a chain of layers, in its order, each of shape
        (outputs, inputs, ...). A layer's inputs are the outputs of the layer before or, after
        a flattening, equally many for each of them.

    Returns
    -------
    masks, units : two lists of ndarray of bool
        The masks without the weights of dead units; and which units are alive, first the
        inputs of the first layer, then the outputs of each. The last outputs always are.
    """
    blocks: list[Bools] = []
    outputs = masks[0].shape[1]
    for mask in masks:
        blocks.append(mask.reshape(len(mask), outputs, -1).copy())
        outputs = len(mask)
    while True:
        total = sum(map(np.count_nonzero, blocks))
        seen = [np.any(block, axis=(0, 2)) for block in blocks]
        fed = [np.any(block, axis=(1, 2)) for block in blocks]
        units: list[Bools] = [
            seen[0],
            *(mine & theirs for mine, theirs in zip(fed, seen[1:], strict=False)),
            np.ones(len(blocks[-1]), np.bool_),
        ]
        for block, before_it, behind in zip(blocks, units, units[1:], strict=False):
            block &= before_it[None, :, None] & behind[:, None, None]
        if total == sum(map(np.count_nonzero, blocks)):
            shaped = [one.reshape(mask.shape) for one, mask in zip(blocks, masks, strict=True)]
            return shaped, units


def compact(network: Network, masks: Mapping[str, Bools]) -> Compact:
    """Take the dead units out of a network.

    Parameters
    ----------
    network : Network
        A chain of layers; those with parameters are `Linear`, or `Conv2D` of one group.
    masks : mapping of str to ndarray of bool
        Survivors of each weight. At least one of each must survive on a path from the inputs
        to the outputs.

    Raises
    ------
    ArgumentError
        If the network has other layers, or nothing is left of it.
    """
    learners = [layer for layer in network.layers if isinstance(layer, Linear | Conv2D)]
    others = [layer for layer in network.layers if layer.param_shapes() and layer not in learners]
    if network.sources or others or any(getattr(layer, "groups", 1) > 1 for layer in learners):
        raise ArgumentError(f"network {network.name!r} isn't a chain of plain layers")
    _, units = live_masks([masks[f"{layer.name}.weight"] for layer in learners])
    if not all(alive.any() for alive in units):
        raise ArgumentError(f"network {network.name!r}: no path of weights leads through it")
    alive = [np.flatnonzero(one) for one in units]
    places: dict[str, Places] = {}
    smaller: dict[str, Layer] = {}
    shapes = network.param_shapes
    for layer, before, after, total in zip(learners, alive, alive[1:], units, strict=False):
        shape = shapes[f"{layer.name}.weight"]
        group = int(np.prod(shape[1:])) // len(total)
        rows = (after[:, None] * len(total) + before)[:, :, None] * group + np.arange(group)
        inputs = len(before) * (group if isinstance(layer, Linear) else 1)
        small = replace(layer, inputs=inputs, outputs=len(after))
        places[f"{layer.name}.weight"] = rows.reshape(small.param_shapes()[f"{layer.name}.weight"])
        places[f"{layer.name}.bias"] = after
        smaller[layer.name] = small
    layers = tuple(smaller.get(layer.name, layer) for layer in network.layers)
    input_shape = (len(alive[0]), *network.input_shape[1:])
    return Compact(Network(network.name, layers, input_shape), alive[0], places)
