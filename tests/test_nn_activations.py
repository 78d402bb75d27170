"""Activations, sums and gates against their definitions, and central differences backward."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gradients import check_backward

from deepcompress.errors import ArgumentError
from deepcompress.nn.activations import (
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
)
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.joins import Add, Multiply
from deepcompress.nn.layers import Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.pool import GlobalAvgPool2D


def logistic(x):
    return 1 / (1 + math.exp(-x))


def ramp(x, slope=1 / 6):
    return min(max(slope * x + 0.5, 0), 1)


FUNCTIONS = [
    (Clip("f", 0.0, 6.0), lambda x: min(max(x, 0), 6)),
    (Clip("f", high=0.3), lambda x: min(x, 0.3)),
    (Clip("f", low=-0.3), lambda x: max(x, -0.3)),
    (Clip("f"), lambda x: x),
    (LeakyReLU("f", 0.25), lambda x: x if x > 0 else x / 4),
    (Sigmoid("f"), logistic),
    (Tanh("f"), math.tanh),
    (SiLU("f"), lambda x: x * logistic(x)),
    (HardSigmoid("f"), ramp),
    (HardSigmoid("f", 0.2), lambda x: ramp(x, 0.2)),
    (HardSwish("f"), lambda x: x * ramp(x)),
]


@pytest.mark.parametrize(("layer", "function"), FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_functions_of_each_number(layer, function):
    x = np.concatenate([np.linspace(-9, 9, 38), [-70, 70]]).reshape(2, 4, 5, 1)  # no kink in it
    expected = np.vectorize(function, otypes=[float])(x)
    y = layer.forward({}, x)[0]
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-300)
    assert y is not x
    assert layer.forward({}, x.astype(np.float32))[0].dtype == np.float32
    check_backward(layer, {}, x)


def test_powers_that_would_overflow_do_not():
    x = np.array([[-1e30], [-200], [200], [1e30]], np.float32)
    np.testing.assert_array_equal(Sigmoid("f").forward({}, x)[0].ravel(), [0, 0, 1, 1])
    np.testing.assert_array_equal(Softmax("f").forward({}, x)[0].ravel(), [0, 0, 0, 1])


@given(st.integers(1, 5), st.sampled_from([(), (2, 3)]), st.integers(0, 9))
def test_softmax(channels, image, seed):
    x = 3 * np.random.default_rng(seed).standard_normal((channels, *image, 2))
    y = Softmax("f").forward({}, x)[0]
    np.testing.assert_allclose(y.sum(axis=0), 1)
    for place in np.ndindex(x.shape[1:]):
        column = (slice(None), *place)
        powers = [math.exp(value) for value in x[column]]
        np.testing.assert_allclose(y[column], np.array(powers) / sum(powers))
    check_backward(Softmax("f"), {}, x)


@given(st.integers(1, 3), st.sampled_from([(3,), (2, 3, 2)]), st.integers(0, 9))
def test_sum(count, shape, seed):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((*shape, 2)) for _ in range(count)]
    kept = parts[0].copy()
    np.testing.assert_allclose(Add("sum").forward({}, parts)[0], sum(parts))
    np.testing.assert_array_equal(parts[0], kept)
    check_backward(Add("sum"), {}, parts)


@pytest.mark.parametrize("gate", [(3, 2, 4), (3, 1, 1), (3,)])
def test_product(gate):
    rng = np.random.default_rng(1)
    x, factors = rng.standard_normal((3, 2, 4, 2)), rng.standard_normal((*gate, 2))
    y = Multiply("gated").forward({}, [x, factors])[0]
    for c, i, j, b in np.ndindex(x.shape):
        factor = factors[(c, i, j, b) if gate == (3, 2, 4) else (c, *[0] * (len(gate) - 1), b)]
        assert y[c, i, j, b] == x[c, i, j, b] * factor
    check_backward(Multiply("gated"), {}, [x, factors])


def test_residuals_and_gates_train():
    """Gradients of a value that is taken twice, once by a sum and once by a gate, add up."""
    layers = (
        Conv2D("conv", 2, 3, 3, padding=1),
        SiLU("act"),
        GlobalAvgPool2D("squeeze"),
        Sigmoid("gate"),
        Multiply("gated"),
        Add("sum"),
        Flatten("flat"),
        Linear("fc", 48, 2),
    )
    sources = {"gated": ["act", "gate"], "sum": ["gated", "act"]}
    network = Network("residual", layers, (2, 4, 4), sources)
    rng = np.random.default_rng(0)
    params = network.init(rng, dtype=np.float64)
    x, labels = rng.standard_normal((3, 2, 4, 4)), np.array([0, 1, 1])
    _, grads = network.loss_and_grads(params, x, labels)
    weight = params["conv.weight"]
    for index in [(0, 0, 0, 0), (1, 1, 2, 0), (2, 0, 1, 1)]:
        kept, losses = weight[index], []
        for step in (1e-6, -1e-6):
            weight[index] = kept + step
            losses.append(network.loss_and_grads(params, x, labels)[0])
        weight[index] = kept
        assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(
            grads["conv.weight"][index], abs=1e-8
        )


def test_a_rectifier_with_a_limit_is_joined_to_what_is_before_it():
    layers = (Conv2D("conv", 1, 1, 1), Clip("relu6", 0.0, 6.0), Clip("other", -1.0, 1.0))
    network = Network("clipped", layers, (1, 1, 4))
    assert [(one.name, one.relu, one.high) for one in network.stages] == [
        ("relu6", True, 6.0),
        ("other", False, math.inf),
    ]
    params = {"conv.weight": np.full((1, 1, 1, 1), 2.0), "conv.bias": np.zeros(1)}
    x = np.array([[[[-5.0, 0.25, 2.5, 9.0]]]])
    np.testing.assert_array_equal(network.predict(params, x), [[[[0, 0.5, 1, 1]]]])
    both = Network("both", (layers[0], ReLU("relu"), layers[1]), (1, 1, 4))
    assert [(one.name, one.relu) for one in both.stages] == [("relu", True), ("relu6", False)]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Clip("odd", 1.0, 0.0),
        lambda: Clip("odd", math.nan),
        lambda: Clip("odd", high=math.inf),
        lambda: LeakyReLU("odd", math.inf),
        lambda: HardSigmoid("odd", beta=math.nan),
        lambda: Add("odd").output_shape([(2, 3, 3), (2, 3, 1)]),
        lambda: Multiply("odd").output_shape([(2, 3, 3)]),
        lambda: Multiply("odd").output_shape([(2, 3, 3), (3,)]),
        lambda: Multiply("odd").output_shape([(2,), (1,)]),
    ],
)
def test_what_makes_no_sense_names_the_layer(make):
    with pytest.raises(ArgumentError, match="layer 'odd': "):
        make()
