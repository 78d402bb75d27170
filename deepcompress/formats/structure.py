"""Nested objects of tensors and plain values <-> JSON and flat names, for PyTorch's checkpoints.

A dict, a list or a tuple within another adds to a tensor's name, with dots between. In JSON,
``None``, booleans, whole numbers, finite floats, text and lists stand for themselves; everything
else is an object with one key that names its type:

- ``{"dict": [[key, value], …]}``, so ``"ordered"`` of an OrderedDict; with ``"attributes"`` beside
  it if that has some, as a state dict has its versions. Keys are values themselves: 0 isn't "0".
- ``{"tuple": […]}``, ``"set"``, ``"size"`` (a torch.Size), ``"bytes"`` (in base64), ``"float"``
  (``"nan"``, ``"inf"``, ``"-inf"``), ``"complex"`` (a pair of them), ``"dtype"``, ``"device"``.
- ``{"tensor": name}``, beside which may be ``"parameter"`` and ``"grad"`` (whether a gradient is
  required), ``"same"`` (the name of an earlier tensor of the same storage) and ``"attributes"``.
"""

import base64
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ..errors import ArgumentError, FormatError, shown

SEPARATOR = "."
ONE_NAME = "tensor"  # of a tensor that is the whole object
ORIG, MASK = "_orig", "_mask"  # of PyTorch's pruning, which are one tensor in a .dcnn file

KINDS = (
    *("dict", "ordered", "tuple", "set", "float", "complex", "bytes", "bytearray"),
    *("size", "dtype", "device", "tensor"),
)

Encode = Callable[[Any, str], Any]
Decode = Callable[[str, Any], Any]


def encoded(value: Any, leaf: Encode, name: str = "") -> Any:
    """Return an object's form in JSON.

    Parameters
    ----------
    value : object
    leaf : callable
        Takes what isn't of Python, and its name, and returns its form, or raises.
    name : str
        The object's own.
    """
    if value is None or isinstance(value, (bool, str)) or type(value) is int:
        return value
    if type(value) is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if type(value) is complex:
        return {"complex": [encoded(part, leaf) for part in (value.real, value.imag)]}
    if type(value) in (bytes, bytearray):
        return {type(value).__name__: base64.b64encode(value).decode()}
    if type(value) in (dict, OrderedDict):
        items = [
            [encoded(key, leaf), encoded(one, leaf, below(name, key))] for key, one in value.items()
        ]
        form: dict[str, Any] = {"dict" if type(value) is dict else "ordered": items}
        if type(value) is OrderedDict and vars(value):
            form["attributes"] = encoded(vars(value), leaf, below(name, "attributes"))
        return form
    if type(value) in (list, tuple):
        values = [encoded(one, leaf, below(name, index)) for index, one in enumerate(value)]
        return values if type(value) is list else {"tuple": values}
    if type(value) is set:
        return {"set": [encoded(one, leaf) for one in sorted(value, key=repr)]}
    return leaf(value, name)


def below(name: str, key: Any) -> str:
    """Return the name of what a key holds within the object of a name."""
    return f"{name}{SEPARATOR}{key}" if name else str(key)


