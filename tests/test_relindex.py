"""Positions as gaps with fillers: the nooks of the format, and both directions."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import sparse, widths

from deepcompress import relindex
from deepcompress.errors import ArgumentError, FormatError

F, T = False, True


@pytest.mark.parametrize(
    ("positions", "size", "gap_bits", "gaps", "fillers"),
    [
        # Han et al. 2016, Figure 2: entries at 1, 4 and 15, "a filler zero" at 12.
        ([1, 4, 15], 16, 3, [1, 2, 7, 2], [F, F, T, F]),
        ([], 0, 3, [], []),  # empty tensor
        ([], 100, 3, [], []),  # nothing survives
        ([0], 1, 1, [0], [F]),  # the first gap counts from position -1
        ([0, 1, 2, 3], 4, 8, [0, 0, 0, 0], [F, F, F, F]),  # full tensor
        ([2], 1000, 3, [2], [F]),  # trailing zeros aren't stored
        ([7], 8, 3, [7], [F]),  # 2**3 - 1 zeros need no filler
        ([8], 9, 3, [7, 0], [T, F]),  # 2**3 zeros need one
        ([9], 10, 3, [7, 1], [T, F]),  # and so do 2**3 + 1
        ([15], 16, 3, [7, 7], [T, F]),  # the last entry may have the gap of a filler
        ([16], 17, 3, [7, 7, 0], [T, T, F]),
        ([0, 5], 6, 1, [0, 1, 1, 0], [F, T, T, F]),
        ([255], 256, 8, [255], [F]),
        ([256], 257, 8, [255, 0], [T, F]),
        ([2**31 + 5], 2**31 + 6, 8, None, None),  # past 31 bits; too many gaps to list
    ],
)
def test_nooks(positions, size, gap_bits, gaps, fillers):
    stream = relindex.encode(np.array(positions, np.int64), size, gap_bits)
    if gaps is not None:
        assert stream.gaps.tolist() == gaps
        assert stream.fillers.tolist() == fillers
    assert relindex.decode(stream.gaps, size)[~stream.fillers].tolist() == positions


@given(sparse(), widths)
def test_decode_undoes_encode(tensor, gap_bits):
    before = tensor.positions.copy()
    stream = relindex.encode(tensor.positions, tensor.size, gap_bits)
    entries = relindex.decode(stream.gaps, tensor.size)
    np.testing.assert_array_equal(entries[~stream.fillers], before)
    np.testing.assert_array_equal(tensor.positions, before)
    assert (stream.gaps.dtype, stream.fillers.dtype) == (np.uint8, np.bool_)
    assert (entries.dtype, stream.gap_bits) == (np.int64, gap_bits)


@given(sparse(), widths)
def test_fillers_are_only_where_a_gap_is_too_wide(tensor, gap_bits):
    stream = relindex.encode(tensor.positions, tensor.size, gap_bits)
    largest = 2**gap_bits - 1
    assert (stream.gaps <= largest).all()
    assert (stream.gaps[stream.fillers] == largest).all()
    runs = np.diff(tensor.positions, prepend=-1) - 1
    assert stream.fillers.sum() == (runs // 2**gap_bits).sum()
    assert not stream.fillers[-1:].any()


@given(sparse(), widths)
def test_a_width_is_priced_without_its_stream(tensor, gap_bits):
    stream = relindex.encode(tensor.positions, tensor.size, gap_bits)
    runs = np.diff(tensor.positions, prepend=-1) - 1
    histogram = np.bincount(runs % 2**gap_bits, minlength=2**gap_bits)
    histogram[-1] += relindex.filler_count(tensor.positions, gap_bits)
    np.testing.assert_array_equal(histogram, np.bincount(stream.gaps, minlength=2**gap_bits))
    assert relindex.filler_count(tensor.positions, gap_bits) == stream.fillers.sum()


@pytest.mark.parametrize(
    ("positions", "size", "gap_bits", "message"),
    [
        ([3, 3], 9, 3, "positions must ascend from 0, but don't at index 1"),
        ([3, 4, 2], 9, 3, "positions must ascend from 0, but don't at index 2"),
        ([-1, 0], 9, 3, "positions must ascend from 0, but don't at index 0"),
        ([3, 9], 9, 3, "position 9 lies outside a tensor of 9 elements"),
        ([0], 0, 3, "position 0 lies outside a tensor of 0 elements"),
        ([1.0], 9, 3, r"one-dimensional integer array, got float64 of shape \(1,\)"),
        ([[1]], 9, 3, r"one-dimensional integer array, got int64 of shape \(1, 1\)"),
        ([1], 9, 0, "gap_bits must be an integer from 1 to 8, got 0"),
        ([1], 9, 9, "gap_bits must be an integer from 1 to 8, got 9"),
    ],
)
def test_encode_rejects(positions, size, gap_bits, message):
    with pytest.raises(ArgumentError, match=message):
        relindex.encode(positions, size, gap_bits)


@pytest.mark.parametrize(
    ("gaps", "size", "entry"),
    [([0], 0, 0), ([1], 1, 0), ([0, 0, 0], 2, 2), ([255] * 4, 512, 2), ([3, 200, 0], 100, 1)],
)
def test_decode_rejects_entries_outside_the_tensor(gaps, size, entry):
    with pytest.raises(FormatError, match=rf"an entry lies outside its tensor \(entry {entry}\)"):
        relindex.decode(np.array(gaps, np.uint8), size)


def test_decode_rejects_other_types():
    with pytest.raises(
        ArgumentError, match="gaps must be a one-dimensional uint8 array, got int64"
    ):
        relindex.decode(np.array([300]), 1000)


@given(sparse(), widths, st.integers(1, 4))
def test_chunks_of_positions_change_nothing(tensor, gap_bits, chunk):
    positions, size = tensor.positions, tensor.size
    whole = relindex.encode(positions, size, gap_bits)
    with mock.patch.object(relindex, "CHUNK_POSITIONS", chunk):
        stream = relindex.encode(positions, size, gap_bits)
        counts = relindex.filler_counts(positions)
    np.testing.assert_array_equal(stream.gaps, whole.gaps, strict=True)
    np.testing.assert_array_equal(stream.fillers, whole.fillers, strict=True)
    np.testing.assert_array_equal(counts, relindex.filler_counts(positions), strict=True)
