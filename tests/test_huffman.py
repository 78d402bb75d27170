"""Symbols as Huffman-coded bits: layout, both directions, malformed payloads."""

from contextlib import nullcontext

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.contract import check_coder
from support.strategies import packed, symbols

from deepcompress import huffman, native
from deepcompress.errors import ArgumentError, FormatError, TruncatedError
from deepcompress.native import gateway


def u8(*values):
    return np.array(values, np.uint8)


def decode_streams(isa, codes, streams):
    """Decode with an instruction set, or None for whoever computes in this run."""
    with native.use("native", isa) if isa else nullcontext():
        return huffman.decode_streams(codes, streams)


EACH_ISA = pytest.mark.parametrize("isa", [None, *gateway._isas()])


def lengths_for(symbols):
    return huffman.code_lengths(np.bincount(symbols, minlength=1))


@given(symbols())
def test_decode_undoes_encode(symbols):
    check_coder(huffman.encode, huffman.decode, symbols, lengths_for(symbols))


@EACH_ISA
@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 400), st.integers(-3, 3), st.integers(0, 1)),
        max_size=20,
    ),
    st.integers(0, 99),
)
def test_streams_side_by_side_end_as_each_alone(isa, drawn, seed):
    """With symbols wanted beyond the end or too few, and bits that are wrong."""
    rng = np.random.default_rng(seed)
    samples = [rng.geometric(share, 400).clip(0, 40).astype(np.uint8) for share in (0.9, 0.1)]
    codes = [lengths_for(sample) for sample in samples]
    streams = []
    for code, count, more, damage in drawn:
        payload = np.frombuffer(huffman.encode(samples[code][:count], codes[code]), np.uint8).copy()
        payload[-1:] ^= np.uint8(damage * 128)
        streams.append((payload, code, max(0, count + more)))
    outcomes = decode_streams(isa, codes, streams)
    assert len(outcomes) == len(streams)
    for outcome, (payload, code, count) in zip(outcomes, streams, strict=True):
        (alone,) = huffman.decode_streams([codes[code]], [(payload, 0, count)])
        if isinstance(alone, FormatError):
            assert (type(outcome), str(outcome)) == (type(alone), str(alone))
        else:
            np.testing.assert_array_equal(outcome, alone)


@EACH_ISA
@pytest.mark.parametrize("count", [1, 2, 3, 5, 8, 11])
@pytest.mark.parametrize("symbol_bits", [1, 3, 6, 8])
def test_long_streams_of_different_lengths(isa, count, symbol_bits):
    """Long enough for several symbols to a look-up, and lanes that end one by one."""
    rng = np.random.default_rng(count)
    parts = [
        rng.geometric(2.0**-symbol_bits, 3000 * i + 7 * i * i + 1000).clip(0, 255).astype(np.uint8)
        for i in range(count)
    ]
    lengths = lengths_for(np.concatenate(parts))
    streams = [(huffman.encode(part, lengths), 0, len(part)) for part in parts]
    for outcome, part in zip(decode_streams(isa, [lengths], streams), parts, strict=True):
        np.testing.assert_array_equal(outcome, part)


@EACH_ISA
@pytest.mark.parametrize("count", [4, 14])
@pytest.mark.parametrize("symbol_bits", [(6, 3), (3, 6), (6, 6), (3, 3)])
def test_long_streams_of_two_codes(isa, count, symbol_bits):
    """Codes with several symbols to a look-up and with one, whose streams are in turns."""
    rng = np.random.default_rng(0)
    parts = [
        rng.geometric(2.0 ** -symbol_bits[i % 2], 5000 + 500 * i).clip(0, 255).astype(np.uint8)
        for i in range(count)
    ]
    codes = [lengths_for(np.concatenate(parts[code::2])) for code in (0, 1)]
    streams = [
        (huffman.encode(part, codes[i % 2]), i % 2, len(part)) for i, part in enumerate(parts)
    ]
    for outcome, part in zip(decode_streams(isa, codes, streams), parts, strict=True):
        np.testing.assert_array_equal(outcome, part)


