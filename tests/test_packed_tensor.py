"""The compressed tensor: what it refuses to be, and what can be done with it."""

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from support.strategies import compressed

from deepcompress import native, relindex
from deepcompress.bits import packing
from deepcompress.errors import ArgumentError, FormatError, TruncatedError
from deepcompress.native import gateway
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.tensors import SharedWeights


def u8(*values):
    return np.array(values, np.uint8)


def f32(*values):
    return np.array(values, np.float32)


# Entries at 1 (label 2), 4 (label 0: a filler) and 5 (label 1).
VALID = {
    "shape": (2, 3),
    "codebook": f32(0, -2, 1.5),
    "label_bits": 2,
    "gap_bits": 2,
    "count": 3,
    "labels_packed": u8(0b01_00_10),
    "gaps_packed": u8(0b00_10_01),
}


def test_a_worked_example():
    w = CompressedTensor(**VALID)
    assert w.to_dense().tolist() == [[0, 1.5, 0], [0, 0, -2]]
    assert w.labels().tolist() == [2, 0, 1]
    assert w.gaps().tolist() == [1, 2, 0]
    assert w.positions().tolist() == [1, 4, 5]
    assert (w.size, w.rows, w.cols, w.count) == (6, 2, 3, 3)
    assert w.density == 2 / 6
    assert w.nbytes == 1 + 1 + 12
    assert "shape=(2, 3)" in repr(w)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels_packed": u8(0b01_11_10)}, FormatError, r"label has no centroid \(entry 1\)"),
        ({"codebook": f32(0, 1)}, FormatError, r"label has no centroid \(entry 0\)"),
        ({"gaps_packed": u8(0b01_10_01)}, FormatError, r"outside its tensor \(entry 2\)"),
        ({"shape": (2, 2)}, FormatError, r"outside its tensor \(entry 1\)"),
        ({"shape": (2, 0)}, FormatError, r"outside its tensor \(entry 0\)"),
        ({"labels_packed": u8()}, TruncatedError, "need 1 packed bytes, got 0"),
        ({"gaps_packed": u8(9, 0)}, FormatError, "need 1 packed bytes, got 2"),
        ({"labels_packed": u8(0x92)}, FormatError, "padding bits .* 0x92 aren't zero"),
        ({"gaps_packed": u8(0x49)}, FormatError, "padding bits .* 0x49 aren't zero"),
        ({"codebook": f32(0, np.nan, 1)}, FormatError, "centroid 1 isn't finite"),
        ({"codebook": f32(0, 1, -np.inf)}, FormatError, "centroid 2 isn't finite"),
        ({"codebook": f32(1, 2, 3)}, FormatError, r"codebook\[0\] must be 0.0, got 1.0"),
        ({"codebook": f32(-0.0, 2, 3)}, FormatError, r"codebook\[0\] must be 0.0, got -0.0"),
        ({"codebook": f32()}, ArgumentError, r"float32 array of 1 to 4 centroids, .* \(0,\)"),
        ({"codebook": f32(0, 1, 2, 3, 4)}, ArgumentError, r"1 to 4 centroids, .* \(5,\)"),
        ({"codebook": np.zeros(3)}, ArgumentError, "1 to 4 centroids, got float64"),
        ({"label_bits": 0}, ArgumentError, "label_bits must be an integer from 1 to 8, got 0"),
        ({"gap_bits": 9}, ArgumentError, "gap_bits must be an integer from 1 to 8, got 9"),
        ({"count": -1}, ArgumentError, "count must be an integer from 0, got -1"),
        ({"count": 3.0}, ArgumentError, "count must be an integer from 0, got 3.0"),
        ({"count": 2**62}, TruncatedError, "packed bytes, got 1"),
        ({"labels_packed": np.zeros(1)}, ArgumentError, "labels_packed must be a one-dim.* uint8"),
        ({"gaps_packed": b"\x09"}, ArgumentError, "gaps_packed must be a one-dimensional uint8"),
        ({"shape": (2, -3)}, ArgumentError, r"shape \(2, -3\) has a negative axis"),
        ({"shape": (2**32, 2**31, 0)}, ArgumentError, "too many elements"),
        ({"shape": (2.0, 3)}, ArgumentError, r"tuple of integers, got \(2.0, 3\)"),
        ({"shape": 6}, ArgumentError, "tuple of integers, got 6"),
    ],
)
def test_whatever_breaks_a_rule_is_not_constructed(change, error, message):
    with pytest.raises(error, match=message) as caught:
        CompressedTensor(**{**VALID, **change})
    assert caught.type is error


def test_nothing_in_it_can_be_changed():
    arrays = {name: value for name, value in VALID.items() if isinstance(value, np.ndarray)}
    mutable = {name: array.copy() for name, array in arrays.items()}
    w = CompressedTensor(**{**VALID, **mutable})
    for name, array in mutable.items():
        array[:] = 1  # the caller's, not ours
        with pytest.raises(ValueError, match="read-only"):
            getattr(w, name)[0] = 1
    assert w.to_dense().tolist() == [[0, 1.5, 0], [0, 0, -2]]
    with pytest.raises(FrozenInstanceError):
        w.count = 2
    with pytest.raises(FormatError):
        replace(w, shape=(2, 2))


def test_from_parts_wants_a_label_for_each_survivor():
    weights = SharedWeights(f32(0, 1), u8(1, 1), 1)
    with pytest.raises(ArgumentError, match="2 labels for 3 positions"):
        CompressedTensor.from_parts((3, 9), weights, relindex.encode([0, 8, 26], 27, 3))


