"""Blocks of columns: what is written back, the twin, and that they take the stream's place."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.strategies import compressed
from test_spmv import isas, random_tensor
from test_spmv_convolution import compress

from deepcompress import native
from deepcompress.spmv import column_blocks, survivors

each_backend = pytest.mark.parametrize("backend", ["reference", *(["native"] if isas() else [])])


@each_backend
@given(w=compressed(min_rank=2), width=st.sampled_from(column_blocks.WIDTHS))
def test_survivors_are_those_of_the_tensor(backend, w, width):
    with pytest.MonkeyPatch.context() as patch, native.use(backend):
        patch.setattr(column_blocks, "choose", lambda *_: width)
        blocks = column_blocks.build(w.packed.stream())
        for built, given_ in zip(survivors(blocks), w.packed.survivors(), strict=True):
            np.testing.assert_array_equal(built, given_)
        assert blocks.entries == len(w.packed.survivors()[0])


@pytest.mark.skipif(not isas(), reason="no C extension")
@pytest.mark.parametrize(("shape", "density"), [((40, 700), 0.3), ((17, 90, 3, 3), 0.02)])
def test_both_backends_build_the_same(shape, density):
    w = random_tensor(shape, density, 8).packed
    with native.use("reference"):
        ours = column_blocks.build(w.stream())
    with native.use("native"):
        theirs = column_blocks.build(w.stream())
    np.testing.assert_array_equal(ours.data, theirs.data)
    np.testing.assert_array_equal(ours.starts, theirs.starts)


def test_a_worked_example():
    """Row 0 has a weight in the second block alone, row 1 one in each."""
    dense = np.zeros((2, 70), np.float32)
    dense[0, 69], dense[1, 3], dense[1, 64] = 2, 2, 1
    blocks = column_blocks.build(compress(dense).stream())
    assert blocks.block_cols == 256
    assert blocks.data.tolist() == [1, 69 + 2 * 256, 2, 3 + 2 * 256, 64 + 256]
    assert blocks.starts.tolist() == [0, 5]


@each_backend
def test_blocks_take_the_place_of_the_stream(backend):
    with native.use(backend):
        w = random_tensor((40, 20, 3, 3), 0.3, 8).packed
        dense, labels, gaps = w.to_dense(), w.labels(), w.gaps()
        blocks = w.blocks()
        assert w.blocks() is blocks
        assert w.nbytes == w.codebook.nbytes + blocks.nbytes
        np.testing.assert_array_equal(w.to_dense(), dense)
        np.testing.assert_array_equal(w.labels(), labels)
        np.testing.assert_array_equal(w.gaps(), gaps)
        x = np.ones(180, np.float32)
        np.testing.assert_allclose(w @ x, dense.reshape(40, 180) @ x, atol=1e-4)
        np.testing.assert_array_equal(w[3:7].to_dense(), dense[3:7])


def test_a_large_tensor_of_few_weights_has_none():
    w = random_tensor((1, 1), 1, 1).packed
    w = type(w)((1 << 20, 1 << 10), w.codebook, 1, 5, 1, w.labels_packed, w.gaps_packed)
    assert w.blocks() is None
