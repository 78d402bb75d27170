"""What a weight and a unit are worth: which of them go first when few shall be left."""

from collections.abc import Sequence

import numpy as np

from ..tensors import BoolArray, Float32Array


def per_bit(weights: Float32Array, mask: BoolArray, label_bits: float) -> Float32Array:
    """Return the magnitude of each weight over the root of the bits that it costs.

    To prune a weight adds about its square to the loss, so what counts is the square per bit. A
    weight costs a label and a position. In a matrix whose rows and columns differ in density, the
    position of a weight in row r and column c costs about ``-log2(p)`` bits, with ``p`` the number
    of weights in the row times that in the column over that in the matrix. So the last weights of
    an almost empty row or column go first, and with them the whole unit.

    Parameters
    ----------
    weights : ndarray of shape (outputs, inputs, ...)
    mask : ndarray of the same shape, bool
        Survivors.
    label_bits : float
        Cost of a label.

    Returns
    -------
    ndarray of the weights' shape, float32
        0 where a weight is pruned.
    """
    matrix = mask.reshape(len(mask), -1)
    in_row, in_column = (matrix.sum(axis=axis, keepdims=True) + 1.0 for axis in (1, 0))
    chance = np.clip(in_row * in_column / (np.count_nonzero(matrix) + 1.0), 1e-6, 1.0)
    bits = label_bits - np.log2(chance)
    worth = np.abs(weights.reshape(matrix.shape)) * matrix / np.sqrt(bits)
    rounded: Float32Array = worth.astype(np.float32).reshape(weights.shape)
    return rounded


def strongest_units(
    weights: Sequence[Float32Array], counts: Sequence[int | None]
) -> list[BoolArray]:
    """Keep the strongest outputs of each layer.

    The strength of a unit is the product of the norms of the weights before and behind it, which
    stays the same when one is scaled up and the other down.

    Parameters
    ----------
    weights : sequence of ndarray of shape (outputs, inputs, ...)
        Those of a chain of layers, as `nn.compact.live_masks` takes their masks.
    counts : sequence of int or None
        Units to keep of each layer but the last; None keeps all.

    Returns
    -------
    list of ndarray of bool
        A mask for each tensor of weights: of those between units that are kept.
    """
    masks = [np.ones(tensor.shape, np.bool_) for tensor in weights]
    for place, count in enumerate(counts):
        if count is None:
            continue
        before, behind = weights[place], weights[place + 1]
        units = len(before)
        strength = np.square(before.reshape(units, -1)).sum(axis=1)
        strength *= np.square(behind.reshape(len(behind), units, -1)).sum(axis=(0, 2))
        weakest = np.argsort(-strength, kind="stable")[count:]
        masks[place][weakest] = False
        masks[place + 1].reshape(len(behind), units, -1)[:, weakest] = False
    return masks
