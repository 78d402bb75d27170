"""Every layer against its definition: naive loops forward, central differences backward."""

from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.gradients import check_backward, distinct, random_params

from deepcompress.errors import ArgumentError
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D

SIDES = st.integers(1, 7)


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 2))
    layer = Conv2D(
        "conv",
        inputs=groups * draw(st.integers(1, 2)),
        outputs=groups * draw(st.integers(1, 2)),
        kernel=draw(st.integers(1, 3)),
        stride=draw(st.integers(1, 4)),
        padding=draw(st.integers(0, 2)),
        groups=groups,
    )
    shape = (layer.inputs, draw(SIDES), draw(SIDES), draw(st.integers(1, 2)))
    assume(min(shape[1:3]) + 2 * layer.padding >= layer.kernel)
    return layer, shape


@st.composite
def poolings(draw, kind):
    kernel = draw(st.integers(1, 3))
    layer = kind(
        "pool",
        kernel,
        stride=draw(st.integers(1, 4)),
        padding=draw(st.integers(0, kernel - 1)),
        round_up=draw(st.booleans()),
    )
    shape = (2, draw(SIDES), draw(SIDES), 2)
    assume(min(shape[1:3]) + 2 * layer.padding >= layer.kernel)
    return layer, shape


def naive_convolution(layer, weight, bias, x):
    """Conv2D's definition, one product at a time."""
    pad = layer.padding
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    outputs, height, width = layer.output_shape(
        (x.shape[0], x.shape[1] - 2 * pad, x.shape[2] - 2 * pad)
    )
    y = np.zeros((outputs, height, width, x.shape[3]))
    for o, r, c in np.ndindex(y.shape[:3]):
        first = o // (outputs // layer.groups) * weight.shape[1]
        for i, a, b in np.ndindex(weight.shape[1:]):
            y[o, r, c] += (
                weight[o, i, a, b] * x[first + i, r * layer.stride + a, c * layer.stride + b]
            )
        y[o, r, c] += bias[o]
    return y


def naive_pooling(layer, x):
    """Pooling's definition after Caffe: windows clipped to the image, the mean's divisor isn't."""
    channels, height, width = layer.output_shape(x.shape[:3])
    y = np.zeros((channels, height, width, x.shape[3]))
    for r, c in product(range(height), range(width)):
        top, left = r * layer.stride - layer.padding, c * layer.stride - layer.padding
        bottom = min(top + layer.kernel, x.shape[1] + layer.padding)
        right = min(left + layer.kernel, x.shape[2] + layer.padding)
        window = x[:, max(top, 0) : bottom, max(left, 0) : right]
        if isinstance(layer, MaxPool2D):
            y[:, r, c] = window.max(axis=(1, 2))
        else:
            y[:, r, c] = window.sum(axis=(1, 2)) / ((bottom - top) * (right - left))
    return y


@given(convolutions(), st.integers(0, 9))
def test_convolution(case, seed):
    layer, shape = case
    rng = np.random.default_rng(seed)
    params, x = random_params(layer, rng), rng.standard_normal(shape)
    y, _ = layer.forward(params, x)
    np.testing.assert_allclose(
        y, naive_convolution(layer, params["conv.weight"], params["conv.bias"], x), atol=1e-12
    )
    check_backward(layer, params, x)


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_pooling(kind):

    @given(poolings(kind), st.integers(0, 9))
    def check(case, seed):
        layer, shape = case
        x = distinct(np.random.default_rng(seed), shape)
        np.testing.assert_allclose(layer.forward({}, x)[0], naive_pooling(layer, x), atol=1e-12)
        check_backward(layer, {}, x)

    check()


@given(SIDES, SIDES, st.integers(0, 9))
def test_global_pooling(height, width, seed):
    layer, x = GlobalAvgPool2D("pool"), np.random.default_rng(seed).random((3, height, width, 2))
    np.testing.assert_allclose(layer.forward({}, x)[0], np.einsum("chwb->cb", x) / height / width)
    check_backward(layer, {}, x)


@given(st.lists(SIDES, min_size=1, max_size=3), SIDES, st.integers(0, 9))
def test_concatenation(channels, side, seed):
    rng = np.random.default_rng(seed)
    for shape in ((side, 2, 3), (3,)):  # images and vectors
        parts = [rng.random((count, *shape)) for count in channels]
        y, _ = Concat("join").forward({}, parts)
        ends = np.cumsum(channels)
        for part, end in zip(parts, ends, strict=True):
            np.testing.assert_array_equal(y[end - len(part) : end], part)
        assert len(y) == ends[-1]
        check_backward(Concat("join"), {}, parts)


