"""Networks as plain data: back as they were, or one error that names the layer."""

import json
import re
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcompress.errors import ArgumentError, ConfigError, FormatError
from deepcompress.nn import zoo
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
from deepcompress.nn.definition import (
    TYPES,
    from_definition,
    from_metadata,
    to_definition,
    to_metadata,
)
from deepcompress.nn.joins import Add, Multiply
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import BatchNorm, LocalResponseNorm, Scale
from deepcompress.nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.rearranging import Pad, Permute, Reshape
from deepcompress.nn.transposed import ConvTranspose2D

LAYERS = (
    Conv2D("conv", 2, 4, 3, stride=2, padding=1, groups=2),
    BatchNorm("norm", 4, epsilon=0.25),
    Scale("scale", 4),
    MaxPool2D("pool", 3, 2, 1, round_up=True),
    AvgPool2D("mean", 2, 1),
    LocalResponseNorm("lrn", 3, alpha=1e-4, beta=0.5, k=2.0),
    Concat("join"),
    Flatten("flat/é"),
    Linear("ip", 144, 3),
    ReLU("relu"),
    Dropout("drop", 0.25),
    Clip("clip", 0.0, 6.0),
    LeakyReLU("leaky", 0.125),
    Sigmoid("sigmoid"),
    Tanh("tanh"),
    HardSigmoid("ramp", 0.2),
    HardSwish("swish"),
    Softmax("softmax"),
    Reshape("images", (3, 1, 1)),
    ConvTranspose2D("up", 3, 2, (2, 3), 2, (0, 1, 0, 1), dilation=(1, 2), more=(1, 0)),
    Pad("pad", (1, 0, 0, 2)),
    Permute("move", (0, 2, 1)),
    SiLU("silu"),
    GlobalAvgPool2D("mean all"),
    Multiply("gated"),
    Add("sum"),
)
SOURCES = {"gated": ["silu", "mean all"], "sum": ["gated", "silu"]}
NETWORK = Network("all", LAYERS, (2, 11, 11), {"join": ["mean", "lrn", "mean", "lrn"]} | SOURCES)
POOLED = Network("end", (GlobalAvgPool2D("pool"),), (2, 3, 4))


def json_again(value):
    return json.loads(json.dumps(value, allow_nan=False))


def test_every_type_of_layer_is_there():
    assert {type(layer) for layer in NETWORK.layers + POOLED.layers} == set(TYPES.values())


@pytest.mark.parametrize(
    "network", [NETWORK, POOLED, *map(zoo.build, zoo.ZOO)], ids=lambda network: network.name
)
def test_networks_come_back(network):
    again = from_definition(json_again(to_definition(network)))
    assert again == network
    assert again.shapes == network.shapes


def test_a_definition_says_no_more_than_it_has_to():
    assert to_definition(
        Network("all", LAYERS[:7], (2, 11, 11), {"join": ["mean", "lrn"] * 2})
    ) == {
        "name": "all",
        "input_shape": [2, 11, 11],
        "layers": [
            {"type": "Conv2D", "name": "conv", "inputs": 2, "outputs": 4, "kernel": 3}
            | {"stride": 2, "padding": 1, "groups": 2},
            {"type": "BatchNorm", "name": "norm", "channels": 4, "epsilon": 0.25},
            {"type": "Scale", "name": "scale", "channels": 4},
            {"type": "MaxPool2D", "name": "pool", "kernel": 3, "stride": 2}
            | {"padding": 1, "round_up": True},
            {"type": "AvgPool2D", "name": "mean", "kernel": 2, "stride": 1},
            {"type": "LocalResponseNorm", "name": "lrn", "size": 3}
            | {"alpha": 1e-4, "beta": 0.5, "k": 2.0},
            {"type": "Concat", "name": "join", "sources": ["mean", "lrn", "mean", "lrn"]},
        ],
    }


small = st.integers(1, 4)
names = st.text(min_size=1, max_size=5).filter(lambda name: name != "input")


@st.composite
def networks(draw):
    """Chains of what takes any image, with shortcuts into concatenations."""
    layers, sources, shape = [], {}, (2, 40, 40)
    widths = {"input": 2}
    for name in draw(st.lists(names.filter(str.isprintable), max_size=6, unique=True)):
        kernel = draw(small)
        kinds = [
            Conv2D(name, shape[0], 2 * draw(small), 2 * draw(small) - 1, groups=draw(st.just(2))),
            MaxPool2D(name, kernel, draw(small), kernel - 1, draw(st.booleans())),
            LocalResponseNorm(name, alpha=draw(st.floats(0, 10)), k=draw(st.floats(0.1, 9))),
            Dropout(name, draw(st.floats(0, 0.99))),
            ReLU(name),
        ]
        layer = draw(st.sampled_from(kinds))
        try:
            shape = layer.output_shape(shape)
        except ArgumentError:  # the image has become too small
            continue
        layers.append(layer)
        widths[name] = shape[0]
    layers.append(Concat("input end"))
    if draw(st.booleans()):
        sources["input end"] = [layers[-2].name if len(layers) > 1 else "input"] * 3
    return Network(draw(names), tuple(layers), (2, 40, 40), sources)


