"""Parameters that are in tensors of other names, shapes and orders, or in none."""

import re
import tracemalloc

import numpy as np
import pytest

from deepcompress import CompressedNetwork, Config, compress, load
from deepcompress.errors import ArgumentError, FormatError
from deepcompress.model import CompressedModel
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.definition import to_definition
from deepcompress.nn.layers import Flatten, Linear
from deepcompress.nn.network import Network
from deepcompress.runtime import parameters
from deepcompress.runtime.parameters import ParameterSource, read_sources

LAYERS = Conv2D("conv", 3, 40, (1, 3)), Flatten("flat"), Linear("fc", 240, 5)
NETWORK = Network("elsewhere", LAYERS, (3, 1, 8))
RNG = np.random.default_rng(3)
TENSORS = {
    "Conv_1": RNG.standard_normal((40, 3, 3)).astype(np.float32),
    "MatMul_2": RNG.standard_normal((240, 5)).astype(np.float32),
    "add": RNG.standard_normal((1, 5)).astype(np.float32),
    "shape": np.array([1, -1]),
}
SOURCES = {
    "conv.weight": {"tensor": "Conv_1"},
    "conv.bias": {"fill": 0.25},
    "fc.weight": {"tensor": "MatMul_2", "transposed": True},
    "fc.bias": {"tensor": "add", "factor": -2.0},
}
X = RNG.standard_normal((3, 3, 1, 8)).astype(np.float32)


def metadata(**changes):
    return {"network": to_definition(NETWORK), "parameters": {**SOURCES, **changes}}


def expected(tensors):
    """Compute the network's outputs by its definition."""
    params = {
        "conv.weight": tensors["Conv_1"][:, :, None],
        "conv.bias": np.full(40, 0.25, np.float32),
        "fc.weight": tensors["MatMul_2"].T,
        "fc.bias": -2 * tensors["add"][0],
    }
    return NETWORK.predict(params, X)


@pytest.mark.parametrize("dense", ["auto", "never", "always"])
@pytest.mark.parametrize("is_shared", [False, True])
def test_a_network_of_other_tensors(is_shared, dense, tmp_path):
    config = Config.from_dict(
        {"default": {"bits": 5, "min_size": 0} if is_shared else {"method": "raw"}}
    )
    model = compress(TENSORS, config, metadata=metadata())
    model.save(tmp_path / "net.dcnn")
    network = CompressedNetwork.load(tmp_path / "net.dcnn", dense=dense)
    outputs = expected(model.to_dense())
    np.testing.assert_allclose(network.predict(X), outputs, rtol=0, atol=1e-3)
    packed = {one.name for one in network.params if one.is_packed}
    assert packed == ({"conv.weight", "fc.weight"} if is_shared and dense == "never" else set())
    of_model = CompressedNetwork.of(load(tmp_path / "net.dcnn"))
    np.testing.assert_allclose(of_model.predict(X), outputs, rtol=0, atol=1e-3)


def test_a_packed_weight_that_is_multiplied_or_has_other_rows():
    model = compress({"w": TENSORS["MatMul_2"]}, Config.from_dict({"default": {"min_size": 0}}))
    dense = model.to_dense()["w"]
    read = model.__getitem__
    doubled = parameters.parameter("p", ParameterSource("w", factor=2.0), (240, 5), read)
    np.testing.assert_array_equal(doubled, 2 * dense)
    both = ParameterSource("w", transposed=True, factor=2.0)
    np.testing.assert_array_equal(parameters.parameter("p", both, (5, 240), read), 2 * dense.T)
    row = parameters.parameter("p", ParameterSource("w"), (1, 240, 5), read)
    np.testing.assert_array_equal(row, dense[None])
    turned = parameters.parameter("p", ParameterSource("w", transposed=True), (5, 240), read)
    assert turned.gap_bits == model["w"].gap_bits
    np.testing.assert_array_equal(turned.to_dense(), dense.T)


