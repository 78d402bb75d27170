"""Nested objects of tensors, from JSON; PyTorch's own part is a stand-in."""

import json
from collections import OrderedDict
from typing import Any

from deepcompress.errors import FormatError
from deepcompress.files import strict_json
from deepcompress.formats import structure

from .limits import limited, outcome, require

NAMES = {"a": None, "b.0": None, "w": None}


def leaf(kind: str, form: Any) -> Any:
    if kind != "tensor" or form["tensor"] not in NAMES:
        raise FormatError("nothing")
    return frozenset([form["tensor"]])  # of a type that no form has


def encode(value: Any, name: str) -> Any:
    (found,) = value
    return {"tensor": found}


def test_one_input(data: bytes) -> None:
    def read() -> Any:
        try:
            form = strict_json.parse(data)
        except ValueError as error:
            raise FormatError(str(error)) from None
        try:
            return form, structure.Decoder(leaf, NAMES).decoded(form)
        except (RecursionError, TypeError) as error:
            require(isinstance(error, RecursionError) or "unhashable" in str(error), str(error))
            raise FormatError(str(error)) from None

    with limited("decoding"):
        found, _ = outcome(read)
    if found is None:
        return
    value = found[1]
    again = structure.encoded(value, encode)
    json.dumps(again, allow_nan=False)
    require(is_same(structure.Decoder(leaf, NAMES).decoded(again), value), "objects differ")


def is_same(one: Any, two: Any) -> bool:
    if type(one) is not type(two):
        return False
    if isinstance(one, dict):
        if type(one) is OrderedDict and not is_same(vars(one), vars(two)):
            return False
        return is_same(list(one.items()), list(two.items()))
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(map(is_same, one, two))
    return repr(one) == repr(two) if isinstance(one, (float, complex)) else bool(one == two)
