"""The paper's networks: sizes, shapes, and SqueezeNet's answers to real photographs."""

from dataclasses import replace

import numpy as np
import pytest

from deepcompress.errors import ArgumentError, ConfigError
from deepcompress.formats import net
from deepcompress.formats.layers import load_layers
from deepcompress.nn import zoo
from deepcompress.nn.layers import Dropout
from deepcompress.nn.norm import LocalResponseNorm


@pytest.mark.parametrize(
    ("name", "size", "features"),
    [("lenet-300-100", 266_610, 784), ("lenet-5", 431_080, 784), ("digits", 185_810, 64)],
)
def test_small_networks(name, size, features):
    network = zoo.build(name, dropout=0.5)
    params = network.init(np.random.default_rng(0))
    assert sum(tensor.size for tensor in params.values()) == size
    assert network.output_shape == (10,)
    logits = network.predict(params, np.ones((3, features), np.float32))
    assert logits.shape == (3, 10)
    assert logits.dtype == np.float32


SHAPES = {
    "alexnet": "input 3x227x227, conv1 96x55x55, pool1 96x27x27, conv2 256x27x27, pool2 256x13x13, "
    "conv3 384x13x13, conv5 256x13x13, pool5 256x6x6, fc6 4096",
    "vgg-16": "input 3x224x224, conv1_2 64x224x224, pool1 64x112x112, conv3_3 256x56x56, "
    "pool5 512x7x7, fc7 4096",
    "squeezenet": "input 3x227x227, conv1 96x111x111, pool1 96x55x55, fire4/concat 256x55x55, "
    "pool4 256x27x27, pool8 512x13x13, conv_final 1000x15x15",
    "squeezenet-1.1": "input 3x227x227, conv1 64x113x113, pool1 64x56x56, fire3/concat 128x56x56, "
    "pool3 128x28x28, pool5 256x14x14, conv10 1000x14x14",
}


@pytest.mark.parametrize(
    ("name", "size"),
    [
        *(("alexnet", 60_965_224), ("vgg-16", 138_357_544)),
        *(("squeezenet", 1_248_424), ("squeezenet-1.1", 1_235_496)),
    ],
)
def test_networks_for_imagenet(name, size):
    network = zoo.build(name)
    assert sum(int(np.prod(shape)) for shape in network.param_shapes.values()) == size
    assert network.output_shape == (1000,)
    for one in SHAPES[name].split(", "):
        layer, shape = one.split()
        assert "x".join(map(str, network.shapes[layer])) == shape
    assert {layer.rate for layer in network.layers if isinstance(layer, Dropout)} == {0.5}


def test_the_paper_says_how_large_alexnet_s_layers_are():
    shapes = zoo.build("alexnet").param_shapes
    thousands = {"conv1": 35, "conv2": 307, "conv3": 885, "conv4": 663, "conv5": 442}
    thousands |= {"fc6": 38_000, "fc7": 17_000, "fc8": 4_000}  # table 4
    for name, expected in thousands.items():
        weights = np.prod(shapes[f"{name}.weight"]) / 1000
        assert round(weights, -3 if expected >= 1000 else 0) == pytest.approx(expected, abs=1)


def test_alexnet_normalizes_as_caffe_s_does():
    layers = zoo.build("alexnet").layers
    names = [layer.name for layer in layers]
    assert names[:5] == ["conv1", "relu1", "norm1", "pool1", "conv2"]
    norms = [layer for layer in layers if isinstance(layer, LocalResponseNorm)]
    assert [(one.size, one.alpha, one.beta, one.k) for one in norms] == [(5, 1e-4, 0.75, 1)] * 2


def shortened(name, last, side):
    """Return a network of the zoo up to a layer, for small images, and its parameters."""
    network = zoo.build(name)
    end = [layer.name for layer in network.layers].index(last) + 1
    network = replace(network, layers=network.layers[:end], input_shape=(3, side, side))
    return network, network.init(np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "last", "side"),
    [("alexnet", "flatten", 67), ("vgg-16", "pool3", 16), ("squeezenet", "pool_final", 35)],
)
def test_small_images_go_through_forward_and_infer_alike(name, last, side):
    network, params = shortened(name, last, side)
    x = np.random.default_rng(1).standard_normal((2, 3, side, side), dtype=np.float32)
    y = network.infer(params, x)
    assert y.shape[0] == 2
    assert 0 < np.abs(y).max() < np.inf
    expected, _ = network.forward(params, network.columns(x))
    np.testing.assert_allclose(y, np.moveaxis(expected, -1, 0), rtol=1e-4, atol=1e-5)


@pytest.fixture
def photographs(squeezenet_folder):
    """The authors' network, dense; images as it takes them; the logits of another program."""
    layers = load_layers(squeezenet_folder / "layers.json")
    model = net.read(squeezenet_folder / "compressed_SqueezeNet.net", layers)
    with np.load(squeezenet_folder / "golden.npz") as golden:
        pixels, logits = golden["images"], golden["logits"]
    x = pixels[..., ::-1].astype(np.float32) - np.array([104, 117, 123], np.float32)
    return model.to_dense(), np.ascontiguousarray(x.transpose(0, 3, 1, 2)), logits


def test_squeezenet_classifies_photographs(photographs):
    params, x, logits = photographs
    found = zoo.build("squeezenet").predict(params, x, batch_size=4)
    assert np.abs(found - logits).max() <= 1e-3
    assert np.array_equal(found.argmax(axis=1), logits.argmax(axis=1))


def test_squeezenet_trains():
    network, params = shortened("squeezenet", "pool_final", 35)
    x = np.random.default_rng(1).standard_normal((2, 3, 35, 35), dtype=np.float32)
    loss, grads = network.loss_and_grads(params, x, np.array([3, 5]))
    assert {name: grad.shape for name, grad in grads.items()} == network.param_shapes
    step = 1e-4 / np.sqrt(sum((grad**2).sum() for grad in grads.values()))
    for name, grad in grads.items():
        params[name] -= step * grad
    assert network.loss_and_grads(params, x, np.array([3, 5]))[0] < loss


def test_errors():
    with pytest.raises(ConfigError, match="'lenet': choose from alexnet, digits, lenet-300-100, l"):
        zoo.build("lenet")
    with pytest.raises(ArgumentError, match="unexpected keyword argument 'depth'"):
        zoo.build("lenet-5", depth=3)
