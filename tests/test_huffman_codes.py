"""Lengths of optimal codes of limited length, and the canonical codes that go with them."""

import heapq
from fractions import Fraction
from itertools import pairwise, product

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.strategies import counts

from deepcompress import huffman
from deepcompress.errors import ArgumentError, FormatError
from deepcompress.huffman import codes


def cost(counts, lengths):
    return int(sum(int(c) * int(n) for c, n in zip(counts, lengths, strict=True)))


def unlimited_cost(counts):
    """Return the cost of an optimal code: the sum of all inner nodes of Huffman's tree."""
    heap = [int(c) for c in counts if c]
    heapq.heapify(heap)
    total = 0
    while len(heap) > 1:
        node = heapq.heappop(heap) + heapq.heappop(heap)
        heapq.heappush(heap, node)
        total += node
    return total


def kraft(lengths):
    """Return Kraft's sum, which is 1 for a complete code."""
    return sum(Fraction(1, 2 ** int(n)) for n in lengths if n)


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.integers(3, 4))
def test_no_code_of_limited_length_is_cheaper(counts, max_bits):
    lengths = codes.code_lengths(counts, max_bits)
    assert lengths.max() <= max_bits
    every = product(range(1, max_bits + 1), repeat=len(counts))
    assert cost(counts, lengths) == min(cost(counts, n) for n in every if kraft(n) <= 1)


@given(st.lists(st.integers(0, 50), max_size=12))
def test_a_limit_that_does_not_bind_costs_nothing(counts):
    used = [c for c in counts if c]
    if len(used) > 1:
        lengths = codes.code_lengths(counts)
        assert cost(counts, lengths) == unlimited_cost(counts)


@given(counts())
def test_huffmans_own_construction_is_optimal(counts):
    lengths = codes.unlimited_lengths(counts)
    assert lengths.dtype == np.uint8
    np.testing.assert_array_equal(lengths > 0, counts > 0)
    used = np.count_nonzero(counts)
    if used < 2:
        assert lengths.sum() == used
        return
    assert kraft(lengths) == 1
    assert cost(counts, lengths) == unlimited_cost(counts)
    if lengths.max() <= codes.MAX_CODE_BITS:
        assert cost(counts, codes.code_lengths(counts)) == cost(counts, lengths)


def test_fibonacci_counts_give_huffmans_longest_codes():
    assert codes.unlimited_lengths([1, 1, 2, 3, 5, 8]).tolist() == [5, 5, 4, 3, 2, 1]


@given(counts())
def test_lengths_are_those_of_a_complete_code(counts):
    lengths = codes.code_lengths(counts)
    assert lengths.dtype == np.uint8
    assert lengths.max(initial=0) <= codes.MAX_CODE_BITS
    np.testing.assert_array_equal(lengths > 0, counts > 0)
    used = np.count_nonzero(counts)
    assert kraft(lengths) == {0: 0, 1: 0.5}.get(used, 1)


@given(counts(max_alphabet=40))
def test_a_commoner_or_smaller_symbol_never_has_the_longer_code(counts):
    lengths = codes.code_lengths(counts)
    used = np.flatnonzero(counts)
    order = sorted(used, key=lambda s: (-counts[s], s))
    assert (np.diff(lengths[order].astype(int)) >= 0).all()


def test_ties_are_decided_by_the_symbol():
    assert codes.code_lengths([1, 1, 1]).tolist() == [1, 2, 2]
    assert codes.code_lengths([1, 2, 1, 2, 1, 1]).tolist() == [3, 2, 3, 2, 3, 3]
    assert codes.code_lengths([7] * 5).tolist() == [2, 2, 2, 3, 3]


def test_the_limit_binds_from_fibonacci_counts_on():
    fibonacci = [1, 1]
    while len(fibonacci) < 13:
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    assert codes.code_lengths(fibonacci).max() == 12  # 12 bits: 13 symbols, unlimited
    longer = [*fibonacci, 233 + 144]
    assert unlimited_cost(longer) < cost(longer, codes.code_lengths(longer))
    assert codes.code_lengths(longer).max() == 12


@given(counts())
def test_codes_are_prefix_free_and_ascend(counts):
    lengths = codes.code_lengths(counts)
    words_of = codes.canonical_codes(lengths)
    assert words_of.dtype == np.uint16
    order = sorted(np.flatnonzero(lengths), key=lambda s: (lengths[s], s))
    words = [f"{words_of[s]:0{lengths[s]}b}" for s in order]
    assert [len(word) for word in words] == lengths[order].tolist()
    assert words == sorted(words)
    for word, following in pairwise(words):
        assert not following.startswith(word)


def test_a_limit_may_leave_no_code_over():
    assert codes.code_lengths([5, 0, 1], max_bits=1).tolist() == [1, 0, 1]


def test_no_sum_of_the_largest_counts_overflows():
    largest = [2**51 - 1] * 256
    assert codes.code_lengths(largest).tolist() == [8] * 256
    assert codes.code_lengths([2**51 - 1, 1, 1]).tolist() == [1, 2, 2]
    assert huffman.encoded_bits(largest, [12] * 256) == (2**51 - 1) * 256 * 12


@pytest.mark.parametrize(
    ("counts", "max_bits", "message"),
    [
        ([1, -1], 12, "counts must be integers that are not negative"),
        ([2**51, 1, 1], 12, r"counts must be less than 2\*\*51, got 2251799813685248"),
        (np.array([1, 2**63, 1], np.uint64), 12, r"counts must be less than 2\*\*51"),
        ([1.0, 1.0], 12, "counts must be integers that are not negative"),
        ([[1, 1]], 12, r"at most 256 symbols, got shape \(1, 2\)"),
        ([1] * 257, 12, r"at most 256 symbols, got shape \(257,\)"),
        ([1, 1], 13, "max_bits must be from 1 to 12, got 13"),
        ([1, 1], 0, "max_bits must be from 1 to 12, got 0"),
        ([1, 1, 1], 1, "3 symbols can't have distinct codes of 1 bits"),
    ],
)
def test_code_lengths_rejects(counts, max_bits, message):
    with pytest.raises(ArgumentError, match=message):
        codes.code_lengths(counts, max_bits)


@pytest.mark.parametrize(
    ("lengths", "error", "message"),
    [
        ([1, 1, 1], FormatError, "over-subscribed"),
        ([1, 2, 2, 12], FormatError, "over-subscribed"),
        ([1, 2], FormatError, "incomplete"),
        ([2], FormatError, "incomplete"),  # a lone symbol has length 1
        ([1, 12], FormatError, "incomplete"),
        ([13, 1], FormatError, "code length 13 of symbol 0 exceeds 12"),
        ([255] * 256, FormatError, "code length 255 of symbol 0 exceeds 12"),
        ([0] * 257, ArgumentError, "at most 256 symbols, got 257"),
    ],
)
def test_impossible_lengths_are_rejected(lengths, error, message):
    with pytest.raises(error, match=message):
        codes.canonical_codes(np.array(lengths, np.uint8))
