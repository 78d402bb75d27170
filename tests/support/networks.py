"""Small random networks with all that the large ones have, and how far rounding may lead."""

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np

from deepcompress import relindex
from deepcompress.nn.activations import Clip
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import Scale
from deepcompress.nn.pool import GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.transposed import ConvTranspose2D
from deepcompress.nn.wiring import INPUT
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.tensors import SharedWeights

EPS = 2.0**-23


@st.composite
def networks(draw):
    """Convolutions with groups, strides and paddings, two branches that meet, and an end."""
    groups, second = draw(st.sampled_from([1, 2])), draw(st.sampled_from([1, 2, 4]))
    channels = groups * draw(st.integers(1, 3))
    kernel, stride = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    side = draw(st.integers(8, 13))
    layers = [
        Conv2D("conv", channels, 4 * second, kernel, stride, draw(st.integers(0, 2)), groups),
        ReLU("relu"),
        Conv2D("left", 4 * second, 3, 1),
        *([ReLU("relu_left")] if draw(st.booleans()) else []),
        Conv2D("right", 4 * second, 4, 3, padding=1, groups=second),
        ReLU("relu_right"),
        Concat("both"),
    ]
    left = layers[-4].name
    sources = {"right": ["relu"], "both": [left, "relu_right"]}
    if draw(st.booleans()):
        layers.append(MaxPool2D("pool", 2, 2, round_up=draw(st.booleans())))
        try:
            _ = Network("trial", tuple(layers), (channels, side, side), sources)
        except ValueError:
            layers.pop()  # too small a picture
    if draw(st.booleans()):
        layers.append(GlobalAvgPool2D("mean"))
    else:
        open_end = Network("open", tuple(layers), (channels, side, side), sources)
        inputs = int(np.prod(open_end.output_shape))
        layers += [Flatten("flatten"), Linear("fc1", inputs, 9), ReLU("relu_fc1")]
        layers += [Dropout("drop", 0.5), Linear("fc2", 9, 5)]
    return Network("random", tuple(layers), (channels, side, side), sources)


def random_params(network, density, seed):
    """Draw parameters, packed and dense."""
    rng = np.random.default_rng(seed)
    packed, dense = {}, {}
    for name, shape in network.param_shapes.items():
        if len(shape) == 1:
            packed[name] = dense[name] = rng.standard_normal(shape).astype(np.float32)
            continue
        codebook = np.array([0, *np.sort(rng.standard_normal(15))], np.float32)
        positions = np.flatnonzero(rng.random(np.prod(shape)) < density)
        labels = rng.integers(1, 16, len(positions)).astype(np.uint8)
        gaps = relindex.encode(positions, int(np.prod(shape)), 4)
        packed[name] = CompressedTensor.from_parts(shape, SharedWeights(codebook, labels, 4), gaps)
        dense[name] = packed[name].to_dense()
    return packed, dense


def exact(network: Network, params: Mapping[str, np.ndarray], x: np.ndarray):
    """Return the outputs in float64, and a bound of what float32 may differ.

    A sum of n products of float32 numbers, in any order, is wrong by (n + 1) * EPS * sum |w * x|
    at most, plus what its terms are wrong: |w| times the bounds of x. No other layer here but
    the mean adds anything, and none makes a difference larger.
    """
    params = {name: value.astype(np.float64) for name, value in params.items()}
    sizes = {name: np.abs(value) for name, value in params.items()}
    unbiased = {n: v * (not n.endswith(".bias")) for n, v in sizes.items()}
    columns = np.moveaxis(x.astype(np.float64), 0, -1)
    values, bounds = {INPUT: columns}, {INPUT: np.zeros_like(columns)}
    for step in network.steps:
        layer, taken, wrong = step.layer, step.of(values), step.of(bounds)
        y = layer.forward(params, taken)[0]
        if isinstance(layer, (Conv2D, Linear, ConvTranspose2D, Scale)):
            weight = layer.param_shapes()[f"{layer.name}.weight"]
            terms = int(np.prod(weight[1:])) + 1
            if isinstance(layer, ConvTranspose2D):
                terms = int(np.prod(weight)) + 1
            summed = layer.forward(sizes, np.abs(taken) + wrong)[0]
            bound = layer.forward(unbiased, wrong)[0] + (terms + 1) * EPS * summed
        elif isinstance(layer, GlobalAvgPool2D):
            terms = taken.shape[1] * taken.shape[2]
            bound = layer.forward(params, wrong + (terms + 1) * EPS * (np.abs(taken) + wrong))[0]
        elif isinstance(layer, (ReLU, Clip)):
            bound = wrong
        else:  # takes apart and joins, or chooses the largest
            bound = layer.forward(params, wrong)[0]
        values[layer.name], bounds[layer.name] = y, bound
    return np.moveaxis(y, -1, 0), np.moveaxis(bound, -1, 0)
