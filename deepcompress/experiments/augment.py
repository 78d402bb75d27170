"""Variants of training images, drawn anew whenever an image is trained on."""

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array


def shifted(
    images: Float32Array,
    pixels: int,
    rng: np.random.Generator,
    places: npt.NDArray[np.integer] | None = None,
) -> Float32Array:
    """Shift each image by a number of pixels of its own, along both axes.

    Parameters
    ----------
    images : ndarray of shape (n, 1, height, width)
    pixels : int
        The most; each number from ``-pixels`` to ``pixels`` is equally likely.
    rng : numpy.random.Generator
    places : ndarray of int, optional
        The pixels that are wanted, by their places in a flattened image; all by default.

    Returns
    -------
    ndarray of shape (n, pixels)
        The images, flattened. What is shifted in from outside is 0, the background.
    """
    count, _, height, width = images.shape
    tall, wide = height + 2 * pixels, width + 2 * pixels
    padded = np.zeros((count, tall, wide), images.dtype)
    padded[:, pixels : pixels + height, pixels : pixels + width] = images[:, 0]
    down, right = rng.integers(0, 2 * pixels + 1, (2, count))
    corners = np.arange(count) * (tall * wide) + down * wide + right
    taken = np.arange(height * width) if places is None else places
    within = taken // width * wide + taken % width
    moved: Float32Array = padded.reshape(-1)[corners[:, None] + within]
    return moved
