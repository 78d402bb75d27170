"""Windows of unequal sides, dilations, and transposed ones: naive loops, central differences."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.gradients import check_backward, distinct, random_params
from support.networks import random_params as packed_params

from deepcompress import native
from deepcompress.errors import ArgumentError
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.network import Network
from deepcompress.nn.pool import AvgPool2D, MaxPool2D
from deepcompress.nn.rearranging import Pad, Permute, Reshape
from deepcompress.nn.transposed import ConvTranspose2D

SIDES = st.integers(1, 6)


def pair(least, most):
    return st.tuples(st.integers(least, most), st.integers(least, most))


@st.composite
def convolutions(draw):
    groups = draw(st.integers(1, 3))
    layer = Conv2D(
        "conv",
        inputs=groups * draw(st.integers(1, 2)),
        outputs=groups * draw(st.integers(1, 2)),
        kernel=draw(pair(1, 3)),
        stride=draw(pair(1, 3)),
        padding=(*draw(pair(0, 2)), *draw(pair(0, 2))),
        groups=groups,
        dilation=draw(pair(1, 3)),
    )
    shape = (layer.inputs, draw(SIDES), draw(SIDES), draw(st.integers(1, 2)))
    assume(min(layer.window.space(shape[1:3])) >= 0)
    return layer, shape


def naive_convolution(layer, weight, bias, x):
    """Conv2D's definition, one product at a time."""
    top, left, bottom, right = layer.window.padding
    (down, along), (tall, wide) = layer.window.stride, layer.window.dilation
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    y = np.zeros((*layer.output_shape(x.shape[:3]), x.shape[3]))
    for o, r, c in np.ndindex(y.shape[:3]):
        first = o // (layer.outputs // layer.groups) * weight.shape[1]
        for i, a, b in np.ndindex(weight.shape[1:]):
            place = first + i, r * down + a * tall, c * along + b * wide
            y[o, r, c] += weight[o, i, a, b] * padded[place]
        y[o, r, c] += bias[o]
    return y


@settings(max_examples=60)
@given(convolutions(), st.integers(0, 9))
def test_convolution(case, seed):
    layer, shape = case
    rng = np.random.default_rng(seed)
    params, x = random_params(layer, rng), rng.standard_normal(shape)
    expected = naive_convolution(layer, params["conv.weight"], params["conv.bias"], x)
    np.testing.assert_allclose(layer.forward(params, x)[0], expected, atol=1e-12)
    check_backward(layer, params, x)


@settings(max_examples=40)
@given(convolutions(), st.integers(0, 9))
def test_convolution_by_a_packed_weight(case, seed):
    layer, shape = case
    rng = np.random.default_rng(seed)
    packed, dense = packed_params(Network("one", (layer,), shape[:3]), 0.5, seed)
    x = rng.standard_normal(shape).astype(np.float32)
    for backend in ("reference", "native") if native.active() else ("reference",):
        with native.use(backend):
            y = layer.forward(packed, x)[0]
        np.testing.assert_allclose(y, layer.forward(dense, x)[0], atol=1e-4)


def transposed(layer, weight, bias, x):
    """ConvTranspose2D's definition: each pixel adds its multiple of the kernels."""
    window, groups = layer.window, layer.groups
    top, left = window.padding[:2]
    outputs, height, width = layer.padded_shape(x.shape[:3])
    y = np.zeros((outputs, height, width, x.shape[3]))
    for i, r, c in np.ndindex(x.shape[:3]):
        group = i // (layer.inputs // groups)
        for o, a, b in np.ndindex(weight.shape[1:]):
            h = r * window.stride[0] + a * window.dilation[0]
            w = c * window.stride[1] + b * window.dilation[1]
            y[group * weight.shape[1] + o, h, w] += weight[i, o, a, b] * x[i, r, c]
    _, height, width = layer.output_shape(x.shape[:3])
    return y[:, top : top + height, left : left + width] + bias[:, None, None, None]


@st.composite
def transposed_convolutions(draw):
    groups, stride = draw(st.integers(1, 2)), draw(pair(1, 3))
    layer = ConvTranspose2D(
        "up",
        inputs=groups * draw(st.integers(1, 2)),
        outputs=groups * draw(st.integers(1, 2)),
        kernel=draw(pair(1, 3)),
        stride=stride,
        padding=(*draw(pair(0, 1)), *draw(pair(0, 1))),
        groups=groups,
        dilation=draw(pair(1, 2)),
        more=tuple(draw(st.integers(0, step - 1)) for step in stride),
    )
    shape = (layer.inputs, draw(st.integers(1, 3)), draw(st.integers(1, 3)), 2)
    try:
        layer.output_shape(shape[:3])
    except ArgumentError:
        assume(False)
    return layer, shape


@settings(max_examples=60)
@given(transposed_convolutions(), st.integers(0, 9))
def test_transposed_convolution(case, seed):
    layer, shape = case
    rng = np.random.default_rng(seed)
    params, x = random_params(layer, rng), rng.standard_normal(shape)
    expected = transposed(layer, params["up.weight"], params["up.bias"], x)
    np.testing.assert_allclose(layer.forward(params, x)[0], expected, atol=1e-12)
    check_backward(layer, params, x)


