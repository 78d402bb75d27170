"""Products with packed tensors against dense float64, within a derived bound."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from strategies import compressed

from deepcompress import relindex
from deepcompress.compressed import CompressedTensor
from deepcompress.tensors import SharedWeights

EPS = np.finfo(np.float32).eps  # 2**-23: a rounding errs by half of it, relatively


def assert_product(w, x):
    """Check ``w @ x``: a sum of n products has at most n + 1 roundings on any term's way.

    Rounding x is not among them, as it is float32 already.
    """
    matrix = w.dense.reshape(w.packed.rows, w.packed.cols).astype(np.float64)
    y = w.packed @ x
    terms = np.count_nonzero(matrix, axis=1).reshape(-1, *[1] * (x.ndim - 1))
    bound = (terms + 1) * EPS * (np.abs(matrix) @ np.abs(x.astype(np.float64)))
    assert y.dtype == np.float32
    assert y.shape == (w.packed.rows, *x.shape[1:])
    assert (np.abs(y - matrix @ x) <= bound).all()


def draw_x(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(compressed(min_rank=2), st.integers(0, 9))
def test_matvec(w, seed):
    assert_product(w, draw_x(seed, w.packed.cols))


@given(compressed(min_rank=2), st.integers(0, 9), st.integers(0, 20))
def test_matmat(w, seed, n):
    assert_product(w, draw_x(seed, w.packed.cols, n))


def example(gap_bits=2):
    """A 3 × 8 matrix with an empty row between rows of two weights, and a filler in row 0."""
    positions = np.array([0, 7, 16, 19])
    codebook = np.array([0, -3, 0.5], np.float32)
    weights = SharedWeights(codebook, np.array([1, 2, 2, 1], np.uint8), 2)
    w = CompressedTensor.from_parts((3, 8), weights, relindex.encode(positions, 24, gap_bits))
    assert (w.labels() == 0).any() == (gap_bits < 4)
    return w


@pytest.mark.parametrize("gap_bits", [1, 2, 4, 8])
def test_a_worked_example(gap_bits):
    x = np.array([1, 2, 3, 4, 5, 6, 7, 8], np.float32)
    assert (example(gap_bits) @ x).tolist() == [1, 0, -11.5]
    columns = np.stack([x, -x, 0 * x], axis=1)
    assert (example(gap_bits) @ columns).tolist() == [[1, -1, 0], [0, 0, 0], [-11.5, 11.5, 0]]


def dense_product(dense, x):
    """``W x`` with each zero multiplied, which BLAS need not do."""
    with np.errstate(invalid="ignore", over="ignore"):
        return (dense.astype(np.float64) * x).sum(axis=1)


@pytest.mark.parametrize("gap_bits", [1, 2, 4, 8])
@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("at", [[0], [3], [7], [1, 2], [0, 3], [0, 7], [5]])
def test_what_is_not_finite_gives_the_dense_product(gap_bits, value, at):
    w, x = example(gap_bits), np.ones(8, np.float32)
    x[at] = value
    expected = dense_product(w.to_dense(), x)
    np.testing.assert_array_equal(w @ x, expected)
    columns = np.stack([np.ones(8, np.float32), x], axis=1)
    np.testing.assert_array_equal(w @ columns, np.stack([[-2.5, 0, -2.5], expected], axis=1))


@given(compressed(min_rank=2), st.data())
def test_any_x_that_is_not_finite(w, data):
    x = draw_x(0, w.packed.cols)
    for col in data.draw(st.lists(st.integers(0, len(x) - 1), max_size=3)) if len(x) else []:
        x[col] = data.draw(st.sampled_from([np.inf, -np.inf, np.nan]))
    expected = dense_product(w.dense.reshape(w.packed.rows, w.packed.cols), x)
    y = w.packed @ x
    endless = ~np.isfinite(expected)
    np.testing.assert_array_equal(y[endless], expected[endless])
    np.testing.assert_allclose(y[~endless], expected[~endless], rtol=0, atol=1e-2)


def test_sums_that_overflow_are_infinite():
    huge = np.full(8, 3e38, np.float32)
    np.testing.assert_array_equal((example() @ huge)[[0, 2]], [-np.inf, -np.inf])


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (3, 0, 4)])
def test_matrices_without_elements(shape):
    weights = SharedWeights(np.zeros(1, np.float32), np.zeros(0, np.uint8), 1)
    w = CompressedTensor.from_parts(shape, weights, relindex.encode([], 0, 3))
    assert (w @ np.ones(w.cols)).tolist() == [0.0] * shape[0]
    assert (w @ np.ones((w.cols, 2))).tolist() == [[0.0, 0.0]] * shape[0]


def test_a_column_vector_whose_entries_are_rows_apart():
    positions = np.array([0, 255, 256, 600])
    weights = SharedWeights(np.array([0, 2], np.float32), np.ones(4, np.uint8), 1)
    w = CompressedTensor.from_parts((700, 1), weights, relindex.encode(positions, 700, 8))
    np.testing.assert_array_equal(np.flatnonzero(w @ np.ones(1)), positions)
