"""Tensors with a codebook for each group of rows: products, files, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from support.command import call
from support.file_parts import take_apart
from support.reference_reader import reader

import deepcompress as dc
from deepcompress import native, quantize
from deepcompress.container.records import ENCODINGS
from deepcompress.packed.grouped import GroupedTensor, group_shapes
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.pipeline import from_bytes
from deepcompress.reports.inspection import describe

RNG = np.random.default_rng(0)
SCALES = np.logspace(-2, 1, 10)


def weights(*others: int, dtype: str = "float32") -> np.ndarray:
    """Return weights whose ten output channels differ in scale, about half of them zeros."""
    values = RNG.normal(size=(10, *others)) * SCALES.reshape(10, *(1 for _ in others))
    return (values * (RNG.random(values.shape) < 0.6)).astype(dtype)


def grouped(array: np.ndarray, rows: int, **fields) -> GroupedTensor:
    config = dc.Config({"bits": 3, "min_size": 0, **fields}, by_name={"w": {"group_size": rows}})
    tensor = dc.compress({"w": array}, config)["w"]
    assert isinstance(tensor, GroupedTensor)
    return tensor


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(("rows", "last"), [(1, 1), (3, 1), (4, 2), (5, 5), (9, 1)])
def test_products_and_dense_are_those_of_the_groups(backend: str, rows: int, last: int) -> None:
    array, x = weights(40), RNG.normal(size=(40, 6)).astype(np.float32)
    with native.use(backend):
        w = grouped(array, rows)
        assert [group.shape[0] for group in w.groups] == [rows] * (len(w.groups) - 1) + [last]
        dense = w.to_dense()
        np.testing.assert_allclose(w @ x, dense @ x, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(w.dot(x[:, 0]), dense @ x[:, 0], rtol=1e-5, atol=1e-5)
    for start in range(0, 10, rows):
        own = slice(start, start + rows)
        alone = quantize.share_weights(array[own], array[own] != 0, 3)
        codebook = w.groups[start // rows].codebook
        np.testing.assert_array_equal(codebook, alone.codebook)
        labels = np.zeros(array[own].shape, np.uint8)
        labels[array[own] != 0] = alone.labels
        np.testing.assert_array_equal(dense[own], codebook[labels])
    positions, labels = w.survivors()
    np.testing.assert_array_equal(positions, np.flatnonzero(array))
    assert (np.count_nonzero(dense), w.density) == (len(labels), len(labels) / 400)
    assert (w.rows, w.cols, w.size, w.nbytes > 0) == (10, 40, 400, True)
    np.testing.assert_array_equal(np.asarray(w), dense)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("encoding", ["relative", "dense", "bitmask"])
@pytest.mark.parametrize("coder", ["fixed", "huffman", "rans"])
def test_files(tmp_path: Path, dtype: str, encoding: str, coder: str) -> None:
    tensors = {"w": weights(5, 3, 3, dtype=dtype), "b": np.ones(10, dtype)}
    config = dc.Config({"bits": 4, "encoding": encoding, "coder": coder, "group_size": 4})
    model = dc.compress(tensors, config)
    data = model.to_bytes()
    assert data[8] == 3
    read = from_bytes(data)
    assert ENCODINGS[dc.ModelFile(data).entries["w"].encoding] == "grouped"
    assert read["w"].dtype == np.dtype(dtype)
    np.testing.assert_array_equal(read["w"].to_dense(), model["w"].to_dense())
    assert read.to_bytes() == data
    for jobs in (1, 2):
        dc.compress_to(tensors, tmp_path / "m.dcnn", config, jobs=jobs)
        assert (tmp_path / "m.dcnn").read_bytes() == data
    model.storage.clear()
    np.testing.assert_array_equal(
        from_bytes(model.to_bytes())["w"].to_dense(), model["w"].to_dense()
    )


def test_more_codebooks_are_nearer_to_the_weights() -> None:
    array = weights(300)
    errors = [np.square(grouped(array, rows).to_dense() - array).sum() for rows in (1, 2, 5)]
    whole = dc.compress({"w": array}, dc.Config({"bits": 3}))["w"].to_dense()
    errors.append(np.square(whole - array).sum())
    assert errors == sorted(errors)
    assert errors[0] < 0.6 * errors[-1]


def test_rows() -> None:
    array = weights(40)
    w = grouped(array, 3)
    dense = w.to_dense()
    file = dc.ModelFile(dc.CompressedModel({"w": w}).to_bytes())
    for start, stop in ((0, 10), (3, 9), (6, 10), (4, 6), (9, 10), (5, 5), (0, 0), (10, 10)):
        for part in (w[start:stop], file.rows("w", start, stop)):
            np.testing.assert_array_equal(part.to_dense(), dense[start:stop])
    with pytest.raises(dc.ArgumentError, match="rows 2 to 9 cut groups of 3 rows"):
        w[2:9]
    with pytest.raises(dc.ArgumentError, match="'w': rows 3 to 8 cut groups"):
        file.rows("w", 3, 8)
    for rows in (3, slice(0, 6, 2)):
        with pytest.raises(dc.ArgumentError, match="only slices"):
            w[rows]


def test_what_has_no_groups() -> None:
    whole = dc.compress({"w": weights(40)}, dc.Config({"group_size": 10}))
    assert isinstance(whole["w"], CompressedTensor)
    bias = np.arange(300, dtype=np.float32)
    by_kind = dc.Config(by_kind={"bias": {"group_size": 2}})
    assert isinstance(dc.compress({"b": bias}, by_kind)["b"], CompressedTensor)
    with pytest.raises(
        dc.ArgumentError, match=r"'b': shape .300,. has no output channels for a gr"
    ):
        dc.compress({"b": bias}, dc.Config(by_name={"b": {"group_size": 2}}))
    few = dc.compress({"w": RNG.normal(size=(10, 13)).astype("f4")}, dc.Config({"group_size": 1}))
    assert few.kept == {"w": "would grow"}
    for shape, rows in (((10,), 2), ((10, 4), 10), ((10, 4), 0)):
        with pytest.raises(dc.ArgumentError, match="has no groups of"):
            group_shapes(shape, rows)
    w = grouped(weights(40), 5)
    for shape, groups in (((10, 41), w.groups), ((10, 40), w.groups[:1])):
        with pytest.raises(dc.ArgumentError, match="groups of 5 rows don't make up"):
            GroupedTensor(shape, 5, groups)


def test_what_is_shown_of_it(tmp_path: Path) -> None:
    path = tmp_path / "m.dcnn"
    dc.CompressedModel({"w": grouped(weights(40), 4)}).save(path)
    values = describe(path.read_bytes(), prices=True)
    (row,) = values["tensors"]
    assert (row["encoding"], row["group_rows"], row["codebooks"]) == ("grouped", 4, 3)
    assert sum(values["parts"].values()) == path.stat().st_size
    assert sum(one["chosen"] for one in row["alternatives"]) == 1
    assert call("inspect", path)[0] == call("verify", path)[0] == 0
    assert call("decompress", path, "-o", tmp_path / "m.npz")[0] == 0
    assert "GroupedTensor(shape=(10, 40), group_rows=4" in repr(dc.load(path))


def test_groups_have_no_contexts() -> None:
    """> A group is the byte Group_Encoding, that is 1, 2 or 3."""
    config = dc.Config({"bits": 3, "min_size": 0, "encoding": "context", "group_size": 4})
    model = dc.compress({"w": weights(40)}, config)
    read = reader.read(model.to_bytes())[0]["w"]
    np.testing.assert_array_equal(read, model["w"].to_dense())
    parts = take_apart(model.to_bytes())
    parts.chunks[0][1] = b"\7" + parts.chunks[0][1][1:]
    with pytest.raises(dc.FormatError, match="a group can't be context"):
        from_bytes(parts.to_bytes())
