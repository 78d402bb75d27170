"""Probabilities, the training loss and the measure of success."""

import numpy as np
import numpy.typing as npt

from .layers import Array


def softmax(logits: Array, axis: int = -1) -> Array:
    """Return probabilities, which sum to 1 along the axis of the classes."""
    _, powers, sums = _powers(logits, axis)
    powers /= sums
    return powers


def _powers(logits: Array, axis: int) -> tuple[Array, Array, Array]:
    """Return logits shifted below 0, so that exp() can't overflow; their exp(); and its sums."""
    shifted = logits - logits.max(axis=axis, keepdims=True, initial=-np.inf)
    powers = np.exp(shifted)
    return shifted, powers, powers.sum(axis=axis, keepdims=True)


def softmax_cross_entropy(
    logits: Array, labels: npt.NDArray[np.integer], count: int | None = None
) -> tuple[float, Array]:
    """Return the mean negative log-likelihood of the true classes and its gradient.

    Parameters
    ----------
    logits : ndarray of shape (classes, B)
    labels : ndarray of shape (B,), integer, each < classes
    count : int, optional
        Divisor of the mean, B by default. A shard of a mini-batch gives the size of the
        whole, so that losses and gradients of the shards just add up.

    Returns
    -------
    loss : float
    dlogits : ndarray of shape (classes, B)
    """
    batch = len(labels)
    count = batch if count is None else count
    images = np.arange(batch)
    shifted, powers, sums = _powers(logits, 0)
    loss = float((np.log(sums[0]) - shifted[labels, images]).sum()) / count
    powers /= sums
    powers[labels, images] -= 1
    powers /= logits.dtype.type(count)
    return loss, powers


def error_count(logits: Array, labels: npt.NDArray[np.integer]) -> int:
    """Count the images whose largest logit isn't the true class's.

    Parameters
    ----------
    logits : ndarray of shape (B, classes)
        As `Network.predict` returns them. Among equal logits the first class counts.
    labels : ndarray of shape (B,), integer
    """
    return int(np.count_nonzero(logits.argmax(axis=1) != labels))
