"""Convolution with packed weights against dense float64, within a derived bound."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support import teams
from test_spmv import EPS, draw_x, isas, random_tensor

from deepcompress import native, relindex
from deepcompress.errors import ArgumentError
from deepcompress.native import spconv as native_spconv
from deepcompress.nn.conv import Conv2D
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.spmv import column_blocks
from deepcompress.structs import Geometry
from deepcompress.tensors import SharedWeights


def dense_convolution(dense, x, stride, padding, groups):
    """The definition in float64: for each place of the kernels, what it meets times its weight."""
    size = dense.shape[2]
    x = np.pad(x.astype(np.float64), ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    places = [(extent - size) // stride + 1 for extent in x.shape[1:3]]
    y = np.zeros((len(dense), *places, x.shape[3]))
    inputs, outputs = dense.shape[1], len(dense) // groups
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        image = x[group * inputs : (group + 1) * inputs]
        for i in range(size):
            for j in range(size):
                met = image[:, i:, j:][:, ::stride, ::stride][:, : places[0], : places[1]]
                y[rows] += np.tensordot(dense[rows, :, i, j].astype(np.float64), met, 1)
    return y


def assert_convolution(w, x, stride=1, padding=0, groups=1, **options):
    """Check a convolution: a sum of n products and a bias has n + 2 roundings on any term's way."""
    geometry = {"stride": stride, "padding": padding, "groups": groups}
    y = w.packed.convolve(x, **geometry, **options)
    exact = dense_convolution(w.dense, x, **geometry)
    sums = dense_convolution(np.abs(w.dense), np.abs(x), **geometry)
    if (bias := options.get("bias")) is not None:
        exact += bias[:, None, None, None]
        sums += np.abs(bias)[:, None, None, None]
    if options.get("relu"):
        exact = np.maximum(exact, 0)
    terms = np.count_nonzero(w.dense, axis=(1, 2, 3))[:, None, None, None]
    assert y.dtype == np.float32
    assert y.shape == exact.shape
    assert (np.abs(y - exact) <= (terms + 2) * EPS * sums).all()


@st.composite
def convolutions(draw):
    """A weight, an image, and how they meet."""
    groups, kernel = draw(st.integers(1, 3)), draw(st.integers(1, 5))
    stride, padding = draw(st.integers(1, 4)), draw(st.integers(0, 5))
    shape = (groups * draw(st.integers(0, 9)), draw(st.integers(0, 9)), kernel, kernel)
    density, bits = draw(st.sampled_from([0.0, 0.03, 0.3, 1.0])), draw(st.integers(1, 8))
    w = random_tensor(shape, density, bits, seed=draw(st.integers(0, 99)))
    smallest = max(0, kernel - 2 * padding)
    extents = [draw(st.integers(smallest, smallest + 20)) for _ in range(2)]
    x = draw_x(draw(st.integers(0, 9)), groups * shape[1], *extents, draw(st.integers(0, 9)))
    bias = draw(st.none() | st.just(draw_x(0, shape[0])))
    return w, x, stride, padding, groups, {"bias": bias, "relu": draw(st.booleans())}


@given(convolutions())
def test_convolution(case):
    *operands, options = case
    assert_convolution(*operands, **options)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("at", [(0, 0, 0, 0), (2, 3, 4, 1), (1, 4, 4, 0)])
def test_what_is_not_finite_gives_the_dense_convolution(value, at):
    """A pruned weight is a zero that is multiplied as well; the padding isn't."""
    w = random_tensor((6, 3, 3, 3), 0.7, 2)
    x = draw_x(0, 3, 6, 5, 2)
    x[at] = value
    with np.errstate(invalid="ignore"):
        expected = sum(
            w.dense[:, c, i, j][:, None, None, None]
            * np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))[c, i : i + 6, j : j + 5]
            for c, i, j in np.ndindex(3, 3, 3)
        )
    np.testing.assert_allclose(w.packed.convolve(x, padding=1), expected, atol=1e-5)
    np.testing.assert_array_equal(
        np.isnan(w.packed.convolve(x, padding=1, relu=True)), np.isnan(expected)
    )


def test_a_worked_example():
    """Two channels of 2 x 2, padded by one: the second output sums the first channel's square."""
    dense = np.zeros((2, 2, 2, 2), np.float32)
    dense[0, 1, 0, 0], dense[1, 0] = 2, 1
    w = compress(dense)
    x = np.arange(1, 9, dtype=np.float32).reshape(2, 2, 2, 1)
    y = w.convolve(x, padding=1, bias=[0, -5], relu=np.True_)[..., 0]
    assert y[0].tolist() == [[0, 0, 0], [0, 10, 12], [0, 14, 16]]
    assert y[1].tolist() == [[0, 0, 0], [0, 5, 1], [0, 2, 0]]
    assert w.convolve(x, stride=2, padding=1)[1, ..., 0].tolist() == [[1, 2], [3, 4]]


def compress(dense):
    """The tensor of a few different weights."""
    codebook, labels = np.unique(dense[dense != 0], return_inverse=True)
    weights = SharedWeights(
        np.concatenate([[0], codebook]).astype(np.float32), labels.astype(np.uint8) + 1, 8
    )
    gaps = relindex.encode(np.flatnonzero(dense), dense.size, 4)
    return CompressedTensor.from_parts(dense.shape, weights, gaps)


