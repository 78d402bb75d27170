"""Networks out of lists of layers: those that say enough, too little, or what can't be."""

import json
import re
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.command import call, fails

import deepcompress as dc
from deepcompress import relindex
from deepcompress.formats import net
from deepcompress.formats.caffe import parse_network
from deepcompress.formats.layers import parse_layers
from deepcompress.nn import zoo
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.definition import to_definition
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import LocalResponseNorm
from deepcompress.nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from deepcompress.tensors import SharedWeights

INPUT = {"name": "in", "type": "Input", "shape": [2, 9, 9], "output": "data"}
CONV = {"name": "c", "type": "Convolution", "in_channels": 2, "out_channels": 4, "kernel": 3}
CONV |= {"inputs": ["data"], "stride": 2, "pad": 1, "group": 2}
ENTRIES = [
    INPUT,
    CONV,
    {"name": "relu", "type": "ReLU", "inputs": ["c"], "output": "c"},
    {"name": "norm", "type": "LRN", "inputs": ["c"], "local_size": 3, "alpha": 1e-4},
    {"name": "max", "type": "Pooling", "pool": "MAX", "inputs": ["c"], "kernel": 2, "stride": 2},
    {"name": "mean", "type": "Pooling", "pool": "AVE", "inputs": ["norm"], "kernel": 3}
    | {"stride": 2, "pad": 1},
    {"name": "both", "type": "Concat", "inputs": ["max", "mean"]},
    {"name": "drop", "type": "Dropout", "inputs": ["both"], "output": "both"},
    {"name": "p", "type": "InnerProduct", "in_channels": 72, "out_channels": 3, "inputs": ["both"]},
    {"name": "q", "type": "InnerProduct", "in_channels": 3, "out_channels": 2, "inputs": ["p"]},
    {"name": "prob", "type": "Softmax", "inputs": ["q"]},
]
NETWORK = Network(
    "converted",
    (
        Conv2D("c", 2, 4, 3, stride=2, padding=1, groups=2),
        ReLU("relu"),
        LocalResponseNorm("norm", 3, alpha=1e-4),
        MaxPool2D("max", 2, 2, round_up=True),
        AvgPool2D("mean", 3, 2, 1, round_up=True),
        Concat("both"),
        Dropout("drop", 0.5),
        Flatten("flatten"),
        Linear("p", 72, 3),
        Linear("q", 3, 2),
    ),
    (2, 9, 9),
    {"max": ["relu"], "mean": ["norm"], "both": ["max", "mean"]},
)


def parse(entries) -> Network | None:
    return parse_network(json.dumps(entries).encode(), "some.json")


def changed(index: int, **values) -> list:
    entries = json.loads(json.dumps(ENTRIES))
    entries[index] |= values
    return [{k: v for k, v in entry.items() if v != "absent"} for entry in entries]


def listed(network: Network) -> list[dict]:
    """Write a network as its list of layers, without an input."""
    words = {"inputs": "in_channels", "outputs": "out_channels", "padding": "pad"}
    words |= {"groups": "group", "size": "local_size", "rate": "dropout_ratio"}
    kinds = {"Conv2D": "Convolution", "Linear": "InnerProduct", "LocalResponseNorm": "LRN"}
    kinds |= dict.fromkeys(["MaxPool2D", "AvgPool2D", "GlobalAvgPool2D"], "Pooling")
    blobs, entries = {"input": "data"}, []
    for step in network.steps:
        layer, taken = step.layer, [blobs[name] for name in step.sources]
        blobs[layer.name] = layer.name
        kind = type(layer).__name__
        if kind == "Flatten":
            blobs[layer.name] = taken[0]
            continue
        fields = {words.get(key, key): value for key, value in vars(layer).items()}
        entry = fields | {"type": kinds.get(kind, kind), "inputs": taken}
        if kind.endswith("Pool2D"):
            entry |= {"pool": "MAX" if kind == "MaxPool2D" else "AVE"}
            entry |= {"global": True} if kind.startswith("Global") else {}
        entries.append(entry)
    return entries


def test_a_network_is_built() -> None:
    assert parse(ENTRIES) == NETWORK
    assert parse(ENTRIES[:-1]) == NETWORK  # without the softmax
    explicit = changed(5, kernel=1, stride=1, pad=0, **{"global": False})
    assert parse(explicit[:6]) is None  # `max` has no taker
    last = [*ENTRIES[:4], {"name": "g", "type": "Pooling", "pool": "AVE", "inputs": ["norm"]}]
    for more in ({"kernel": 1}, {"global": True}, {"global": True, "kernel": 9}):
        network = parse([*last[:-1], last[-1] | more])
        assert network.layers[-1] == GlobalAvgPool2D("g")
    assert parse([INPUT, CONV | {"name": "flatten"}, *listed_products("flatten")]).layers == (
        *(replace(NETWORK.layers[0], name="flatten"), Flatten("p/flatten"), Linear("p", 100, 3)),
    )