@st.composite
def poolings(draw, kind):
    kernel = draw(pair(1, 3))
    options = {"counts_padding": draw(st.booleans())} if kind is AvgPool2D else {}
    layer = kind(
        "pool",
        kernel,
        stride=draw(pair(1, 3)),
        padding=tuple(draw(st.integers(0, side - 1)) for side in 2 * kernel),
        round_up=draw(st.booleans()),
        **options,
    )
    shape = (2, draw(SIDES), draw(SIDES), 1)
    assume(min(layer.window.space(shape[1:3])) >= 0)
    return layer, shape


def naive_pooling(layer, x):
    """Windows clipped to the image; the mean's divisor is, too, unless the padding counts."""
    top, left, bottom, right = layer.window.padding
    y = np.zeros((*layer.output_shape(x.shape[:3]), x.shape[3]))
    for r, c in np.ndindex(y.shape[1:3]):
        h, w = r * layer.window.stride[0] - top, c * layer.window.stride[1] - left
        high, wide = h + layer.window.kernel[0], w + layer.window.kernel[1]
        window = x[:, max(h, 0) : high, max(w, 0) : wide]
        if isinstance(layer, MaxPool2D):
            y[:, r, c] = window.max(axis=(1, 2))
            continue
        count = window.shape[1] * window.shape[2]
        if layer.counts_padding:
            count = (min(high, x.shape[1] + bottom) - h) * (min(wide, x.shape[2] + right) - w)
        y[:, r, c] = window.sum(axis=(1, 2)) / count
    return y


@pytest.mark.parametrize("kind", [MaxPool2D, AvgPool2D])
def test_pooling(kind):

    @settings(max_examples=60)
    @given(poolings(kind), st.integers(0, 9))
    def check(case, seed):
        layer, shape = case
        x = distinct(np.random.default_rng(seed), shape)
        np.testing.assert_allclose(layer.forward({}, x)[0], naive_pooling(layer, x), atol=1e-12)
        check_backward(layer, {}, x)

    check()


def test_equal_sides_are_one_number():
    assert Conv2D("c", 1, 1, (3, 3), (2, 2), (1, 1, 1, 1), dilation=(1, 1)) == Conv2D(
        "c", 1, 1, 3, 2, 1
    )
    assert MaxPool2D("p", [3, 3], (2, 2)).kernel == 3
    assert Conv2D("c", 1, 1, [1, 3]).kernel == (1, 3)
    assert Pad("p", [1, 1, 1, 1]) == Pad("p", 1)


@given(st.permutations(range(3)), st.integers(0, 9))
def test_layers_that_move_numbers(axes, seed):
    x = np.random.default_rng(seed).standard_normal((2, 3, 4, 2))
    y = Permute("move", tuple(axes)).forward({}, x)[0]
    for place in np.ndindex(x.shape[:3]):
        assert (y[tuple(place[axis] for axis in axes)] == x[place]).all()
    check_backward(Permute("move", tuple(axes)), {}, x)
    check_backward(Permute("move", (1, 0)), {}, x[0])
    check_backward(Reshape("move", (6, 4)), {}, x)
    check_backward(Pad("move", (1, 0, 2, 3)), {}, x)
    padded = Pad("move", (1, 0, 2, 3)).forward({}, x)[0]
    assert padded.shape == (2, 6, 7, 2)
    assert padded.sum() == pytest.approx(x.sum())
    np.testing.assert_array_equal(padded[:, 1:4, :4], x)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Conv2D("odd", 1, 1, (3, 3, 3)),
        lambda: Conv2D("odd", 1, 1, 3, padding=(1, 1)),
        lambda: Conv2D("odd", 1, 1, 3, padding=(0, 0, -1, 0)),
        lambda: Conv2D("odd", 1, 1, 3, dilation=0),
        lambda: Conv2D("odd", 1, 1, 3, dilation=(2, 1)).output_shape((1, 4, 9)),
        lambda: ConvTranspose2D("odd", 1, 1, 3, stride=2, more=2),
        lambda: ConvTranspose2D("odd", 1, 1, 3, padding=2).output_shape((1, 1, 1)),
        lambda: ConvTranspose2D("odd", 1, 1, 3).output_shape((2, 1, 1)),
        lambda: ConvTranspose2D("odd", 3, 2, 3, groups=2),
        lambda: AvgPool2D("odd", (2, 3), 1, padding=(0, 0, 2, 0)),
        lambda: MaxPool2D("odd", 0, 1),
        lambda: Pad("odd", -1),
        lambda: Pad("odd", 1).output_shape((3,)),
        lambda: Permute("odd", (0, 0, 1)),
        lambda: Permute("odd", (0,)),
        lambda: Permute("odd", (1, 0)).output_shape((1, 2, 3)),
        lambda: Reshape("odd", (2, 0)),
        lambda: Reshape("odd", ()),
        lambda: Reshape("odd", (2, 3)).output_shape((5,)),
    ],
)
def test_what_makes_no_sense_names_the_layer(make):
    with pytest.raises(ArgumentError, match="layer 'odd': "):
        make()
