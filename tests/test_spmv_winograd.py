"""Winograd's convolution in NumPy against the sum that it is, and in C against NumPy."""

import math
from dataclasses import replace

import numpy as np
import pytest
from support.networks import EPS
from test_spmv import isas
from threadpoolctl import threadpool_limits

from deepcompress import native
from deepcompress.native import program as native_program
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.wiring import INPUT
from deepcompress.runtime.program import Programs
from deepcompress.spmv import winograd
from deepcompress.structs import OperationKind

# Channels, outputs, height, width, padding: parts of tiles, of vectors, of what is multiplied at a
# time; several bands, and rows of tiles that are longer than a band.
CASES = [
    (1, 1, 4, 4, 0),
    (3, 5, 7, 9, 1),
    (2, 3, 1, 1, 1),
    (5, 4, 3, 3, 0),
    (70, 130, 9, 14, 1),
    (2, 2, 12, 450, (1, 0, 2, 1)),
    (3, 2, 70, 41, (5, 9, 7, 6)),
]


def drawn(channels, outputs, height, width):
    """Return a weight and an image."""
    rng = np.random.default_rng(channels + height)
    weight = rng.standard_normal((outputs, channels, 3, 3)).astype(np.float32)
    return weight, rng.standard_normal((channels, height, width)).astype(np.float32)


def exact(weight, x, padding):
    """Return the output in float64, and what float32 may round on Winograd's way.

    A sum of n numbers that are rounded is wrong by n * EPS times the sum of their magnitudes
    at most. The way has sums of 3 (twice), 6 (twice), C and 6 (twice), with a product each.
    """
    top, left, bottom, right = padding
    padded = np.pad(x.astype(np.float64), ((0, 0), (top, bottom), (left, right)))
    fields = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    y = np.einsum("ocij,chwij->ohw", weight.astype(np.float64), fields)
    down, along = (-(-side // 4) for side in y.shape[1:])
    padded = np.pad(padded, ((0, 0), (0, 8), (0, 8)))
    tiles = np.lib.stride_tricks.sliding_window_view(np.abs(padded), (6, 6), axis=(1, 2))
    tiles = tiles[:, ::4, ::4][:, :down, :along]
    image, kernel, back = (
        np.abs(one).astype(np.float64) for one in (winograd.IMAGE, winograd.WEIGHT, winograd.OUTPUT)
    )
    products = np.einsum(
        "ocij,chwij->ohwij", kernel @ np.abs(weight) @ kernel.T, image @ tiles @ image.T
    )
    most = (back @ products @ back.T).transpose(0, 1, 3, 2, 4)
    most = most.reshape(len(y), 4 * down, 4 * along)[:, : y.shape[1], : y.shape[2]]
    return y, (len(x) + 30) * EPS * most


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_twin_is_the_convolution(case):
    *sizes, padding = case
    weight, x = drawn(*sizes)
    window = Conv2D("c", case[0], case[1], 3, padding=padding).window
    y, bound = exact(weight, x, window.padding)
    got = winograd.convolve(winograd.kernels(weight), x, window.padding[:2], y.shape[1:])
    assert got.dtype == np.float32
    assert (np.abs(got - y) <= bound).all()


def test_images_and_kernels_of_one_are_transformed_without_rounding():
    weight, x = np.zeros((1, 1, 3, 3), np.float32), np.zeros((1, 4, 4), np.float32)
    weight[0, 0, 0, 0] = x[0, 1, 2] = 24 * 24
    y = winograd.convolve(winograd.kernels(weight), x, (1, 1), (4, 4))
    assert y[0, 2, 3] == 24.0**4
    assert np.count_nonzero(y) == 1


def test_blocks_are_some_channels_of_all_outputs():
    transformed = np.arange(36 * 2 * 70, dtype=np.float32).reshape(36, 2, 70)
    flat = winograd.in_blocks(transformed)
    np.testing.assert_array_equal(flat[: 2 * 64].reshape(2, 64), transformed[0, :, :64])
    np.testing.assert_array_equal(flat[2 * 64 : 140].reshape(2, 6), transformed[0, :, 64:])
    np.testing.assert_array_equal(flat[140 : 140 + 64], transformed[1, 0, :64])


def run(layers, weight, x, by=("c.weight",)):
    """Return the output of the program of a convolution, and its session's operations."""
    network = Network("alone", layers, x.shape[:-1])
    bias = np.linspace(-1, 1, len(weight), dtype=np.float32)
    programs = Programs({"c.weight": weight, "c.bias": bias}, by)
    return programs.run(network.stages, x, INPUT), programs.compiled(network.stages, x.shape, INPUT)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_agree_with_the_twin(case, isa):
    *sizes, padding = case
    weight, x = drawn(*sizes)
    layer = Conv2D("c", case[0], case[1], 3, padding=padding)
    exactly, bound = exact(weight, x, layer.window.padding)
    bias = np.linspace(-1, 1, len(weight), dtype=np.float32)[:, np.newaxis, np.newaxis]
    padding = layer.window.padding[:2]
    twin = winograd.convolve(winograd.kernels(weight), x, padding, exactly.shape[1:]) + bias
    with native.use("native", isa):
        y, made = run((layer,), weight, x[..., np.newaxis])
        rectified, _ = run((layer, ReLU("relu")), weight, x[..., np.newaxis])
    assert [one.kind for one in made.operations] == [OperationKind.WINOGRAD]
    assert (np.abs(y[..., 0] - twin) <= 2 * bound + EPS * np.abs(twin)).all()
    np.testing.assert_array_equal(rectified, np.maximum(y, 0))


@pytest.mark.usefixtures("kernels")
def test_bands_are_computed_by_any_thread():
    weight, x = drawn(3, 5, 61, 90)
    y, made = run((Conv2D("c", 3, 5, 3, padding=1),), weight, x[..., np.newaxis])
    cut = tuple(replace(one, work=1e12) for one in made.operations)
    session = native_program.Session(replace(made, operations=cut))
    session._memory[:] = np.nan
    with threadpool_limits(3):
        np.testing.assert_array_equal(session.run(x[..., np.newaxis]), y)


@pytest.mark.usefixtures("kernels")
def test_several_images_and_weights_that_are_not_named_are_convolved_as_ever():
    weight, x = drawn(3, 5, 8, 9)
    layers = (Conv2D("c", 3, 5, 3, padding=1),)
    assert run(layers, weight, np.stack([x, x], axis=-1))[1].operations[0].kind == 0
    assert run(layers, weight, x[..., np.newaxis], ())[1].operations[0].kind == 0


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("relu", [False, True])
def test_sums_that_overflow_are_no_result(relu):
    weight, x = drawn(3, 5, 8, 9)
    layers = (Conv2D("c", 3, 5, 3), ReLU("relu"))[: 1 + relu]
    x[1, 7, 8] = 3e38
    y, _ = run(layers, weight, x[..., np.newaxis])
    assert y is None
    x[1, 7, 8] = math.pi
    assert run(layers, weight, x[..., np.newaxis])[0] is not None