def listed_products(blob: str) -> list[dict]:
    return [ENTRIES[8] | {"inputs": [blob], "in_channels": 100}]


def test_the_zoo_is_recognized_without_an_input() -> None:
    for name in ("lenet-300-100", "alexnet", "vgg-16", "squeezenet"):
        network = zoo.build(name, dropout=0.25)
        entries = listed(network)
        shape = {"name": "x", "type": "Input", "shape": list(network.input_shape), "output": "data"}
        if len(network.input_shape) > 1:  # the blob "data" is taken for images
            assert parse(entries) == zoo.build(name)
        assert parse([shape, *entries]) == zoo.build(name)
    assert parse(listed(NETWORK)) is None
    assert parse(entries[:-1]) is None
    other = parse([shape | {"shape": [3, 224, 224]}, *entries])
    assert other == replace(
        network.with_dropout({"drop9": 0.25}), name="converted", input_shape=(3, 224, 224)
    )


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [{"name": "c", "type": "Convolution", "in_channels": "?"}],
        [{key: value for key, value in entry.items() if key != "inputs"} for entry in ENTRIES],
        ENTRIES[1:],  # of what size are the images?
        changed(2, type="PReLU"),
        changed(4, pool="STOCHASTIC"),
        changed(4, **{"global": True}),
        [*ENTRIES, {"name": "last", "type": "ReLU", "inputs": ["q"]}],  # after the softmax
        changed(10, inputs=["p"]),  # the softmax isn't of the end
        [*ENTRIES[:2], INPUT],
        ENTRIES[:1],
        ENTRIES[:6],  # two outputs
    ],
)
def test_a_list_that_says_too_little_gives_no_network(entries: list) -> None:
    assert parse(entries) is None


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (changed(1, inputs=["x"]), "entry 1, 'c': takes 'x', which no entry before it gives"),
        (changed(1, inputs=["both"]), "entry 1, 'c': takes 'both', which no entry before it gives"),
        (changed(1, inputs=["c"]), "entry 1, 'c': takes 'c', which no entry before it gives"),
        (changed(1, inputs=[]), "entry 1, 'c': inputs must be a list of blobs, not []"),
        (changed(1, inputs="data"), "entry 1, 'c': inputs must be a list of blobs, not 'data'"),
        (changed(1, inputs=[["data"]]), "entry 1, 'c': a blob's name must be text, not ['data']"),
        (changed(1, output=5), "entry 1, 'c': a blob's name must be text, not 5"),
        (changed(1, inputs=["data"] * 2), "entry 1, 'c': takes one blob, not 2"),
        (changed(3, output="data"), "entry 3, 'norm': gives 'data', as an entry before it does"),
        (changed(3, name="c", output="n"), "entry 3, 'c': a layer before it has the name 'c', too"),
        (changed(1, name="input"), "entry 1, 'input': a layer before it has the name 'input'"),
        (changed(1, in_channels=4), "entry 1, 'c': takes 4 channels, but gets images of 2"),
        (changed(1, kernel="absent"), "entry 1, 'c': kernel must be a whole number"),
        (changed(1, stride=0), "entry 1, 'c': stride must be a whole number from 1 on, not 0"),
        (changed(1, pad=-1), "entry 1, 'c': pad must be a whole number from 0 on, not -1"),
        (changed(1, pad=False), "entry 1, 'c': pad must be a whole number from 0 on, not False"),
        (changed(1, group=3), "entry 1, 'c': layer 'c': 2 inputs and 4 outputs can't be split"),
        (changed(1, kernel=12), "some.json: layer 'c': input of shape (2, 9, 9), expected (2, H"),
        (changed(1, pad=10**15), "some.json: layer 'c': "),
        (changed(3, local_size=2**40 + 1), "'converted': layer 2, 'norm': size must be a whole"),
        (changed(0, shape=[2**40, 9, 9]), "entry 1, 'c': takes 2 channels, but gets images of 109"),
        (changed(0, shape=[2, 2**40, 2**40]), "inputs of shape (2, 1099511627776, 10995"),
        (changed(0, shape=[2, 9]), "entry 0, 'in': shape must be a list of 1 or 3 numbers"),
        (changed(0, shape="absent"), "entry 0, 'in': shape must be a list of 1 or 3 numbers"),
        (changed(0, shape=[2, 9, 0]), "entry 0, 'in': an axis of shape must be a whole number"),
        (changed(3, local_size=2), "entry 3, 'norm': layer 'norm': size 2 must be odd"),
        (changed(3, alpha="1"), "entry 3, 'norm': alpha must be a number, not '1'"),
        (changed(3, beta=float("nan")), "entry 3, 'norm': beta must be a number, not nan"),
        (changed(4, **{"global": 1}), "entry 4, 'max': global must be true or false, not 1"),
        (changed(4, kernel="absent"), "entry 4, 'max': kernel must be a whole number from 1 on"),
        (changed(4, pad=2), "entry 4, 'max': layer 'max': kernel 2, stride 2, padding 2"),
        (changed(4, stride=1), "layer 'both': input of shape (4, 3, 3), expected (channels, 4, 4)"),
        (changed(7, dropout_ratio=1), "entry 7, 'drop': layer 'drop': dropout rate 1.0"),
        (changed(8, in_channels=71), "entry 8, 'p': takes 71 numbers, but gets images of 8 chann"),
        (changed(8, in_channels=80), "layer 'p': input of shape (72,), expected (80,)"),
        (changed(9, in_channels=4), "entry 9, 'q': takes 4 channels, but gets vectors of 3"),
        (changed(9, type="LRN"), "entry 9, 'q': takes images, but gets vectors"),
        (
            changed(9, type="Concat", inputs=["p", "both"]),
            "entry 9, 'q': can't join images with vectors",
        ),
        (ENTRIES[1:9] + changed(9, in_channels=4)[9:], "entry 8, 'q': takes 4 channels, but gets"),
    ],
)
def test_a_list_that_contradicts_itself_is_refused_by_entry(entries: list, message: str) -> None:
    with pytest.raises(dc.FormatError, match=re.escape(message)) as caught:
        parse(entries)
    assert str(caught.value).startswith("some.json: ")
    assert len(str(caught.value)) < 250