def test_sources_come_back():
    sources, has_others = read_sources({"parameters": SOURCES}, NETWORK)
    assert has_others
    assert {name: source.to_metadata() for name, source in sources.items()} == SOURCES
    sources, has_others = read_sources({}, NETWORK)
    assert not has_others
    assert [source.to_metadata() for source in sources.values()] == [
        {"tensor": name} for name in NETWORK.param_shapes
    ]


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], "parameters must be an object, not []"),
        ({"conv": {"fill": 0}}, "parameters: network 'elsewhere' has no 'conv'"),
        ({"fc.bias": 5}, "parameter 'fc.bias': must be an object, not 5"),
        ({"fc.bias": {}}, "parameter 'fc.bias': has neither tensor nor fill"),
        ({"fc.bias": {"tensor": 5}}, "tensor must be a name, not 5"),
        ({"fc.bias": {"tensor": ""}}, "tensor must be a name, not ''"),
        (
            {"fc.bias": {"tensor": "w", "fill": 1}},
            "unknown field 'tensor', expected one of ['fill']",
        ),
        ({"fc.bias": {"tensor": "w", "axes": 1}}, "unknown field 'axes'"),
        ({"fc.bias": {"tensor": "w", "transposed": True}}, "shape (5,) can't be transposed"),
        (
            {"fc.weight": {"tensor": "w", "transposed": 1}},
            "transposed must be true or false, not 1",
        ),
        *(
            ({"fc.bias": {"tensor": "w", "factor": value}}, "factor must be a finite number")
            for value in (None, "1", float("nan"), 10**400, 1e39, True)
        ),
        ({"fc.bias": {"fill": float("inf")}}, "fill must be a finite number"),
        (
            {"fc.weight": {"fill": 1.0}},
            "only a vector of at most 1,048,576 has a fill, not (5, 240)",
        ),
    ],
)
def test_entries_that_make_no_sense(entries, reason):
    with pytest.raises(FormatError, match=re.escape(reason)):
        read_sources({"parameters": entries}, NETWORK)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"conv.weight": {"tensor": "w"}}, "tensor 'w' of network 'elsewhere' is missing"),
        (
            {"conv.weight": {"tensor": "MatMul_2"}},
            "tensor 'MatMul_2' has shape (240, 5), network 'elsewhere' needs (40, 3, 1, 3) for",
        ),
        (
            {"fc.weight": {"tensor": "MatMul_2"}},
            "has shape (240, 5), network 'elsewhere' needs (5, ",
        ),
        (
            {"fc.weight": {"tensor": "Conv_1", "transposed": True}},
            "tensor 'Conv_1' has shape (40, 3, 3), transposed, network",
        ),
        ({"fc.bias": {"tensor": "shape"}}, "tensor 'shape' has shape (2,)"),
    ],
)
def test_tensors_that_do_not_fit(changes, reason, tmp_path):
    CompressedModel(TENSORS, metadata(**changes)).save(tmp_path / "net.dcnn")
    for make in (CompressedNetwork.load, lambda path: CompressedNetwork.of(load(path))):
        with pytest.raises(ArgumentError, match=re.escape(reason)):
            make(tmp_path / "net.dcnn")


def test_tensors_of_no_floats_are_named(tmp_path):
    for entry in ({"tensor": "whole"}, {"tensor": "whole", "factor": 2.0}):
        tensors = TENSORS | {"whole": np.arange(5)}
        model = CompressedModel(tensors, metadata(**{"fc.bias": entry}))
        with pytest.raises(ArgumentError, match=r"tensor '(whole|fc.bias)' is of int64"):
            CompressedNetwork.of(model)


def test_a_small_file_does_not_fill_memory():
    wide = Network("wide", (Linear("fc", 1, 2**31 - 1),), (1,))
    tracemalloc.start()
    with pytest.raises(FormatError, match="only a vector of at most"):
        read_sources({"parameters": {"fc.bias": {"fill": 1.0}}}, wide)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e6


def test_weights_that_no_packed_product_has_are_dense():
    layers = Conv2D("depth", 4, 8, 3, groups=4), Conv2D("point", 8, 80, 1)
    network = Network("mobile", layers, (4, 9, 9))
    weights = network.init(np.random.default_rng(0))
    model = compress(weights, Config.from_dict({"default": {"min_size": 0}}))
    compressed = CompressedNetwork(network, model)
    packed = {one.name: one.is_packed for one in compressed.params}
    assert packed["point.weight"]
    assert not packed["depth.weight"]
    x = RNG.standard_normal((2, 4, 9, 9)).astype(np.float32)
    dense = network.predict(model.to_dense(), x)
    np.testing.assert_allclose(compressed.predict(x), dense, rtol=1e-4, atol=1e-5)
