"""Networks of named layers, the loss, and shapes that do not fit."""

import numpy as np
import pytest

from deepcompress.errors import ArgumentError
from deepcompress.nn import zoo
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Dropout, Linear, ReLU
from deepcompress.nn.losses import error_count, softmax_cross_entropy
from deepcompress.nn.network import Network
from deepcompress.nn.pool import AvgPool2D, MaxPool2D


def test_initializers():
    network = Network("wide", (Linear("ip", 400, 500),), (400,))
    for scheme, variance in (("he", 2 / 400), ("xavier", 1 / 400)):
        params = network.init(np.random.default_rng(0), scheme)
        assert params["ip.weight"].var() == pytest.approx(variance, rel=0.02)
        assert not params["ip.bias"].any()
    with pytest.raises(ArgumentError, match="choose from"):
        network.init(np.random.default_rng(0), "zero")


def test_network_errors():
    with pytest.raises(ArgumentError, match="layer 'ip2': input of shape \\(3,\\), expected \\(4,"):
        Network("net", (Linear("ip1", 2, 3), ReLU("relu"), Linear("ip2", 4, 1)), (2,))
    with pytest.raises(ArgumentError, match="two layers are called 'relu'"):
        Network("net", (ReLU("relu"), ReLU("relu")), (2,))


def test_predict_of_nothing():
    network = zoo.build("digits")
    params = network.init(np.random.default_rng(0))
    assert network.predict(params, np.zeros((0, 64), np.float32)).shape == (0, 10)


def test_loss():
    logits = np.array([[0, 1e4], [0, 0], [0, -1e4]])
    loss, dlogits = softmax_cross_entropy(logits, np.array([0, 1]))
    assert loss == pytest.approx((np.log(3) + 1e4) / 2)
    np.testing.assert_allclose(dlogits.T, [[-1 / 3, 1 / 6, 1 / 6], [0.5, -0.5, 0]])
    half, _ = softmax_cross_entropy(logits[:, :1], np.array([0]), count=2)
    assert half == pytest.approx(np.log(3) / 2)
    assert error_count(logits.T, np.array([0, 1])) == 1


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear("odd", 3, 2), (4,)),
        (Linear("odd", 3, 2), (1, 3)),
        (Conv2D("odd", 3, 2, 3), (2, 5, 5)),
        (Conv2D("odd", 3, 2, 3), (3, 2, 5)),
        (MaxPool2D("odd", 3, 1), (3, 2, 5)),
        (AvgPool2D("odd", 3, 1), (9,)),
    ],
)
def test_wrong_input_shape_names_the_layer(layer, shape):
    with pytest.raises(ArgumentError, match=r"layer 'odd': input of shape \(.*\), expected \("):
        layer.output_shape(shape)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2D("odd", 3, 2, 3, groups=2),
        lambda: Conv2D("odd", 3, 2, 0),
        lambda: Conv2D("odd", 3, 2, 1, padding=-1),
        lambda: MaxPool2D("odd", 2, 2, padding=2),
        lambda: AvgPool2D("odd", 2, 0),
        lambda: Dropout("odd", 1.0),
        lambda: Linear("odd", 0, 2),
    ],
)
def test_wrong_hyperparameter_names_the_layer(make):
    with pytest.raises(ArgumentError, match="layer 'odd'"):
        make()


def test_first_layer_is_not_asked_for_the_images_gradient():
    asked = []

    class Watched(Linear):
        def backward(self, params, cache, dy, need_dx=True):
            asked.append((self.name, need_dx))
            return super().backward(params, cache, dy, need_dx)

    network = Network("net", (Watched("ip1", 2, 3), Watched("ip2", 3, 2)), (2,))
    params = network.init(np.random.default_rng(0))
    network.loss_and_grads(params, np.ones((1, 2), np.float32), np.zeros(1, int))
    assert asked == [("ip2", True), ("ip1", False)]


def test_dropout_rates_are_set_by_name():
    network = zoo.build("lenet-5", dropout=0.5, conv_dropout=0.1)
    rates = {
        layer.name: layer.rate
        for layer in network.with_dropout({"drop1": 0.2}).layers
        if isinstance(layer, Dropout)
    }
    assert rates == {"drop_pool1": 0, "drop_pool2": 0, "drop1": 0.2}
    with pytest.raises(ArgumentError, match="no dropout layer 'ip1'"):
        network.with_dropout({"ip1": 0.2})
