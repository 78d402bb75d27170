"""Products with packed tensors against dense float64, within a derived bound."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.layouts import LANES, LISTS, MASKS, PLANS, laid_out
from support.strategies import Compressed, compressed

from deepcompress import native, relindex
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.native import layout as native_layout
from deepcompress.packed.tensor import CompressedTensor
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


@pytest.mark.parametrize("density", [0.02, 0.1, 0.5])
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 33, 48, 63, 64, 65, 130])
def test_matmat_of_any_number_of_columns(density, n):
    """Wide enough for several tiles of columns and blocks of rows, in lanes and under masks."""
    rng = np.random.default_rng(n)
    dense = np.zeros((150, 1100), np.float32)
    mask = rng.random(dense.shape) < density
    mask[7] = False
    codebook = np.concatenate([[0], rng.normal(size=20)]).astype(np.float32)
    labels = rng.integers(1, 21, np.count_nonzero(mask)).astype(np.uint8)
    dense[mask] = codebook[labels]
    gaps = relindex.encode(np.flatnonzero(mask), dense.size, 6)
    packed = CompressedTensor.from_parts(dense.shape, SharedWeights(codebook, labels, 5), gaps)
    assert_product(Compressed(packed, dense), draw_x(n, 1100, n))


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


def isas():
    return gateway._isas() if gateway._load()[0] else {}


def each_kind():
    """Widths of lanes and masks with each number of bits for labels that they may have."""
    for plan in PLANS:
        for bits in range(1, 6 if plan == MASKS else 9):
            yield plan, bits


def random_tensor(shape, density, bits, seed=0):
    rng = np.random.default_rng(seed)
    codebook = np.concatenate([[0], rng.normal(size=2**bits - 1)]).astype(np.float32)
    positions = np.flatnonzero(rng.random(shape) < density)
    weights = SharedWeights(codebook, rng.integers(1, 2**bits, len(positions), np.uint8), bits)
    gaps = relindex.encode(positions, int(np.prod(shape)), 5)
    packed = CompressedTensor.from_parts(shape, weights, gaps)
    return Compressed(packed, packed.to_dense())


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize(("plan", "bits"), [*each_kind()])
def test_every_instruction_set_on_every_layout(isa, plan, bits):
    for shape in [(17, 333), (1, 130), (16, 64), (33, 1), (5, 700), (3, 0), (0, 4)]:
        for density in (0.01, 0.2, 0.9):
            w = random_tensor(shape, density, bits)
            laid_out(w.packed, plan)
            with native.use("native", isa):
                assert_product(w, draw_x(PLANS.index(plan), shape[1]))
                assert_product(w, draw_x(PLANS.index(plan), shape[1], 5))


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize("plan", [MASKS, LANES[3], LISTS], ids=str)
def test_parts_can_be_computed_apart(isa, plan):
    ffi, lib = gateway._ffi(), gateway._lib()
    w = laid_out(random_tensor((70, 99), 0.3, 5).packed, plan)
    x, x2 = draw_x(0, 99), draw_x(1, 99, 3)
    with native.use("native", isa):
        whole, whole2 = w @ x, w @ x2
        struct, chosen = native_layout.layout_struct(w.layout()), gateway._choice().isa
    for first, last in [(0, 0), (0, 2), (2, w.layout().parts)]:
        y, y2 = np.full(70, 7, np.float32), np.full((70, 3), 7, np.float32)
        pointers = [ffi.from_buffer("float[]", array) for array in (x, y, x2, y2)]
        lib.dc_spmv(chosen, struct, *pointers[:2], first, last)
        arguments = struct, pointers[2], 3, pointers[3], 3, 3, first, last
        scratch = ffi.new("char[]", lib.dc_spmm_scratch(chosen, struct))
        lib.dc_spmm(chosen, *arguments, scratch)
        inside = np.arange(first, last)
        if plan == LISTS:
            inside = np.arange(32 * first, min(32 * last, 70))
        elif plan != MASKS:
            inside = w.layout().order[16 * first : 16 * last]
        outside = np.setdiff1d(np.arange(70), inside)
        np.testing.assert_array_equal(y[inside], whole[inside])
        np.testing.assert_array_equal(y2[inside], whole2[inside])
        assert (y[outside] == 7).all()
        assert (y2[outside] == 7).all()


def test_tensors_without_a_layout():
    for w in (random_tensor((1, 60_000), 0.09, 3), random_tensor((60_000, 1), 0.001, 3)):
        assert_product(w, draw_x(0, w.packed.cols))
        assert_product(w, draw_x(0, w.packed.cols, 2))
        if native.active():
            assert w.packed.layout() is None


def test_operands_that_are_not_aligned():
    w = random_tensor((20, 30), 0.4, 4)
    x = draw_x(0, 30)
    bytes_of = np.concatenate([[0], x.view(np.uint8)]).astype(np.uint8)
    misaligned = bytes_of[1:].view(np.float32)
    assert not misaligned.flags.aligned
    np.testing.assert_array_equal(w.packed @ misaligned, w.packed @ x)


def test_dot_writes_to_out():
    w = random_tensor((20, 30), 0.4, 4).packed
    for x in (
        draw_x(0, 30),
        draw_x(0, 30, 3),
        draw_x(0, 30).astype(np.float16),
        np.full(30, np.inf),
    ):
        out = np.empty((20, *x.shape[1:]), np.float32)
        assert w.dot(x, out) is out
        np.testing.assert_array_equal(out, w @ x)


def read_only():
    array = np.zeros(20, np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("out", "message"),
    [
        (np.zeros(19, np.float32), r"of shape \(20,\), got float32 of \(19,\)"),
        (np.zeros((20, 1), np.float32), r"got float32 of \(20, 1\)"),
        (np.zeros(20), r"got float64 of \(20,\)"),
        (np.zeros(20, ">f4"), "out must be a float32 array"),
        ([0.0] * 20, "got list"),
        (read_only(), "writeable"),
        (np.zeros(40, np.float32)[::2], "contiguous"),
        (np.zeros(81, np.uint8)[1:].view(np.float32), "aligned"),
    ],
)
def test_other_outs_are_refused(out, message):
    with pytest.raises(ArgumentError, match=message):
        random_tensor((20, 30), 0.4, 4).packed.dot(np.ones(30), out=out)


def test_an_out_that_overlaps_x_is_refused():
    both = np.ones(40, np.float32)
    with pytest.raises(ArgumentError, match="must not overlap"):
        random_tensor((20, 30), 0.4, 4).packed.dot(both[:30], out=both[20:])
    random_tensor((10, 30), 0.4, 4).packed.dot(both[:30], out=both[30:])


def test_a_matrix_of_one_column_is_a_vector():
    w = random_tensor((70, 90), 0.3, 5).packed
    x = draw_x(3, 90)
    out = np.full((70, 1), np.nan, np.float32)
    assert w.dot(x[:, np.newaxis], out=out) is out
    np.testing.assert_array_equal(out[:, 0], w @ x)
