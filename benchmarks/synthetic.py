"""Synthetic weights of AlexNet's and VGG-16's size, in place of trained ones.

``weights(network, layer)`` draws one layer; ``write(network, folder)`` all of them, as one
mapped ``.npy`` file each, so that no more than a few megabytes are in memory. The same seed
gives the same weights, each layer's by itself.

A weight from input channel c to output r is ``scale * out[r] * in[c] * z``:

- z is Laplacian: trained weights are bell-shaped with tails heavier than Gaussian (Fortuin et
  al., "Bayesian neural network priors revisited", ICLR 2022). Of the SqueezeNet that the
  paper's authors published, pruned, the largest weight of a 3 x 3 layer is 5.6 to 8.9 times
  the survivors' root mean square, and its 8-bit labels have an entropy of 7.1 to 7.6 bits; a
  Laplacian gives 6 and 7.3, a Gaussian 3 and 7.7.
- out[r] and in[c] are log-normal with a deviation of 0.2 in the logarithm. In the same
  layers the density of rows and columns varies by 0.04 to 0.10 around 0.33, four times what
  chance alone would do: that is a deviation of 0.1 to 0.2.
- In fully connected layers, in[c] also has the factor sqrt(activity of c / mean activity): an
  input's gradients are as frequent as it is active, while weight decay shrinks its weights
  all the time. The mean activity is that which Han et al. measured (EIE, ISCA 2016, table
  III); the activities have a beta distribution around it of concentration 2, which is the
  uniform one where the mean is 1/2. Inputs of fc6 that come from the same map of the last
  pooling share theirs.
- scale is He's, sqrt(2 / fan-in); no ratio of bytes depends on it.

What such weights can show: sizes, times and memory at the paper's scale. What they can't:
accuracy, or that the paper's networks compress to the same bytes. Correlations within a
filter, and what retraining does to the survivors, are missing.
"""

import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from deepcompress.nn import zoo
from deepcompress.reports.paper import PAPER

Float32Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]

NETWORKS = ("alexnet", "vgg-16")
CHANNEL_DEVIATION = 0.2
CONCENTRATION = 2.0
ACTIVITY = {
    "alexnet": {"fc6.weight": 0.351, "fc7.weight": 0.353, "fc8.weight": 0.375},
    "vgg-16": {"fc6.weight": 0.183, "fc7.weight": 0.375, "fc8.weight": 0.411},
}
MAP_ELEMENTS = {"alexnet": 6 * 6, "vgg-16": 7 * 7}  # of the last pooling, before fc6
BIAS_DEVIATION = 0.1
CHUNK_ELEMENTS = 1 << 20


def shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Return the shapes of all tensors by name, ``conv1.weight``, ``conv1.bias``, ….

    Parameters
    ----------
    network : {"alexnet", "vgg-16"}
    """
    return zoo.build(network).param_shapes


def densities(network: str) -> dict[str, float]:
    """Return the share of the weights that survive pruning, per layer (tables 4 and 5)."""
    return {row.layer: row.kept_percent / 100 for row in PAPER[network].rows[:-1]}


def tensor(network: str, name: str, seed: int = 0) -> Float32Array:
    """Draw one dense tensor, weights or biases, before pruning.

    Returns
    -------
    ndarray of the shape that `shapes` has, float32
    """
    drawn: Float32Array = np.empty(shapes(network)[name], np.float32)
    _fill(drawn, network, name, seed)
    return drawn


def tensors(network: str, seed: int = 0) -> Iterator[tuple[str, Float32Array]]:
    """Draw all tensors, one at a time."""
    for name in shapes(network):
        yield name, tensor(network, name, seed)


def write(network: str, folder: Path, seed: int = 0) -> None:
    """Draw all tensors into ``folder/<name>.npy``, a chunk at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, shape in shapes(network).items():
        mapped = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", np.float32, shape)
        _fill(mapped, network, name, seed)
        mapped.flush()


def pruned(weights: Float32Array, density: float) -> Float32Array:
    """Return the weights with all but the largest set to 0; ties survive."""
    magnitudes = np.abs(weights)
    keep = round(density * weights.size)
    threshold = np.partition(magnitudes, -keep, axis=None)[-keep]
    return np.where(magnitudes >= threshold, weights, np.float32(0))


def _fill(out: Float32Array, network: str, name: str, seed: int) -> None:
    rng = np.random.default_rng([seed, zlib.crc32(f"{network}/{name}".encode())])
    if out.ndim == 1:
        out[:] = rng.normal(0, BIAS_DEVIATION, out.shape)
        return
    rows, channels = out.shape[:2]
    cols = out.size // rows
    row_scale = np.exp(rng.normal(0, CHANNEL_DEVIATION, rows))
    row_scale *= math.sqrt(2 / cols) / math.sqrt(2)  # the variance of a Laplacian is 2
    channel_scale = np.exp(rng.normal(0, CHANNEL_DEVIATION, channels))
    channel_scale *= _activity_scale(network, name, channels, rng)
    col_scale = np.repeat(channel_scale, cols // channels)
    step = max(1, CHUNK_ELEMENTS // cols)
    flat = out.reshape(rows, cols)
    for start in range(0, rows, step):
        part = flat[start : start + step]
        drawn = rng.standard_exponential(part.shape, np.float32)
        negative = rng.integers(0, 256, -(-part.size // 8), np.uint8)
        signs = np.unpackbits(negative, count=part.size).reshape(part.shape)
        np.negative(drawn, out=drawn, where=signs.view(np.bool_))
        drawn *= row_scale[start : start + step, np.newaxis].astype(np.float32)
        part[...] = drawn * col_scale.astype(np.float32)


def _activity_scale(
    network: str, name: str, channels: int, rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]] | float:
    """Return a factor for each input of a fully connected layer."""
    means: Mapping[str, float] = ACTIVITY[network]
    if name not in means:
        return 1.0
    mean = means[name]
    shared = MAP_ELEMENTS[network] if name.startswith("fc6") else 1
    maps = channels // shared
    activity = rng.beta(mean * CONCENTRATION, (1 - mean) * CONCENTRATION, maps)
    return np.repeat(np.sqrt(activity / mean), shared)
