"""Convolution of an image with kernels of 3x3 by Winograd's F(4x4, 3x3): a quarter of the products.

The output is cut into tiles of 4x4 pixels, below each of which the image has 6x6, four apart. With
the matrices B, G and A of Lavin and Gray (2016, section 4.1.3), a tile d of the image becomes
``B.T @ d @ B`` and a kernel g becomes ``G @ g @ G.T``, both of 6x6 numbers, whose products, summed
over the channels, become the output's tile by ``A.T @ sum @ A``. So there are 36 products for 16
pixels in place of 144, of dense matrices: pruned weights are not zero once transformed.

Numbers grow on the way and cancel at its end, so that results are rounded more coarsely than those
of `convolution`: by some 1e-6 of the largest output, where those are by 1e-7.

O outputs, C channels of the image.
"""

import numpy as np

from ..tensors import Float32Array

EDGE, REACH, KERNEL = 4, 6, 3  # pixels along a side: of the output's tile, the image's, a kernel
DEPTH = 64  # channels that C multiplies at a time
IMAGE = np.array(  # B.T
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ],
    np.float32,
)
WEIGHT = np.array(  # G
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
OUTPUT = np.array(  # A.T
    [[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]],
    np.float32,
)


def kernels(weight: Float32Array) -> Float32Array:
    """Return the transformed kernels (36, O, C) of a weight (O, C, 3, 3); rounded once."""
    transformed = WEIGHT @ weight.astype(np.float64) @ WEIGHT.T
    return np.ascontiguousarray(transformed.transpose(2, 3, 0, 1), np.float32).reshape(
        REACH**2, *weight.shape[:2]
    )


def in_blocks(transformed: Float32Array) -> Float32Array:
    """Return transformed kernels as C takes them: for each of the 36, some channels at a time."""
    places, _, channels = transformed.shape
    blocks = [
        transformed[:, :, first : first + DEPTH].reshape(places, -1)
        for first in range(0, channels, DEPTH)
    ]
    return np.concatenate(blocks, axis=1).reshape(-1)


def convolve(
    transformed: Float32Array, x: Float32Array, padding: tuple[int, ...], sides: tuple[int, ...]
) -> Float32Array:
    """Return the output (O, OH, OW) for an image (C, H, W).

    Parameters
    ----------
    transformed : ndarray of shape (36, O, C), float32
        From `kernels`.
    x : ndarray of shape (C, H, W), float32
    padding : pair of int
        Zeros above and left of the image; beyond it there are as many as it takes.
    sides : pair of int
        OH and OW.
    """
    down, right = (-(-side // EDGE) for side in sides)
    padded = np.zeros((len(x), EDGE * down + 2, EDGE * right + 2), np.float32)
    seen = x[:, : padded.shape[1] - padding[0], : padded.shape[2] - padding[1]]
    height, width = seen.shape[1:]
    padded[:, padding[0] : padding[0] + height, padding[1] : padding[1] + width] = seen
    tiles = np.lib.stride_tricks.sliding_window_view(padded, (REACH, REACH), axis=(1, 2))
    tiles = tiles[:, ::EDGE, ::EDGE]
    with np.errstate(over="ignore", invalid="ignore"):
        images = (IMAGE @ tiles @ IMAGE.T).reshape(len(x), -1, REACH**2)
        sums = transformed @ images.transpose(2, 0, 1)  # (36, O, tiles)
        sums = sums.transpose(1, 2, 0).reshape(-1, down, right, REACH, REACH)
        y = OUTPUT @ sums @ OUTPUT.T
    y = y.transpose(0, 1, 3, 2, 4).reshape(-1, EDGE * down, EDGE * right)
    return np.ascontiguousarray(y[:, : sides[0], : sides[1]])