@EACH_ISA
@pytest.mark.parametrize("count", [1, 8])
def test_long_streams_that_end_too_early(isa, count):
    rng = np.random.default_rng(count)
    symbols = rng.geometric(1 / 8, 9000).clip(0, 255).astype(np.uint8)
    lengths = lengths_for(symbols)
    payload, ends = huffman.encode(symbols, lengths), np.cumsum(lengths[symbols], dtype=int)
    streams = [(payload[: 3000 + 100 * i], 0, 9000) for i in range(count)]
    for outcome, (cut, _, _) in zip(decode_streams(isa, [lengths], streams), streams, strict=True):
        assert isinstance(outcome, TruncatedError)
        missing = np.searchsorted(ends, 8 * len(cut), side="right")
        assert str(outcome).endswith(f"(symbol {missing})")


@pytest.mark.parametrize("symbol", [0, 1])
def test_many_of_a_lone_symbol_and_a_bit_that_is_none(symbol):
    """As many as make the decoder put several symbols into an entry of its table."""
    lengths, payload = u8(*[0] * symbol, 1), np.zeros(2000, np.uint8)
    assert (huffman.decode(payload, lengths, 16000) == symbol).all()
    payload[1500] = 8
    with pytest.raises(FormatError, match=r"a bit pattern has no symbol \(symbol 12003\)"):
        huffman.decode(payload, lengths, 16000)


@given(symbols(max_symbol=40))
def test_the_size_is_that_of_the_counts(symbols):
    lengths = lengths_for(symbols)
    counts = np.bincount(symbols, minlength=len(lengths))
    bits = huffman.encoded_bits(counts, lengths)
    assert bits == sum(int(lengths[symbol]) for symbol in symbols)
    assert len(huffman.encode(symbols, lengths)) == (bits + 7) // 8


@given(symbols(max_symbol=20))
def test_the_mean_length_is_within_a_bit_of_the_entropy(symbols):
    counts = np.bincount(symbols, minlength=2)
    bits = huffman.encoded_bits(counts, huffman.code_lengths(counts))
    share = counts[counts > 0] / max(len(symbols), 1)
    entropy_bits = -(share * np.log2(share)).sum() * len(symbols)
    assert entropy_bits - 1e-6 <= bits <= entropy_bits + len(symbols) + 1e-6


@pytest.mark.parametrize(
    ("symbols", "lengths", "bits"),
    [
        ([], [], ""),
        ([], [1, 1], ""),
        ([0, 0, 0], [1], "000"),  # a lone symbol costs a bit each
        ([1] * 9, [0, 1], "000000000"),
        ([2, 0, 1], [1, 2, 2], "11 0 10"),
        ([0, 1, 2, 3], [3, 1, 3, 2], "110 0 111 10"),  # ascending by length, then by symbol
        ([255], [0] * 254 + [1, 1], "1"),
    ],
)
def test_layout(symbols, lengths, bits):
    assert huffman.encode(u8(*symbols), u8(*lengths)) == packed(bits)
    assert huffman.decode(packed(bits), u8(*lengths), len(symbols)).tolist() == symbols


def test_the_longest_codes():
    lengths = u8(*range(1, 13), 12)
    symbols = np.tile(u8(*range(13)), 40)
    payload = huffman.encode(symbols, lengths)
    np.testing.assert_array_equal(huffman.decode(payload, lengths, len(symbols)), symbols)


@given(symbols(max_symbol=6).filter(len))
def test_every_strict_prefix_is_truncated(symbols):
    lengths = lengths_for(symbols)
    payload = huffman.encode(symbols, lengths)
    for size in range(len(payload)):
        with pytest.raises(TruncatedError):
            huffman.decode(payload[:size], lengths, len(symbols))


