"""A compressed tensor as a dense array, as SciPy's matrix, and some of its rows."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.strategies import compressed
from test_packed_tensor import VALID, f32, u8

from deepcompress import relindex
from deepcompress.errors import ArgumentError
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.tensors import SharedWeights


@given(compressed())
def test_to_dense(w):
    np.testing.assert_array_equal(w.packed.to_dense(), w.dense, strict=True)
    survivors = np.count_nonzero(w.dense)
    assert w.packed.density == (survivors / w.dense.size if w.dense.size else 0)


@given(compressed(min_rank=1), st.data())
def test_rows_are_tensors_of_their_own(w, data):
    bound = st.none() | st.integers(-15, 15)
    rows = slice(data.draw(bound), data.draw(bound), data.draw(st.sampled_from([None, 1])))
    part = w.packed[rows]
    np.testing.assert_array_equal(part.to_dense(), w.dense[rows], strict=True)
    assert part.shape == w.dense[rows].shape
    again = relindex.encode(np.flatnonzero(w.dense[rows]), part.size, part.gap_bits)
    np.testing.assert_array_equal(part.gaps(), again.gaps)  # no fillers but where needed


def test_fillers_at_the_ends_of_a_slice_are_dropped():
    weights = SharedWeights(f32(0, 1), u8(1, 1, 1), 1)
    w = CompressedTensor.from_parts((6, 2), weights, relindex.encode([0, 5, 11], 12, 1))
    assert w.positions().tolist() == [0, 2, 4, 5, 7, 9, 11]
    assert w[1:5].positions().tolist() == [1, 3]
    assert w[1:5].gaps().tolist() == [1, 1]
    assert w[3:5].count == 0


@given(compressed(min_rank=2))
def test_to_scipy_csr(w):
    csr = w.packed.to_scipy_csr()
    np.testing.assert_array_equal(csr.toarray(), w.dense.reshape(csr.shape), strict=True)
    assert csr.shape == (w.packed.rows, w.packed.cols)
    assert csr.nnz == np.count_nonzero(w.dense)
    assert csr.has_canonical_format


def test_numpy_sees_the_dense_tensor():
    w = CompressedTensor(**VALID)
    np.testing.assert_array_equal(np.asarray(w), w.to_dense(), strict=True)
    np.testing.assert_array_equal(np.array(w, np.float64), w.to_dense().astype(float), strict=True)
    with pytest.raises(ValueError, match="no dense array"):
        w.__array__(copy=False)


@pytest.mark.parametrize("rows", [0, slice(None, None, 2), slice(None, None, -1), (0, 0), None])
def test_only_slices_of_consecutive_rows_can_be_taken(rows):
    with pytest.raises(ArgumentError, match="only slices of consecutive rows"):
        CompressedTensor(**VALID)[rows]


def test_a_scalar_has_no_rows():
    w = CompressedTensor((), f32(0, 3), 1, 1, 1, u8(1), u8(0))
    assert w.to_dense() == 3
    with pytest.raises(ArgumentError, match="only slices of consecutive rows"):
        w[:]


@pytest.mark.parametrize("shape", [(1 << 31, 1 << 31), (1 << 60, 4)])
def test_a_huge_shape_is_held_packed_but_not_densely(shape):
    w = CompressedTensor(**VALID | {"shape": shape})
    assert w.size == 1 << 62
    with pytest.raises(ArgumentError, match="densely"):
        w.to_dense()
