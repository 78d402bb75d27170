"""Symbols as bytes of rANS with several states: layout, sizes, malformed payloads, all kernels."""

from unittest.mock import patch

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.contract import check_coder
from support.strategies import symbols

from deepcompress import native
from deepcompress.coding import rans, rans_levels, rans_states
from deepcompress.errors import ArgumentError, FormatError, TruncatedError
from deepcompress.native import gateway

# Frequencies 2048, 1024, 1024, which begin at slots 0, 2048, 3072.
THREE = (24, 22, 22)
BITS = rans_levels.SHARE_BITS
ISAS = [*gateway._isas()]
STATES = (1, 2, 4, 8, 16, 32)


def u8(*values):
    return np.array(values, np.uint8)


def levels_for(symbols):
    return rans_levels.levels(np.bincount(symbols, minlength=1), BITS)


def with_states_of(bits):
    """Let each of several states have at least 2**bits symbols, so that few symbols have many."""
    return patch.object(rans_states, "SYMBOLS_BITS", bits)


@given(symbols())
def test_decode_undoes_encode(symbols):
    check_coder(rans_states.encode, rans_states.decode, symbols, levels_for(symbols))


@given(symbols(max_size=300), st.integers(0, 6))
def test_decode_undoes_encode_with_more_states(symbols, bits):
    with with_states_of(bits):
        check_coder(rans_states.encode, rans_states.decode, symbols, levels_for(symbols))


@given(symbols(max_symbol=5, max_size=60), st.lists(st.integers(1, 31), min_size=6, max_size=256))
def test_any_levels_do(symbols, levels):
    levels = u8(*levels) if symbols.size else u8()
    with with_states_of(0):
        payload = rans_states.encode(symbols, levels)
        decoded = rans_states.decode(payload, levels, len(symbols))
    np.testing.assert_array_equal(decoded, symbols)


@pytest.mark.parametrize(
    ("symbols", "levels", "bits", "payload"),
    [
        ([], [], 12, ""),
        ([], [0, 0], 12, ""),
        ([0], [24], 12, "00800000"),  # a lone symbol costs nothing
        ([1] * 1000, [0, 1], 12, "00800000"),
        # 2**15 becomes 2**17 + 2048 by 1, 2**18 + 4096 by 0, 2**20 + 2**14 + 3072 by 2.
        ([2, 0, 1], THREE, 12, "004c1000"),
        # With two states, 0 has symbols 2 and 1, and 1 has symbol 0, by which it is 2**16.
        ([2, 0, 1], THREE, 0, "002c0800" + "00000100"),
        # All frequencies are 16. 2**15 becomes 2**23 + 48 by 3, which gives off a word before 5.
        ([5, 3], [7] * 256, 12, "50800000" + "3000"),
        # Frequency 1 of 2**12: 2**15 becomes 2**27 + 4095, which gives off a word: 2**11.
        ([1, 1], [31, 1], 12, "ff0f8000" + "ff0f"),
    ],
)  # fmt: skip
def test_layout(symbols, levels, bits, payload):
    with with_states_of(bits):
        assert rans_states.encode(u8(*symbols), u8(*levels)).hex() == payload
        decoded = rans_states.decode(bytes.fromhex(payload), u8(*levels), len(symbols))
    assert decoded.tolist() == symbols


def test_there_are_as_many_states_as_symbols_pay_for():
    counts = [0, 1, 8191, 8192, 16383, 16384, 32768, 65536, 131071, 131072, 2**40]
    numbers = [1, 1, 1, 2, 2, 4, 8, 16, 16, 32, 32]
    assert [rans_states.states_of(count) for count in counts] == numbers
    with with_states_of(0):
        assert [rans_states.states_of(count) for count in range(7)] == [1, 1, 2, 2, 4, 4, 4]


@pytest.mark.parametrize("symbol_bits", [0.3, 3, 7])
@pytest.mark.parametrize("count", [9000, 140000])
def test_the_size_is_near_the_entropy(count, symbol_bits):
    """What levels lose is less than 1 %, what states take about 3 bytes each."""
    rng = np.random.default_rng(count)
    drawn = rng.geometric(2.0**-symbol_bits, count).clip(0, 255).astype(np.uint8)
    counts = np.bincount(drawn)
    share = counts[counts > 0] / count
    entropy = -(share * np.log2(share)).sum() * count / 8
    size = len(rans_states.encode(drawn, levels_for(drawn)))
    assert entropy <= size <= 1.01 * entropy + 4 * rans_states.states_of(count)


@given(st.lists(st.integers(0, 31), max_size=256))
def test_frequencies_are_even(levels):
    """Each is 1 at least, and where none needs that, within 1 of its share of 2**12."""
    levels = u8(*levels)
    shares = rans_levels.frequencies(levels, BITS).astype(int)
    weights = rans_levels.weights(levels)
    assert shares.sum() == (2**BITS if levels.any() else 0)
    assert ((shares > 0) == (levels > 0)).all()
    used = weights[weights > 0]
    if used.size and used.min() * 2**BITS >= used.sum():
        assert (np.abs(shares - weights * 2**BITS / weights.sum()) < 1).all()


@given(symbols(max_size=300), st.integers(0, 6))
def test_all_kernels_and_the_definition_give_one_stream(symbols, bits):
    levels = levels_for(symbols)
    with with_states_of(bits), native.use("reference"):
        expected = rans_states.encode(symbols, levels)
        assert rans_states.decode(expected, levels, len(symbols)).tolist() == symbols.tolist()
    for isa in ISAS:
        with with_states_of(bits), native.use("native", isa):
            assert rans_states.encode(symbols, levels) == expected
            assert rans_states.decode(expected, levels, len(symbols)).tolist() == symbols.tolist()


