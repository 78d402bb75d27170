"""Calibration of networks of `nn`: what it gains, what it promises, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

import deepcompress
from deepcompress import CompressedNetwork, native
from deepcompress.calibrate import NetworkSubject, calibrate, calibrated, weights_alone
from deepcompress.calibrate.batches import multiplications, spread
from deepcompress.calibrate.divergence import kl_divergence, row_costs
from deepcompress.calibrate.driver import Settings
from deepcompress.calibrate.layer import decide_bias
from deepcompress.calibrate.rows import gather
from deepcompress.container.grids import grid_of
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Flatten, Linear, ReLU
from deepcompress.nn.losses import softmax
from deepcompress.nn.network import Network
from deepcompress.nn.pool import GlobalAvgPool2D, MaxPool2D
from deepcompress.packed.tensor import CompressedTensor

RNG = np.random.default_rng(0)
# Branches, groups, a depthwise convolution, and layers of either kind.
NETWORK = Network(
    "branches",
    (
        Conv2D("first", 2, 8, 3, padding=1),
        ReLU("relu"),
        MaxPool2D("pool", 2, 2),
        Conv2D("left", 8, 6, 1),
        Conv2D("depth", 8, 8, 3, padding=1, groups=8),
        Concat("both"),
        ReLU("again"),
        Conv2D("pairs", 14, 12, 3, groups=2),
        ReLU("third"),
        GlobalAvgPool2D("mean"),
        Linear("out", 12, 5),
    ),
    (2, 12, 12),
    {"depth": ["pool"], "both": ["left", "depth"]},
)
PARAMS = {
    name: value if value.ndim > 1 else RNG.normal(scale=0.1, size=value.shape).astype(np.float32)
    for name, value in NETWORK.init(RNG).items()
}
SMOOTH = RNG.normal(size=(120, 2, 3, 3)).repeat(4, axis=2).repeat(4, axis=3)
INPUTS = (SMOOTH + 0.3 * RNG.normal(size=(120, 2, 12, 12)) + 0.5).astype(np.float32)
OTHERS = INPUTS[80:]
LAM = 1e-4


@pytest.fixture(scope="module")
def found():
    return calibrate(NETWORK, PARAMS, INPUTS[:80], lam=LAM, metadata={"by": "us"})


def divergence(model, others=OTHERS):
    params = {name: np.asarray(v, np.float32) for name, v in model.to_dense().items()}
    return kl_divergence(NETWORK.predict(PARAMS, others), NETWORK.predict(params, others))


def test_it_is_better_than_weights_alone_at_the_same_size(found):
    size = len(found.model.to_bytes())
    for error in np.geomspace(0.02, 1, 30):  # the first that isn't larger
        alone = weights_alone(PARAMS, error=error)
        if len(alone.to_bytes()) <= size:
            break
    assert divergence(found.model) < 0.7 * divergence(alone)


def test_a_model_as_any_other(found, tmp_path):
    found.model.save(tmp_path / "m.dcnn")
    back = deepcompress.load(tmp_path / "m.dcnn")
    assert back.metadata == {"by": "us"}
    assert list(back) == list(PARAMS)
    for name, values in found.model.to_dense().items():
        assert values.dtype == np.float32
        assert values.shape == PARAMS[name].shape
        assert np.array_equal(back.to_dense()[name], values)
    logits = CompressedNetwork(NETWORK, back).predict(OTHERS)
    params = found.model.to_dense()
    assert np.allclose(logits, NETWORK.predict(params, OTHERS), atol=1e-4)


def test_what_is_told_of_layers(found):
    names = ["first", "left", "depth", "pairs", "out"]
    assert [layer.name for layer in found.layers] == names
    assert 0.3 < found.divergence / divergence(found.model, INPUTS[:80]) < 3
    bits = sum(layer.bits for layer in found.layers)
    assert bits / 8 < len(found.model.to_bytes())
    assert found.layers[0].dead == 0
    assert {layer.damping for layer in found.layers} == {0.01}
    assert [len(layer.matters) for layer in found.layers] == [8, 6, 8, 12, 5]


def test_lambda_trades_size_for_divergence(found):
    rough = calibrate(NETWORK, PARAMS, INPUTS[:80], lam=30 * LAM)
    assert len(rough.model.to_bytes()) < 0.9 * len(found.model.to_bytes())
    assert divergence(rough.model) > divergence(found.model)


def test_half_is_smaller_and_no_worse(found):
    half = calibrate(NETWORK, PARAMS, INPUTS[:80], lam=LAM, half=True)
    assert len(half.model.to_bytes()) < len(found.model.to_bytes())
    for name, value in half.model.to_dense().items():
        assert value.dtype == np.float32
        tensor = half.model[name]
        if isinstance(tensor, CompressedTensor):
            assert grid_of(tensor.codebook)  # one number, in float32
        else:
            assert (value.astype(np.float16) == value).all()
    assert divergence(half.model) < 1.5 * divergence(found.model)


def test_biases_are_shared_where_there_are_enough_of_them():
    network = Network("wide", (Linear("a", 20, 40), ReLU("r"), Linear("b", 40, 4)), (20,))
    params = network.init(np.random.default_rng(1))
    params["a.bias"] = RNG.normal(size=40).astype(np.float32)
    x = RNG.normal(size=(200, 20)).astype(np.float32)
    found = calibrate(network, params, x, lam=1e-5, half=True)
    shared, few = found.model["a.bias"], found.model["b.bias"]
    assert isinstance(shared, CompressedTensor)
    assert grid_of(shared.codebook)
    assert isinstance(few, np.ndarray)  # 4 of them
    kept = calibrate(network, params, x, lam=1e-5, half=True, coder="rans").model
    assert isinstance(kept["a.bias"], np.ndarray)
    # From the file alone it runs, biases and all.
    back = dict(deepcompress.pipeline.from_bytes(found.model.to_bytes()).tensors)
    logits = CompressedNetwork(network, back).predict(x)
    after = {name: np.asarray(v, np.float32) for name, v in found.model.to_dense().items()}
    assert np.allclose(logits, network.predict(after, x), atol=1e-4)
    assert kl_divergence(network.predict(params, x), logits) < 0.05


def test_a_bias_costs_at_most_half_a_step_and_less_than_float16():
    bias, scaled = RNG.normal(size=100), np.full(100, 1e2)
    decided = decide_bias(bias, scaled)
    assert np.abs(decided.values.ravel() - bias).max() <= 0.5001 * decided.step
    assert decided.bits < 16 * 100 / 2
    finer = decide_bias(bias, 4 * scaled)
    assert finer.step == pytest.approx(decided.step / 2)
    assert decide_bias(bias[:15], scaled[:15]) is None
    assert decide_bias(np.zeros(100), scaled) is None
    assert decide_bias(bias, 1e9 * scaled) is None  # 255 levels aren't enough


def test_any_number_of_threads_gives_the_same_bytes(found):
    for threads in (1, 3):
        again = calibrate(
            NETWORK, PARAMS, INPUTS[:80], lam=LAM, threads=threads, metadata={"by": "us"}
        )
        assert again.model.to_bytes() == found.model.to_bytes()


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
def test_both_backends_give_the_same_bytes(found):
    for backend in ("reference", "native"):
        with native.use(backend):
            again = calibrate(NETWORK, PARAMS, INPUTS[:80], lam=LAM, metadata={"by": "us"})
        assert again.model.to_bytes() == found.model.to_bytes()


def test_the_seed_draws_rows(found):
    few = [
        calibrate(NETWORK, PARAMS, INPUTS[:80], lam=LAM, rows=400, seed=seed).model.to_bytes()
        for seed in (0, 0, 1)
    ]
    assert few[0] == few[1] != few[2]


def test_factors_can_be_taken_over(found, monkeypatch):
    monkeypatch.setattr(NetworkSubject, "divergence", None)
    monkeypatch.setattr(NetworkSubject, "sensitivities", None)
    like = calibrate(NETWORK, PARAMS, INPUTS[:80], lam=LAM, like=found, metadata={"by": "us"})
    assert like.model.to_bytes() == found.model.to_bytes()


@pytest.mark.parametrize("name", ["first", "left", "depth", "pairs", "out"])
def test_costs_of_rows_are_those_of_differences(name):
    x = NETWORK.columns(INPUTS[:2].astype(np.float64))
    params = {key: value.astype(np.float64) for key, value in PARAMS.items()}
    signs = np.array([[1, -1, 1, 1, -1], [-1, -1, 1, -1, 1]], np.int8).T
    p = softmax(NETWORK.forward(params, x)[0], 0)
    z = np.sqrt(p) * signs - p * (np.sqrt(p) * signs).sum(axis=0)
    layer = next(step.layer for step in NETWORK.steps if step.layer.name == name)
    groups = getattr(layer, "groups", 1)

    def slopes(key):  # of z.u, one for each input, (2, *shape)
        found = np.empty((2, *params[key].shape))
        for place in np.ndindex(params[key].shape):
            sides = []
            for step in (1e-6, -1e-6):
                moved = params[key].copy()
                moved[place] += step
                logits = NETWORK.forward(params | {key: moved}, x)[0]
                sides.append((z * logits).sum(axis=0))
            found[(slice(None), *place)] = (sides[0] - sides[1]) / 2e-6
        return found

    inputs = {}  # as the layer takes them, by position and input
    for step in NETWORK.steps:
        taken = step.of(inputs | {"input": x})
        inputs[step.layer.name] = step.layer.forward(params, taken)[0]
        if step.layer is layer:
            places = np.arange(inputs[name][0].size)
            rows = gather(layer, taken, places)[:, :, :-1]
    mean = rows.mean(axis=1)
    variance = ((rows - mean[:, None]) ** 2).sum(axis=2).mean(axis=1)
    outputs = len(params[f"{name}.bias"])
    means = np.repeat(mean, outputs // groups, axis=0)
    weight = slopes(f"{name}.weight").reshape(2, outputs, -1)
    own = weight - slopes(f"{name}.bias")[:, :, None] * means
    expected = (own**2).sum(axis=(0, 2)) / np.repeat(variance, outputs // groups)
    assert np.allclose(row_costs(NETWORK, params, x, signs)[name], expected, rtol=1e-5)


def test_signs_have_the_information_of_a_softmax():
    p = softmax(RNG.normal(size=(3, 1)), 0)
    network, linear = Network("l", (Linear("l", 2, 3),), (2,)), np.zeros((3, 2))
    params = {"l.weight": linear, "l.bias": np.log(p[:, 0])}
    x = np.array([[1.0, -1.0], [0.5, -0.5]])
    signs = np.array(list(np.ndindex(2, 2, 2)), np.int8) * 2 - 1
    costs = [
        row_costs(network, params, x, np.repeat(one[:, None], 2, axis=1))["l"] for one in signs
    ]
    assert np.allclose(np.mean(costs, axis=0), 2 * (p * (1 - p))[:, 0])


def test_divergence_of_the_same_is_nothing():
    logits = RNG.normal(size=(5, 4)) * 100
    assert kl_divergence(logits, logits) == 0
    assert kl_divergence(logits, logits + 3) == pytest.approx(0, abs=1e-9)
    one, two = np.log([[0.5, 0.5]]), np.log([[0.25, 0.75]])
    assert kl_divergence(one, two) == pytest.approx(0.5 * np.log(2) + 0.5 * np.log(2 / 3))


def test_a_probe_is_spread_evenly():
    assert spread(10, 3) == [1, 5, 8]
    assert spread(2, 9) == [0, 1]
    assert multiplications(Network("l", (Linear("l", 3, 4),), (3,))) == 16 * 4 // 4


DENSE = Network("dense", (Linear("a", 20, 12), ReLU("r"), Linear("b", 12, 4)), (20,))


def dense(inputs, **options):
    return calibrate(DENSE, DENSE.init(np.random.default_rng(1)), inputs, **options)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_fewer_inputs_than_weights_of_an_output(count):
    found = dense(RNG.normal(size=(count, 20)).astype(np.float32), lam=1e-5)
    assert all(np.isfinite(value).all() for value in found.model.to_dense().values())


def test_dead_inputs_are_pruned_for_nothing():
    x = RNG.normal(size=(300, 20)).astype(np.float32)
    x[:, 5:15] = 0
    found = dense(x, lam=1e-3)
    assert found.layers[0].dead == 10
    weights = found.model.to_dense()["a.weight"]
    assert np.count_nonzero(weights[:, 5:15]) < 0.2 * np.count_nonzero(weights[:, [0, 1, 2, 3, 4]])


def test_all_inputs_dead():
    found = dense(np.zeros((30, 20), np.float32))
    assert all(np.isfinite(value).all() for value in found.model.to_dense().values())


def test_zero_weights():
    zeros = {name: np.zeros(shape, np.float32) for name, shape in DENSE.param_shapes.items()}
    found = calibrate(DENSE, zeros, RNG.normal(size=(30, 20)))
    assert not any(value.any() for value in found.model.to_dense().values())


def test_a_huge_price_prunes_everything():
    found = dense(RNG.normal(size=(100, 20)), lam=1e9)
    assert not found.model.to_dense()["a.weight"].any()


X = RNG.normal(size=(30, 20)).astype(np.float32)
BROKEN = X.copy()
BROKEN[3, 4] = np.nan


@pytest.mark.parametrize(
    ("inputs", "options", "message"),
    [
        (X[:0], {}, "there are no inputs to calibrate with"),
        (X[:, :7], {}, r"inputs of shape \(30, 7\), expected"),
        (BROKEN, {}, "inputs must be finite"),
        (X * 1e30, {}, "what reaches it isn't finite"),
        ("x", {}, "inputs must be of real numbers"),
        (X, {"lam": 0}, "lam must be a positive finite number, not 0"),
        (X, {"lam": np.nan}, "lam must be"),
        (X, {"damping": -1}, "damping must be"),
        (X, {"rows": 0}, "rows must be a whole number from 1"),
        (X, {"seed": -1}, "seed must be"),
        (X, {"threads": 0}, "threads must be"),
        (X, {"half": None}, "half must be a bool"),
        (X, {"effort": 3}, "effort must be an Effort"),
        (X, {"rates": 3}, "rates must be callable"),
        (X, {"coder": "zip"}, "coder must be one of"),
        (X, {"metadata": 3}, "metadata must be a mapping"),
    ],
)
def test_bad_arguments(inputs, options, message):
    with pytest.raises(ArgumentError, match=message):
        dense(inputs, **options)


def test_bad_parameters(found):
    params = DENSE.init(np.random.default_rng(1))
    with pytest.raises(ArgumentError, match=r"tensor 'a.weight': weights must be finite"):
        calibrate(DENSE, params | {"a.weight": np.full((12, 20), np.nan, np.float32)}, X)
    with pytest.raises(ArgumentError, match=r"tensor 'a.bias': must be floating, not int64"):
        calibrate(DENSE, params | {"a.bias": np.zeros(12, int)}, X)
    with pytest.raises(ArgumentError, match=r"'b.bias' is missing"):
        calibrate(DENSE, {n: v for n, v in params.items() if n != "b.bias"}, X)
    with pytest.raises(ArgumentError, match="params must be a mapping"):
        calibrate(DENSE, 3, X)
    with pytest.raises(ArgumentError, match="network must be a Network"):
        calibrate("squeezenet", params, X)
    with pytest.raises(ArgumentError, match="like is the outcome of another network"):
        calibrate(DENSE, params, X, like=found)
    large = params | {"a.weight": np.full((12, 20), 1e6, np.float32)}
    with pytest.raises(ArgumentError, match="weights are too large for float16"):
        calibrate(DENSE, large, X, half=True, coder="rans")
    with pytest.raises(ArgumentError, match=r"'a.bias': values are too large for float16"):
        calibrate(DENSE, params | {"a.bias": np.full(12, 1e6, np.float32)}, X, half=True)


class WithoutBias(NetworkSubject):
    """As an adapter to a library whose first layer has no bias."""

    @property
    def layers(self):
        return [replace(one, bias="") if one.name == "a" else one for one in super().layers]

    def replace(self, layer, weight, bias):
        if not layer.bias:
            assert not bias.any()
            layer = replace(layer, bias="a.bias")
        super().replace(layer, weight, bias)

    def divergence(self, layer, before, after):
        return super().divergence(replace(layer, bias=f"{layer.name}.bias"), before, after)


def test_a_layer_without_bias():
    params = DENSE.init(np.random.default_rng(1))
    model = calibrated(WithoutBias(DENSE, params, X + 1), Settings(lam=1e-4)).model
    assert not model.to_dense()["a.bias"].any()
    assert model.to_dense()["b.bias"].any()


def test_a_flattened_picture_reaches_a_layer():
    layers = (Conv2D("c", 1, 2, 3), Flatten("f"), Linear("l", 8, 3))
    network = Network("small", layers, (1, 4, 4))
    params = network.init(np.random.default_rng(2))
    found = calibrate(network, params, RNG.normal(size=(40, 16)), lam=1e-6)
    exact = network.predict(params, RNG.normal(size=(40, 16)))
    params = {name: np.asarray(v, np.float32) for name, v in found.model.to_dense().items()}
    assert kl_divergence(exact, exact) == 0
    assert found.divergence < 0.01
