"""The training loss and the measure of success, on batch-last logits (classes, B)."""

import numpy as np
import numpy.typing as npt

from .layers import Array


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
    shifted = logits - logits.max(axis=0)  # exp() of a number <= 0 can't overflow
    exponentials = np.exp(shifted)
    sums = exponentials.sum(axis=0)
    images = np.arange(batch)
    loss = float((np.log(sums) - shifted[labels, images]).sum()) / count
    exponentials /= sums
    exponentials[labels, images] -= 1
    exponentials /= logits.dtype.type(count)
    return loss, exponentials


def error_count(logits: Array, labels: npt.NDArray[np.integer]) -> int:
    """Count the images whose largest logit isn't the true class's.

    Parameters
    ----------
    logits : ndarray of shape (B, classes)
        As `Network.predict` returns them. Among equal logits the first class counts.
    labels : ndarray of shape (B,), integer
    """
    return int(np.count_nonzero(logits.argmax(axis=1) != labels))
