"""Numbers that aren't finite, or not on the way, in programs: they are left to NumPy."""

import time

import numpy as np
import pytest
from support.networks import random_params
from test_runtime_program import NETWORK, images, run
from test_spmv import isas
from threadpoolctl import threadpool_limits

from deepcompress import CompressedNetwork, compress, native
from deepcompress.native import program as native_program
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import LocalResponseNorm
from deepcompress.nn.wiring import INPUT, evaluate
from deepcompress.runtime import program

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.parametrize("value", [np.inf, np.nan, 3e38])
@pytest.mark.parametrize("is_packed", [False, True])
def test_what_is_not_finite_is_left_to_numpy(value, is_packed):
    """3e38 is finite, but its products with weights aren't."""
    params = random_params(NETWORK, 0.5, 1)[not is_packed]
    x = images(2, *NETWORK.input_shape)
    x[1, 2, 3, 4] = value
    assert run(NETWORK, params, NETWORK.columns(x)) is None
    with np.errstate(all="ignore"):
        expected = evaluate(NETWORK.stages, params, NETWORK.columns(x))
        y = CompressedNetwork(NETWORK, params).predict(x)
    np.testing.assert_allclose(y, expected.T, rtol=1e-4, atol=1e-3)
    assert not np.isfinite(y[1]).all()
    assert np.isfinite(y[0]).all()


def test_a_norm_whose_squares_overflow_is_left_to_numpy():
    """The squares' sum is infinite, and 0 times that isn't a number, which weights of 0 hide."""
    layers = LocalResponseNorm("norm", 3, alpha=0.0), Conv2D("conv", 2, 1, 1)
    network = Network("norm", layers, (2, 3, 3))
    params = random_params(network, 0.0, 1)[0]
    x = np.full((1, 2, 3, 3), 1e30, np.float32)
    assert run(network, params, network.columns(x)) is None
    assert np.isnan(CompressedNetwork(network, params).predict(x)).all()


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("layer", [Linear("w", 8, 1), Conv2D("w", 8, 1, 1)], ids=str)
def test_what_overflows_below_zero_is_left_to_numpy(layer, batch, isa):
    """A ReLU would make 0 of it, although the sum of all products is larger than that."""
    shape = (8, 1, 1) if isinstance(layer, Conv2D) else (8,)
    network = Network("below", (layer, ReLU("relu")), shape)
    weight = np.repeat([-1.0, 1.0], 4).astype(np.float32).reshape(layer.param_shapes()["w.weight"])
    bias = np.ones(1, np.float32)
    x = np.full((batch, *shape), 3e38, np.float32)
    for held in (weight, compress({"w": weight})["w"]):
        with native.use("native", isa):
            assert run(network, {"w.weight": held, "w.bias": bias}, network.columns(x)) is None


@pytest.mark.parametrize("threads", [1, 3])
def test_each_operation_tells_what_it_took(threads):
    params = random_params(NETWORK, 0.5, 1)[0]
    x = images(*NETWORK.input_shape, 40)
    made = program.compiled(NETWORK.stages, params, x.shape, INPUT)
    session, seconds = native_program.Session(made), np.full(len(made.operations), np.nan)
    with threadpool_limits(threads):
        begun = time.time()
        y = session.run(x, seconds)
        elapsed = time.time() - begun
    assert (seconds >= 0).all()
    assert 0 < seconds.sum() <= elapsed + 1e-6
    np.testing.assert_array_equal(session.run(x), y)


def test_a_batch_that_is_one_piece_is_one_program(monkeypatch):
    network = CompressedNetwork(NETWORK, random_params(NETWORK, 0.5, 1)[0])
    ran, run_one = [], native_program.Session.run
    monkeypatch.setattr(
        native_program.Session, "run", lambda one, x: ran.append(x.shape) or run_one(one, x)
    )
    together = network.predict(images(3, *NETWORK.input_shape))
    assert ran == [(*NETWORK.input_shape, 3)]
    ran.clear()
    network._inference._piece = 2
    apart = network.predict(images(3, *NETWORK.input_shape))
    assert [shape[-1] for shape in ran] == [2, 1, 3]
    np.testing.assert_allclose(apart, together, rtol=1e-4, atol=1e-4)
