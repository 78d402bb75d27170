"""What every coder and every code table promises, to be checked of each with its own functions."""

import numpy as np
import pytest

from deepcompress.errors import ArgumentError, FormatError, TruncatedError
from support.strategies import packed


def check_coder(encode, decode, symbols, code):
    """Symbols come back, and neither they nor their types change."""
    before = symbols.copy()
    payload = encode(symbols, code)
    decoded = decode(payload, code, len(symbols))
    np.testing.assert_array_equal(decoded, before)
    np.testing.assert_array_equal(symbols, before)
    assert decoded.dtype == np.uint8
    assert isinstance(payload, bytes)


def check_worked_table(encode, decode, values, bits):
    """A table has the bits that the format's text gives it."""
    values, table = np.array(values, np.uint8), packed(bits)
    assert encode(values) == table
    read, consumed = decode(table, len(values))
    np.testing.assert_array_equal(read, values)
    assert (read.dtype, consumed) == (np.uint8, len(table))


def check_table(encode, decode, values, rest):
    """A table comes back, and what follows it is left alone."""
    table = encode(values)
    read, consumed = decode(table + rest, len(values))
    np.testing.assert_array_equal(read, values)
    assert consumed == len(table)


def check_any_table(encode, decode, data, alphabet):
    """Bytes that are read as a table are those that would be written."""
    try:
        values, consumed = decode(data, alphabet)
    except FormatError:
        return
    assert encode(values) == data[:consumed]


def check_prefixes(encode, decode, values, message):
    """Each strict prefix of a table is refused as cut short."""
    table = encode(values)
    for size in range(len(table)):
        with pytest.raises(TruncatedError, match=message):
            decode(table[:size], len(values))


def check_alphabet(decode, alphabet):
    """An alphabet that is too large, or negative, is refused."""
    with pytest.raises(ArgumentError, match=f"0 to 256 symbols, got {alphabet}"):
        decode(b"", alphabet)
