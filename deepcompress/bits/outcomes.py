"""What becomes of coded streams that are decoded side by side: each has symbols, or an error."""

from collections.abc import Callable
from typing import Any

from ..errors import FormatError
from ..tensors import UInt8Array

Outcome = UInt8Array | FormatError


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