@given(networks())
def test_any_network_comes_back(network):
    assert from_definition(json_again(to_definition(network))) == network


def test_networks_of_the_zoo_are_named():
    for name in zoo.ZOO:
        assert to_metadata(zoo.build(name)) == name
        assert from_metadata(name) == zoo.build(name)
    assert to_metadata(zoo.build("squeezenet", dropout=0.0)) == "squeezenet"
    other = replace(zoo.build("squeezenet"), input_shape=(3, 224, 224))
    assert to_metadata(other) == to_definition(other)
    assert from_metadata(to_metadata(NETWORK)) == NETWORK
    for name in ("lenet", "x" * 10**6):
        with pytest.raises(ConfigError, match=f"network '{name[:50]}.*: choose from") as caught:
            from_metadata(name)
        assert len(str(caught.value)) < 200
    for value in (None, 5, ["lenet-5"]):
        with pytest.raises(FormatError, match="must be an object"):
            from_metadata(value)


def changed(index, **values):
    """Return a definition of a convolution, ReLU and concatenation, an entry of it changed."""
    definition = to_definition(
        Network(
            "net",
            (Conv2D("conv", 3, 4, 3, padding=1), ReLU("relu"), Concat("join")),
            (3, 8, 8),
            {"join": ["conv", "relu"]},
        )
    )
    entry = definition if index is None else definition["layers"][index]
    for key, value in values.items():
        if value is KeyError:
            del entry[key]
        else:
            entry[key] = value
    return definition


