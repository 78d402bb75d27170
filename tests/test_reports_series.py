"""The numbers behind the pictures: each is counted here in another way."""

import numpy as np
import pytest

import deepcompress
from deepcompress import relindex
from deepcompress.container.header import TensorEntry
from deepcompress.container.reader import Reader
from deepcompress.errors import ArgumentError
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.reports.series import (
    CountSeries,
    codebook_series,
    count_series,
    largest,
    layer_series,
    shown_gaps,
)
from deepcompress.tensors import SharedWeights


@pytest.fixture(scope="module")
def dense() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {"a": (30, 40), "b": (60, 50), "c": (16, 20), "d": (20, 20)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} | {
        "bias": np.ones(30, np.float32)
    }


@pytest.fixture(scope="module")
def model(dense: dict[str, np.ndarray]) -> deepcompress.CompressedModel:
    sparsities = [("a", 0.9), ("b", 0.8), ("c", 0.5), ("d", 0.0)]
    by_name = {name: {"bits": 3, "sparsity": s} for name, s in sparsities}
    return deepcompress.compress(dense, deepcompress.Config(by_name=by_name))


@pytest.fixture
def tensor() -> CompressedTensor:
    """0, -1 behind 5 zeros (a filler of 2-bit gaps among them), 2, 2."""
    weights = SharedWeights(np.array([0, -1, 2], np.float32), np.array([1, 2, 2], np.uint8), 2)
    return CompressedTensor.from_parts((2, 5), weights, relindex.encode([5, 6, 9], 10, 2))


def test_layers_are_those_of_shared_weights(model, dense) -> None:
    data = model.to_bytes()
    series = layer_series(data)
    assert (series.names, series.others) == (list("abcd"), 0)
    kept = [100 * np.mean(model[name].to_dense() != 0) for name in "abcd"]
    np.testing.assert_allclose(series.density_percent, kept)
    reader = Reader(data, "file")
    for i, name in enumerate("abcd"):
        entry: TensorEntry = reader.entries[name]
        total = sum(sizes[i] for sizes in series.bytes_of.values())
        assert total == entry.data_bytes + len(entry.header)
        bits = series.label_bits[i] + series.position_bits[i]
        stored = sum(series.bytes_of[part][i] for part in ("labels", "positions"))
        assert 8 * stored == pytest.approx(bits * np.count_nonzero(model[name].to_dense()))


def test_the_smallest_of_many_layers_share_a_row(model) -> None:
    whole, few = layer_series(model.to_bytes()), layer_series(model.to_bytes(), max_rows=3)
    assert few.names == ["b", "d", "2 others"]
    assert few.others == 2
    for part, sizes in whole.bytes_of.items():
        assert few.bytes_of[part] == [sizes[1], sizes[3], sizes[0] + sizes[2]]
    kept = sum(np.count_nonzero(model[name].to_dense()) for name in "ac")
    assert few.density_percent[2] == pytest.approx(100 * kept / (30 * 40 + 16 * 20))
    assert few.label_bits[0] == whole.label_bits[1]
    assert whole.label_bits[0] < few.label_bits[2] < whole.label_bits[2] or (
        whole.label_bits[2] < few.label_bits[2] < whole.label_bits[0]
    )
    assert largest(few, 1) == ["b"]
    assert largest(few, 9) == ["b", "d"]
    assert largest(whole, 9) == list("abcd")


def test_a_file_without_shared_weights_has_no_picture() -> None:
    data = deepcompress.compress({"bias": np.ones(3)}).to_bytes()
    with pytest.raises(ArgumentError, match=r"x\.dcnn: no tensor of it has shared weights"):
        layer_series(data, "x.dcnn")


def test_counts_of_labels_gaps_and_fillers(tensor: CompressedTensor) -> None:
    series = count_series(tensor)
    assert series.labels.tolist() == [1, 1, 2]
    assert series.gaps.tolist() == [1, 1, 1, 1]  # 3 of the filler, 1, 0, 2
    assert series.filler_gaps.tolist() == [0, 0, 0, 1]


def test_rare_gaps_are_left_out_of_the_picture() -> None:
    gaps = np.zeros(256, np.int64)
    none = np.zeros(256, np.int64)
    counted = CountSeries(np.ones(2, np.int64), gaps, none)
    gaps[[0, 40, 255]] = [980, 12, 8]
    assert shown_gaps(counted) == 41
    gaps[255], fillers = 900, np.zeros(256, np.int64)
    fillers[255] = 892
    assert shown_gaps(CountSeries(counted.labels, gaps, fillers)) == 41
    gaps[:] = 0
    gaps[0] = 5
    assert shown_gaps(counted) == 16
    assert shown_gaps(CountSeries(none, none[:4], none[:4])) == 4


def test_codebook_and_the_original_under_it(tensor: CompressedTensor) -> None:
    alone = codebook_series("w", tensor)
    assert (alone.centroids.tolist(), alone.counts.tolist()) == ([-1, 2], [1, 2])
    assert alone.originals is None
    original = np.full((2, 5), 9.0)  # what was pruned doesn't count
    original[1, [0, 1, 4]] = [-1, 1, 3]
    series = codebook_series("w", tensor, {"w": original})
    assert series.edges is not None
    assert series.originals is not None
    assert (series.edges[0], series.edges[-1], len(series.edges)) == (-1, 3, 101)
    assert np.flatnonzero(series.originals).tolist() == [0, 50, 99]
    original[1, 4] = np.nan
    assert codebook_series("w", tensor, {"w": original}).originals.sum() == 2
    assert codebook_series("w", tensor, {"w": tensor}).originals.sum() == 3


def test_an_original_that_does_not_fit(tensor: CompressedTensor) -> None:
    for other in (np.ones((5, 2)), np.ones((2, 5), complex), np.ones((2, 5), bool)):
        with pytest.raises(ArgumentError, match="tensor 'w' has shape"):
            codebook_series("w", tensor, {"w": other})
    with pytest.raises(ArgumentError, match="the original has no tensor 'w'"):
        codebook_series("w", tensor, {})


def test_a_tensor_without_elements_has_a_row_of_nothing() -> None:
    none = SharedWeights(np.zeros(1, np.float32), np.zeros(0, np.uint8), 1)
    empty = deepcompress.CompressedTensor.from_parts((0, 4), none, relindex.encode([], 0, 4))
    model = deepcompress.CompressedModel({"empty": empty})
    series = layer_series(model.to_bytes())
    assert (series.names, series.density_percent, series.label_bits) == (["empty"], [0], [0])
    assert count_series(empty).gaps.sum() == 0
