"""How much a network's outputs differ, and how much each output of a layer matters to them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

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


def row_costs(
    network: Network, params: Mapping[str, Weights], x: Array, signs: npt.NDArray[np.int8]
) -> dict[str, Float64Array]:
    """Return, by layer, what errors of each of its outputs cost, summed over a batch (..., B).

    Rounding changes a row of weights by d, and an output by ``d.x`` at each position. By how much
    these add up, over positions whose inputs are alike, depends on the output. To second order,
    the divergence is half the mean square of ``d.v``, with v the gradient of ``z.u`` with respect
    to the row: u are the logits, and z is drawn with the Fisher information of the softmax,

        z = sqrt(p) s - p (sqrt(p).s),     s = -1 or 1 for each class.

    An error that is as large at all positions, and on its own at each, would have the same for
    ``|v|^2`` over the variance of inputs. This is what is returned. As the bias makes up for the
    mean of an error, inputs are less their mean.

    Parameters
    ----------
    network, params, x
        As for `Network.forward`.
    signs : ndarray of shape (classes, B), -1 or 1
        s of each input.
    """
    with np.errstate(all="ignore"):  # what isn't finite is found in the moments
        return _row_costs(network, params, x, signs)


def _row_costs(
    network: Network, params: Mapping[str, Weights], x: Array, signs: npt.NDArray[np.int8]
) -> dict[str, Float64Array]:
    logits, caches = network.forward(params, x)
    p = softmax(logits, 0)
    drawn = np.sqrt(p) * signs
    dy = (drawn - p * drawn.sum(axis=0)).astype(p.dtype)
    learners = network.learners()
    dvalues: dict[str, Array] = {network.layers[-1].name: dy}
    costs: dict[str, Float64Array] = {}
    for step, cache in zip(reversed(network.steps), reversed(caches), strict=True):
        name = step.layer.name
        if name not in learners:
            continue
        dy = dvalues.pop(name)
        if isinstance(step.layer, (Conv2D, Linear)):
            costs[name] = _costs_of(step.layer, cache, dy)
        need_dx = not learners.isdisjoint(step.sources)
        if not need_dx:
            continue
        dx, _ = step.layer.backward(params, cache, dy, True)
        parts: Any = dx if step.layer.several else [dx]
        for source, part in zip(step.sources, parts, strict=True):
            if source in learners:
                dvalues[source] = dvalues[source] + part if source in dvalues else part
    return costs


def _costs_of(layer: Conv2D | Linear, cache: Any, dy: Array) -> Float64Array:
    """Return the squared norms of each row's gradients, over the variance of its inputs."""
    if isinstance(layer, Linear):  # a gradient is dy times x
        inputs = cache - cache.mean(axis=1, keepdims=True)
        norms = np.einsum("db,db->b", inputs, inputs, dtype=np.float64)
        squares, power = np.einsum("rb,rb,b->r", dy, dy, norms)[None], norms.sum(keepdims=True)
        count = len(norms)
    else:
        squares, power, count = _of_convolution(cache[0], dy)
    variance = (power / count)[:, None]
    costs = np.divide(squares, variance, out=np.zeros_like(squares), where=variance > 0)
    return np.asarray(costs.ravel())


def _of_convolution(patches: Array, dy: Array) -> tuple[Float64Array, Float64Array, int]:
    """Return squared norms (G, R), squares of inputs (G,), and how many rows of them there are.

    Patches are (G, OH, d, OW * B), as `Conv2D.forward` caches them.
    """
    batch = dy.shape[-1]
    rows = patches.reshape(*patches.shape[:3], -1, batch)
    slopes = dy.reshape(len(rows), -1, rows.shape[1] * rows.shape[3], batch)
    mean = rows.mean(axis=(1, 3, 4))
    squares, power = np.zeros(slopes.shape[:2]), np.zeros(len(rows))
    for one in range(batch):
        inputs = rows[..., one].transpose(0, 1, 3, 2).reshape(len(rows), -1, rows.shape[2])
        inputs = inputs - mean[:, None]
        gradients = np.ascontiguousarray(slopes[..., one]) @ inputs
        squares += np.einsum("grd,grd->gr", gradients, gradients, dtype=np.float64)
        power += np.einsum("gnd,gnd->g", inputs, inputs, dtype=np.float64)
    return squares, power, batch * slopes.shape[2]
