"""The stored table of code lengths: worked examples, both directions, malformed tables."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.contract import (
    check_alphabet,
    check_any_table,
    check_prefixes,
    check_table,
    check_worked_table,
)
from support.strategies import counts, packed

from deepcompress.errors import FormatError
from deepcompress.huffman import codes, table

EXAMPLES = [
    ([], ""),
    ([0], "110 1"),  # a run of one
    ([0, 0, 0, 0, 0], "110 00101"),  # Elias gamma of five
    ([1], "111 1 10"),  # 3 less than the first `previous`, 4
    ([1, 1], "111 1 10 0"),
    ([3, 3, 2, 2, 2], "101 0 101 0 0"),
    ([4, 0, 0, 3, 1, 2, 4], "0 110 010 101 111 1 0 100 111 0 0"),
    ([1, 0, 1], "111 1 10 110 1 0"),  # a run leaves `previous` alone
    ([0] * 255 + [1], "110 0000000 11111111 111 1 10"),
]


TABLE = table.encode_lengths, table.decode_lengths


@pytest.mark.parametrize(("lengths", "bits"), EXAMPLES)
def test_worked_examples(lengths, bits):
    check_worked_table(*TABLE, lengths, bits)


@given(counts(), st.binary(max_size=3))
def test_decode_undoes_encode_and_leaves_the_rest(counts, rest):
    check_table(*TABLE, codes.code_lengths(counts), rest)


@given(st.binary(max_size=6), st.integers(0, 8))
def test_any_table_that_is_read_is_what_would_be_written(data, alphabet):
    check_any_table(*TABLE, data, alphabet)


@given(counts())
def test_every_strict_prefix_is_truncated(counts):
    lengths = codes.code_lengths(counts)
    check_prefixes(*TABLE, lengths, f"table of {len(lengths)} code lengths ends")


@pytest.mark.parametrize(
    ("bits", "alphabet", "message"),
    [
        ("110 010", 1, "run of 2 absent symbols can't end at bit 6"),  # past the alphabet
        (
            "110 1 110 1",
            2,
            "run of 1 absent symbols can't end at bit 8",
        ),  # not as long as it can be
        ("111 1 110 000", 2, "code length 0 of symbol 0 is out of range"),
        ("111 0 111111 10", 2, "code length 13 of symbol 0 is out of range"),
        ("111 0 111111111111", 2, "no token like the one before bit 16"),
        ("110 000000000000", 256, "no token like the one before bit 15"),
        ("0 0", 2, "incomplete"),
        ("111 1 10 0 0", 3, "over-subscribed"),
        ("110 1 1", 1, "padding bits after the table of code lengths aren't zero"),
    ],
)
def test_malformed_tables(bits, alphabet, message):
    with pytest.raises(FormatError, match=message):
        table.decode_lengths(packed(bits), alphabet)


def test_a_table_of_many_long_tokens():
    lengths = codes.code_lengths([1, 2**20] * 128)
    data = table.encode_lengths(lengths)
    assert len(data) > 200
    np.testing.assert_array_equal(table.decode_lengths(data, 256)[0], lengths)


def test_a_megabyte_after_the_table_is_not_looked_at():
    with pytest.raises(FormatError, match="no token"):
        table.decode_lengths(b"\xff" * 2**20, 256)


@pytest.mark.parametrize("alphabet", [-1, 257])
def test_the_alphabet_has_a_limit(alphabet):
    check_alphabet(table.decode_lengths, alphabet)


def test_lengths_that_no_code_has_are_not_written():
    with pytest.raises(FormatError, match="incomplete"):
        table.encode_lengths(np.array([2, 2, 2], np.uint8))
