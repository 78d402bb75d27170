"""Normalizations against their definitions, and batch normalization folded away."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gradients import check_backward, random_params

from deepcompress.errors import ArgumentError
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.folding import fold_batch_norm
from deepcompress.nn.layers import Concat, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import BatchNorm, LocalResponseNorm, Scale

CHANNELS = st.integers(1, 7)


def naive_response_norm(layer, x):
    y = np.empty_like(x)
    for channel in range(len(x)):
        reach = layer.size // 2
        near = x[max(channel - reach, 0) : channel + reach + 1]
        scale = layer.k + layer.alpha / layer.size * (near**2).sum(axis=0)
        y[channel] = x[channel] / scale**layer.beta
    return y


@given(
    CHANNELS, st.sampled_from([1, 3, 5, 9, 2**31 - 1]), st.sampled_from([0.75, 0.5, 2]), CHANNELS
)
def test_local_response_norm(channels, size, beta, seed):
    layer = LocalResponseNorm("norm", size, alpha=min(3.0, size), beta=beta, k=1 + seed / 4)
    x = 2 * np.random.default_rng(seed).standard_normal((channels, 2, 1, 2))
    y, _ = layer.forward({}, x)
    np.testing.assert_allclose(y, naive_response_norm(layer, x), rtol=1e-12)
    check_backward(layer, {}, x)
    assert layer.forward({}, x.astype(np.float32))[0].dtype == np.float32


def test_response_norm_has_the_defaults_of_caffe():
    y, _ = LocalResponseNorm("norm").forward({}, np.full((5, 1, 1, 1), 2.0))
    sums = 4 * np.array([3, 4, 5, 4, 3])
    np.testing.assert_allclose(y.ravel(), 2 / (1 + sums / 5) ** 0.75)


@given(CHANNELS, st.sampled_from([(2, 3), ()]), CHANNELS)
def test_batch_norm_and_scale(channels, image, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((channels, *image, 2))
    across = (slice(None), *[None] * (x.ndim - 1))
    for layer in (BatchNorm("norm", channels, epsilon=0.1), Scale("norm", channels)):
        params = random_params(layer, rng)
        weight, bias, *statistics = (params[name][across] for name in layer.param_shapes())
        mean, variance = statistics or (0, 1 - 0.1)
        expected = weight * (x - mean) / np.sqrt(variance + 0.1) + bias
        np.testing.assert_allclose(layer.forward(params, x)[0], expected, atol=1e-12)
        check_backward(layer, params, x)
        assert layer.backward(params, x, x.copy(), need_dx=False)[0] is None


def test_fresh_normalization_does_nothing():
    network = Network("net", (BatchNorm("norm", 3, epsilon=0.0), Scale("scale", 3)), (3,))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(network.predict(network.init(np.random.default_rng(0)), x), x)


def normalized():
    layers = (
        Conv2D("conv1", 2, 4, 3, groups=2),
        BatchNorm("norm1", 4),
        Scale("scale1", 4),
        ReLU("relu1"),
        Scale("stays1", 4),  # after a rectifier
        Conv2D("conv2", 4, 3, 1),
        BatchNorm("stays2", 3),  # what it takes is taken twice
        Concat("join"),
        Flatten("flatten"),
        Linear("ip", 24, 5),
        BatchNorm("norm3", 5),
    )
    return Network("net", layers, (2, 4, 4), {"join": ["conv2", "stays2"]})


def test_folding_changes_no_output():
    network, rng = normalized(), np.random.default_rng(0)
    params = {
        name: array for layer in network.layers for name, array in random_params(layer, rng).items()
    }
    kept = {name: array.copy() for name, array in params.items()}
    folded, fewer = fold_batch_norm(network, params)
    names = [layer.name for layer in folded.layers]
    assert names == [*("conv1", "relu1", "stays1", "conv2", "stays2", "join", "flatten", "ip")]
    assert list(fewer) == list(folded.param_shapes)
    assert all(np.array_equal(kept[name], params[name]) for name in kept)
    x = rng.standard_normal((3, 2, 4, 4))
    np.testing.assert_allclose(
        folded.predict(fewer, x), network.predict(params, x), rtol=1e-10, atol=1e-12
    )
    singles = {name: array.astype(np.float32) for name, array in params.items()}
    assert {array.dtype for array in fold_batch_norm(network, singles)[1].values()} == {
        np.dtype(np.float32)
    }


def test_folding_refuses_by_name():
    network = Network("net", (Linear("ip", 2, 3), BatchNorm("norm", 3)), (2,))
    params = network.init(np.random.default_rng(0))
    with pytest.raises(ArgumentError, match=r"'ip\.weight' isn't an ndarray"):
        fold_batch_norm(network, params | {"ip.weight": memoryview(params["ip.weight"])})
    del params["norm.mean"]
    with pytest.raises(ArgumentError, match=r"'norm\.mean' is missing"):
        fold_batch_norm(network, params)


@pytest.mark.parametrize(
    "make",
    [
        lambda: LocalResponseNorm("odd", size=4),
        lambda: LocalResponseNorm("odd", size=-1),
        lambda: LocalResponseNorm("odd", alpha=-1.0),
        lambda: LocalResponseNorm("odd", beta=float("nan")),
        lambda: LocalResponseNorm("odd", k=0.0),
        lambda: Scale("odd", 0),
        lambda: BatchNorm("odd", 0),
        lambda: BatchNorm("odd", 1, epsilon=float("inf")),
        lambda: LocalResponseNorm("odd").output_shape((3,)),
        lambda: Scale("odd", 2).output_shape((3, 2, 2)),
        lambda: BatchNorm("odd", 2).output_shape((2, 2)),
    ],
)
def test_what_makes_no_sense_names_the_layer(make):
    with pytest.raises(ArgumentError, match="layer 'odd': "):
        make()
