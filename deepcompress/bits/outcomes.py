"""What becomes of coded streams that are decoded side by side: each has symbols, or an error."""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .. import native
from ..errors import FormatError
from ..tensors import UInt8Array

Outcome = UInt8Array | FormatError
Payload = bytes | memoryview | UInt8Array


def outcomes_of(
    codes: Sequence[npt.NDArray[Any]],
    streams: Sequence[tuple[Payload, int, int]],
    known: Callable[[UInt8Array, bool, int], Outcome | None],
    in_c: Callable[[Any, Any], list[Outcome]],
    in_python: Callable[[UInt8Array, Any, int], UInt8Array],
) -> list[Outcome]:
    """Decode streams of (payload, index of the code, count) with the backend in use.

    `known` takes payload, whether the code has no symbol, and count. It returns what is the outcome
    whatever the bits are, or None where they must be read: by `in_c`, many at once, or `in_python`.
    """
    is_empty = [not code.any() for code in codes]
    views = [(np.frombuffer(payload, np.uint8), code, count) for payload, code, count in streams]
    outcomes = [known(data, is_empty[code], count) for data, code, count in views]
    left = [i for i, outcome in enumerate(outcomes) if outcome is None]
    if native.active():
        for i, decoded in zip(left, in_c(codes, [views[i] for i in left]), strict=True):
            outcomes[i] = decoded
    else:
        for i in left:
            data, code, count = views[i]
            outcomes[i] = outcome_of(in_python, data, codes[code], count)
    return cast("list[Outcome]", outcomes)


def outcome_of(decode: Callable[..., UInt8Array], *arguments: Any) -> Outcome:
    """Return the symbols that `decode` returns, or the error that it raises."""
    try:
        return decode(*arguments)
    except FormatError as error:
        return error


def symbols_of(outcome: Outcome) -> UInt8Array:
    """Return the symbols of a stream, or raise its error."""
    if isinstance(outcome, FormatError):
        raise outcome
    return outcome