anything = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)


@given(st.data())
def test_whatever_is_changed_gives_a_network_or_our_error(data) -> None:
    entries = json.loads(json.dumps(ENTRIES))
    for _ in range(data.draw(st.integers(1, 3))):
        entry = data.draw(st.sampled_from(entries))
        key = data.draw(st.sampled_from([*entry, "output", "global", "pad"]))
        blobs = st.lists(st.sampled_from(["data", "c", "norm", "max", "p"]), max_size=2)
        entry[key] = data.draw(anything | st.integers(0, 5) | blobs)
    try:
        network = parse(entries)
    except dc.FormatError:
        return
    if network is not None:
        assert to_definition(network)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Give a .net file of the network above."""
    tensors = {}
    for layer in parse_layers(json.dumps(ENTRIES).encode()):
        one = SharedWeights(np.arange(16, dtype=np.float32), np.ones(1, np.uint8), 4)
        gaps = relindex.encode([layer.size - 1], layer.size, 4)
        tensors[f"{layer.name}.weight"] = dc.CompressedTensor.from_parts(layer.shape, one, gaps)
        tensors[f"{layer.name}.bias"] = np.ones(layer.shape[0], np.float32)
    path = tmp_path / "in.net"
    path.write_bytes(net.write(dc.CompressedModel(tensors)))
    return path


def test_convert_stores_the_network(tmp_path: Path, source: Path) -> None:
    layers, packed, back = (tmp_path / name for name in ("layers.json", "out.dcnn", "back.net"))
    layers.write_text(json.dumps(ENTRIES))
    assert call("convert", source, "--layers", layers, "-o", packed)[0] == 0
    model = dc.load(packed)
    assert model.metadata == {"network": to_definition(NETWORK)}
    NETWORK.check_params(model)
    assert call("convert", packed, "-o", back)[0] == 0
    assert back.read_bytes() == source.read_bytes()
    layers.write_text(json.dumps(ENTRIES[1:]))
    assert call("convert", source, "--layers", layers, "-o", packed)[0] == 0
    assert dc.load(packed).metadata == {}
    layers.write_text(json.dumps(changed(3, inputs=["both"])))
    before = packed.read_bytes()
    error = fails(1, "convert", source, "--layers", layers, "-o", packed)
    assert f"{layers}: entry 3, 'norm': takes 'both', which no entry before it gives" in error
    assert packed.read_bytes() == before