@pytest.mark.parametrize(
    ("extent", "kernel", "stride", "padding", "plain", "rounded_up"),
    [
        (24, 2, 2, 0, 12, 12),
        (13, 3, 2, 0, 6, 6),
        (56, 3, 2, 0, 27, 28),  # SqueezeNet's pools hang over
        (3, 2, 2, 1, 2, 2),  # a third window would start in the padding: dropped
        (2, 1, 3, 0, 1, 1),  # a second window would start outside: dropped
    ],
)
def test_pooling_counts_windows_as_caffe_does(extent, kernel, stride, padding, plain, rounded_up):
    for round_up, expected in ((False, plain), (True, rounded_up)):
        layer = MaxPool2D("pool", kernel, stride, padding, round_up)
        assert layer.output_shape((1, extent, extent)) == (1, expected, expected)


def test_a_picture_smaller_than_a_window_is_refused():
    layer = MaxPool2D("pool", 5, 2, padding=1)
    assert layer.output_shape((1, 3, 3)) == (1, 1, 1)
    with pytest.raises(ArgumentError, match=r"H, W >= 3"):
        layer.output_shape((1, 2, 3))


def test_first_of_equal_maxima_gets_the_gradient():
    layer = MaxPool2D("pool", 2, 2)
    x = np.array([[0, 5, 5, 5], [5, 5, 1, 5]], np.float32).reshape(1, 2, 4, 1)
    _, cache = layer.forward({}, x)
    dx, _ = layer.backward({}, cache, np.array([7, 9], np.float32).reshape(1, 1, 2, 1))
    assert dx.reshape(2, 4).tolist() == [[0, 7, 9, 0], [0, 0, 0, 0]]


@given(SIDES, SIDES, st.integers(1, 3), st.integers(0, 9))
def test_linear_relu_flatten_dropout(inputs, outputs, batch, seed):
    rng = np.random.default_rng(seed)
    linear = Linear("ip", inputs, outputs)
    params, x = random_params(linear, rng), distinct(rng, (inputs, batch))
    expected = np.einsum("oi,ib->ob", params["ip.weight"], x) + params["ip.bias"][:, None]
    np.testing.assert_allclose(linear.forward(params, x)[0], expected, atol=1e-12)
    check_backward(linear, params, x)
    assert np.array_equal(ReLU("relu").forward({}, x)[0], np.where(x > 0, x, 0))
    check_backward(ReLU("relu"), {}, x)
    check_backward(Flatten("flat"), {}, rng.standard_normal((2, inputs, outputs, batch)))
    check_backward(Dropout("drop", 0.5), {}, x, training_seed=seed)


def test_first_layer_computes_no_input_gradient():
    for layer, shape in ((Linear("ip", 3, 2), (3, 2)), (Conv2D("conv", 1, 2, 3), (1, 4, 4, 2))):
        params = random_params(layer, np.random.default_rng(0))
        y, cache = layer.forward(params, np.ones(shape))
        assert layer.backward(params, cache, y, need_dx=False)[0] is None


def test_dropout_keeps_the_mean_and_does_nothing_at_inference():
    layer, x = Dropout("drop", 0.25), np.ones((1000, 10), np.float32)
    y, _ = layer.forward({}, x, np.random.default_rng(0))
    assert y.dtype == np.float32
    assert set(np.unique(y)) == {np.float32(0), np.float32(4 / 3)}
    assert abs(y.mean() - 1) < 0.02  # 3.5 standard deviations
    assert layer.forward({}, x)[0] is x


@dataclass(frozen=True)
class PackedWeight:
    """Stands in for a compressed tensor: offers only what layers may use of one."""

    dense: np.ndarray

    @property
    def shape(self):
        return self.dense.shape

    def __matmul__(self, columns):
        assert columns.flags.c_contiguous
        return self.dense.reshape(len(self.dense), -1) @ columns

    def convolve(self, x, *, bias, **options):
        layer = Conv2D("packed", len(x), len(bias), self.dense.shape[2], **options)
        return naive_convolution(layer, self.dense, bias, x)


@given(convolutions())
def test_forward_with_packed_weight(case):
    layer, shape = case
    rng = np.random.default_rng(0)
    params, x = random_params(layer, rng), rng.standard_normal(shape)
    packed = {**params, "conv.weight": PackedWeight(params["conv.weight"])}
    np.testing.assert_allclose(layer.forward(packed, x)[0], layer.forward(params, x)[0], atol=1e-12)


def test_linear_with_packed_weight_and_batch_first_input():
    layer, rng = Linear("ip", 3, 2), np.random.default_rng(0)
    params, x = random_params(layer, rng), rng.standard_normal((4, 3)).T
    packed = {**params, "ip.weight": PackedWeight(params["ip.weight"])}
    np.testing.assert_allclose(layer.forward(packed, x)[0], layer.forward(params, x)[0])
