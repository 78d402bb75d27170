"""Fixed-width values in bytes: the project's one bit order."""

import numpy as np
import pytest
from hypothesis import given
from support.strategies import packable

from deepcompress.bits import packing
from deepcompress.errors import ArgumentError, FormatError, TruncatedError


def u8(*values):
    return np.array(values, np.uint8)


@given(packable())
def test_the_bytes_spell_the_values_as_one_little_endian_integer(case):
    bits, values = case
    packed = packing.pack(values, bits)
    expected = sum(int(value) << (i * bits) for i, value in enumerate(values))
    assert int.from_bytes(packed.tobytes(), "little") == expected
    assert packed.dtype == np.uint8
    assert len(packed) == packing.packed_size(bits, len(values)) == -(-len(values) * bits // 8)


@given(packable())
def test_unpack_undoes_pack(case):
    bits, values = case
    before = values.copy()
    unpacked = packing.unpack(packing.pack(values, bits), bits, len(values))
    np.testing.assert_array_equal(unpacked, before)
    np.testing.assert_array_equal(values, before)
    assert unpacked.dtype == np.uint8


@pytest.mark.parametrize(
    ("values", "bits", "packed"),
    [
        ((), 5, ""),
        ((1,), 1, "01"),
        ((1, 0, 1, 1, 0, 0, 0, 0, 1), 1, "0d01"),
        ((0xA, 0xB, 0xC), 4, "ba0c"),  # of two nibbles, the first is the low one
        ((1, 2, 7, 2), 3, "d105"),  # 0b010_111_010_001: the third value spans two bytes
        ((255, 0, 18), 8, "ff0012"),
    ],
)
def test_layout(values, bits, packed):
    assert packing.pack(u8(*values), bits).tobytes().hex() == packed


def test_strided_values_pack_as_their_copies():
    values = np.arange(16, dtype=np.uint8)
    np.testing.assert_array_equal(packing.pack(values[::3], 4), packing.pack(values[::3].copy(), 4))


@pytest.mark.parametrize(
    ("packed", "bits", "count", "error", "message"),
    [
        (u8(), 3, 1, TruncatedError, "1 values of 3 bits need 1 packed bytes, got 0"),
        (u8(1), 3, 3, TruncatedError, "3 values of 3 bits need 2 packed bytes, got 1"),
        (u8(1, 0), 3, 2, FormatError, "2 values of 3 bits need 1 packed bytes, got 2"),
        (u8(0), 3, 0, FormatError, "0 values of 3 bits need 0 packed bytes, got 1"),
        (u8(0x40), 3, 2, FormatError, "padding bits of the last packed byte 0x40 aren't zero"),
        (u8(0), 3, -1, ArgumentError, "count must be an integer from 0, got -1"),
        (u8(0), 3, 2.0, ArgumentError, "count must be an integer from 0, got 2.0"),
        (u8(0), 0, 8, ArgumentError, "bits must be an integer from 1 to 8, got 0"),
        (u8(0), 9, 0, ArgumentError, "bits must be an integer from 1 to 8, got 9"),
        (np.zeros(1, np.int64), 3, 2, ArgumentError, "one-dimensional uint8 array, got int64"),
        (np.zeros((1, 1), np.uint8), 3, 2, ArgumentError, r"of shape \(1, 1\)"),
    ],
)
def test_unpack_rejects(packed, bits, count, error, message):
    with pytest.raises(error, match=message) as caught:
        packing.unpack(packed, bits, count)
    assert caught.type is error


@pytest.mark.parametrize(
    ("values", "bits", "message"),
    [
        (u8(0, 8, 1), 3, "value 8 doesn't fit in 3 bits"),
        (u8(0), 1.0, "bits must be an integer from 1 to 8, got 1.0"),
        (np.zeros(3), 3, "values must be a one-dimensional uint8 array, got float64"),
    ],
)
def test_pack_rejects(values, bits, message):
    with pytest.raises(ArgumentError, match=message):
        packing.pack(values, bits)
