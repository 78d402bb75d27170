"""Symbols of one byte, and how often each occurs, with which every coder begins."""

import numpy as np
import numpy.typing as npt

from .. import native
from ..errors import ArgumentError
from ..native import bits as native_bits
from ..tensors import BoolArray, Int64Array, UInt8Array

MAX_ALPHABET = 256
COUNT_BITS = 51  # of a count at most: 256 counts of 12 bits each sum up within an int64


def histogram(symbols: UInt8Array) -> Int64Array:
    """Return how often each of the 256 symbols there can be occurs."""
    if native.active():
        return native_bits.histogram(symbols)
    return np.bincount(symbols, minlength=MAX_ALPHABET)


def first_beyond(symbols: UInt8Array, used: BoolArray) -> int | None:
    """Return the lowest symbol that occurs beyond those of an alphabet that are used, or None.

    Parameters
    ----------
    symbols : ndarray of uint8
    used : ndarray of shape (A,), bool
        Whether a symbol of the alphabet may occur, ``A <= 256``. Others may not.

    Returns
    -------
    int or None

    Examples
    --------
    >>> first_beyond(np.array([2, 1, 5, 0], np.uint8), np.array([True, False, True]))
    1
    """
    # Far sooner than to count them; and where no symbol of the alphabet is amiss, the largest says.
    if native.active():
        if used.all() and symbols.max(initial=0) < len(used):
            return None
        flags = np.ones(MAX_ALPHABET, np.uint8)
        flags[: len(used)] -= used
        if not native_bits.occurs(symbols, flags):
            return None
    counts = histogram(symbols)
    counts[: len(used)][used] = 0
    beyond = np.flatnonzero(counts)
    return int(beyond[0]) if beyond.size else None


def check_counts(counts: npt.ArrayLike) -> Int64Array:
    """Return `counts` as int64, or raise `ArgumentError`."""
    array = np.asarray(counts)
    if array.ndim != 1 or array.size > MAX_ALPHABET:
        raise ArgumentError(
            f"counts must be those of at most {MAX_ALPHABET} symbols, got shape {array.shape}"
        )
    if array.size and (not np.issubdtype(array.dtype, np.integer) or array.min() < 0):
        raise ArgumentError("counts must be integers that are not negative")
    if array.size and array.max() >> COUNT_BITS:
        raise ArgumentError(f"counts must be less than 2**{COUNT_BITS}, got {array.max()}")
    return array.astype(np.int64)
