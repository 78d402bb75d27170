"""Single ``.npy`` files and folders of them and of npz files, in and out."""

import os
from pathlib import Path

import numpy as np
import pytest
from support.command import fails
from support.round_trips import assert_same, there, there_and_back

from deepcompress.errors import ArgumentError, FormatError, OutputError
from deepcompress.files import atomic
from deepcompress.formats import npy
from deepcompress.formats.registry import open_source

RNG = np.random.default_rng(0)
DTYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES += ("float16", "float32", "float64", "complex64", "complex128")


def drawn(dtype: str, rank: int) -> np.ndarray:
    """Draw an array of any bits; the last axis of the sixth rank is empty."""
    shape = [3, 2, 4, 1, 2, 0][:rank]
    if dtype == "bool":
        return RNG.random(shape) < 0.5
    bits = RNG.integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
    return bits.view(dtype).reshape(shape)


ARRAYS = {f"{dtype}.{rank}": drawn(dtype, rank) for dtype in DTYPES for rank in range(7)}


@pytest.mark.parametrize("options", [[], ["--paper"]])
def test_an_npz_of_every_dtype_and_rank(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, **ARRAYS)  # none is large enough to be shared
    assert_same(path, there_and_back(path, "b.npz", *options))


def test_a_file(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", ARRAYS["float16.3"])
    back = there_and_back(tmp_path / "w.npy", "v.npy")
    assert (tmp_path / "w.npy").read_bytes() == back.read_bytes()
    with open_source(back) as source:
        assert source.shapes == {"v": (3, 2, 4)}


def test_a_file_has_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.ones(3), b=np.ones(3))
    packed = there(tmp_path / "a.npz")
    message = fails(2, "decompress", packed, "-o", tmp_path / "b.npy")
    assert "an .npy file has one array, here are two or more" in message
    with pytest.raises(ArgumentError, match="has one array, here are 0"):
        npy.write_file(tmp_path / "b.npy", [])
    assert not (tmp_path / "b.npy").exists()


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, array in ARRAYS.items():
        np.save(tmp_path / "in" / f"{name}.npy", array)
    back = there_and_back(tmp_path / "in", "out/")
    assert_same(tmp_path / "in", back)
    assert sorted(os.listdir(back)) == sorted(f"{name}.npy" for name in ARRAYS)


def test_a_folder_of_npz_files(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    np.savez(folder / "layer1.npz", w=np.eye(3), b=np.ones(2), **{"deep/er": np.zeros(1)})
    np.savez_compressed(folder / "layer2.npz", w=np.eye(2))
    np.save(folder / "scale.npy", np.float32(2))
    with open_source(folder) as source:
        expected = ["layer1/w", "layer1/b", "layer1/deep/er", "layer2/w", "scale"]
        assert list(source) == expected
        assert source.files == sorted(folder.iterdir())
    (tmp_path / "out").mkdir()  # an empty folder may be there, and needs no slash then
    back = there_and_back(folder, "out")
    assert sorted(os.listdir(back)) == sorted(os.listdir(folder))
    assert_same(folder, back)


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    np.save(tmp_path / "w.npy", np.ones(3))
    packed = there(tmp_path / "w.npy")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    message = fails(2, "decompress", packed, "-o", tmp_path)
    assert "it is there already, and not an empty folder" in message
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("name", ["a/b", "..", "\0", "x" * 300, "\ud800"])
def test_names_that_no_file_has(tmp_path: Path, name: str) -> None:
    if name == "..":
        assert npy.write_to_folder(tmp_path / "x", [("..", np.ones(1))])  # it is "...npy"
        return
    with pytest.raises(ArgumentError, match="no name for a file"):
        npy.write_to_folder(tmp_path / "out", [("a", np.ones(1)), (name, np.ones(1))])
    assert list(tmp_path.iterdir()) == []


def test_names_that_some_systems_hold_for_the_same(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"would have the name 'A\.npy'"):
        npy.write_to_folder(tmp_path / "out", [("a", np.ones(1)), ("A", np.ones(1))])
    assert list(tmp_path.iterdir()) == []


def test_a_dtype_that_no_file_has(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="'a': an npy file has no dtype"):
        npy.write_to_folder(tmp_path / "out", [("a", np.array(["x"]))])
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path: Path, monkeypatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "fsync", full)
    with pytest.raises(OutputError, match="out: can't write: No space left on device") as raised:
        npy.write_to_folder(tmp_path / "out", [("a", np.ones(1))])
    assert raised.value.__cause__.errno == 28
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_archive_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\3\4")
    with pytest.raises(FormatError, match=r"a\.npz: not a whole npz file"), open_source(tmp_path):
        pass
