"""The rows of inputs that reach a layer: all of them, or those at positions drawn at random.

A convolution computes one product at each position of its output (im2col); many positions of
one picture say little more than some. Arrays have the layout of `nn.layers`, the batch last.
"""

import math

import numpy as np
import numpy.typing as npt

from ..nn.conv import Conv2D
from ..nn.layers import Array, Layer


def draw(shape: tuple[int, ...], most: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the places, ascending, at most so many, of a batch's outputs (O, ..., B).

    `shape` is the batch's output, without its channels, such as (OH, OW, B).
    """
    count = math.prod(shape)
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def gather(layer: Layer, x: Array, places: npt.NDArray[np.int64]) -> Array:
    """Return the rows of inputs at places of the output, (G, N, D), a 1 behind each.

    The inputs of a row are in the order of a weight of the layer, (I/G, k, k) of a convolution.
    """
    groups, count = 1, len(places)
    if isinstance(layer, Conv2D):
        groups, window = layer.groups, layer.window
        (tall, wide), (down, right) = window.kernel, window.stride
        padded = window.padded(x)
        channels, _, width, batch = padded.shape
        pixel, image = np.divmod(places, batch)
        top, left = np.divmod(pixel, window.counts(x.shape[1:3])[1])
        corner = (top * down * width + left * right) * batch + image
        flat = padded.reshape(channels, -1)
        taken = np.empty((channels, tall * wide, count), x.dtype)
        for i in range(tall):
            for j in range(wide):
                tap = (i * window.dilation[0] * width + j * window.dilation[1]) * batch
                np.take(flat, corner + tap, axis=1, out=taken[:, i * wide + j])
        columns = taken.reshape(groups, -1, count)
    else:
        columns = np.ascontiguousarray(x[:, places])[None]
    ones = np.ones((groups, 1, count), x.dtype)
    return np.concatenate([columns, ones], axis=1).transpose(0, 2, 1)
