"""Reads JSON of unknown origin, without the extensions that Python's parser accepts."""

import json
import math
from typing import Any


def parse(text: str | bytes, unique: bool = False) -> Any:
    """Return the value of a JSON text; `unique` refuses objects that have a name twice.

    Raises
    ------
    ValueError
        If it isn't JSON, is nested too deeply, or has a number that is NaN, infinite, or
        beyond the range of a float, so that every value can be written again.

    Examples
    --------
    >>> parse('{"a": [1, 0.5]}')
    {'a': [1, 0.5]}
    """
    try:
        pairs = _unique if unique else None
        return json.loads(
            text, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=pairs
        )
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} has no JSON form")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for name, one in pairs:
        if name in value:
            raise ValueError(f"the name {name[:80]!r} is there twice")
        value[name] = one
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value
