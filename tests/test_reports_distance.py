"""How far tensors are apart: as NumPy says where that is exact, and where it isn't."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deepcompress as dc
from deepcompress import relindex
from deepcompress.reports.distance import differing_labels, distance
from deepcompress.tensors import SharedWeights

LARGEST = float(np.finfo(np.float64).max)


def shared(values, gap_bits=4, codebook=None):
    """Compress small whole numbers without loss."""
    dense = np.asarray(values, np.float32)
    if codebook is None:
        codebook = np.array([0, *sorted(set(dense[dense != 0].tolist()))], np.float32)
    positions = np.flatnonzero(dense)
    labels = np.searchsorted(codebook[1:], dense.ravel()[positions]).astype(np.uint8) + np.uint8(1)
    stream = relindex.encode(positions, dense.size, gap_bits)
    return dc.CompressedTensor.from_parts(dense.shape, SharedWeights(codebook, labels, 8), stream)


VALUES = st.lists(st.tuples(*[st.integers(-3, 3)] * 2), min_size=1, max_size=40)


@given(VALUES)
def test_in_every_form_it_is_the_same(pairs) -> None:
    a, b = np.array(pairs, np.float32).T
    far = distance(a, b)
    apart = np.abs(a - b)
    assert (far.elements, far.differing, far.unmeasured) == (len(a), np.sum(apart > 0), 0)
    assert far.largest == apart.max()
    assert far.rms == pytest.approx(math.sqrt(np.mean(apart**2)))
    if b.any():
        assert far.relative_rms == pytest.approx(far.rms / math.sqrt(np.mean(b**2)))
    else:
        assert far.relative_rms is None
    for forms in ((shared(a), b), (a, shared(b, 2)), (shared(a, 3), shared(b))):
        again = distance(*forms)
        assert (again.differing, again.largest) == (far.differing, far.largest)
        assert again.rms == pytest.approx(far.rms)
        assert again.relative_rms == pytest.approx(far.relative_rms)


def test_what_is_not_finite() -> None:
    nan, inf = math.nan, math.inf
    a = np.array([nan, inf, -inf, nan, inf, inf, 1.0, 0.0])
    b = np.array([nan, inf, -inf, 2.0, -inf, 3.0, 4.0, -0.0])
    far = distance(a, b)
    assert (far.differing, far.unmeasured, far.largest) == (4, 3, 3.0)
    assert far.rms == pytest.approx(3 / math.sqrt(5))
    assert far.relative_rms == pytest.approx(far.rms / math.sqrt((4 + 9 + 16) / 4))
    assert distance(a, a).differing == 0
    both = np.array([complex(nan, 1), complex(1, inf)])
    assert distance(both, both).differing == 0
    assert distance(both, np.zeros(2)).unmeasured == 2


def test_numbers_at_the_ends_of_their_range() -> None:
    far = distance(np.array([LARGEST, 0]), np.array([-LARGEST, 0]))
    assert (far.differing, far.unmeasured, far.largest) == (1, 1, 0.0)  # beyond float64
    far = distance(np.array([LARGEST, LARGEST]), np.zeros(2))
    assert (far.largest, far.rms, far.relative_rms) == (LARGEST, LARGEST, None)
    huge = np.array([complex(LARGEST, LARGEST)])
    assert distance(huge, huge).differing == distance(huge, huge).unmeasured == 0
    tiny = 5e-324
    assert distance(np.array([tiny]), np.array([0.0])).rms == tiny
    assert distance(np.array([LARGEST]), np.array([tiny])).relative_rms is None
    chunks = np.r_[np.full(1 << 18, 1e-200), np.full(1 << 18, 1e200)]
    assert distance(chunks, np.zeros(1 << 19)).rms == pytest.approx(1e200 / math.sqrt(2))


def test_whole_numbers_are_not_rounded() -> None:
    ends = [np.iinfo(np.int64).min, np.iinfo(np.int64).max]
    assert distance(np.array(ends), np.array(ends[::-1])).largest == 2.0**64
    big = np.array([2**62 + 1])
    assert distance(big, big - 1).largest == 1.0
    assert distance(big - 1, big).largest == 1.0
    assert distance(np.array([True]), np.array([False])).largest == 1.0
    assert distance(np.array([3], np.uint8), np.array([-2], np.int8)).largest == 5.0
    assert distance(np.array([3 + 4j]), np.array([0])).largest == 5.0
    assert distance(np.array([0]), np.array([3 + 4j])).relative_rms == 1.0


def test_shapes() -> None:
    assert distance(np.zeros((0, 3)), np.zeros((0, 3))).rms == 0.0
    assert distance(np.float64(2).reshape(()), np.float64(1).reshape(())).largest == 1.0
    for measure in (distance, differing_labels):
        with pytest.raises(dc.ArgumentError, match=r"\(2,\) and \(3,\)"):
            measure(shared([1, 2]), shared([1, 2, 3]))


def test_labels() -> None:
    assert differing_labels(shared([1, 0, 2, 0]), shared([1, 0, 2, 0], 1)) == 0
    assert differing_labels(shared([1, 0, 2, 0]), shared([0, 5, 6, 0])) == 2
    three = np.array([0, 1, 2, 3], np.float32)
    assert differing_labels(shared([1, 3]), shared([1, 3], codebook=three)) == 1
    assert distance(shared([1, 3]), shared([1, 3], codebook=three)).differing == 0


def test_the_zeros_of_compressed_tensors_take_no_memory() -> None:
    shape = (1 << 31, 1 << 31)
    weights = SharedWeights(np.array([0, 2], np.float32), np.array([1], np.uint8), 1)
    ends = [
        dc.CompressedTensor.from_parts(shape, weights, relindex.encode([at], 1 << 62, 8))
        for at in (5, 6)
    ]
    far = distance(*ends)
    assert (far.elements, far.differing, far.largest) == (1 << 62, 2, 2.0)
    assert far.rms == pytest.approx(math.sqrt(8 / 2**62))


def test_dense_ones_take_little_more_than_themselves() -> None:
    a = np.ones(1 << 22, np.float32)
    tracemalloc.start()
    distance(a, a)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