@pytest.mark.parametrize(
    "x",
    [
        [1, 10, 100],
        np.array([1, 10, 100], np.int8),
        np.array([1, 10, 100], np.float16),
        np.array([1, 10, 100], ">f8"),
        np.array([100, 0, 10, 0, 1], np.float32)[::-2],
    ],
)
def test_operands_of_any_real_type_and_stride(x):
    w = CompressedTensor(**VALID)
    assert (w @ x).tolist() == [15, -200]
    columns = np.repeat(np.asarray(x)[:, np.newaxis], 4, axis=1)
    assert (w @ columns).tolist() == [[15] * 4, [-200] * 4]
    assert (w @ columns[:, ::2]).tolist() == [[15] * 2, [-200] * 2]
    assert (w @ np.asfortranarray(columns)).tolist() == [[15] * 4, [-200] * 4]


def test_bool_operands():
    assert (CompressedTensor(**VALID) @ [True, True, False]).tolist() == [1.5, 0]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones(2), r"x must have shape \(3,\) or \(3, n\), got \(2,\)"),
        (np.ones((1, 3)), r"x must have shape \(3,\) or \(3, n\), got \(1, 3\)"),
        (np.ones((3, 1, 1)), r"got \(3, 1, 1\)"),
        (1.0, r"got \(\)"),
        (np.ones(3, complex), "x must be of real numbers, got complex128"),
        (["a", "b", "c"], "x must be of real numbers, got <U1"),
    ],
)
def test_other_operands_are_rejected(x, message):
    with pytest.raises(ArgumentError, match=message):
        CompressedTensor(**VALID) @ x


@pytest.mark.parametrize("shape", [(), (6,)])
def test_only_matrices_multiply(shape):
    weights = SharedWeights(f32(0), u8(), 1)
    w = CompressedTensor.from_parts(shape, weights, relindex.encode([], 6, 1))
    assert w.to_dense().shape == shape
    with pytest.raises(ArgumentError, match="isn't a matrix"):
        w @ np.ones(6)
    with pytest.raises(ArgumentError, match="isn't a matrix"):
        w.to_scipy_csr()


def test_packed_arrays_that_are_views():
    packed = packing.pack(u8(2, 0, 1), 2)
    w = CompressedTensor(**{**VALID, "labels_packed": np.stack([packed, packed], axis=1)[:, 0]})
    assert w.labels().tolist() == [2, 0, 1]


def holds_stream(w):
    return w._forms._stream is not None


needs_extension = pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")


@needs_extension
@given(compressed(min_rank=2))
def test_a_product_leaves_one_form_and_the_packed_arrays_as_they_were(w):
    labels, gaps = w.packed.labels_packed, w.packed.gaps_packed
    size = w.packed.nbytes
    with native.use("native"):
        w.packed @ np.ones(w.packed.cols)
    laid_out = w.packed.layout()
    assert holds_stream(w.packed) == (laid_out is None)
    if laid_out:
        assert w.packed.nbytes == w.packed.codebook.nbytes + laid_out.nbytes
    np.testing.assert_array_equal(w.packed.labels_packed, labels, strict=True)
    np.testing.assert_array_equal(w.packed.gaps_packed, gaps, strict=True)
    assert not w.packed.gaps_packed.flags.writeable
    np.testing.assert_array_equal(w.packed.to_dense(), w.dense)
    again = pickle.loads(pickle.dumps(w.packed))
    np.testing.assert_array_equal(again.to_dense(), w.dense)
    assert again.nbytes == size


@needs_extension
@pytest.mark.parametrize(
    "change",
    [
        {"labels_packed": u8(0b00_00_10)},  # a filler at the end
        {"gaps_packed": u8(0b00_10_01), "gap_bits": 2},  # a filler after a gap that is too small
    ],
)
def test_streams_with_needless_fillers_are_kept(change):
    w = CompressedTensor(**{**VALID, **change})
    expected = w.labels_packed.tolist(), w.gaps_packed.tolist()
    with native.use("native"):
        w @ np.ones(3)
    assert holds_stream(w)
    assert w.layout().nbytes > 0
    assert (w.labels_packed.tolist(), w.gaps_packed.tolist()) == expected
    assert w.nbytes == 1 + 1 + 12 + w.layout().nbytes


def test_the_first_product_may_be_in_many_threads():
    rng = np.random.default_rng(0)
    positions = np.flatnonzero(rng.random(300 * 500) < 0.1)
    weights = SharedWeights(f32(0, 1, 2), rng.integers(1, 3, len(positions)).astype(np.uint8), 2)
    gaps = relindex.encode(positions, 300 * 500, 4)
    x = rng.normal(size=500)
    expected = CompressedTensor.from_parts((300, 500), weights, gaps) @ x
    for _ in range(5):
        w = CompressedTensor.from_parts((300, 500), weights, gaps)
        barrier = threading.Barrier(8)

        def work(i, w=w, barrier=barrier):
            barrier.wait()
            return w @ x if i % 2 else w.to_dense() @ x

        with ThreadPoolExecutor(8) as pool:
            for i, y in enumerate(pool.map(work, range(8))):
                np.testing.assert_allclose(y, expected, rtol=0, atol=0 if i % 2 else 1e-3)


def test_unknown_attributes_are_errors():
    with pytest.raises(AttributeError, match="'CompressedTensor' object has no attribute 'label'"):
        _ = CompressedTensor(**VALID).label