@given(st.binary(max_size=30), st.integers(0, 60), symbols(max_symbol=9))
def test_any_payload_that_is_read_is_what_would_be_written(payload, count, sample):
    lengths = lengths_for(sample)
    try:
        decoded = huffman.decode(payload, lengths, count)
    except FormatError:
        return
    assert huffman.encode(decoded, lengths) == payload


@pytest.mark.parametrize(
    ("payload", "lengths", "count", "error", "message"),
    [
        ("03", (1, 2, 2), 20, TruncatedError, "1 bytes can't hold 20 symbols"),
        ("ff", (1, 2, 2), 5, TruncatedError, r"end before the last symbol \(symbol 4\)"),
        ("7f", (1, 2, 2), 5, TruncatedError, r"end before the last symbol \(symbol 4\)"),
        ("", (1,), 1, TruncatedError, "0 bytes can't hold 1 symbols"),
        ("0002", (1,), 16, FormatError, r"a bit pattern has no symbol \(symbol 9\)"),
        ("80", (1,), 8, FormatError, r"a bit pattern has no symbol \(symbol 7\)"),
        ("0700", (1, 2, 2), 2, FormatError, r"bytes follow the last symbol \(byte 1\)"),
        ("00", (1, 2, 2), 0, FormatError, r"bytes follow the last symbol \(byte 0\)"),
        ("03" + "00" * 30, (1, 2, 2), 1, FormatError, r"bytes follow the last symbol \(byte 1\)"),
        ("07", (1, 2, 2), 1, FormatError, r"padding bits .* aren't zero \(byte 0\)"),
        ("0380", (1, 2, 2), 8, FormatError, r"padding bits .* aren't zero \(byte 1\)"),
        ("00", (), 1, FormatError, "1 symbols are declared, but the code is empty"),
        ("00", (0, 0), 8, FormatError, "8 symbols are declared, but the code is empty"),
        ("00", (1, 1, 1), 8, FormatError, "over-subscribed"),
        ("00", (2, 2, 2), 4, FormatError, "incomplete"),
        ("00", (1, 1), -1, ArgumentError, "count must be an integer from 0, got -1"),
        ("00", (1, 1), 2**60, TruncatedError, "can't hold"),  # and nothing that large is allocated
    ],
)
def test_decode_rejects(payload, lengths, count, error, message):
    with pytest.raises(error, match=message) as caught:
        huffman.decode(bytes.fromhex(payload), u8(*lengths), count)
    assert caught.type is error


def test_payloads_of_any_buffer_type():
    payload = np.frombuffer(b"\x0b\x00", np.uint8)[:1]
    for data in (payload, memoryview(payload), payload.tobytes()):
        assert huffman.decode(data, u8(1, 2, 2), 3).tolist() == [2, 0, 1]


@pytest.mark.parametrize(
    ("symbols", "lengths", "error", "message"),
    [
        (u8(0, 1, 2), (1, 1), ArgumentError, "symbol 2 occurs, but has no code"),
        (u8(0, 1, 2), (1, 0, 1), ArgumentError, "symbol 1 occurs, but has no code"),
        (u8(0), (), ArgumentError, "symbol 0 occurs, but has no code"),
        (np.array([0]), (1,), ArgumentError, "symbols must be a one-dimensional uint8 array"),
        (u8(0), (2,), FormatError, "incomplete"),
    ],
)
def test_encode_rejects(symbols, lengths, error, message):
    with pytest.raises(error, match=message):
        huffman.encode(symbols, u8(*lengths))


def test_encoded_bits_rejects():
    with pytest.raises(ArgumentError, match=r"\(3,\) counts for \(2,\) code lengths"):
        huffman.encoded_bits([1, 1, 1], [1, 1])
    with pytest.raises(ArgumentError, match="symbol 1 occurs, but has no code"):
        huffman.encoded_bits([1, 1], [1, 0])
