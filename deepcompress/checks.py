"""Validators of arguments, for the functions that the public calls.

Each returns the argument in one plain form, or raises an error of ours that names it. Booleans
are no numbers here; NumPy's numbers are as good as Python's.
"""

import math
from numbers import Integral, Real
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ArgumentError, shown
from .tensors import MAX_BITS, BoolArray, UInt8Array


def is_whole(value: Any, low: int, high: float = math.inf) -> bool:
    """Tell whether a value is a whole number from `low` to `high`."""
    is_integer = isinstance(value, (int, Integral))  # the common one first, as that is faster
    return is_integer and not isinstance(value, bool) and low <= int(value) <= high


def is_finite(value: Any, low: float = -math.inf, high: float = math.inf) -> bool:
    """Tell whether a value, or a 0-d array's, is real, from `low` to `high`, and fits a float."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    try:
        is_real = isinstance(value, Real) and not isinstance(value, bool)
        return is_real and low <= value <= high and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_name(value: Any, max_bytes: int) -> bool:
    """Tell whether a value is text of 1 to `max_bytes` bytes in UTF-8."""
    try:
        return isinstance(value, str) and 0 < len(value.encode()) <= max_bytes
    except UnicodeEncodeError:  # JSON can spell half a character
        return False


def as_whole_number(
    value: Any,
    name: str,
    low: int,
    high: int | None = None,
    error: type[ArgumentError] = ArgumentError,
) -> int:
    """Return a whole number from `low` to `high` (by default without end) as an int, or raise.

    Examples
    --------
    >>> as_whole_number(np.uint8(3), "jobs", 1)
    3
    >>> as_whole_number(2.5, "bits", 1, 8)
    Traceback (most recent call last):
    deepcompress.errors.ArgumentError: bits must be a whole number from 1 to 8, not 2.5
    """
    if not is_whole(value, low, math.inf if high is None else high):
        end = "on" if high is None else f"to {high}"
        raise error(f"{name} must be a whole number from {low} {end}, not {shown(value)}")
    return int(value)


def as_bits(value: Any, name: str) -> int:
    """Return a width of 1 to 8 bits as an int, or raise ArgumentError."""
    if not is_whole(value, 1, MAX_BITS):
        raise ArgumentError(f"{name} must be an integer from 1 to {MAX_BITS}, got {shown(value)}")
    return int(value)


def as_count(value: Any, name: str = "count") -> int:
    """Return a whole number that isn't negative as an int, or raise ArgumentError."""
    if not is_whole(value, 0):
        raise ArgumentError(f"{name} must be an integer from 0, got {shown(value)}")
    return int(value)


def unmasked(values: Any) -> Any:
    """Return an argument with zeros for what it hides if it is a NumPy masked array."""
    return values.filled(0) if isinstance(values, np.ma.MaskedArray) else values


def as_real_array(values: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """Return an array of real numbers, or raise ArgumentError."""
    try:
        array = np.asarray(unmasked(values))
    except (TypeError, ValueError, RuntimeError) as error:  # whatever another library raises
        raise ArgumentError(f"{name} isn't an array: {error}") from None
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"{name} must be of real numbers, got {array.dtype}")
    return array


def as_uint8(values: npt.ArrayLike, name: str) -> UInt8Array:
    """Return a contiguous array of one axis and dtype uint8, or raise ArgumentError."""
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ArgumentError(
            f"{name} must be a one-dimensional uint8 array, "
            f"got {array.dtype} of shape {array.shape}"
        )
    return np.ascontiguousarray(array)


def as_weights(weights: npt.ArrayLike, mask: BoolArray | None) -> npt.NDArray[np.floating]:
    """Return weights as an array, or raise unless they are floats and the mask has their shape."""
    values = np.asarray(unmasked(weights))
    if values.dtype.kind != "f":
        raise ArgumentError(f"weights must be floating, not {values.dtype}")
    if mask is not None and (mask.shape != values.shape or mask.dtype != np.bool_):
        raise ArgumentError(
            f"mask must be bool of shape {values.shape}, not {mask.dtype} of {mask.shape}"
        )
    return values
