"""Levels of symbols: what they stand for, how they are chosen and stored."""

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

from deepcompress.bits import tokens
from deepcompress.bits.alphabet import MAX_ALPHABET
from deepcompress.coding import rans_levels
from deepcompress.errors import ArgumentError, FormatError

LEVELS = st.lists(st.integers(0, 31), max_size=256).map(lambda levels: np.array(levels, np.uint8))
WEIGHTS = rans_levels.weights(np.arange(32, dtype=np.uint8))

EXAMPLES = [
    ([], ""),
    ([0], "110 1"),
    ([24], "0"),  # the first `previous`
    ([24, 24, 23, 0, 25], "0 0 101 110 1 111 0 0"),
    ([1], "111 1 1111111111 1111111111 1 0"),  # 2 + 21 less
    ([31, 1], "111 0 11111 0 111 1 1111111111 1111111111 11111111 0"),
    ([0] * 255 + [24], "110 0000000 11111111 0"),
]


def entropy_bits(counts):
    share = counts[counts > 0] / max(counts.sum(), 1)
    return -(share * np.log2(share)).sum() * counts.sum()


def nearest(counts):
    """Levels of the least ratio between weight and count, with the largest at 2**16."""
    ideal = np.maximum(counts, 1) / counts.max(initial=1) * 2**16
    ratio = np.abs(np.log2(ideal[:, np.newaxis] / WEIGHTS[1:]))
    return np.where(counts > 0, 1 + ratio.argmin(axis=1), 0).astype(np.uint8)


def total_bytes(counts, levels):
    return rans_levels.estimated_bytes(counts, levels) + len(rans_levels.encode_levels(levels))


def shuffled_labels(n, spread):
    """Counts of 255 labels that differ by chance, in no order."""
    rng = np.random.default_rng(n)
    share = np.maximum(rng.normal(1, spread, 255), 0.03)
    return rng.multinomial(n, share / share.sum())


def test_weights():
    assert WEIGHTS[:9].tolist() == [0, 3, 4, 6, 8, 12, 16, 24, 32]
    assert WEIGHTS[-2:].tolist() == [2**16, 3 * 2**15]


@given(LEVELS)
def test_frequencies_fill_all_slots(levels):
    shares = rans_levels.frequencies(levels)
    assert shares.dtype == np.uint16
    assert shares.sum(dtype=int) == (2**14 if levels.any() else 0)
    np.testing.assert_array_equal(shares > 0, levels > 0)
    order = np.argsort(levels, kind="stable")
    assert (np.diff(shares[order].astype(int)[levels[order] < levels.max(initial=0)]) >= 0).all()


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ([0, 0], [0, 0]),
        ([0, 1], [0, 2**14]),
        ([7] * 256, [64] * 256),
        ([24, 22, 22], [8192, 4096, 4096]),  # 1 + 8190, 1 + 4095, 1 + 4095 and 1 more
        ([22, 24, 0, 24], [3277, 6554, 0, 6553]),
        ([2, 2, 2], [5462, 5461, 5461]),  # the first of equals gets what is left
        ([1, 31], [1, 2**14 - 1]),
    ],
)
def test_worked_frequencies(levels, expected):
    assert rans_levels.frequencies(np.array(levels, np.uint8)).tolist() == expected


@given(counts())
def test_a_symbol_has_a_level_if_it_occurs(counts):
    levels = rans_levels.levels(counts)
    assert levels.dtype == np.uint8
    assert levels.shape == counts.shape
    np.testing.assert_array_equal(levels > 0, counts > 0)
    assert levels.max(initial=0) <= 31


@given(counts())
def test_levels_cost_little(counts):
    """What rounding may add to the entropy, in bits per symbol.

    A weight r times the ideal one adds (r - 1 - ln r) / ln 2: below 0.032 for the nearest
    level, with r**2 at most 3/2. A symbol too rare for level 1 adds 3 / 2**16 / ln 2 of
    those that the commonest one has: below 0.017 for 255. Frequencies of at least 1 add
    log2(1 + 256 / 2**14) at most, 0.023. A choice other than the nearest has to
    save as much of the table, but for the beginning of it.
    """
    table = len(rans_levels.encode_levels(nearest(counts)))
    bound = entropy_bits(counts) + (0.032 + 0.017 + 0.023) * counts.sum()
    assert total_bytes(counts, rans_levels.levels(counts)) <= bound / 8 + table + 4 + 5


@pytest.mark.parametrize(
    ("n", "spread", "table", "loss"),
    [
        (1_500, 0.4, 60, 0.03),
        (6_000, 0.4, 90, 0.006),
        (25_000, 0.2, 80, 0.002),
        (25_000, 0.4, 120, 0.002),
        (110_000, 0.4, 130, 0.002),
    ],
)
def test_tables_of_many_labels(n, spread, table, loss):
    counts = shuffled_labels(n, spread)
    levels = rans_levels.levels(counts)
    assert len(rans_levels.encode_levels(levels)) <= table
    assert 8 * rans_levels.estimated_bytes(counts, levels) <= entropy_bits(counts) * (1 + loss) + 32
    assert total_bytes(counts, levels) < total_bytes(counts, nearest(counts))