@pytest.mark.parametrize("batch", [1, 3])
def test_layers_convolve_with_what_can(batch):
    w, bias = random_tensor((6, 2, 3, 3), 0.5, 3), draw_x(0, 6)
    layer = Conv2D("c", 4, 6, kernel=3, stride=2, padding=1, groups=2)
    x = draw_x(1, 4, 9, 8, batch)
    y, _ = layer.forward({"c.weight": w.packed, "c.bias": bias}, x)
    expected, _ = layer.forward({"c.weight": w.dense, "c.bias": bias}, x)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    with pytest.raises(ArgumentError, match="'c'"):
        layer.forward({"c.weight": w.packed, "c.bias": bias}, x[:3])


X = np.zeros((4, 5, 5, 2), np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"x": np.zeros((3, 5, 5, 2))}, r"x must have shape \(4, H, W, B\), got \(3, 5, 5, 2\)"),
        ({"x": np.zeros((4, 5, 5))}, "x must have shape"),
        ({"x": [[1], [1, 2]]}, "x isn't an array"),
        ({"x": X * 1j}, "x must be of real numbers, got complex"),
        ({"x": X[:, :2]}, "is smaller than a kernel of 3"),
        ({"stride": 0}, "stride must be at least 1 .*, got 0"),
        ({"stride": 1.0}, "stride must be an integer, got 1.0"),
        ({"padding": -1}, "padding must be at least 0 .*, got -1"),
        ({"groups": 0}, "groups must be at least 1 .*, got 0"),
        ({"groups": 4}, "6 outputs can't be split into 4 groups"),
        ({"groups": 3}, r"x must have shape \(6, H"),
        ({"stride": 2**31}, "stride must be at least 1 and below 2"),
        ({"padding": 10**9}, r"can't hold x and a convolution of \(6, 2000000003"),
        ({"bias": np.zeros(5)}, r"bias must have shape \(6,\), got \(5,\)"),
        ({"bias": "ab"}, "bias must be of real numbers"),
        ({"relu": "no"}, "relu must be True or False, got 'no'"),
        ({"relu": np.ones(2)}, "relu must be True or False"),
        ({"out": np.zeros((6, 3, 3, 2))}, "out must be a float32 array of shape"),
        ({"out": np.zeros((6, 3, 3, 4), np.float32)[..., ::2]}, "contiguous"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    w = random_tensor((6, 2, 3, 3), 0.5, 3).packed
    with pytest.raises(ArgumentError, match=message):
        w.convolve(**{"x": X, "groups": 2, **options})


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 3), (6, 4, 0, 3), (6, 4, 0, 0), (6, 4, 3, 3, 3)])
def test_only_kernels_convolve(shape):
    with pytest.raises(ArgumentError, match="isn't a weight of kernels"):
        random_tensor(shape, 0.5, 3).packed.convolve(X)


def convolve_in_a_team(w, x, geometry, isa, threads):
    """Call C for a number of threads that Python need not choose."""
    y = np.full((w.rows, geometry.out_height, geometry.out_width, x.shape[3]), np.nan, np.float32)
    with pytest.MonkeyPatch.context() as patch, native.use("native", isa):
        patch.setattr(native_spconv, "team", teams.always(threads))
        native_spconv.convolve(w.blocks(), geometry, x, None, False, y)
    return y


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("width", column_blocks.WIDTHS)
@pytest.mark.parametrize(
    ("shape", "image", "options"),
    [
        ((70, 20, 3, 3), (20, 14, 13, 1), (1, 1, 1)),
        ((34, 9, 5, 5), (18, 12, 11, 2), (1, 2, 2)),
        ((40, 30, 1, 1), (30, 40, 41, 1), (1, 0, 1)),
        ((16, 3, 11, 11), (3, 47, 45, 1), (4, 0, 1)),
        ((33, 5, 3, 3), (15, 30, 29, 9), (2, 1, 3)),
        ((530, 2, 2, 2), (2, 9, 9, 1), (3, 4, 1)),
    ],
)
def test_every_instruction_set_and_number_of_threads(isa, width, shape, image, options):
    """Several panels, chunks and blocks; shares of columns and of rows. Threads change no bit."""
    w = random_tensor(shape, 0.3, 5)
    x = draw_x(1, *image)
    with pytest.MonkeyPatch.context() as patch, native.use("native", isa):
        patch.setattr(column_blocks, "choose", lambda *_: width)
        assert_convolution(w, x, *options)
        assert w.packed.blocks().block_cols == width
        stride, padding, groups = options
        whole = w.packed.convolve(x, stride=stride, padding=padding, groups=groups)
    pairs = [(value, value) for value in (shape[2], stride, padding, 1)]
    geometry = Geometry(*image, *pairs, groups, *whole.shape[1:3])
    for threads in (1, 2, 3, 50):
        y = convolve_in_a_team(w.packed, x, geometry, isa, threads)
        np.testing.assert_array_equal(y.view(np.uint32), whole.view(np.uint32))


def test_out_takes_the_result_and_must_not_overlap():
    w, bias = random_tensor((4, 4, 3, 3), 0.5, 3).packed, draw_x(0, 4)
    x = draw_x(1, 4, 5, 5, 2)
    out = np.empty_like(x)
    assert w.convolve(x, padding=1, bias=bias, out=out) is out
    np.testing.assert_array_equal(out, w.convolve(x.astype(">f8")[::1], padding=1, bias=bias))
    with pytest.raises(ArgumentError, match="out must not overlap x"):
        w.convolve(x, padding=1, out=x)
    with pytest.raises(ArgumentError, match="out must not overlap bias"):
        w.convolve(x, padding=1, bias=out[0, 0, :2].reshape(4), out=out)
