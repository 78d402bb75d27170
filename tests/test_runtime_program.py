"""Programs in C against the layers in NumPy that define them."""

import pickle
from dataclasses import replace
from itertools import permutations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.networks import EPS, exact, networks, random_params
from test_spmv import isas
from threadpoolctl import threadpool_limits

from deepcompress import CompressedNetwork, native
from deepcompress.native import program as native_program
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
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import LocalResponseNorm, Scale
from deepcompress.nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.rearranging import Pad, Permute, Reshape
from deepcompress.nn.transposed import ConvTranspose2D
from deepcompress.nn.wiring import INPUT, Stage, evaluate
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.runtime import program

pytestmark = pytest.mark.usefixtures("kernels")


FIRE = (
    Conv2D("squeeze", 6, 5, 1),
    ReLU("relu"),
    Conv2D("left", 5, 7, 1),
    Conv2D("right", 5, 9, 3, padding=1),
    ReLU("relu_right"),
    Concat("both"),
    LocalResponseNorm("norm", 3, alpha=0.5),
    MaxPool2D("pool", 3, 2, round_up=True),
    Dropout("drop", 0.5),
    Flatten("flatten"),
    Linear("fc1", 16 * 25, 20),
    ReLU("relu_fc1"),
    Linear("fc2", 20, 4),
)
NETWORK = Network("fire", FIRE, (6, 10, 11), {"right": ["relu"], "both": ["left", "relu_right"]})


def images(*shape):
    return np.random.default_rng(5).standard_normal(shape).astype(np.float32)


def run(network, params, x, source=INPUT):
    """Return the output of a network's program, for columns; None if there is none."""
    return program.Programs(params).run(network.stages, x, source)


