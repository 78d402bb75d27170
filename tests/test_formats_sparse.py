"""Sparse matrices of SciPy's, in and out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from support.command import call
from support.round_trips import refused, there, there_and_back

import deepcompress as dc
from deepcompress.errors import ArgumentError
from deepcompress.formats import npz
from deepcompress.formats import sparse as formats
from deepcompress.formats.registry import open_source

DENSE = np.where(np.random.default_rng(0).random((40, 60)) < 0.05, 1.5, 0).astype(np.float32)


def saved(path: Path, form: str, kind: str = "matrix", dense: np.ndarray = DENSE) -> Any:
    options = {"blocksize": (4, 5)} if form == "bsr" else {}
    matrix = getattr(sparse, f"{form}_{kind}")(dense, **options)
    sparse.save_npz(path, matrix)
    return matrix


@pytest.mark.parametrize("kind", ["matrix", "array"])
@pytest.mark.parametrize("form", formats.FORMATS)
def test_each_format_comes_back(tmp_path: Path, form: str, kind: str) -> None:
    matrix = saved(tmp_path / "a.npz", form, kind)
    for options in ([], ["--seed", 0]):  # as it is, and shared: it has two values
        back = there_and_back(tmp_path / "a.npz", "b.npz", *options)
        again = sparse.load_npz(back)
        assert (type(again), again.dtype, again.shape) == (type(matrix), matrix.dtype, matrix.shape)
        np.testing.assert_array_equal(again.toarray(), DENSE)
        if form == "bsr":
            assert again.blocksize == matrix.blocksize


def test_zeros_take_no_place(tmp_path: Path) -> None:
    saved(tmp_path / "a.npz", "csr")
    packed = there(tmp_path / "a.npz", "--seed", 0)
    assert packed.stat().st_size < DENSE.nbytes / 20
    assert dc.load(packed)["matrix"].survivors()[0].size == np.count_nonzero(DENSE)


@pytest.mark.parametrize("dtype", ["int8", "bool", "float64", "complex64"])
def test_dtypes(tmp_path: Path, dtype: str) -> None:
    matrix = saved(tmp_path / "a.npz", "csr", "matrix", DENSE.astype(dtype))
    again = sparse.load_npz(there_and_back(tmp_path / "a.npz", "b.npz"))
    assert again.dtype == matrix.dtype
    assert (again != matrix).nnz == 0


def test_duplicates_are_added(tmp_path: Path) -> None:
    matrix = sparse.coo_matrix(([1.0, 2.0, 0.0], ([0, 0, 1], [1, 1, 0])), (2, 2))
    sparse.save_npz(tmp_path / "a.npz", matrix)
    again = sparse.load_npz(there_and_back(tmp_path / "a.npz", "b.npz"))
    assert again.nnz == 1
    np.testing.assert_array_equal(again.toarray(), [[0, 3], [0, 0]])


def test_an_npz_with_such_names_is_none(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", format=np.ones(2), shape=np.ones(2), data=np.ones(2))
    with open_source(tmp_path / "a.npz") as source:
        assert list(source) == ["format", "shape", "data"]


def test_out_to_another_format(tmp_path: Path) -> None:
    saved(tmp_path / "a.npz", "csc")
    packed = there(tmp_path / "a.npz")
    assert call("decompress", packed, "-o", tmp_path / "m.npy")[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "m.npy"), DENSE)


CSR = {
    "format": np.array(b"csr"),
    "shape": np.array([2, 3]),
    "data": np.ones(2),
    "indices": np.array([0, 2]),
    "indptr": np.array([0, 1, 2]),
}
COO = {key: CSR[key] for key in ("format", "shape", "data")} | {
    "format": np.array(b"coo"),
    "row": np.array([0, 1]),
    "col": np.array([0, 2]),
}
DIA = {
    "format": np.array(b"dia"),
    "shape": np.array([2, 3]),
    "data": np.ones((1, 3)),
    "offsets": np.array([0]),
}
BSR = CSR | {"format": np.array(b"bsr"), "data": np.ones((2, 1, 1))}


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        (CSR | {"format": np.array(b"csx")}, "a sparse matrix is one of csr, csc"),
        (CSR | {"format": np.array([b"csr"])}, "a sparse matrix is one of csr, csc"),
        (CSR | {"more": np.ones(1)}, "not the arrays of a csr matrix"),
        ({key: CSR[key] for key in CSR if key != "indptr"}, "not the arrays of a csr matrix"),
        (CSR | {"shape": np.array([2])}, r"no matrix has the shape [2]"),
        (CSR | {"shape": np.array([2, -3])}, r"no matrix has the shape [2, -3]"),
        (CSR | {"shape": np.array([2, 3.0])}, r"no matrix has the shape []"),
        (CSR | {"shape": np.array([2, 2**40])}, "no matrix has the shape"),
        (CSR | {"indices": np.array([0, 3])}, "an index isn't below 3"),
        (CSR | {"indices": np.array([0, -1])}, "an index isn't below 3"),
        (CSR | {"indices": np.array([0.0, 1])}, "indices isn't a row of integers"),
        (CSR | {"indptr": np.array([0, 3, 2])}, "indptr doesn't rise"),
        (CSR | {"indptr": np.array([1, 1, 2])}, "indptr doesn't rise"),
        (CSR | {"indptr": np.array([0, 2])}, "indptr doesn't rise"),
        (CSR | {"indptr": np.array([0, 1, 3])}, "indptr, indices and data differ in length"),
        (CSR | {"data": np.ones((2, 1))}, "data has 2 axes"),
        (COO | {"col": np.array([0, 3])}, "an index isn't below 3"),
        (COO | {"row": np.array([0])}, "no whole coo matrix"),
        (DIA | {"offsets": np.array([0, 1])}, "data and offsets differ in length"),
        (BSR | {"data": np.ones((2, 3, 1))}, "blocks of (3, 1) don't fill (2, 3)"),
        (BSR | {"data": np.ones((2, 0, 1))}, "blocks of (0, 1) don't fill (2, 3)"),
    ],
)
def test_what_is_no_matrix(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(b"".join(npz.npz_parts(arrays.items(), npz.NUMBERS + "S")))
    message = refused(path)
    assert words in message
    assert "a.npz" in message


@pytest.mark.parametrize(
    ("arrays", "origin", "words"),
    [
        ({"w": DENSE}, {"sparse": "csr"}, "is one tensor named 'matrix'"),
        ({"matrix": DENSE}, {"sparse": "x"}, "no sparse matrix is 'x'"),
        ({"matrix": DENSE}, {"sparse": ["csr"]}, "no sparse matrix is"),
        ({"matrix": DENSE[0]}, {"sparse": "csr"}, "no sparse matrix is 'csr'"),
        ({"matrix": DENSE}, {"sparse": "bsr"}, "blocks of None don't fill"),
        ({"matrix": DENSE}, {"sparse": "bsr", "block": [0, 1]}, "don't fill"),
        ({"matrix": DENSE}, {"sparse": "bsr", "block": [1, 7]}, "don't fill"),
        ({"matrix": DENSE.astype(np.float16)}, {"sparse": "csr"}, "no csr matrix"),
    ],
)
def test_what_cant_be_written(tmp_path: Path, arrays: Any, origin: Any, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        formats.write(str(tmp_path / "a.npz"), arrays.items(), origin)
    assert list(tmp_path.iterdir()) == []