def outcomes_with(isa, codes, streams):
    with native.use(*(("native", isa) if isa else ("reference",))):
        outcomes = rans_states.decode_streams(codes, streams)
    return [x.tolist() if isinstance(x, np.ndarray) else repr(x) for x in outcomes]


@st.composite
def payloads(draw):
    """Bytes, most of which begin with states that a coder may leave."""
    words = st.integers(2**15, 2**31 - 1) | st.integers(0, 2**32 - 1)
    states = draw(st.lists(words, max_size=33))
    return np.array(states, "<u4").tobytes() + draw(st.binary(max_size=60))


@given(
    st.lists(st.tuples(payloads(), st.integers(0, 1), st.integers(0, 150)), max_size=9),
    symbols(max_symbol=9),
    symbols(max_symbol=200),
    st.integers(0, 6),
)
def test_any_streams(drawn, one, other, bits):
    codes = [levels_for(sample) for sample in (one, other)]
    with with_states_of(bits):
        expected = outcomes_with(None, codes, drawn)
        for isa in ISAS:
            assert outcomes_with(isa, codes, drawn) == expected


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("damage", [0, 1, 500])
@pytest.mark.parametrize("symbol_bits", [0.1, 1, 4, 8])
def test_streams_of_all_numbers_of_states_side_by_side(isa, damage, symbol_bits):
    """Of symbols that take no word or many, lanes that end one by one, and ones cut short."""
    rng = np.random.default_rng(int(10 * symbol_bits))
    codes, streams = [], []
    for code in (0, 1):
        drawn = [
            (rng.geometric(2.0**-symbol_bits, 40 * number + 37 * i).clip(1, 255) - code)
            for number in STATES
            for i in range(6)
        ]
        mine = [part.astype(np.uint8) for part in drawn]
        codes.append(levels_for(np.concatenate(mine)))
        with with_states_of(4):
            encoded = [rans_states.encode(part, codes[code]) for part in mine]
        for data, part in zip(encoded, mine, strict=True):
            cut = data[: max(len(data) - damage * int(rng.integers(0, 2)), 0)]
            streams.append((cut, code, len(part)))
    streams = [streams[i] for i in rng.permutation(len(streams))]
    with with_states_of(4):
        assert outcomes_with(isa, codes, streams) == outcomes_with(None, codes, streams)


@pytest.mark.parametrize("isa", [None, *ISAS])
@pytest.mark.parametrize(
    ("payload", "levels", "count", "error", "message"),
    [
        ("", THREE, 1, TruncatedError, r"end before the last symbol \(symbol 0\)"),
        ("008000", THREE, 1, TruncatedError, r"end before the last symbol \(symbol 0\)"),
        ("00800000008000", THREE, 2, TruncatedError, r"end before the last symbol \(symbol 0\)"),
        ("004c100000800000", THREE, 4, TruncatedError, r"end before .* \(symbol 0\)"),
        ("00000008" * 2 + "30", [7] * 256, 3, TruncatedError, r"end before .* \(symbol 2\)"),
        ("ff7f0000", THREE, 1, FormatError, r"first state .* is out of range \(byte 0\)"),
        ("00000080", THREE, 1, FormatError, r"first state .* is out of range \(byte 0\)"),
        ("00800000" + "00000080", THREE, 2, FormatError, r"is out of range \(byte 4\)"),
        ("014c1000", THREE, 1, FormatError, r"last state .* isn't the lowest \(byte 4\)"),
        ("002c0800" + "01000100", THREE, 3, FormatError, r"isn't the lowest \(byte 8\)"),
        ("002c0800" + "00000100" + "00", THREE, 3, FormatError, r"follow .* \(byte 8\)"),
        ("00800000", [], 0, FormatError, r"bytes follow the last symbol \(byte 0\)"),
        ("", THREE, 0, FormatError, "no symbols are declared, but a symbol has a level"),
        ("00800000", [], 1, FormatError, "1 symbols are declared, but none has a level"),
        ("00800000", [24, 32], 8, FormatError, "level 32 of symbol 1 exceeds 31"),
        ("00800000", [24], -1, ArgumentError, "count must be an integer from 0, got -1"),
        ("00800000", [24] * 257, 1, ArgumentError, "at most 256 symbols, got 257"),
    ],
)  # fmt: skip
def test_decode_rejects(isa, payload, levels, count, error, message):
    arguments = ("native", isa) if isa else ("reference",)
    with with_states_of(0), native.use(*arguments), pytest.raises(error, match=message) as caught:
        rans_states.decode(bytes.fromhex(payload), u8(*levels), count)
    assert caught.type is error


@pytest.mark.parametrize(
    ("symbols", "levels", "error", "message"),
    [
        (u8(0, 1, 2), (1, 1), ArgumentError, "symbol 2 occurs, but has no level"),
        (u8(0), (), ArgumentError, "symbol 0 occurs, but has no level"),
        (u8(), (1,), ArgumentError, "there are no symbols, but a symbol has a level"),
        (np.array([0]), (1,), ArgumentError, "symbols must be a one-dimensional uint8 array"),
        (u8(0), (32,), FormatError, "level 32 of symbol 0 exceeds 31"),
    ],
)
def test_encode_rejects(symbols, levels, error, message):
    with pytest.raises(error, match=message):
        rans_states.encode(symbols, u8(*levels))


def test_it_is_a_part_of_a_percent_from_one_state():
    rng = np.random.default_rng(0)
    drawn = (rng.geometric(0.1, 200_000) - 1).clip(0, 31).astype(np.uint8)
    size = len(rans_states.encode(drawn, levels_for(drawn)))
    one = len(rans.encode(drawn, rans_levels.levels(np.bincount(drawn))))
    assert abs(size - one) < 0.003 * one