@settings(max_examples=25)
@given(networks(), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_random_networks_agree_with_float64(network, density, seed, batch):
    packed, dense = random_params(network, density, seed)
    x = np.random.default_rng(seed).standard_normal((batch, *network.input_shape), np.float32)
    expected, bound = exact(network, dense, x)
    for params in (packed, dense):
        y = run(network, params, network.columns(x))
        assert y is not None
        assert (np.abs(np.moveaxis(y, -1, 0) - expected) <= bound).all()


def assert_cut_without_a_trace(network, params, x, y):
    """As many tasks as can be, on several threads, where nobody may need what was there before."""
    made = program.compiled(network.stages, params, x.shape, INPUT)
    cut = tuple(replace(operation, work=1e12) for operation in made.operations)
    session = native_program.Session(replace(made, operations=cut))
    session._memory[:] = np.nan
    with threadpool_limits(3):
        np.testing.assert_array_equal(session.run(np.ascontiguousarray(x)), y)


LAYERS = [
    *(
        MaxPool2D("pool", kernel, stride, padding, round_up)
        for kernel, stride, padding in [(2, 2, 0), (3, 2, 0), (3, 1, 1), (3, 2, 2), (1, 3, 0)]
        for round_up in (False, True)
    ),
    MaxPool2D("pool", 5, 3, 4, True),
    GlobalAvgPool2D("mean"),
    MaxPool2D("pool", 2, 2**70),
    *(LocalResponseNorm("norm", size, 2.0, k=0.5) for size in (1, 3, 9, 2**31 - 1, 2**70 + 1)),
    ReLU("relu"),
    MaxPool2D("pool", (3, 2), (1, 2), (2, 0, 1, 1)),
    *(
        AvgPool2D("mean", kernel, stride, padding, round_up, counts_padding)
        for kernel, stride, padding in [(2, 2, 0), (3, 2, 1), ((3, 2), (1, 3), (2, 0, 1, 1))]
        for round_up in (False, True)
        for counts_padding in (False, True)
    ),
    AvgPool2D("mean", 2, 2**31 - 1),
    Clip("clip", -0.5, 0.25),
    Clip("clip", high=0.25),
    LeakyReLU("leaky", 0.3),
    Sigmoid("sigmoid"),
    Tanh("tanh"),
    SiLU("silu"),
    HardSigmoid("ramp", 0.2, 0.4),
    HardSwish("swish"),
    Softmax("softmax"),
    Pad("pad", (1, 0, 2, 3)),
    *(Permute("move", axes) for axes in permutations(range(3))),
]


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("shape", [(5, 7, 8, 1), (4, 9, 5, 3), (3, 30, 31, 1), (19, 7, 6, 1)])
def test_a_layer_alone(layer, shape, isa):
    network, x = Network("alone", (layer,), shape[:-1]), images(*shape)
    expected = layer.forward({}, x)[0]
    with native.use("native", isa):
        y = run(network, {}, x)
        assert_cut_without_a_trace(network, {}, x, y)
    assert y.shape == expected.shape
    if isinstance(layer, (MaxPool2D, ReLU)):
        np.testing.assert_array_equal(y, expected)
    else:  # a few roundings, of sums of positive numbers, or of a channel's mean
        np.testing.assert_allclose(y, expected, rtol=20 * EPS, atol=1000 * EPS * np.abs(x).mean())


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 8, 70])
@pytest.mark.parametrize(
    "layer",
    [
        Linear("w", 12, 7),
        Linear("w", 100, 33),
        Conv2D("w", 4, 6, 3, 2, 1, 2),
        Conv2D("w", 2, 21, 5, 4),
        Conv2D("w", 80, 3, 1),
        Conv2D("w", 4, 6, (3, 2), (1, 2), (0, 1, 2, 3), 2, (2, 1)),
        Conv2D("w", 4, 6, (1, 3), (3, 1), 1, dilation=(1, 4)),
        *(Conv2D("w", 5, 5, 3, stride, (0, 2, 1, 0), 5) for stride in (1, 2, 3)),
        Conv2D("w", 3, 6, (5, 2), (2, 1), 2, 3, dilation=(1, 2)),
        ConvTranspose2D("w", 4, 6, 3, 2, 1, 2, more=1),
        ConvTranspose2D("w", 3, 2, (2, 3), (3, 1), (0, 1, 1, 0), dilation=(1, 2)),
        Scale("w", 5),
    ],
    ids=str,
)
def test_weights_of_every_form(layer, batch, is_packed, isa):
    shape = () if isinstance(layer, Linear) else (12, 11)
    last = Clip("relu6", 0.0, 0.5) if isinstance(layer, Scale) or batch == 2 else ReLU("relu")
    inputs = 5 if isinstance(layer, Scale) else layer.inputs
    network = Network("alone", (layer, last), (inputs, *shape))
    packed, dense = random_params(network, 0.4, 3)
    x = images(batch, *network.input_shape)
    expected, bound = exact(network, dense, x)
    params = packed if is_packed and not isinstance(layer, ConvTranspose2D) else dense
    with native.use("native", isa):
        y = run(network, params, network.columns(x))
        assert_cut_without_a_trace(network, params, network.columns(x), y)
    assert (np.abs(np.moveaxis(y, -1, 0) - expected) <= bound).all()


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("kind", ["sum", "square", "gate", "gate of one pixel", "of three"])
def test_two_values_that_meet(kind, batch, isa):
    kinds = {
        "sum": (Add("meet"), ["relu", INPUT]),
        "square": (Multiply("meet"), ["relu", "relu"]),
        "gate": (Multiply("meet"), [INPUT, "mean"]),
        "gate of one pixel": (Multiply("meet"), ["relu", "gate"]),
        "of three": (Add("meet"), ["relu", INPUT, "relu"]),
    }
    meet, sources = kinds[kind]
    gates = GlobalAvgPool2D("mean"), Reshape("gate", (3, 1, 1))
    taken = 1 if kind == "gate" else 2 if "gate" in kind else 0
    layers = ReLU("relu"), *gates[:taken], meet, Clip("relu6", 0.0, 0.9)
    network = Network("meeting", layers, (3, 4, 5), {"meet": sources})
    x = images(3, 4, 5, batch)
    with native.use("native", isa):
        y = run(network, {}, x)
    if kind == "of three":
        assert y is None
        return
    np.testing.assert_allclose(y, evaluate(network.stages, {}, x), rtol=20 * EPS, atol=0)


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("is_packed", [False, True])
@pytest.mark.parametrize("batch", [1, 5])
def test_the_number_of_threads_changes_no_bit(is_packed, batch, isa):
    params = random_params(NETWORK, 0.5, 1)[not is_packed]
    x = images(*NETWORK.input_shape, batch)
    made = program.compiled(NETWORK.stages, params, x.shape, INPUT)
    # As if each operation were worth all threads, and cut in as many tasks as there may be.
    worth = tuple(replace(operation, work=1e12) for operation in made.operations)
    results = []
    with native.use("native", isa):
        for threads in (1, 2, 3, 8):
            with threadpool_limits(threads):
                results.append(native_program.Session(replace(made, operations=worth)).run(x))
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])
    expected = evaluate(NETWORK.stages, params, x)
    np.testing.assert_allclose(results[0], expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_values_that_are_needed_at_the_same_time_lie_apart():
    params = random_params(NETWORK, 0.5, 1)[0]
    made = program.compiled(NETWORK.stages, params, (*NETWORK.input_shape, 2), INPUT)
    assert [one.kind.name.lower() for one in made.operations] == [
        *("convolve", "convolve", "convolve", "normalize", "max_pool", "multiply", "multiply")
    ]
    places = made.places
    assert places[INPUT] is None
    assert places["drop"] == places["flatten"] == places["pool"]
    assert places["left"] == places["both"]
    assert places["relu_right"] == places["both"] + 7 * 110 * 2  # what is joined isn't copied
    sizes = {name: 2 * int(np.prod(shape)) for name, shape in NETWORK.shapes.items()}
    for step in made.operations:
        if places[step.taken] is not None:
            taken = range(places[step.taken], places[step.taken] + sizes[step.taken])
            given = range(places[step.given], places[step.given] + sizes[step.given])
            assert taken.stop <= given.start or given.stop <= taken.start
    all_sizes = sum(sizes[one] for one in ("relu", "both", "norm", "pool", "relu_fc1", "fc2"))
    assert sizes["both"] + sizes["norm"] <= made.elements < all_sizes


JOINED = {
    "twice": ({"both": ["relu", "relu"]}, (ReLU("relu"), Concat("both"))),
    "the input, too": ({"both": [INPUT, "relu"]}, (ReLU("relu"), Concat("both"))),
    "by another name": (
        {"both": ["drop", "relu"]},
        (ReLU("relu"), Dropout("drop", 0.1), Concat("both")),
    ),
    "of which one was needed for long, by another name as well": (
        {"late": ["early"], "both": ["other", "late"]},
        (
            *(ReLU("early"), Dropout("drop", 0.1), LocalResponseNorm("norm")),
            *(LocalResponseNorm("twice"), ReLU("other"), ReLU("late"), Concat("both")),
        ),
    ),
    "again": (
        {"one": [INPUT, "relu"], "both": ["one", "relu"]},
        (ReLU("relu"), Concat("one"), Concat("both")),
    ),
    "again and elsewhere": (
        {"one": ["pool", "relu"], "pool": ["relu"], "both": ["one", "pool", "relu", "one"]},
        (ReLU("relu"), MaxPool2D("pool", 1, 1), Concat("one"), Concat("both")),
    ),
}


@pytest.mark.parametrize("case", JOINED)
def test_parts_that_are_joined(case):
    sources, layers = JOINED[case]
    network, x = Network("joined", layers, (2, 3, 4), sources), images(2, 3, 4, 5)
    np.testing.assert_allclose(
        run(network, {}, x), evaluate(network.stages, {}, x), rtol=20 * EPS, atol=0
    )


@pytest.mark.parametrize(
    "layer",
    [
        ConvTranspose2D("t", 2, 2, 1, padding=1),  # cuts off more than a kernel reaches
        LocalResponseNorm("n", beta=0.5),
        Conv2D("c", 2, 2, 3, padding=1),
    ],
    ids=str,
)
def test_what_c_has_not_got_is_left_to_numpy(layer, monkeypatch):
    network = Network("mixed", (ReLU("relu"), layer), (2, 4, 4))
    params = {name: np.ones(shape, np.float32) for name, shape in network.param_shapes.items()}
    if isinstance(layer, Conv2D):  # of which no form suits so many rows
        params = random_params(network, 0.5, 1)[0]
        monkeypatch.setattr(CompressedTensor, "blocks", lambda tensor: None)
    x = images(3, 2, 4, 4)
    assert run(network, params, network.columns(x)) is None
    y = CompressedNetwork(network, params).predict(x)
    expected = np.moveaxis(evaluate(network.stages, params, network.columns(x)), -1, 0)
    np.testing.assert_array_equal(y, expected)


def test_programs_of_one_network_are_told_apart():
    network = Network("two", (Linear("fc", 9, 9), ReLU("relu")), (9,))
    programs, x = program.Programs(random_params(network, 0.5, 1)[0]), images(9, 1)
    alone = Stage(network.steps[1], False, "relu")
    np.testing.assert_array_equal(programs.run([alone], x, "fc"), np.maximum(x, 0))
    assert not np.array_equal(programs.run(network.stages, x, INPUT), np.maximum(x, 0))


def test_no_layer_that_computes_is_no_program():
    network = Network("none", (Dropout("drop", 0.5), Flatten("flatten")), (2, 3, 4))
    assert run(network, {}, images(2, 3, 4, 1)) is None


def test_memory_is_kept_for_a_few_shapes():
    network = CompressedNetwork(NETWORK, random_params(NETWORK, 0.5, 1)[0])
    inputs = [images(batch, *NETWORK.input_shape) for batch in range(1, program.KEPT_SHAPES + 3)]
    expected = [network.predict(x) for x in inputs]
    programs = network._inference._program.__self__
    assert len(programs._made) == program.KEPT_SHAPES
    for x, y in zip(inputs, expected, strict=True):
        np.testing.assert_array_equal(network.predict(x), y)
    assert not pickle.loads(pickle.dumps(programs))._made


def test_no_two_runs_at_a_time_share_memory(monkeypatch):
    programs = program.Programs(random_params(NETWORK, 0.5, 1)[0])
    first, second = images(*NETWORK.input_shape, 1), images(*NETWORK.input_shape, 1) + 1
    expected = [programs.run(NETWORK.stages, x, INPUT) for x in (first, second)]
    run_alone, inside = native_program.Session.run, []

    def run_with_another_inside(session, x):
        if not inside:
            inside.append(session)
            inside.append(programs.run(NETWORK.stages, second, INPUT))
        else:
            assert session is not inside[0]
        return run_alone(session, x)

    monkeypatch.setattr(native_program.Session, "run", run_with_another_inside)
    np.testing.assert_array_equal(programs.run(NETWORK.stages, first, INPUT), expected[0])
    np.testing.assert_array_equal(inside[1], expected[1])
