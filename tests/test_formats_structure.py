"""Nested objects of tensors <-> JSON, without PyTorch: a tensor is a `Leaf` here."""

import json
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest

from deepcompress.errors import ArgumentError, FormatError
from deepcompress.formats import structure


@dataclass(frozen=True)
class Leaf:
    """Stands for a tensor."""

    name: str


def encoded(value: Any) -> Any:
    def leaf(one: Any, name: str) -> Any:
        if not isinstance(one, Leaf):
            raise structure.refused(one, name)
        return {"tensor": name}

    return json.loads(json.dumps(structure.encoded(value, leaf), sort_keys=True, allow_nan=False))


def decoded(form: Any, names: Any = None) -> Any:
    def leaf(kind: str, form: Any) -> Any:
        if kind != "tensor":
            raise FormatError(f"nothing has the form {form}")
        return Leaf(form["tensor"])

    known = names or {leaf["tensor"]: None for leaf in structure.leaves(form)}
    return structure.Decoder(leaf, known).decoded(form)


VALUES = [
    *(None, True, False, 0, -(2**70), "", "é\ud800", 0.5, -0.0, math.inf, -math.inf, 1e300, 1.0),
    *(1 + 2j, complex(-0.0, math.inf), b"\0\xff", bytearray(b"x"), {1, 2}, set(), (), [], {}),
    *([1, (2, [3, ()])], {0: "int", "0": "text", (1, 2): None, None: 1, 0.5: 2}, OrderedDict(b=1)),
]


def same(one: Any, two: Any) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        return vars_of(one) == vars_of(two) and same(list(one.items()), list(two.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(same, one, two))
    return repr(one) == repr(two) if isinstance(one, (float, complex)) else one == two


def vars_of(value: Any) -> Any:
    return vars(value) if isinstance(value, OrderedDict) else None


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_values_come_back(value: Any) -> None:
    assert same(decoded(encoded(value)), value)


def test_not_a_number_comes_back() -> None:
    assert math.isnan(decoded(encoded([math.nan]))[0])


def test_a_checkpoint() -> None:
    state = OrderedDict({"w": Leaf("model_state.w"), "b": Leaf("model_state.b")})
    state._metadata = OrderedDict({"": {"version": 1}})
    moments = {0: {"step": Leaf("optim.state.0.step")}, 1: {}}
    groups = [{"lr": 0.1, "betas": (0.9, 0.99), "params": [0, 1]}]
    value = {
        "model_state": state,
        "optim": {"state": moments, "param_groups": groups},
        "many": [Leaf("many.0"), (Leaf("many.1.0"),)],
        "epoch": 3,
    }
    form = encoded(value)
    assert same(decoded(form), value)
    assert decoded(form)["model_state"]._metadata == state._metadata
    names = [leaf["tensor"] for leaf in structure.leaves(form)]
    assert sorted(names) == sorted(
        ["model_state.w", "model_state.b", "optim.state.0.step", "many.0", "many.1.0"]
    )
    states = list(structure.optimizer_states(form))
    assert [leaf["tensor"] for one in states for leaf in structure.leaves(one)] == [
        "optim.state.0.step"
    ]
    assert same(decoded(structure.part(form, "model_state")), {"model_state": state})
    below = decoded(structure.part(form, "model_state.w"))
    assert same(list(below["model_state"]), ["w"])
    assert same(decoded(structure.part(form, "optim.state.0"))["optim"]["state"], {0: moments[0]})


def test_an_original_and_its_mask_are_one_tensor_now() -> None:
    form = encoded({"w_orig": Leaf(""), "w_mask": Leaf(""), "b_orig": Leaf(""), "c_mask": Leaf("")})
    names = {"w": None, "b_orig": None, "c_mask": None}
    made = decoded(form, names)
    assert made == {"w": Leaf("w"), "b_orig": Leaf("b_orig"), "c_mask": Leaf("c_mask")}


@pytest.mark.parametrize("value", [object(), {"a": range(3)}, [print], {"deep": {"er": object()}}])
def test_what_has_no_form_is_named(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"holds a .*; save tensors and plain values alone"):
        encoded(value)


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"x": 1},
        {"tuple": [], "set": []},
        {"tuple": 1},
        {"dict": {}},
        {"dict": [1]},
        {"dict": [[1]]},
        {"dict": [[[], 1]]},
        {"dict": [[{"dict": []}, 1]]},
        {"set": [[1]]},
        {"float": "1"},
        {"float": []},
        {"complex": [1, 2]},
        {"complex": [0.5]},
        {"bytes": "x"},
        {"bytes": "é"},
        {"bytes": 1},
        {"ordered": [], "attributes": 1},
        {"ordered": [], "attributes": {"dict": [[1, 2]]}},
        {"size": [1]},
    ],
    ids=repr,
)
def test_forms_of_nothing(form: Any) -> None:
    for one in (form, [form], {"dict": [["key", form]]}):
        with pytest.raises(FormatError):
            decoded(one)
