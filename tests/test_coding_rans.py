"""Symbols as bytes of a range asymmetric numeral system: layout, sizes, malformed payloads."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.contract import check_coder
from support.strategies import rans_payloads, symbols

from deepcompress import huffman, native
from deepcompress.coding import rans, rans_levels
from deepcompress.errors import ArgumentError, FormatError, TruncatedError

# Frequencies 8192, 4096, 4096, which begin at slots 0, 8192, 12288.
THREE = (24, 22, 22)


def u8(*values):
    return np.array(values, np.uint8)


def levels_for(symbols):
    return rans_levels.levels(np.bincount(symbols, minlength=1))


@given(symbols())
def test_decode_undoes_encode(symbols):
    check_coder(rans.encode, rans.decode, symbols, levels_for(symbols))


@given(symbols(max_symbol=5, max_size=60), st.lists(st.integers(1, 31), min_size=6, max_size=256))
def test_any_levels_do(symbols, levels):
    levels = u8(*levels) if symbols.size else u8()
    payload = rans.encode(symbols, levels)
    np.testing.assert_array_equal(rans.decode(payload, levels, len(symbols)), symbols)


@pytest.mark.parametrize(
    ("symbols", "levels", "payload"),
    [
        ([], [], ""),
        ([], [0, 0], ""),
        ([0], [24], "00008000"),  # a lone symbol costs nothing
        ([1] * 1000, [0, 1], "00008000"),
        # 2**23 becomes 2**25 + 8192 by 1, 2**26 + 16384 by 0, 2**28 + 2**16 + 12288 by 2.
        ([2, 0, 1], THREE, "00300110"),
        # All frequencies are 64. 2**23 needs to give off a byte, which leaves 2**15.
        ([3], [7] * 256, "c0008000" + "00"),
        # 2**23 + 192 gives off 192 and leaves 2**15, again.
        ([5, 3], [7] * 256, "40018000" + "c0" + "00"),
        # Frequency 1 of 2**14: 2**23 gives off a byte, 2**15 becomes 2**29 + 16383.
        ([1], [31, 1], "ff3f0020" + "00"),
        # It gives off two, which leaves 2**13. The byte given off last comes first.
        ([1, 1], [31, 1], "ff3f0008" + "3f" + "ff" + "00"),
    ],
)
def test_layout(symbols, levels, payload):
    assert rans.encode(u8(*symbols), u8(*levels)).hex() == payload
    assert rans.decode(bytes.fromhex(payload), u8(*levels), len(symbols)).tolist() == symbols


@given(symbols(max_symbol=20))
def test_the_size_is_what_the_frequencies_say(symbols):
    """A step makes the state x out of a state of at least 2**9 f.

    It is at most start + 1 more, and less than 2**14 less, than 2**14 / f times that;
    of the bytes given off before, the first one's fraction is lost. This is 1 + 2**-9 and
    (1 - 2**-9) ** 2 in ratio. The last state is 2**23 to 2**31 - 1, the first one 2**23.
    """
    levels = levels_for(symbols)
    if not symbols.size:
        return
    bits = (14 - np.log2(rans_levels.frequencies(levels)[symbols])).sum()
    size = len(rans.encode(symbols, levels))
    assert 8 * size <= 32 + bits + symbols.size * np.log2(1 + 2**-9) + 1e-6
    assert 8 * size >= 24 + bits + symbols.size * np.log2(1 - 2**-9) * 2 - 1e-6
    estimated = rans_levels.estimated_bytes(np.bincount(symbols), levels)
    assert abs(size - estimated) <= 1 + 0.006 / 8 * symbols.size


def test_the_size_is_close_to_the_entropy():
    rng = np.random.default_rng(1)
    for sharpness in (0.7, 2, 20):
        symbols = (rng.beta(sharpness, sharpness, 200_000) * 64).astype(np.uint8)
        counts = np.bincount(symbols)
        share = counts[counts > 0] / symbols.size
        entropy_bytes = -(share * np.log2(share)).sum() * symbols.size / 8
        size = len(rans.encode(symbols, rans_levels.levels(counts)))
        assert entropy_bytes < size < entropy_bytes * 1.003
        assert size < len(huffman.encode(symbols, huffman.code_lengths(counts)))


@given(symbols(max_symbol=6).filter(len))
def test_every_strict_prefix_is_truncated(symbols):
    levels = levels_for(symbols)
    payload = rans.encode(symbols, levels)
    for size in range(len(payload)):
        with pytest.raises(TruncatedError, match="end before the last symbol"):
            rans.decode(payload[:size], levels, len(symbols))


@given(symbols(max_symbol=40).filter(len), st.binary(min_size=1, max_size=3))
def test_what_follows_the_last_symbol_is_noticed(symbols, more):
    levels = levels_for(symbols)
    payload = rans.encode(symbols, levels)
    with pytest.raises(FormatError, match=rf"bytes follow .* \(byte {len(payload)}\)"):
        rans.decode(payload + more, levels, len(symbols))


@given(symbols(max_symbol=40, max_size=40).filter(len), st.integers(1, 255))
def test_a_byte_that_is_changed_is_noticed_or_changes_symbols(symbols, change):
    levels = levels_for(symbols)
    payload = rans.encode(symbols, levels)
    for place in range(len(payload)):
        changed = bytearray(payload)
        changed[place] ^= change
        try:
            decoded = rans.decode(bytes(changed), levels, len(symbols))
        except FormatError:
            continue
        assert (decoded != symbols).any()


@given(rans_payloads(6), st.integers(0, 20), symbols(max_symbol=9))
def test_any_payload_that_is_read_is_what_would_be_written(payload, count, sample):
    levels = levels_for(sample)
    try:
        decoded = rans.decode(payload, levels, count)
    except FormatError:
        return
    assert rans.encode(decoded, levels) == payload


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 400), st.integers(-3, 3), st.integers(0, 1)),
        max_size=20,
    ),
    st.integers(0, 99),
)
def test_streams_side_by_side_end_as_each_alone(drawn, seed):
    """With symbols wanted beyond the end or too few, and bytes that are wrong."""
    rng = np.random.default_rng(seed)
    samples = [rng.geometric(share, 400).clip(0, 40).astype(np.uint8) for share in (0.9, 0.1)]
    codes = [levels_for(sample) for sample in samples]
    streams = []
    for code, count, more, damage in drawn:
        sample = samples[code][:count]
        payload = rans.encode(sample, codes[code]) if count else b""
        changed = bytearray(payload)
        changed[-1:] = bytes(byte ^ damage for byte in changed[-1:])
        streams.append((bytes(changed), code, max(0, count + more)))
    outcomes = rans.decode_streams(codes, streams)
    assert len(outcomes) == len(streams)
    for outcome, (payload, code, count) in zip(outcomes, streams, strict=True):
        (alone,) = rans.decode_streams([codes[code]], [(payload, 0, count)])
        if isinstance(alone, FormatError):
            assert (type(outcome), str(outcome)) == (type(alone), str(alone))
        else:
            np.testing.assert_array_equal(outcome, alone)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7, 8, 11])
@pytest.mark.parametrize("symbol_bits", [0.1, 1, 4, 8])
def test_long_streams_of_different_lengths(count, symbol_bits):
    """Of symbols that take no byte, or two, and lanes that end one by one."""
    rng = np.random.default_rng(count)
    codes, streams, parts = [], [], []
    for code in (0, 1):
        drawn = [
            rng.geometric(2.0**-symbol_bits, 900 * i + 7 * i * i + 400).clip(1, 255) - code
            for i in range(count)
        ]
        mine = [symbols.astype(np.uint8) for symbols in drawn]
        codes.append(levels_for(np.concatenate(mine)))
        streams += [(rans.encode(part, codes[code]), code, len(part)) for part in mine]
        parts += mine
    order = rng.permutation(2 * count)
    outcomes = rans.decode_streams(codes, [streams[i] for i in order])
    for outcome, i in zip(outcomes, order, strict=True):
        np.testing.assert_array_equal(outcome, parts[i])


@pytest.mark.parametrize("count", [1, 8])
def test_long_streams_that_end_too_early(count):
    rng = np.random.default_rng(count)
    symbols = rng.geometric(1 / 8, 3000).clip(0, 255).astype(np.uint8)
    levels = levels_for(symbols)
    payload = rans.encode(symbols, levels)
    streams = [(payload[: 500 + 50 * i], 0, 3000) for i in range(count)]
    with native.use("reference"):
        expected = rans.decode_streams([levels], streams)
    for outcome, error in zip(rans.decode_streams([levels], streams), expected, strict=True):
        assert isinstance(outcome, TruncatedError)
        assert str(outcome) == str(error)


@pytest.mark.parametrize(
    ("payload", "levels", "count", "error", "message"),
    [
        ("", THREE, 1, TruncatedError, r"end before the last symbol \(symbol 0\)"),
        ("000080", THREE, 1, TruncatedError, r"end before the last symbol \(symbol 0\)"),
        ("00300110", THREE, 4, TruncatedError, r"end before the last symbol \(symbol 3\)"),
        ("40018000c0", [7] * 256, 2, TruncatedError, r"end before .* \(symbol 1\)"),
        ("ffff7f00", THREE, 1, FormatError, r"first state .* is out of range \(byte 0\)"),
        ("00000080", THREE, 1, FormatError, r"first state .* is out of range \(byte 0\)"),
        ("00300110", THREE, 2, FormatError, r"last state .* isn't the lowest \(byte 4\)"),
        ("01300110", THREE, 3, FormatError, r"last state .* isn't the lowest \(byte 4\)"),
        ("40018000c001", [7] * 256, 2, FormatError, r"last state .* lowest \(byte 6\)"),
        ("0030011000", THREE, 3, FormatError, r"bytes follow the last symbol \(byte 4\)"),
        ("0130011000", THREE, 3, FormatError, r"bytes follow the last symbol \(byte 4\)"),
        ("00008000", [], 0, FormatError, r"bytes follow the last symbol \(byte 0\)"),
        ("", THREE, 0, FormatError, "no symbols are declared, but a symbol has a level"),
        ("00008000", [], 1, FormatError, "1 symbols are declared, but none has a level"),
        ("00008000", [0, 0], 8, FormatError, "8 symbols are declared, but none has a level"),
        ("00008000", [24, 32], 8, FormatError, "level 32 of symbol 1 exceeds 31"),
        ("00008000", [24], -1, ArgumentError, "count must be an integer from 0, got -1"),
        ("00008000", [24] * 257, 1, ArgumentError, "at most 256 symbols, got 257"),
    ],
)
def test_decode_rejects(payload, levels, count, error, message):
    with pytest.raises(error, match=message) as caught:
        rans.decode(bytes.fromhex(payload), u8(*levels), count)
    assert caught.type is error


def test_payloads_of_any_buffer_type():
    payload = np.frombuffer(b"\x00\x30\x01\x10\x00", np.uint8)[:4]
    for data in (payload, memoryview(payload), payload.tobytes()):
        assert rans.decode(data, u8(*THREE), 3).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("symbols", "levels", "error", "message"),
    [
        (u8(0, 1, 2), (1, 1), ArgumentError, "symbol 2 occurs, but has no level"),
        (u8(0, 1, 2), (1, 0, 1), ArgumentError, "symbol 1 occurs, but has no level"),
        (u8(0), (), ArgumentError, "symbol 0 occurs, but has no level"),
        (u8(), (1,), ArgumentError, "there are no symbols, but a symbol has a level"),
        (np.array([0]), (1,), ArgumentError, "symbols must be a one-dimensional uint8 array"),
        (u8(0), (32,), FormatError, "level 32 of symbol 0 exceeds 31"),
    ],
)
def test_encode_rejects(symbols, levels, error, message):
    with pytest.raises(error, match=message):
        rans.encode(symbols, u8(*levels))
