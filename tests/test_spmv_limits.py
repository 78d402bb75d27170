"""Operands of products at and beyond what can be held: right, or refused by name."""

import numpy as np
import pytest
from test_spmv import draw_x, random_tensor

from deepcompress import relindex
from deepcompress.errors import ArgumentError
from deepcompress.packed.forms import Forms
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.spmv import choose, forms
from deepcompress.tensors import SharedWeights

ONE = np.float32(1)


def two_weights(shape, last):
    """Weights 1 at the first element and 2 at element `last`; the gap alone takes memory."""
    weights = SharedWeights(np.array([0, 1, 2], np.float32), np.array([1, 2], np.uint8), 2)
    gaps = relindex.encode(np.array([0, last]), int(np.prod(shape, dtype=object)), 8)
    return CompressedTensor.from_parts(shape, weights, gaps)


@pytest.mark.parametrize("rows", [1 << 50, 1 << 61])
def test_a_product_that_memory_cannot_hold(rows):
    w = two_weights((rows, 2), 9)
    with pytest.raises(ArgumentError, match=rf"can't hold x and a product of \({rows},\)"):
        w @ np.ones(2)
    with pytest.raises(ArgumentError, match=rf"product of \({rows}, 3\)"):
        w @ np.ones((2, 3), np.float32)
    with pytest.raises(ArgumentError, match=f"can't index {rows} rows"):
        w.to_scipy_csr()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda w: w @ np.ones(60), r"a product of \(40,\)"),
        (lambda w: w @ np.full(60, np.nan), r"a product of \(40,\)"),
        (lambda w: w.to_dense(), "densely"),
        (lambda w: w.to_scipy_csr(), "can't index 40 rows"),
    ],
)
def test_memory_that_is_needed_on_the_way(use, words, monkeypatch):
    def fail(*_, **__):
        raise MemoryError("too little")

    w = random_tensor((40, 60), 0.3, 4).packed
    with monkeypatch.context() as patch:
        patch.setattr(Forms, "survivors", fail)
        patch.setattr(forms, "survivors", fail)
        patch.setattr(choose, "build", fail)
        with pytest.raises(ArgumentError, match=f"{words}.*: too little"):
            use(w)
    use(w)  # as if nothing had been


@pytest.mark.parametrize("cols", [1 << 50, 1 << 60])
def test_an_x_that_memory_cannot_hold_once_more(cols):
    x = np.broadcast_to(ONE, (cols,))
    with pytest.raises(ArgumentError, match=r"can't hold x and a product of \(2,\)"):
        two_weights((2, cols), 9) @ x


def test_tensors_of_more_than_31_bits_of_elements():
    shape = (1 << 14, 1 << 18)
    last = (1 << 14) * 300 + 5
    w = two_weights(shape, last)
    assert w.size == 1 << 32
    x = np.ones(shape[1], np.float32)
    x[last % shape[1]] = 3
    for y in (w @ x, (w @ np.stack([x, x], axis=1))[:, 1]):
        assert np.flatnonzero(y).tolist() == [0, last // shape[1]]
        assert y[[0, last // shape[1]]].tolist() == [1, 6]
    np.testing.assert_array_equal(w[10:] @ x, (w @ x)[10:])


class OfAnotherLibrary:
    """An array that doesn't want to become one of NumPy's, as where it has gradients."""

    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error("can't be converted")


@pytest.mark.parametrize(
    "x", [[[1, 2], [3]], [1, [2, 3]], OfAnotherLibrary(RuntimeError), OfAnotherLibrary(TypeError)]
)
def test_what_is_no_array_is_no_operand(x):
    with pytest.raises(ArgumentError, match="x isn't an array"):
        two_weights((2, 2), 3) @ x


@pytest.mark.parametrize(
    "dtype", [np.float16, np.float64, np.int8, np.int64, np.uint16, bool, ">f4", ">f8", ">i2"]
)
@pytest.mark.parametrize("columns", [(), (4,)])
def test_results_depend_on_values_and_neither_on_type_nor_memory(dtype, columns):
    w = random_tensor((40, 60), 0.3, 4).packed
    x = np.abs(np.rint(4 * draw_x(0, 60, *columns))).astype(dtype)
    expected = w @ x.astype(np.float32)
    wide = np.zeros((120, *(2 * n for n in columns)), dtype)
    strided = wide[(slice(None, None, 2),) * wide.ndim]
    strided[...] = x
    for same in (x, x.tolist(), np.asfortranarray(x), x[::-1].copy()[::-1], strided):
        out = np.full(expected.shape, np.nan, np.float32)
        assert w.dot(same, out=out) is out
        np.testing.assert_array_equal(out, expected)
        np.testing.assert_array_equal(w @ same, expected)
    np.testing.assert_array_equal(strided, x)  # not written to


@pytest.mark.parametrize("x", [np.ones(60, complex), ["1"] * 60, np.full(60, None), None, "x"])
def test_operands_that_are_not_real_numbers(x):
    with pytest.raises(ArgumentError, match="x must be of real numbers"):
        random_tensor((40, 60), 0.3, 4).packed @ x


@pytest.mark.parametrize("shape", [(), (59,), (61,), (1, 60), (60, 2, 2), (0,), (59, 0)])
def test_operands_of_other_shapes(shape):
    with pytest.raises(ArgumentError, match=r"x must have shape \(60,\) or \(60, n\), got"):
        random_tensor((40, 60), 0.3, 4).packed @ np.ones(shape, np.float32)


def test_a_product_without_columns():
    w, out = random_tensor((40, 60), 0.3, 4).packed, np.empty((40, 0), np.float32)
    assert w.dot(np.ones((60, 0)), out) is out
    assert (w @ np.ones((60, 0))).shape == (40, 0)


def test_an_out_that_overlaps_an_x_that_is_converted():
    x = np.ones(60, np.float64)
    with pytest.raises(ArgumentError, match="must not overlap"):
        random_tensor((40, 60), 0.3, 4).packed.dot(x, out=x.view(np.float32)[:40])


def test_rows_that_are_taken_multiply_as_they_did():
    w, x = random_tensor((70, 60), 0.3, 4).packed, draw_x(0, 60, 3)
    for rows in (slice(0, 0), slice(5, 6), slice(10, 60), slice(-3, None), slice(None)):
        np.testing.assert_allclose(w[rows] @ x, (w @ x)[rows], rtol=0, atol=1e-5)