class Decoder:
    """Makes objects of their forms, none of which is trusted.

    Parameters
    ----------
    leaf : callable
        Takes the one key of an object, and the object, if it stands for something of PyTorch.
    names : mapping
        Those of all tensors.
    """

    def __init__(self, leaf: Decode, names: Mapping[str, Any]) -> None:
        self._leaf, self._names = leaf, names

    def decoded(self, form: Any) -> Any:
        """Return the object; raise FormatError if there is none of this form."""
        if form is None or isinstance(form, (bool, str, int, float)):
            return form
        if isinstance(form, list):
            return [self.decoded(one) for one in form]
        kind, value = _kind(form)
        if kind in ("dict", "ordered"):
            return self._dict(form, kind)
        if kind in ("tuple", "set"):
            values = [self.decoded(one) for one in _list(value)]
            return tuple(values) if kind == "tuple" else {_hashable(one) for one in values}
        if kind == "float" and value in ("nan", "inf", "-inf"):
            return float(value)
        if kind == "complex" and isinstance(value, list) and len(value) == 2:
            real, imaginary = map(self.decoded, value)
            if isinstance(real, float) and isinstance(imaginary, float):
                return complex(real, imaginary)
        if kind in ("bytes", "bytearray") and isinstance(value, str):
            try:
                data = base64.b64decode(value, validate=True)
            except ValueError as error:
                raise FormatError(f"not base64: {error}") from None
            return data if kind == "bytes" else bytearray(data)
        return self._leaf(kind, form)

    def _dict(self, form: Mapping[str, Any], kind: str) -> Any:
        made: dict[Any, Any] = {} if kind == "dict" else OrderedDict()
        for item in _list(form[kind]):
            if not isinstance(item, list) or len(item) != 2:
                raise FormatError(f"not a key and a value: {shown(item)}")
            key, value = self._entry(_hashable(self.decoded(item[0])), item[1])
            if value is not _DROPPED:
                made[key] = self.decoded(value)
        if kind == "ordered" and "attributes" in form:
            attributes = self.decoded(form["attributes"])
            if not isinstance(attributes, dict) or not all(isinstance(k, str) for k in attributes):
                raise FormatError(f"attributes aren't names and values: {shown(attributes)}")
            vars(made).update(attributes)
        return made

    def _entry(self, key: Any, form: Any) -> tuple[Any, Any]:
        """Return key and form of an entry: others where a mask was put into its original."""
        name = form.get("tensor") if isinstance(form, dict) else None
        if not isinstance(name, str) or name in self._names or not isinstance(key, str):
            return key, form
        for suffix in (ORIG, MASK):
            whole = name.removesuffix(suffix)
            if whole != name and whole in self._names:
                form = _DROPPED if suffix == MASK else {**form, "tensor": whole}
                return key.removesuffix(suffix), form
        return key, form


_DROPPED = object()


def part(form: Any, prefix: str, name: str = "") -> Any:
    """Return the form of an object with those entries of dicts alone that a name leads to.

    Entries beside the way to `prefix` are left out; what it names is whole.
    """
    if name == prefix or not isinstance(form, dict):
        return form
    for kind in ("dict", "ordered"):
        if kind in form:
            kept = [
                [key, part(value, prefix, below(name, key))]
                for key, value in form[kind]
                if _leads(below(name, key), prefix)
            ]
            return {**form, kind: kept}
    return form


def _leads(name: str, prefix: str) -> bool:
    """Tell whether a name is on the way to another, or below it."""
    shorter, longer = sorted((name, prefix), key=len)
    return longer == shorter or longer.startswith(shorter + SEPARATOR)


def leaves(form: Any) -> Iterator[dict[str, Any]]:
    """Yield the objects that stand for tensors, in their order."""
    if isinstance(form, list):
        for one in form:
            yield from leaves(one)
    elif isinstance(form, dict):
        if "tensor" in form:
            yield form
        for value in form.values():
            yield from leaves(value)


def optimizer_states(form: Any) -> Iterator[Any]:
    """Yield the forms of dicts that have an optimizer's state and groups of parameters."""
    if isinstance(form, list):
        for one in form:
            yield from optimizer_states(one)
    elif isinstance(form, dict):
        keys = [key for key, _ in form.get("dict", ()) if isinstance(key, str)]
        if {"state", "param_groups"} <= set(keys):
            yield form
        else:
            for value in form.values():
                yield from optimizer_states(value)


def _kind(form: Any) -> tuple[str, Any]:
    """Return the key that says what an object stands for, and its value."""
    kinds = [kind for kind in KINDS if kind in form] if isinstance(form, dict) else []
    if len(kinds) != 1:
        raise FormatError(f"nothing has the form {shown(form)}")
    return kinds[0], form[kinds[0]]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FormatError(f"not a list: {shown(value)}")
    return value


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        raise FormatError(f"not a key: {shown(value)}") from None
    return value


def refused(value: Any, name: str) -> ArgumentError:
    """Return the error for an object that has no form."""
    where = f" ({name[:60]!r})" if name else ""
    return ArgumentError(
        f"holds a {type(value).__name__}{where}; save tensors and plain values alone"
    )
