"""Files of other programs as mappings of arrays: read lazily, and with care."""

import importlib.util
import json
import sys
import zipfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails
from support.npz import npz_bytes

import deepcompress as dc
from deepcompress.errors import ArgumentError, DataError, FormatError
from deepcompress.formats import npz, registry
from deepcompress.formats.npy import NpyFolder
from deepcompress.formats.registry import open_source
from deepcompress.formats.safetensors import SafetensorsFile
from deepcompress.formats.source import Format, Source

RNG = np.random.default_rng(0)
NAMES = {"bool": "BOOL", "float16": "F16", "float32": "F32", "float64": "F64"} | {
    f"{sign}int{bits}": f"{'U' if sign else 'I'}{bits}"
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
ARRAYS = {
    name: (100 * RNG.normal(size=(3, 2))).astype(name) if name != "bool" else np.eye(2) > 0
    for name in NAMES
} | {"empty": np.zeros((0, 4), np.float32), "scalar": np.array(1.5)}


def save_safetensors(path: Path, arrays: dict[str, np.ndarray], padding: int = 0) -> None:
    """Write a safetensors file, as its documentation says."""
    header: dict[str, Any] = {}
    data = b""
    for name, array in arrays.items():
        end = len(data) + array.nbytes
        header[name] = {
            "dtype": NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [len(data), end],
        }
        data += array.tobytes()
    path.write_bytes(file_of(header, data, padding))


def save_source(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays in the format of the path's suffix, or into a folder if it has none."""
    if path.suffix == ".npz":
        path.write_bytes(npz_bytes(arrays))
    elif path.suffix == ".safetensors":
        save_safetensors(path, arrays)
    else:
        path.mkdir()
        for name, array in arrays.items():
            np.save(path / f"{name}.npy", array)


def file_of(header: Any, data: bytes, padding: int = 0) -> bytes:
    text = (header if isinstance(header, str) else json.dumps(header)).encode() + b" " * padding
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("padding", [0, 1, 5])
def test_safetensors(tmp_path: Path, padding: int) -> None:
    path = tmp_path / "a.safetensors"
    save_safetensors(path, ARRAYS, padding)  # the padding moves elements off their alignment
    with open_source(path) as source:
        assert list(source) == list(ARRAYS)
        assert len(source) == len(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(source[name], array, strict=True)
            assert source.shapes[name] == array.shape


@pytest.mark.parametrize(
    ("dtype", "name", "itemsize"),
    [
        ("BF16", "bfloat16", 2),
        ("F8_E4M3", "float8_e4m3fn", 1),
        ("F8_E5M2", "float8_e5m2", 1),
        ("C64", "complex64", 8),
    ],
)
def test_dtypes_that_few_formats_have(
    tmp_path: Path, dtype: str, name: str, itemsize: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    data = bytes(range(0x30, 0x30 + 4 * itemsize))
    entry = {"dtype": dtype, "shape": [4], "data_offsets": [0, len(data)]}
    path.write_bytes(file_of({"w": entry}, data))
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    if name != "complex64":
        with pytest.raises(ArgumentError, match=f"tensor 'w': arrays of {name} need ml_dtypes, an"):
            SafetensorsFile(path)["w"]
        monkeypatch.undo()
        pytest.importorskip("ml_dtypes")
    array = SafetensorsFile(path)["w"]
    assert (array.dtype.name, array.shape, array.tobytes()) == (name, (4,), data)


W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not a whole safetensors file"),
        (b"1234567", "not a whole safetensors file"),
        ((1 << 63).to_bytes(8, "little"), "not a whole safetensors file"),
        (file_of({"w": W}, bytes(8))[:20], "not a whole safetensors file"),
        (file_of("{", b""), "its header isn't JSON"),
        (file_of('"\\ud800', b""), "its header isn't JSON"),
        (file_of([], b""), "its header isn't a JSON object"),
        (file_of({"w": []}, b""), "tensor 'w': its entry doesn't say dtype"),
        (file_of({"w": W | {"more": 1}}, bytes(8)), "tensor 'w': its entry doesn't say dtype"),
        (file_of({"w": W | {"dtype": "F8_E8M0"}}, bytes(8)), "can't hold its dtype F8_E8M0"),
        (file_of({"w": W | {"dtype": "F7"}}, bytes(8)), "dtype 'F7' isn't one of BOOL"),
        (file_of({"w": W | {"dtype": []}}, bytes(8)), "tensor 'w': dtype"),
        (file_of({"w": W | {"shape": 2}}, bytes(8)), "tensor 'w': 2 is no shape"),
        (file_of({"w": W | {"shape": [-2]}}, bytes(8)), r"tensor 'w': \[-2\] is no shape"),
        (file_of({"w": W | {"shape": [2.0]}}, bytes(8)), r"\[2.0\] is no shape"),
        (file_of({"w": W | {"shape": [1] * 33}}, bytes(8)), "is no shape"),
        (file_of({"w": W | {"shape": [3]}}, bytes(8)), r"data_offsets \[0, 8\] for F32 of shape"),
        (file_of({"w": W | {"data_offsets": [0]}}, bytes(8)), "data_offsets"),
        (file_of({"w": W | {"data_offsets": [8, 0]}}, bytes(8)), "data_offsets"),
        (file_of({"w": W, "v": W}, bytes(8)), "tensors overlap or leave bytes out at 8"),
        (file_of({"w": W | {"data_offsets": [4, 12]}}, bytes(12)), "leave bytes out at 0"),
        (file_of('{"w": {}, "w": {}}', b""), "isn't JSON: the name 'w' is there twice"),
        (file_of({"w": W}, bytes(7)), "its header declares"),
        (file_of({"w": W}, bytes(9)), "its header declares"),
    ],
)
def test_bad_safetensors(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(FormatError, match=words) as found:
        SafetensorsFile(path)
    assert str(found.value).startswith(str(path))


def test_a_bool_that_is_neither(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "BOOL", "shape": [2], "data_offsets": [0, 2]}
    path.write_bytes(file_of({"w": entry}, b"\1\2"))
    with pytest.raises(FormatError, match="tensor 'w': a bool is neither 0 nor 1"):
        SafetensorsFile(path)["w"]


def test_files_that_arent_there(tmp_path: Path) -> None:
    for path in (tmp_path / "a.safetensors", tmp_path / "a.npz", tmp_path / "a"):
        with pytest.raises(DataError, match="No such file"), open_source(path):
            pass
    np.save(tmp_path / "w.npy", np.ones(3))
    folder = NpyFolder(tmp_path)
    (tmp_path / "w.npy").unlink()
    with pytest.raises(DataError, match=r"w\.npy: No such file"):
        folder["w"]


def test_a_folder_of_arrays(tmp_path: Path) -> None:
    for name, array in ARRAYS.items():
        np.save(tmp_path / f"{name}.npy", array)
    (tmp_path / "README").write_text("not an array")
    with open_source(tmp_path) as source:
        assert list(source) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(source[name], array, strict=True)


def test_a_folder_without_arrays_must_be_the_wrong_one(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    np.save(tmp_path / "below" / "w.npy", np.ones(3))
    with pytest.raises(DataError, match=r"has no \.npy files and no \.npz files"):
        NpyFolder(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"text", None])
def test_a_damaged_array(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "w.npy"
    np.save(path, np.zeros(100))
    path.write_bytes(path.read_bytes()[:-1] if content is None else content)
    with pytest.raises(FormatError, match=r"w\.npy: not a whole npy file"):
        NpyFolder(tmp_path)


def test_a_file_is_told_by_its_start_or_else_by_its_suffix(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    (tmp_path / "a.npz").rename(tmp_path / "archive")
    with open_source(tmp_path / "archive") as source:
        assert source.shapes == {"w": (3,)}
    (tmp_path / "text.NPZ").write_text("not an archive")
    with (
        pytest.raises(FormatError, match=r"text\.NPZ: not a whole npz file"),
        open_source(tmp_path / "text.NPZ"),
    ):
        pass
    (tmp_path / "text").write_text("neither")
    words = (
        r"text: neither \.npz nor \.safetensors nor .*, nor a folder of .* shards "
        r"nor a folder of \.npy or \.npz files"
    )
    with pytest.raises(FormatError, match=words), open_source(tmp_path / "text"):
        pass


def test_ours_is_opened_where_it_may_be(tmp_path: Path) -> None:
    dc.CompressedModel({"w": np.ones((2, 3))}).save(tmp_path / "a.npz")
    with registry.open_tensors(tmp_path / "a.npz") as tensors:
        assert tensors.shapes == {"w": (2, 3)}
        np.testing.assert_array_equal(tensors["w"], np.ones((2, 3)))


def test_a_new_format_is_one_entry(tmp_path: Path, monkeypatch) -> None:
    class Text(Source):
        def __init__(self, path: str) -> None:
            self._values = np.loadtxt(path)
            self.shapes = {"w": self._values.shape}

        def __getitem__(self, name: str) -> np.ndarray[Any, Any]:
            return self._values

        def __iter__(self) -> Iterator[str]:
            return iter(self.shapes)

        def __len__(self) -> int:
            return len(self.shapes)

    def write(path: str, arrays: Any, origin: Any) -> int:
        for _, array in arrays:
            np.savetxt(path, array)
        return Path(path).stat().st_size

    text = Format("a text", ".txt", lambda path: nullcontext(Text(path)), write=write)
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, text))
    assert registry.described().startswith("an .npz or a .safetensors or ")
    assert " or a .txt file, or a folder of " in registry.described()
    np.savetxt(tmp_path / "w.txt", np.eye(30))
    assert call("compress", tmp_path / "w.txt", "-o", tmp_path / "w.dcnn")[0] == 0
    assert call("verify", tmp_path / "w.dcnn", "--against", tmp_path / "w.txt")[0] == 0
    assert call("decompress", tmp_path / "w.dcnn", "-o", tmp_path / "again.txt")[0] == 0
    np.testing.assert_array_equal(np.loadtxt(tmp_path / "again.txt"), np.eye(30))
    (tmp_path / "none").write_bytes(b"")
    error = fails(1, "verify", tmp_path / "w.dcnn", "--against", tmp_path / "none")
    assert "neither a .dcnn, an npz, a .safetensors, " in error
    assert " nor a text file, nor a folder" in error


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    needy = replace(registry.FORMATS[0], requires="no_such_module")
    monkeypatch.setattr(registry, "FORMATS", (needy,))
    (tmp_path / "w.npz").write_bytes(b"")
    with (
        pytest.raises(ArgumentError, match=r"w\.npz: needs no_such_module, an extra"),
        open_source(tmp_path / "w.npz"),
    ):
        pass


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        *(("w.pt", "torch", "torch"), ("w.h5", "h5py", "keras")),
        *(("w.keras", "h5py", "keras"), ("w.skops", "skops", "skops")),
    ],
)
def test_each_missing_extra_is_named(
    tmp_path: Path, monkeypatch, name: str, module: str, extra: str
) -> None:
    find = importlib.util.find_spec
    absent = lambda name: None if name == module else find(name)  # noqa: E731
    monkeypatch.setattr(importlib.util, "find_spec", absent)
    (tmp_path / name).write_bytes(b"x")
    words = f"{name}: needs {extra}, an extra of deepcompress-nn"
    assert words in fails(2, "compress", tmp_path / name, "-o", tmp_path / "w.dcnn")
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    assert call("compress", tmp_path / "a.npz", "-o", tmp_path / "a.dcnn")[0] == 0
    (tmp_path / name).unlink()
    assert words in fails(2, "decompress", tmp_path / "a.dcnn", "-o", tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("members", "words"),
    [
        (["x/version", "x/data.pkl"], "needs torch"),
        (["config.json", "model.weights.h5"], "needs keras"),
        (["1.npy", "schema.json"], "needs skops"),
        (["w.npy"], "member 'w.npy': isn't an array"),
    ],
)
def test_zip_files_are_told_by_their_members(
    tmp_path: Path, monkeypatch, members: list[str], words: str
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for member in members:
            archive.writestr(member, "x")
    with pytest.raises((ArgumentError, FormatError), match=words), open_source(tmp_path / "a.npz"):
        pass


def test_an_array_is_asked_for_after_the_one_before_is_written(tmp_path: Path) -> None:
    sizes = []

    def arrays() -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
        for name in "abc":
            (partial,) = [*tmp_path.iterdir()]
            sizes.append(partial.stat().st_size)
            yield name, np.ones(1 << 17)

    assert npz.write(tmp_path / "f.npz", arrays()) == (tmp_path / "f.npz").stat().st_size
    assert sizes == sorted(set(sizes))
