"""Stacks in C against the layers of NumPy: the same gradients and training, bit for bit."""

import numpy as np
import pytest

from deepcompress import native
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.native import nn as kernels
from deepcompress.nn import zoo
from deepcompress.nn.activations import Tanh
from deepcompress.nn.layers import Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.optim import SGD, Adam, constant
from deepcompress.nn.stacks import Stack, stack_of
from deepcompress.nn.train import fit
from deepcompress.nn.trainable import free

EXTENSION, _ = gateway._load()
needs_c = pytest.mark.skipif(
    EXTENSION is None or not kernels.has_stacks(), reason="C can't call NumPy's BLAS here"
)


@pytest.fixture(autouse=True)
def in_c():
    """Have C for each test, whatever the backend that the environment asks for."""
    with native.use("reference" if EXTENSION is None else "native"):
        yield


FIRST, HIDDEN, LAST = Linear("a", 40, 30), Linear("b", 30, 20), Linear("c", 20, 5)
STACKS = {
    "plain": (FIRST, HIDDEN, LAST),
    "relu": (FIRST, ReLU("r"), HIDDEN, ReLU("s"), LAST),
    "dropout": (FIRST, Dropout("d", 0.4), HIDDEN, LAST),
    "all": (
        *(Dropout("d", 0.2), Dropout("e", 0.1), FIRST, ReLU("r"), Dropout("f", 0.5)),
        *(HIDDEN, ReLU("s"), Dropout("g", 0.0), LAST),
    ),
    "one": (Linear("a", 40, 5),),
}


def shards_of(*sizes):
    """Return inputs, about half of them 0, and labels."""
    rng = np.random.default_rng(0)
    for size in sizes:
        x = np.maximum(rng.standard_normal((size, 40), dtype=np.float32), 0)
        yield x, rng.integers(0, 5, size)


def expected_of(network, params, shards, rngs, count):
    """Return what the layers give for each shard, added in order."""
    loss, grads = 0.0, {}
    for (x, labels), rng in zip(shards, rngs, strict=True):
        own_loss, own = network.loss_and_grads(params, x, labels, rng, count)
        loss += own_loss
        grads = {name: grads[name] + one if grads else one for name, one in own.items()}
    return loss, grads


@needs_c
@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("threads", [1, 2])
def test_gradients_are_those_of_the_layers(name, threads):
    """Shards of several sizes in turn: arrays of one size aren't taken for another."""
    network = Network(name, STACKS[name], (40,))
    params = network.init(np.random.default_rng(0))
    stack = stack_of(network, params, threads)
    for sizes in ((33, 32), (7, 7, 6), (33, 32), (2,), (300, 299)):
        shards, count = list(shards_of(*sizes)), sum(sizes)
        rngs, same = ([np.random.default_rng([5, i]) for i in range(len(sizes))] for _ in "ab")
        loss, grads = stack.gradients(shards, rngs, count)
        expected_loss, expected = expected_of(network, params, shards, same, count)
        assert loss == expected_loss
        assert grads.keys() == expected.keys()
        for key, one in expected.items():
            assert grads[key].tobytes() == one.tobytes(), key


@needs_c
def test_inputs_may_lie_in_either_order():
    network = Network("relu", STACKS["relu"], (40,))
    params = network.init(np.random.default_rng(0))
    stack = Stack(network, params, 2)
    (x, labels), other = shards_of(33, 20)
    shards = [(np.asfortranarray(x), labels), (other[0][::-1], other[1][::-1])]
    loss, grads = stack.gradients(shards, [None, None], 53)
    expected_loss, expected = expected_of(network, params, shards, [None, None], 53)
    assert loss == expected_loss
    for key, one in expected.items():
        assert grads[key].tobytes() == one.tobytes(), key


OTHERS = {
    "an activation": (FIRST, Tanh("t"), HIDDEN, LAST),
    "relu at the end": (FIRST, HIDDEN, LAST, ReLU("r")),
    "relu twice": (FIRST, ReLU("r"), ReLU("s"), HIDDEN, LAST),
    "relu after dropout": (FIRST, Dropout("d", 0.1), ReLU("r"), HIDDEN, LAST),
    "a vector": (FIRST, Linear("b", 30, 1), Linear("c", 1, 5)),
    "flattened": (Flatten("f"), FIRST, HIDDEN, LAST),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_are_no_stacks(name):
    network = Network(name, OTHERS[name], (40,))
    assert stack_of(network, network.init(np.random.default_rng(0)), 2) is None


@needs_c
def test_what_is_for_c():
    network = zoo.build("digits")
    params = network.init(np.random.default_rng(0))
    assert stack_of(network, params, 1) is not None
    assert stack_of(network, network.init(np.random.default_rng(0), dtype=np.float64), 1) is None
    transposed = {name: np.asfortranarray(one) for name, one in params.items()}
    assert stack_of(network, transposed, 1) is None
    with native.use("reference"):
        assert stack_of(network, params, 1) is None
    lenet = zoo.build("lenet-5")
    assert stack_of(lenet, lenet.init(np.random.default_rng(0)), 1) is None


def trained(optimizer, **options):
    """Return parameters, state and losses; the last shard of each epoch has one image."""
    (data,) = shards_of(67)
    network = Network("all", STACKS["all"], (40,))
    params = network.init(np.random.default_rng(0))
    losses = []
    state = fit(
        *(network, params, data, free(params), optimizer, constant(0.01)),
        **{"epochs": 3, "batch_size": 32, "seed": (1,), **options},
        on_epoch=lambda epoch, loss, seconds: losses.append(loss),
    )
    arrays = {name: one.tobytes() for name, one in (params | state).items()}
    return arrays, losses


@needs_c
@pytest.mark.parametrize("optimizer", [SGD(l2=1e-3), Adam(l2=1e-3)])
def test_training_is_that_of_the_reference(optimizer):
    runs = [trained(optimizer, threads=threads) for threads in (1, 2)]
    with native.use("reference"):
        runs += [trained(optimizer, threads=threads) for threads in (1, 2)]
    assert runs[0] == runs[1] == runs[2] == runs[3]


@needs_c
def test_what_is_not_for_c_in_a_step_is_for_numpy():
    """Prepared inputs of double precision are drawn once, and trained on as ever."""

    def prepare(x, rng):
        return x + rng.standard_normal(x.shape)

    runs = [trained(SGD(), prepare=prepare)]
    with native.use("reference"):
        runs.append(trained(SGD(), prepare=prepare))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("sizes", [(40, 3), (39, 4)])
@needs_c
def test_shards_of_a_wrong_size_are_not_for_c(sizes):
    features, labels = sizes
    network = zoo.build("digits")
    stack = stack_of(network, network.init(np.random.default_rng(0)), 1)
    x = np.zeros((4, 64), np.float32)
    assert stack.takes([(x, np.zeros(4, int))])
    assert not stack.takes([(x, np.zeros(4, int)), (x[:, :features], np.zeros(labels, int))])


def test_inputs_that_are_not_finite_are_told():
    (x, labels), params = next(shards_of(40)), {}
    x[17, 3] = np.nan
    network = Network("relu", STACKS["relu"], (40,))
    params = network.init(np.random.default_rng(0))
    with pytest.raises(ArgumentError, match="input 17 of 40 holds NaN"):
        fit(
            *(network, params, (x, labels), free(params), SGD(), constant(0.01)),
            epochs=1,
            batch_size=40,
            seed=(0,),
        )