@pytest.mark.parametrize(
    ("definition", "message"),
    [
        ([], "network definition: must be an object, not []"),
        (changed(None, name=KeyError), "network definition: has no name"),
        (changed(None, extra=1), "unknown field 'extra', expected one of ['name', "),
        (changed(None, name=5), "name must be text of 1 to 1024 bytes in UTF-8, not 5"),
        (changed(None, name="é" * 513), "1 to 1024 bytes in UTF-8"),
        (changed(None, name="\ud800"), "1 to 1024 bytes in UTF-8"),
        (changed(None, layers=[]), "'net': layers must be a list of 1 to 10000 entries, not []"),
        (changed(None, layers={}), "layers must be a list of 1 to 10000 entries, not {}"),
        (changed(None, input_shape=[]), "input_shape must be a list of 1 to 10000 entries"),
        (
            changed(None, input_shape=[3, 0, 8]),
            "input_shape must be a whole number, 1 … 2147483647",
        ),
        (changed(None, input_shape=[3, 8.0, 8]), "not 8.0"),
        (changed(None, input_shape=[2**10] * 3), "layer 'conv': input of shape (1024, "),
        (
            changed(None, input_shape=[3, 2**30, 2**30]),
            "'net': inputs of shape (3, 1073741824, 10737418",
        ),
        (changed(None, layers=[5]), "layer 0: must be an object with a type, not 5"),
        (changed(0, type=KeyError), "layer 0, 'conv': must be an object with a type"),
        (changed(0, type=["ReLU"]), "layer 0, 'conv': must be an object with a type"),
        (
            changed(0, type="Layer"),
            "layer 0, 'conv': unknown type 'Layer', expected one of ['Conv2",
        ),
        (changed(0, name=KeyError), "layer 0: has no name"),
        (changed(0, kernel=KeyError), "layer 0, 'conv': has no kernel"),
        (changed(0, several=True), "layer 0, 'conv': unknown field 'several'"),
        (changed(1, kernel=1), "layer 1, 'relu': unknown field 'kernel'"),
        (changed(1, name=""), "layer 1, '': name must be text"),
        (changed(1, name="conv"), "two layers are called 'conv'"),
        (changed(1, name="input"), "a layer is called 'input'"),
        *(
            (
                changed(0, kernel=value),
                "layer 0, 'conv': kernel must be a whole number, 0 … 2147483",
            )
            for value in (True, 3.0, "3", None, [3], -1, 10**12, 2**31, 10**5000)
        ),
        (changed(0, kernel=0), "'net': layer 'conv': sizes, stride and groups must be positive"),
        (changed(0, kernel=2**31 - 1), "layer 'conv': input of shape (3, 8, 8), expected (3, H"),
        (changed(0, padding=2**31 - 1), "layer 'conv': "),
        (changed(0, padding=10**6, stride=10**6), "layer 'conv': padding 1000000 is too large"),
        (changed(0, outputs=2**31 - 1), "layer 'conv': an output of shape (2147483647, 8, 8) is"),
        (changed(0, inputs=4), "layer 'conv': input of shape (3, 8, 8), expected (4, H, W)"),
        (changed(1, sources=["join"]), "layer 'relu': takes 'join', which isn't before it"),
        (changed(1, sources=["x"]), "layer 'relu': takes 'x', which is no layer"),
        (changed(1, sources="conv"), "layer 1, 'relu': sources must be a list of 1 to 10000 entr"),
        (changed(1, sources=[]), "layer 1, 'relu': sources must be a list of 1 to 10000 entries"),
        (changed(1, sources=[["conv"]]), "layer 1, 'relu': a source must be text"),
        (changed(2, sources=["relu"] * 10**5), "layer 2, 'join': sources must be a list of 1"),
        (changed(2, sources=["conv"]), "layer 'relu': no layer takes its output"),
        *(
            (changed(1, type="LocalResponseNorm", alpha=value), "'relu': ")
            for value in (float("nan"), float("inf"), 10**400, -1.0, "1", True, 1e300)
        ),
        *(
            (changed(0, kernel=value), "kernel must be")
            for value in ([3, 3, 3], [3, -1], [3, True], [[3], 3], [], [3] * 9, [3, 10**5000])
        ),
        (
            changed(0, padding=[10**6, 10**6, 0, 0], stride=10**6),
            "layer 'conv': padding (1000000, ",
        ),
        (changed(0, dilation=[1, 10**6]), "layer 'conv': input of shape (3, 8, 8), expected (3, "),
        (changed(1, type="Pad", padding=2**31 - 1), "layer 'relu': "),
        (changed(1, type="Pad", padding=-1), "layer 1, 'relu': padding must be a whole number"),
        (changed(1, type="Reshape", shape=[2**31 - 1] * 8), "layer 'relu': input of shape (4, 8"),
        (changed(1, type="Reshape", shape=[]), "layer 1, 'relu': shape must be a list of 1 to 8"),
        (changed(1, type="Reshape", shape=[0, 4]), "layer 'relu': shape (0, 4) isn't of positive"),
        (changed(1, type="Permute", axes=[0, 1, 1]), "layer 'relu': axes (0, 1, 1) aren't"),
        (changed(1, type="Permute", axes=3), "layer 1, 'relu': axes must be a list"),
        (changed(1, type="Clip", low=2.0, high=1.0), "layer 'relu': low 2.0 is above high 1.0"),
        (changed(1, type="Clip", low="0"), "layer 1, 'relu': low must be a number, not '0'"),
        (changed(2, type="Add", sources=["relu", "input"]), "layer 'join': input of shape (3, 8"),
        (changed(2, type="Multiply", sources=["relu"] * 3), "layer 'join': input of shape (4, 8"),
        *(
            (
                changed(1, type="ConvTranspose2D", inputs=4, outputs=4, **options),
                "layer 'relu': ",
            )
            for options in (
                {"kernel": 2**31 - 1},
                {"kernel": 1, "stride": 2**31 - 1},
                {"kernel": 3 * 10**6 + 1, "padding": 15 * 10**5},
                {"kernel": 2, "dilation": 10**6, "padding": 5 * 10**5},
                {"kernel": 2, "padding": 9},
                {"kernel": 2, "more": 1},
            )
        ),
        *(
            (changed(1, type="MaxPool2D", kernel=2, stride=1, round_up=value), "true or false")
            for value in (1, "no", None)
        ),
    ],
)
def test_definitions_of_no_network_are_refused(definition, message):
    tracemalloc.start()
    with pytest.raises(FormatError, match=re.escape(message)) as caught:
        from_definition(definition)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(caught.value).startswith("network definition")
    assert len(str(caught.value)) < 400
    assert peak < 100e6


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)


@given(st.data())
def test_whatever_is_changed_gives_a_network_or_our_error(data):
    definition = to_definition(NETWORK)
    for _ in range(data.draw(st.integers(1, 3))):
        entry = data.draw(st.sampled_from([definition, *definition["layers"]]))
        key = data.draw(st.sampled_from([*entry, "sources", "stride"]))
        entry[key] = data.draw(anything | st.integers(0, 5) | st.sampled_from(["conv", "ReLU"]))
        if entry is definition:
            break
    try:
        network = from_definition(definition)
    except FormatError:
        return
    assert from_definition(json_again(to_definition(network))) == network


def test_only_layers_that_a_file_can_name_are_written():
    @dataclass(frozen=True)
    class Mine(ReLU):
        pass

    with pytest.raises(ArgumentError, match="layer 'r': Mine isn't a layer that a file can name"):
        to_definition(Network("net", (Mine("r"),), (2,)))
    renamed = type("ReLU", (ReLU,), {})
    with pytest.raises(ArgumentError, match="layer 'r': ReLU isn't a layer"):
        to_definition(Network("net", (renamed("r"),), (2,)))
    with pytest.raises(ArgumentError, match="'net': layer 0, 'i': inputs must be a whole number"):
        to_definition(Network("net", (Linear("i", np.int64(2), 3),), (2,)))
