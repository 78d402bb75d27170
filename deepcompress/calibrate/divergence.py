"""How much a network's outputs differ, and how much each output of a layer matters to them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..nn.conv import Conv2D
from ..nn.layers import Array, Linear
from ..nn.losses import softmax
from ..nn.network import Network
from ..tensors import Float64Array
from .subject import Weights


def kl_divergence(reference: Array, other: Array) -> float:
    """Return the mean over inputs of KL(reference || other), in nats, from logits (n, classes)."""
    reference, other = (np.asarray(logits, np.float64) for logits in (reference, other))
    with np.errstate(all="ignore"):  # NaN is an answer
        p = softmax(reference)
        shifted = [one - one.max(axis=-1, keepdims=True) for one in (reference, other)]
        logs = [one - np.log(np.exp(one).sum(axis=-1, keepdims=True)) for one in shifted]
        return float((p * (logs[0] - logs[1])).sum(axis=-1).mean())


def squared_gradients(
    network: Network, params: Mapping[str, Weights], x: Array, draws: Float64Array
) -> dict[str, Float64Array]:
    """Return, by layer, the sum over a batch (..., B) and positions of squared gradients.

    They are those of -log p(y|x) with respect to each output of the layer, y being drawn from the
    network's own p(y|x): the class whose share of the cumulated probabilities `draws` falls into.
    """
    with np.errstate(all="ignore"):  # what isn't finite is found in the moments
        return _squared_gradients(network, params, x, draws)


def _squared_gradients(
    network: Network, params: Mapping[str, Weights], x: Array, draws: Float64Array
) -> dict[str, Float64Array]:
    logits, caches = network.forward(params, x)
    p = softmax(logits, 0)
    chosen = np.minimum((np.cumsum(p, axis=0) < draws).sum(axis=0), len(p) - 1)
    dy = p
    dy[chosen, np.arange(len(chosen))] -= 1
    learners = network.learners()
    dvalues: dict[str, Array] = {network.layers[-1].name: dy}
    squares: dict[str, Float64Array] = {}
    for step, cache in zip(reversed(network.steps), reversed(caches), strict=True):
        name = step.layer.name
        if name not in learners:
            continue
        dy = dvalues.pop(name)
        if isinstance(step.layer, (Conv2D, Linear)):
            flat = dy.reshape(len(dy), -1)
            squares[name] = np.einsum("ij,ij->i", flat, flat, dtype=np.float64)
        need_dx = not learners.isdisjoint(step.sources)
        if not need_dx:
            continue
        dx, _ = step.layer.backward(params, cache, dy, True)
        parts: Any = dx if step.layer.several else [dx]
        for source, part in zip(step.sources, parts, strict=True):
            if source in learners:
                dvalues[source] = dvalues[source] + part if source in dvalues else part
    return squares
