"""Batch normalization folded into the layer before it, so that running it costs nothing."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ..errors import ArgumentError
from .conv import Conv2D
from .layers import Array, Linear
from .network import Network
from .norm import Scale
from .wiring import Step


def fold_batch_norm(
    network: Network, params: Mapping[str, Array]
) -> tuple[Network, dict[str, Array]]:
    """Return a network without its batch normalizations, and the parameters it then has.

    A `BatchNorm` or `Scale` multiplies each channel and adds to it; so can the rows and the
    biases of a convolution or a fully connected layer. It is folded if it alone takes such a
    layer's output, directly or behind others that are folded; otherwise it stays. The outputs
    are the same but for rounding.

    Parameters
    ----------
    network : Network
    params : mapping of str to ndarray
        All its parameters, not compressed yet. They aren't changed.

    Returns
    -------
    network : Network
    params : dict of str to ndarray
        The parameters left, in their dtypes, computed in float64.

    Raises
    ------
    ArgumentError
        If the parameters aren't those of the network, or a weight to change is no ndarray.
    """
    network.check_params(params)
    folded = dict(params)
    layers = {layer.name: layer for layer in network.layers}
    now = {name: name for name in network.shapes}  # the output that replaces each output
    takers = Counter(source for step in network.steps for source in step.sources)
    steps: list[Step] = []
    for step in network.steps:
        name, into = step.layer.name, now[step.sources[0]]
        target = layers.get(into)
        if not (
            isinstance(step.layer, Scale)
            and isinstance(target, (Conv2D, Linear))
            and takers[step.sources[0]] == 1
        ):
            steps.append(step)
            continue
        parts = {part: _float64(params, part) for part in step.layer.param_shapes()}
        factor, summand = step.layer.affine(parts)
        weight, bias = (_float64(folded, f"{into}.{part}") for part in ("weight", "bias"))
        rows = factor.reshape(-1, *[1] * (weight.ndim - 1))
        for part, value in (("weight", weight * rows), ("bias", bias * factor + summand)):
            folded[f"{into}.{part}"] = value.astype(params[f"{into}.{part}"].dtype)
        for part in parts:
            del folded[part]
        now[name] = into
    sources = {step.layer.name: tuple(now[source] for source in step.sources) for step in steps}
    kept = tuple(step.layer for step in steps)
    return replace(network, layers=kept, sources=sources), folded


def _float64(params: Mapping[str, Array], name: str) -> Array:
    """Return a parameter in float64, or raise if it is packed."""
    if not isinstance(params[name], np.ndarray):
        raise ArgumentError(f"parameter {name!r} isn't an ndarray: fold before compression")
    return params[name].astype(np.float64)
