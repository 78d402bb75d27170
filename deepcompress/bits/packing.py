"""Fixed-width integers of 1 to 8 bits, packed into bytes without gaps between them.

The one bit-order decision of the project lives here: a bit string is stored
least significant bit first, so value ``i`` of width ``b`` occupies bits
``[i*b, (i+1)*b)`` of the little-endian integer that the bytes spell. Of two
4-bit values in a byte, the first is the low nibble. Unused high bits of the
last byte are zero, and a reader insists on it, so that equal values have
exactly one packed form.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..errors import ArgumentError, FormatError, TruncatedError
from ..tensors import MAX_BITS, UInt8Array


def pack(values: npt.ArrayLike, bits: int) -> UInt8Array:
    """Pack unsigned integers into ``bits`` bits each.

    Parameters
    ----------
    values : array_like of shape (n,), dtype uint8
        Each ``< 2**bits``.
    bits : int
        Width of a value, 1 to 8.

    Returns
    -------
    ndarray of shape (ceil(n * bits / 8),), uint8

    Raises
    ------
    ArgumentError
        If `bits` is out of range, or `values` isn't a one-dimensional uint8
        array of values that fit the width.

    Examples
    --------
    >>> pack(np.array([1, 2, 7, 2], np.uint8), 3).tolist()  # 0b010_111_010_001
    [209, 5]
    """
    bits = check_bits(bits, "bits")
    values = as_uint8(values, "values")
    if values.size and values.max() >> bits:
        raise ArgumentError(f"value {values.max()} doesn't fit in {bits} bits")
    if native.active():
        return native.pack(values, bits, packed_size(bits, len(values)))
    return _pack(values, bits)


def unpack(packed: npt.ArrayLike, bits: int, count: int) -> UInt8Array:
    """Undo `pack`.

    Parameters
    ----------
    packed : array_like of shape (ceil(count * bits / 8),), dtype uint8
    bits : int
        Width of a value, 1 to 8.
    count : int
        Number of values, ``>= 0``.

    Returns
    -------
    ndarray of shape (count,), uint8

    Raises
    ------
    ArgumentError
        If `bits` or `count` is out of range, or `packed` isn't a
        one-dimensional uint8 array.
    TruncatedError, FormatError
        If `packed` is shorter or longer than `count` values need, or a padding
        bit is set.

    Examples
    --------
    >>> unpack(np.array([209, 5], np.uint8), 3, 4).tolist()
    [1, 2, 7, 2]
    """
    bits = check_bits(bits, "bits")
    packed = as_uint8(packed, "packed")
    check_packed(packed, bits, count)
    if native.active():
        return native.unpack(packed, bits, count)
    return _unpack(packed, bits, count)


def fixed_width(largest: int) -> int:
    """Return w(n), the width of symbols up to `largest`."""
    return max(1, largest.bit_length())


def packed_size(bits: int, count: int) -> int:
    """Return the number of bytes that ``count`` values of ``bits`` bits take."""
    return (count * bits + 7) // 8


def check_packed(packed: UInt8Array, bits: int, count: int) -> None:
    """Raise unless `packed` has the length and the zero padding of ``count`` values."""
    check_count(count)
    expected = packed_size(bits, count)
    if len(packed) != expected:
        kind = TruncatedError if len(packed) < expected else FormatError
        raise kind(f"{count} values of {bits} bits need {expected} packed bytes, got {len(packed)}")
    used = count * bits % 8
    if used and packed[-1] >> used:
        raise FormatError(f"padding bits of the last packed byte 0x{packed[-1]:02x} aren't zero")


def check_count(count: int) -> None:
    """Raise `ArgumentError` unless `count` is an integer that isn't negative."""
    if not isinstance(count, int | np.integer) or count < 0:
        raise ArgumentError(f"count must be an integer from 0, got {count!r}")


def check_bits(bits: int, name: str) -> int:
    """Return `bits` as an int, or raise `ArgumentError` unless it is a width of 1 to 8."""
    if not isinstance(bits, int | np.integer) or not 1 <= bits <= MAX_BITS:
        raise ArgumentError(f"{name} must be an integer from 1 to {MAX_BITS}, got {bits!r}")
    return int(bits)


def as_uint8(values: npt.ArrayLike, name: str) -> UInt8Array:
    """Return `values` as a contiguous array, or raise unless it is 1-D and uint8."""
    array = np.asarray(values)
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ArgumentError(
            f"{name} must be a one-dimensional uint8 array, "
            f"got {array.dtype} of shape {array.shape}"
        )
    return np.ascontiguousarray(array)


def _pack(values: UInt8Array, bits: int) -> UInt8Array:
    """Pack; arguments validated by `pack`."""
    each = np.unpackbits(values[:, np.newaxis], axis=1, count=bits, bitorder="little")
    return np.packbits(each, bitorder="little")


def _unpack(packed: UInt8Array, bits: int, count: int) -> UInt8Array:
    """Unpack; arguments validated by `unpack`."""
    each = np.unpackbits(packed, count=count * bits, bitorder="little").reshape(count, bits)
    return np.packbits(each, axis=1, bitorder="little")[:, 0]
