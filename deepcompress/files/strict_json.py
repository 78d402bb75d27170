"""Reads JSON of unknown origin, and nothing that Python's parser takes beyond it."""

import json
import math
from typing import Any


def parse(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises
    ------
    ValueError
        If it isn't JSON, is nested too deeply, or has a number that is NaN, infinite, or
        beyond the range of a float: what is read can be written again.

    Examples
    --------
    >>> parse('{"a": [1, 0.5]}')
    {'a': [1, 0.5]}
    """
    try:
        return json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} has no JSON form")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value