@pytest.mark.parametrize(
    ("counts", "levels"),
    [
        ([], []),
        ([0, 0], [0, 0]),
        ([5], [24]),
        ([0, 2**40], [0, 24]),
        ([1, 1, 1], [24, 24, 24]),
        ([4, 5, 4, 6, 5, 4], [23] * 6),  # not worth telling apart
        ([4000, 5000, 4000, 6000, 5000, 4000], [23, 24, 23, 24, 24, 23]),
        ([2**40, 2**39, 2**38, 1], [30, 28, 26, 1]),
        ([1, 2**40], [3, 31]),
    ],
)
def test_worked_levels(counts, levels):
    assert rans_levels.levels(counts).tolist() == levels


@given(counts(max_alphabet=20))
def test_levels_depend_on_integers_only(counts):
    """Whoever holds the counts, in whatever integers: the same levels."""
    expected = rans_levels.levels(counts)
    np.testing.assert_array_equal(rans_levels.levels(counts.tolist() or counts), expected)
    np.testing.assert_array_equal(rans_levels.levels(counts.astype(np.uint64)), expected)


def test_logarithms():
    values = np.r_[1:20_000, 2 ** np.arange(31), 2 ** np.arange(1, 32) - 1]
    exact = np.log2(values) * 4096
    found = rans_levels._log2(values)
    assert (found <= exact + 1e-6).all()
    assert (found > exact - 1.001).all()


@pytest.mark.parametrize(
    ("counts", "levels", "error", "message"),
    [
        ([1, 1, 1], [1, 1], ArgumentError, r"\(3,\) counts for \(2,\) levels"),
        ([1, 1], [1, 0], ArgumentError, "symbol 1 occurs, but has no level"),
        ([1, 1], [1, 32], FormatError, "level 32 of symbol 1 exceeds 31"),
        ([1, -1], [1, 1], ArgumentError, "counts must be integers that are not negative"),
    ],
)
def test_estimated_bytes_rejects(counts, levels, error, message):
    with pytest.raises(error, match=message):
        rans_levels.estimated_bytes(counts, np.array(levels, np.uint8))


def test_levels_rejects():
    with pytest.raises(ArgumentError, match="counts must be integers that are not negative"):
        rans_levels.levels([1.5])


TABLE = rans_levels.encode_levels, rans_levels.decode_levels


@pytest.mark.parametrize(("levels", "bits"), EXAMPLES)
def test_worked_tables(levels, bits):
    check_worked_table(*TABLE, levels, bits)


@given(LEVELS, st.binary(max_size=3))
def test_decode_undoes_encode_and_leaves_the_rest(levels, rest):
    check_table(*TABLE, levels, rest)


def test_the_longest_table():
    levels = np.tile(np.array([31, 1], np.uint8), 128)
    table = rans_levels.encode_levels(levels)
    assert len(table) > 1024
    check_table(*TABLE, levels, b"")


@given(st.binary(max_size=6), st.integers(0, 8))
def test_any_table_that_is_read_is_what_would_be_written(data, alphabet):
    check_any_table(*TABLE, data, alphabet)


@given(LEVELS)
def test_every_strict_prefix_is_truncated(levels):
    check_prefixes(*TABLE, levels, f"table of {len(levels)} levels ends early")


@pytest.mark.parametrize(
    ("bits", "alphabet", "message"),
    [
        ("111 0 11111 10", 1, "level 32 of symbol 0 is out of range"),
        ("0 111 1 1111111111 1111111111 11 0", 2, "level 0 of symbol 1 is out of range"),
        ("111 0" + "1" * 31, 1, "level table has no token like the one before bit 35"),
        ("110" + "0" * 31, 1, "level table has no token like the one before bit 34"),
        ("110 010", 1, "run of 2 absent symbols can't end at bit 6"),
        ("110 1 110 1", 2, "run of 1 absent symbols can't end at bit 8"),
        ("0 1", 1, "padding bits after the table of levels aren't zero"),
    ],
)
def test_malformed_tables(bits, alphabet, message):
    with pytest.raises(FormatError, match=message):
        rans_levels.decode_levels(packed(bits), alphabet)


@pytest.mark.parametrize("alphabet", [-1, 257])
def test_the_alphabet_has_a_limit(alphabet):
    check_alphabet(rans_levels.decode_levels, alphabet)


@pytest.mark.parametrize("function", [rans_levels.encode_levels, rans_levels.frequencies])
def test_levels_that_no_table_has(function):
    with pytest.raises(FormatError, match="level 32 of symbol 1 exceeds 31"):
        function(np.array([31, 32], np.uint8))
    with pytest.raises(ArgumentError, match="at most 256 symbols, got 257"):
        function(np.ones(MAX_ALPHABET + 1, np.uint8))
    with pytest.raises(ArgumentError, match="levels must be a one-dimensional uint8 array"):
        function([1, 2])


@given(LEVELS)
def test_the_size_of_a_table_is_known_before_it_is_written(levels):
    steps = np.diff(levels[levels > 0].astype(np.int64), prepend=24)
    bits = tokens.step_bits(steps).sum() + tokens.run_bits(np.flatnonzero(levels), len(levels))
    assert (bits + 7) // 8 == len(rans_levels.encode_levels(levels))
