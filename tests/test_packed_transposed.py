"""Products with the transpose: ``x @ w`` and ``w.T @ x`` against dense float64."""

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from support.layouts import PLANS, Plan, arrange
from support.strategies import Compressed, compressed
from threadpoolctl import threadpool_limits

import deepcompress as dc
from deepcompress import native, relindex, spmv
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.packed import forms
from deepcompress.packed.grouped import GroupedTensor
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.packed.transposed import TransposedTensor
from deepcompress.tensors import SharedWeights

EXTENSION, REASON = gateway._load()
needs_extension = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")
ISAS = [*gateway._isas()] if EXTENSION else []
EPS = np.finfo(np.float32).eps

Packed = CompressedTensor | GroupedTensor


def draw_x(seed: int, *shape: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def assert_products(w: Packed, dense: npt.NDArray[np.float32], x: npt.NDArray[np.float32]) -> None:
    """Check ``x @ w`` and ``w.T @ x.T`` within the bound of ``w @ x``."""
    matrix = dense.astype(np.float64)
    terms = np.count_nonzero(matrix, axis=0)
    bound = (terms + 1) * EPS * (np.abs(x.astype(np.float64)) @ np.abs(matrix))
    y = x @ w
    assert y.dtype == np.float32
    assert y.shape == (*x.shape[:-1], dense.shape[1])
    assert (np.abs(y - x @ matrix) <= bound).all()
    np.testing.assert_array_equal(w.T @ x.T, y.T, strict=True)


def random_tensor(
    shape: tuple[int, int], density: float, bits: int = 5, gap_bits: int = 5
) -> Compressed:
    rng = np.random.default_rng(0)
    codebook = np.concatenate([[0], rng.normal(size=2**bits - 1)]).astype(np.float32)
    positions = np.flatnonzero(rng.random(shape) < density)
    weights = SharedWeights(codebook, rng.integers(1, 2**bits, len(positions), np.uint8), bits)
    gaps = relindex.encode(positions, int(np.prod(shape)), gap_bits)
    packed = CompressedTensor.from_parts(shape, weights, gaps)
    return Compressed(packed, packed.to_dense())


def grouped(rows: int, group_rows: int) -> GroupedTensor:
    array = np.random.default_rng(1).normal(size=(rows, 130)).astype(np.float32)
    config = dc.Config({"bits": 3, "sparsity": 0.7, "group_size": group_rows})
    w = dc.compress({"w": array}, config)["w"]
    assert isinstance(w, GroupedTensor)
    return w


@given(compressed(min_rank=2, max_rank=2), st.integers(0, 9), st.integers(0, 20))
def test_products(w: Compressed, seed: int, n: int) -> None:
    rows = w.packed.rows
    assert_products(w.packed, w.dense, draw_x(seed, rows))
    assert_products(w.packed, w.dense, draw_x(seed, n, rows))
    w.packed @ np.ones(w.packed.cols)  # now that both layouts are there
    assert_products(w.packed, w.dense, draw_x(seed, rows))


@needs_extension
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("plan", PLANS, ids=str)
def test_every_instruction_set_on_every_layout(isa: str, plan: Plan) -> None:
    for shape in [(333, 17), (130, 1), (64, 16), (1, 33), (700, 5), (0, 3), (4, 0)]:
        for density in (0.01, 0.2, 0.9):
            w = random_tensor(shape, density)
            turned = CompressedTensor.from_parts(*parts_of(w.dense.T, w.packed.codebook))
            with native.use("native", isa):
                inside = w.packed._forms.transposed()
                assert inside is not None
                inside._layout, inside._is_laid_out = arrange(turned, plan), True
                assert_products(w.packed, w.dense, draw_x(0, shape[0]))
                assert_products(w.packed, w.dense, draw_x(0, 5, shape[0]))


def parts_of(
    dense: npt.NDArray[np.float32], codebook: npt.NDArray[np.float32]
) -> tuple[tuple[int, ...], SharedWeights, relindex.GapStream]:
    """Return what `from_parts` takes, of a dense tensor."""
    positions = np.flatnonzero(dense)
    order = np.argsort(codebook)
    at = np.searchsorted(codebook[order], dense.reshape(-1)[positions])
    weights = SharedWeights(codebook, order[at].astype(np.uint8), 5)
    return dense.shape, weights, relindex.encode(positions, dense.size, 5)


@needs_extension
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("shape", [(400, 70), (1200, 600)])
@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
def test_the_same_bits_and_bytes_as_a_tensor_that_is_the_transpose(
    isa: str, shape: tuple[int, int], density: float
) -> None:
    w = random_tensor(shape, density)
    turned = CompressedTensor.from_parts(*parts_of(w.dense.T, w.packed.codebook))
    x = draw_x(2, shape[0])
    with native.use("native", isa):
        layout, expected = w.packed.T.layout(), turned.layout()
        assert layout is not None
        assert expected is not None
        assert layout.kind == expected.kind
        for name in ("data", "starts", "order"):
            np.testing.assert_array_equal(getattr(layout, name), getattr(expected, name))
        np.testing.assert_array_equal(x @ w.packed, turned @ x)


@needs_extension
def test_the_same_bits_from_any_number_of_threads() -> None:
    w, x = random_tensor((3000, 900), 0.1).packed, draw_x(0, 40, 3000)
    products = []
    for threads in (1, 2, 3):
        with threadpool_limits(threads):
            products.append((x @ w, x[0] @ w))
    for many, one in products:
        np.testing.assert_array_equal(many, products[0][0])
        np.testing.assert_array_equal(one, products[0][1])


@needs_extension
def test_one_layout_takes_the_place_of_the_stream() -> None:
    w = random_tensor((300, 200), 0.1)
    stream, x = w.packed.stream(), draw_x(0, 300)
    with native.use("native"):
        x @ w.packed
        layout = w.packed.T.layout()
        assert layout is not None
        assert layout is w.packed.T.layout()
        assert w.packed.nbytes == w.packed.codebook.nbytes + layout.nbytes
        # All is still there, from the layout of the transpose alone.
        np.testing.assert_array_equal(w.packed.to_dense(), w.dense)
        again = w.packed.stream()
        for name in ("labels", "gaps"):
            np.testing.assert_array_equal(getattr(again, name), getattr(stream, name))
        assert_products(w.packed, w.dense, x)
        w.packed @ draw_x(0, 200)
        other = w.packed.layout()
        assert other is not None
        assert w.packed.nbytes == w.packed.codebook.nbytes + layout.nbytes + other.nbytes
    with native.use("reference"):
        assert_products(w.packed, w.dense, x)


@needs_extension
def test_streams_with_needless_fillers_are_kept() -> None:
    labels, gaps = np.array([0, 1], np.uint8), np.array([0, 0], np.uint8)
    codebook = np.array([0, 3], np.float32)
    w = CompressedTensor.from_entries((2, 2), codebook, (labels, 1), (gaps, 2))
    with native.use("native"):
        assert (np.array([1, 10]) @ w).tolist() == [0, 3]
    assert (w.count, w.labels().tolist()) == (2, [0, 1])


def test_weights_that_are_too_far_apart_have_no_stream_of_the_transpose() -> None:
    """A dense row of a matrix of very many rows: NumPy multiplies."""
    rows = 3 * 10**6
    weights = SharedWeights(np.array([0, 2], np.float32), np.ones(50, np.uint8), 1)
    gaps = relindex.encode(np.arange(50) + 50 * 777, 50 * rows, 8)
    w = CompressedTensor.from_parts((rows, 50), weights, gaps)
    x = np.zeros(rows, np.float32)
    x[777:779] = 5, 6
    assert w._forms.transposed() is None
    assert w.T.layout() is None
    assert (x @ w).tolist() == [10] * 50
    assert (np.stack([x, -x]) @ w).tolist() == [[10] * 50, [-10] * 50]
    assert w.nbytes < 10_000


@given(compressed(min_rank=2, max_rank=2), st.data())
def test_any_x_that_is_not_finite(w: Compressed, data: st.DataObject) -> None:
    x = draw_x(0, w.packed.rows)
    for at in data.draw(st.lists(st.integers(0, len(x) - 1), max_size=3)) if len(x) else []:
        x[at] = data.draw(st.sampled_from([np.inf, -np.inf, np.nan]))
    with np.errstate(invalid="ignore", over="ignore"):
        expected = (w.dense.astype(np.float64) * x[:, np.newaxis]).sum(axis=0)
    y = x @ w.packed
    endless = ~np.isfinite(expected)
    np.testing.assert_array_equal(y[endless], expected[endless])
    np.testing.assert_allclose(y[~endless], expected[~endless], rtol=0, atol=1e-2)


@pytest.mark.parametrize("cols", [1, 2, 70_000, 2**33 + 5, 2**53])
def test_weights_in_the_order_of_columns(cols: int) -> None:
    rng = np.random.default_rng(0)
    row, col = rng.integers(0, 9, 500), rng.integers(0, cols, 500)
    positions = np.unique(row * cols + col)
    labels = rng.integers(1, 9, len(positions)).astype(np.uint8)
    turned, turned_labels = spmv.transpose((9, cols), positions, labels)
    row, col = np.divmod(positions, cols)
    order = np.lexsort((row, col))
    np.testing.assert_array_equal(turned, (col * 9 + row)[order], strict=True)
    np.testing.assert_array_equal(turned_labels, labels[order], strict=True)
    back = spmv.transpose((cols, 9), turned, turned_labels)
    np.testing.assert_array_equal(back[0], positions)
    np.testing.assert_array_equal(back[1], labels)


@pytest.mark.parametrize("x", [[1, 10], np.array([1, 10], np.int8), np.array([10.0, 0, 1])[::-2]])
def test_operands_of_any_real_type_and_stride(x: npt.ArrayLike) -> None:
    weights = SharedWeights(np.array([0, -2, 1.5], np.float32), np.array([2, 1], np.uint8), 2)
    w = CompressedTensor.from_parts((2, 3), weights, relindex.encode([1, 5], 6, 2))
    assert (x @ w).tolist() == (w.T @ x).tolist() == [0, 1.5, -20]
    rows = np.repeat([x], 4, axis=0)
    assert (rows @ w).tolist() == [[0, 1.5, -20]] * 4
    assert (np.asfortranarray(rows)[::2] @ w).tolist() == [[0, 1.5, -20]] * 2


@pytest.mark.parametrize(
    "of", [lambda: random_tensor((20, 30), 0.4).packed, lambda: grouped(20, 6)]
)
def test_what_is_refused(of) -> None:
    w = of()
    rows, cols = w.shape
    for x in (np.ones(19), np.ones((20, 3)), np.ones((1, 2, 20)), np.ones((0, 19)), 1.0):
        with pytest.raises(ArgumentError, match=r"x must have shape \(20,\) or \(n, 20\), got"):
            x @ w
    for x in (np.ones(19), np.ones((3, 20)), np.ones((20, 1, 2)), 1.0):
        with pytest.raises(ArgumentError, match=r"x must have shape \(20,\) or \(20, n\), got"):
            w.T @ x
    with pytest.raises(ArgumentError, match="x must be of real numbers, got complex128"):
        np.ones(20, complex) @ w
    with pytest.raises(ArgumentError, match="x must be of real numbers"):
        w.T @ (["a"] * rows)
    for out in (np.zeros(cols + 1, np.float32), np.zeros(cols), np.zeros((cols, 1), np.float32)):
        with pytest.raises(ArgumentError, match=rf"out must be a float32 array of shape \({cols},"):
            w.T.dot(np.ones(rows), out)
    both = np.ones(rows + cols - 1, np.float32)
    with pytest.raises(ArgumentError, match="must not overlap"):
        w.T.dot(both[:rows], both[rows - 1 :])


def test_dot_writes_to_out() -> None:
    for w in (random_tensor((20, 130), 0.4).packed, grouped(20, 6)):
        for x in (draw_x(0, 20), draw_x(0, 20, 3), draw_x(0, 20, 1), np.full(20, np.inf)):
            out = np.full((130, *x.shape[1:]), 7, np.float32)
            assert w.T.dot(x, out) is out
            np.testing.assert_array_equal(out, w.T @ x)


@pytest.mark.parametrize("shape", [(), (6,), (3, 2, 4), (2, 2, 3, 3)])
def test_only_matrices_have_a_transpose(shape: tuple[int, ...]) -> None:
    weights = SharedWeights(np.zeros(1, np.float32), np.zeros(0, np.uint8), 1)
    w = CompressedTensor.from_parts(shape, weights, relindex.encode([], 6, 1))
    for use in (lambda: w.T, lambda: np.ones(6) @ w, lambda: [1.0] @ w):
        with pytest.raises(ArgumentError, match=r"a tensor of shape \(.*\) isn't a matrix"):
            use()


def test_the_view() -> None:
    for w in (random_tensor((20, 30), 0.4).packed, grouped(20, 6)):
        dense, cols = w.to_dense(), w.shape[1]
        assert w.T.T is w
        assert (w.T.shape, w.T.rows, w.T.cols) == ((cols, 20), cols, 20)
        assert (w.T.dtype, w.T.density) == (np.float32, w.density)
        assert repr(w.T) == f"TransposedTensor(shape=({cols}, 20), dtype=float32)"
        for array in (w.T.to_dense(), w.T.to_float32(), np.asarray(w.T), np.array(w.T, "f8")):
            np.testing.assert_array_equal(array, dense.T)
        with pytest.raises(ValueError, match="no dense array"):
            np.array(w.T, copy=False)
        x = draw_x(0, 4, cols)
        np.testing.assert_array_equal(x @ w.T, (w @ x.T).T)
        np.testing.assert_array_equal(x[0] @ w.T, w @ x[0])
        for again in (copy.deepcopy(w.T), pickle.loads(pickle.dumps(w.T))):
            assert isinstance(again, TransposedTensor)
            np.testing.assert_array_equal(again.to_dense(), dense.T)


@pytest.mark.parametrize("dtype", ["float16", "float64"])
def test_tensors_of_another_dtype(dtype: str) -> None:
    w = CompressedTensor((1, 2), np.array([0, 0.5], "f4"), 1, 1, 1, *[np.ones(1, "u1")] * 2, dtype)
    y = np.ones(1) @ w
    assert (y.dtype, y.tolist()) == (np.float32, [0, 0.5])
    assert (w.T.dtype, w.T.to_dense().dtype) == (np.dtype(dtype), np.dtype(dtype))


@pytest.mark.parametrize(("rows", "group_rows"), [(20, 6), (20, 19), (5, 1)])
def test_codebooks_by_groups(rows: int, group_rows: int) -> None:
    w = grouped(rows, group_rows)
    assert_products(w, w.to_dense(), draw_x(0, rows))
    assert_products(w, w.to_dense(), draw_x(0, 7, rows))
    assert (np.ones((0, rows)) @ w).shape == (0, 130)
    assert w.T.layout() is None
    endless = np.zeros(rows, np.float32)
    endless[[0, -1]] = np.inf, -np.inf
    with np.errstate(invalid="ignore"):
        expected = (w.to_dense() * endless[:, np.newaxis]).sum(axis=0)
    np.testing.assert_array_equal(endless @ w, expected)


@needs_extension
def test_memory_that_cannot_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("none")

    w = random_tensor((20, 30), 0.4).packed
    monkeypatch.setattr(forms.spmv, "transpose", fail)
    with native.use("native"):
        with pytest.raises(ArgumentError, match=r"hold the transpose of \(20, 30\): none"):
            np.ones(20) @ w
        monkeypatch.undo()
        monkeypatch.setattr(forms.choose, "build", fail)
        with pytest.raises(ArgumentError, match=r"hold the transpose of \(20, 30\): none"):
            np.ones(20) @ w
    monkeypatch.undo()
    assert_products(w, w.to_dense(), draw_x(0, 20))


@needs_extension
def test_the_first_product_may_be_in_many_threads() -> None:
    w, x = random_tensor((300, 500), 0.1), draw_x(0, 300)
    expected = x @ w.packed
    for _ in range(5):
        tensor = random_tensor((300, 500), 0.1).packed
        barrier = threading.Barrier(8)

        def work(i: int, tensor=tensor, barrier=barrier) -> npt.NDArray[np.float32]:
            barrier.wait()
            ways = (lambda: x @ tensor, lambda: x @ tensor.to_dense(), lambda: tensor @ w.dense[0])
            return ways[i % 3]()

        with ThreadPoolExecutor(8) as pool:
            for i, y in enumerate(pool.map(work, range(8))):
                if i % 3 == 0:
                    np.testing.assert_array_equal(y, expected)
                elif i % 3 == 1:
                    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-3)
