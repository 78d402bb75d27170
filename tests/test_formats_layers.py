"""The list of layers beside a .net file: read as it is meant, or one error that names the entry."""

import json
import re
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

import deepcompress as dc
from deepcompress.formats.layers import WeightLayer, load_layers, parse_layers

CONV = {"name": "c", "type": "Convolution", "out_channels": 8, "in_channels": 4, "kernel": 3}
DENSE = {"name": "f", "type": "InnerProduct", "out_channels": 8, "in_channels": 4}
HUGE = 1 << 22


def without(key: str) -> dict:
    return {name: value for name, value in CONV.items() if name != key}


def test_layers_with_weights_are_kept_in_order(tmp_path: Path) -> None:
    path = tmp_path / "layers.json"
    entries = [DENSE, {"name": "c", "type": "ReLU", "kernel": None}, CONV]
    grouped = CONV | {"name": "g/1", "group": 2, "stride": 2, "inputs": ["c"]}
    path.write_text(json.dumps([*entries, grouped]))
    assert load_layers(path) == (
        WeightLayer("f", (8, 4)),
        WeightLayer("c", (8, 4, 3, 3)),
        WeightLayer("g/1", (8, 2, 3, 3)),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON: Expecting value"),
        (b"\xff\xfe\xfd", "not JSON: "),
        (b"[" * 100_000, "not JSON: "),
        (b'[{"name": 1, "name": 2}]', "an object has the key 'name' twice"),
        (b"[%s]" % (b"1" * 5000), "not JSON: "),
        ({"c": CONV}, "must be a list of layers, not a dict"),
        ([], "no layer in it has weights (Convolution or InnerProduct)"),
        ([{"name": "r", "type": "ReLU"}], "no layer in it has weights"),
        ([CONV, 5], "entry 1: must be an object"),
        ([without("name")], "entry 0: has no name"),
        ([CONV | {"name": 7}], "entry 0: name must be text, not 7"),
        ([CONV | {"name": ""}], "entry 0, '': a name must have 1 to 1024 bytes"),
        ([CONV | {"name": "é" * 513}], "…: a name must have 1 to 1024 bytes"),
        ([CONV | {"name": "\ud800"}], r"entry 0, '\ud800': a name must have"),
        ([without("type")], "entry 0, 'c': has no type"),
        ([CONV | {"type": None}], "entry 0, 'c': type must be text, not None"),
        ([DENSE, CONV, DENSE], "entry 2, 'f': a layer before it has the same name"),
        *(([without(key)], f"entry 0, 'c': has no {key}") for key in ("kernel", "in_channels")),
        *(
            (
                [CONV | {key: value}],
                f"entry 0, 'c': {key} must be a whole number from 1 on, not {shown}",
            )
            for key in ("out_channels", "in_channels", "kernel", "group")
            for value, shown in (
                (0, "0"),
                (-1, "-1"),
                (True, "True"),
                (3.0, "3.0"),
                ("3", "'3'"),
                (None, "None"),
                ([3] * 99, "[" + "3, " * 19 + "3,…"),
                (2**63, str(2**63)),
            )
        ),
        ([CONV | {"group": 3}], "entry 0, 'c': 3 groups don't divide 4 channels in, 8 out"),
        ([CONV | {"group": 4, "out_channels": 6}], "4 groups don't divide 4 channels in, 6 out"),
        ([CONV | {"group": 8}], "8 groups don't divide 4 channels in"),
        ([CONV | {"kernel": HUGE, "in_channels": HUGE}], "has 2**63 elements or more"),
    ],
)
def test_a_malformed_list_is_refused_by_entry(content, message: str) -> None:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(dc.FormatError, match=re.escape(message)) as caught:
        parse_layers(data, "some.json")
    assert str(caught.value).startswith("some.json: ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("a", (1, 2, 3)),
        ("a", [1, 2]),
        ("a", (1, 0)),
        ("a", (1, 10**5000)),
        (5, (1, 2)),
        ("", (1, 2)),
    ],
)
def test_a_layer_without_sense_is_refused(name, shape) -> None:
    with pytest.raises(dc.ArgumentError):
        WeightLayer(name, shape)


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(dc.DataError, match="absent"):
        load_layers(tmp_path / "absent")


values = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3)
entries = st.dictionaries(
    st.sampled_from([*CONV, "group"]), values | st.sampled_from(["Convolution", "InnerProduct"])
)


@settings(max_examples=50)
@given(st.lists(entries | st.builds(lambda entry: CONV | entry, entries) | values, max_size=4))
def test_any_json_gives_layers_or_our_error(content: list) -> None:
    data = json.dumps(content).encode()
    try:
        layers = parse_layers(data)
    except dc.FormatError as error:
        message = str(error)
    else:
        assert layers
        assert all(isinstance(layer, WeightLayer) for layer in layers)
        return
    assert message.startswith("layers: ")


def test_every_strict_prefix_is_refused() -> None:
    data = json.dumps([CONV, DENSE]).encode()
    for length in range(len(data)):
        with pytest.raises(dc.FormatError, match="not JSON"):
            parse_layers(data[:length])
