"""How matrices lie in memory for products: the definition, and C against it."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support import teams
from support.layouts import LANES, LISTS, MASKS, PLANS, TILES, arrange
from support.strategies import compressed

from deepcompress import native, relindex
from deepcompress.native import gateway
from deepcompress.native import layout as native_layout
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.spmv import choose, lanes, survivors, tiles
from deepcompress.tensors import SharedWeights

EXTENSION, REASON = gateway._load()
needs_extension = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")
plans = st.sampled_from(PLANS)


def tensor(dense, bits=2, gap_bits=2):
    """A tensor whose weights are their labels."""
    dense = np.array(dense, np.uint8)
    codebook = np.arange(2**bits, dtype=np.float32)
    positions = np.flatnonzero(dense)
    weights = SharedWeights(codebook, dense[dense != 0], bits)
    gaps = relindex.encode(positions, dense.size, gap_bits)
    return CompressedTensor.from_parts(dense.shape, weights, gaps)


def test_a_worked_example_in_lanes():
    w = tensor([[0, 3, 0, 0, 0, 0], [0] * 6, [1, 0, 0, 0, 0, 2]])
    counts = lanes.row_counts(w.stream())
    assert counts[:4].tolist() == [[1, 0, 2], [1, 0, 6], [1, 0, 3], [1, 0, 2]]
    laid = arrange(w, LANES[1])
    assert laid.order.tolist() == [2, 0, 1]
    assert laid.starts.tolist() == [0, 32]
    # Lane 0 is row 2: column 0, a filler 3 on, then 2 more. Lane 1 is row 0: column 1.
    differences = [0b10_11_00, 0b01] + [0] * 14
    labels = [0b10_00_01, 0b11] + [0] * 14
    assert laid.data.tolist() == differences + labels + [0] * 64


def test_a_worked_example_of_masks():
    dense = np.zeros((2, 70), np.uint8)
    dense[0, [0, 1, 16, 69]] = 1, 2, 3, 1
    laid = arrange(tensor(dense), MASKS)
    assert laid.starts.tolist() == [32, 36, 36]
    masks = laid.data[:32].view("<u8").tolist()
    # Column 16 follows column 0 in the bits, and column 1 is bit 4; 69 is column 5 of its mask.
    assert masks == [0b1_0011, 1 << 20, 0, 0]
    assert laid.data[32:36].tolist() == [1, 3, 2, 1]
    assert (laid.data[36:] == 0).all()
    assert len(laid.data) == 36 + 64


@given(compressed(min_rank=2), plans)
def test_layouts_have_the_survivors(w, plan):
    positions, labels = survivors(arrange(w.packed, plan))
    expected, expected_labels = w.packed.survivors()
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_array_equal(labels, expected_labels)


@needs_extension
@given(compressed(min_rank=2), plans)
def test_c_makes_the_same_bytes(w, plan):
    reference, c = (arrange(w.packed, plan, backend) for backend in ("reference", "native"))
    for name in ("data", "starts", "order"):
        np.testing.assert_array_equal(getattr(c, name), getattr(reference, name), strict=True)


@needs_extension
@pytest.mark.parametrize("shape", [(40, 700), (1, 5000), (17, 1), (16, 300)])
@pytest.mark.parametrize(("density", "gap_bits"), [(0.003, 4), (0.01, 8), (0.05, 4), (0.5, 4)])
def test_c_makes_the_same_bytes_of_long_rows(shape, density, gap_bits):
    """Of 8 bits, gaps of a block sum up to more than a byte."""
    rng = np.random.default_rng(0)
    w = tensor(rng.integers(1, 32, shape) * (rng.random(shape) < density), 5, gap_bits)
    with native.use("native"):
        c, _ = native_layout.row_counts(w.stream())
    np.testing.assert_array_equal(c, lanes.row_counts(w.stream()), strict=True)
    for plan in PLANS:
        reference, native_one = arrange(w, plan), arrange(w, plan, "native")
        np.testing.assert_array_equal(native_one.data, reference.data)
        np.testing.assert_array_equal(survivors(reference)[0], w.positions()[w.labels() > 0])


@needs_extension
@pytest.mark.parametrize("threads", [2, 3, 100])
def test_threads_make_the_same_bytes(monkeypatch, threads):
    monkeypatch.setattr(native_layout, "team", teams.always(threads))
    rng = np.random.default_rng(0)
    w = tensor(rng.integers(1, 32, (170, 300)) * (rng.random((170, 300)) < 0.1), 5, 4)
    for plan in (*LANES, TILES):
        np.testing.assert_array_equal(arrange(w, plan, "native").data, arrange(w, plan).data)


@needs_extension
@pytest.mark.parametrize("shares", [1, 2, 3, 8])
@pytest.mark.parametrize(
    ("shape", "density"),
    [((600, 40), 0.3), ((1, 3000), 0.05), ((3000, 1), 0.02), ((40, 90), 0.0), ((7, 5), 1.0)],
)
def test_shares_of_the_stream_count_as_one(monkeypatch, shape, density, shares):
    monkeypatch.setattr(native_layout, "team", teams.always(shares))
    rng = np.random.default_rng(0)
    weights = rng.integers(1, 8, shape) * (rng.random(shape) < density)
    weights[len(weights) // 3 : len(weights) // 2] = 0  # rows and, in the stream, fillers
    w = tensor(weights, 3, 2)
    with native.use("native"):
        counts, _ = native_layout.row_counts(w.stream())
    np.testing.assert_array_equal(counts, lanes.row_counts(w.stream()), strict=True)
    for plan in (MASKS, LANES[1], LANES[4], TILES, LISTS):
        np.testing.assert_array_equal(arrange(w, plan, "native").data, arrange(w, plan).data)


@needs_extension
@pytest.mark.parametrize("plan", [LANES[3], TILES], ids=str)
def test_rows_that_begin_where_the_next_one_does_are_not_looked_for(monkeypatch, plan):
    """Else each of many empty rows goes through the same fillers: 2**15 rows took minutes."""
    monkeypatch.setattr(native_layout, "team", teams.always(2))
    w = tensor(np.ones((600, 40)))
    with native.use("native"):
        counts, begins = native_layout.row_counts(w.stream())
        begins.view(np.uint64)[::2] = 0  # all rows but the last: they only seem to be empty
        if plan == TILES:
            laid = tiles.arrange(w.stream(), begins)
        else:
            laid = lanes.arrange(w.stream(), 4, counts[4], begins=begins)
    positions, _ = survivors(laid)
    assert positions.min() >= 512 * 40  # of the last row, or its part


def counts_of(shape, density):
    rng = np.random.default_rng(0)
    w = tensor(rng.integers(1, 32, shape) * (rng.random(shape) < density), 5, 8)
    return lanes.row_counts(w.stream())


@pytest.mark.parametrize(("density", "gap_bits"), [(0.04, 7), (0.09, 6), (0.25, 4)])
def test_the_width_is_of_the_fewest_blocks_at_nearly_the_least_bytes(density, gap_bits):
    counts = counts_of((64, 4096), density)
    assert choose.best_width(counts, 32) == gap_bits


def test_masks_are_chosen_where_they_can_be_and_pay():
    dense, sparse = counts_of((16, 640), 0.25), counts_of((16, 640), 0.18)
    assert choose.suits_masks(dense[0], 640, 32)
    assert not choose.suits_masks(dense[0], 640, 33)
    assert not choose.suits_masks(sparse[0], 640, 32)
    rng = np.random.default_rng(0)
    w = tensor(rng.integers(1, 32, (16, 640)) * (rng.random((16, 640)) < 0.25), 5, 8).stream()
    for dense_layout in ("masks", "lanes"):
        assert choose.build(w, dense_layout).kind == dense_layout


@pytest.mark.parametrize("density", [0.04, 0.09, 0.23, 0.25])
@pytest.mark.parametrize("dense_layout", ["lanes", "masks"])
def test_layouts_take_at_most_a_fifth_of_csr(density, dense_layout):
    rng = np.random.default_rng(0)
    shape = (256, 4096)
    w = tensor(rng.integers(1, 32, shape) * (rng.random(shape) < density), 5, 5)
    survivors = len(w.survivors()[0])
    assert 5 * choose.build(w.stream(), dense_layout).nbytes <= 8 * survivors + 4 * shape[0]


def test_some_tensors_are_left_as_they_are():
    empty = SharedWeights(np.zeros(1, np.float32), np.zeros(0, np.uint8), 1)
    for shape in [(2**31, 1), (1, 2**31), (100_000, 3)]:
        gaps = relindex.encode([], 2**31, 8)
        w = CompressedTensor.from_parts(shape, empty, gaps).stream()
        assert choose.build(w, "masks") is None
    one_row = tensor((np.arange(50_000) % 10 == 0)[np.newaxis])  # in lanes, 15 would be idle
    assert choose.build(one_row.stream(), "masks") is None


# Columns and densities of the paper's Table 8.
TABLE_8 = [(9216, 0.09), (4096, 0.09), (4096, 0.25), (25088, 0.04), (4096, 0.04), (4096, 0.23)]


@pytest.mark.parametrize("dense_layout", ["lanes", "masks"])
@pytest.mark.parametrize(("cols", "density"), TABLE_8)
def test_layouts_take_a_fifth_of_csr(cols, density, dense_layout):
    rng = np.random.default_rng(0)
    dense = (rng.random((320, cols)) < density) * rng.integers(1, 32, (320, cols), np.uint8)
    w = tensor(dense, bits=5, gap_bits=5)
    built = choose.build(w.stream(), dense_layout)
    csr = w.to_scipy_csr()
    csr_bytes = 4 * (csr.nnz + csr.nnz + len(csr.indptr))  # values, columns and rows of 4 bytes
    assert 5 * (built.nbytes + w.codebook.nbytes) <= csr_bytes
