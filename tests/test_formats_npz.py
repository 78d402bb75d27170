"""Npz files: what NumPy reads of ours, what we read of NumPy's, and what nobody should read."""

import io
import re
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from support.npz import npz_bytes, read_npz

from deepcompress.errors import ArgumentError, DataError, FormatError
from deepcompress.formats.npz import open_npz

ARRAYS = {
    "a/b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "µ": np.zeros((0, 2), np.float16),
    "file": np.array(True),
    "x.npy": np.ones(3, np.complex64),
    "../y": np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
}


def test_numpy_reads_it() -> None:
    with np.load(io.BytesIO(npz_bytes(ARRAYS)), allow_pickle=False) as arrays:
        assert list(arrays) == list(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array, strict=True)


def test_same_bytes_at_any_time(monkeypatch) -> None:
    before = npz_bytes(ARRAYS)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert npz_bytes(ARRAYS) == before


@pytest.mark.parametrize("name", ["a\0b", "n" * 65532])
def test_unsuitable_names(name: str) -> None:
    with pytest.raises(ArgumentError, match="no name for an array"):
        npz_bytes({name: np.zeros(1)})


def write(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def npy(header: str, elements: bytes = b"", version: int = 1) -> bytes:
    """Return a member with any header."""
    text = header.encode()
    length = len(text).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + elements


def header_of(descr: object = "<f4", shape: object = (2,), order: object = False) -> str:
    return str({"descr": descr, "fortran_order": order, "shape": shape})


@pytest.mark.parametrize("version", ["ours", "numpy's", "compressed"])
def test_read(tmp_path: Path, version: str) -> None:
    arrays = ARRAYS | {"big": np.array([1, 2], ">i4"), "0": np.float64(3), "0rows": np.ones((0, 2))}
    path = tmp_path / "f.npz"
    if version == "ours":
        path.write_bytes(npz_bytes(arrays))
    else:
        arrays.pop("file")  # a parameter's name
        (np.savez if version == "numpy's" else np.savez_compressed)(path, **arrays)
    found = read_npz(path)
    assert list(found) == list(arrays)
    for name, array in found.items():
        expected = np.asarray(arrays[name])
        expected = expected.astype(expected.dtype.newbyteorder("="))
        np.testing.assert_array_equal(array, expected, strict=True)
    with open_npz(path) as file:
        assert len(file) == len(arrays)
        assert file.shapes["a/b.weight"] == (2, 3)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_versions_of_a_header(tmp_path: Path, version: int) -> None:
    path = write(tmp_path / "f", {"w.npy": npy(header_of(), b"\0\0\x80\x3f" * 2, version)})
    assert read_npz(path)["w"].tolist() == [1, 1]


LONG = 1 << 40


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"w.txt": b"x"}, r"f: member 'w\.txt': isn't an array \(\.npy"),
        ({"dir/": b""}, r"isn't an array \(\.npy"),
        ({"w.npy": b""}, "doesn't begin as one"),
        ({"w.npy": b"\x93NUMPY"}, "doesn't begin as one"),
        ({"w.npy": npy(header_of(), bytes(8), 4)}, "version 4"),
        ({"w.npy": npy(header_of(), bytes(7))}, "7 bytes of elements .* needs 8"),
        ({"w.npy": npy(header_of(), bytes(9))}, "9 bytes of elements .* needs 8"),
        ({"w.npy": npy(header_of(shape=(LONG,)), bytes(8))}, "8 bytes of elements"),
        ({"w.npy": npy(header_of(shape=(-2, -1)), bytes(8))}, "no array has the shape"),
        ({"w.npy": npy(header_of(shape=(0, 1 << 63)))}, "no array has the shape"),
        ({"w.npy": npy(header_of(shape=(1,) * 33), bytes(4))}, "no array has the shape"),
        ({"w.npy": npy(header_of(shape=[2]), bytes(8))}, r"shape is not valid: \[2\]"),
        ({"w.npy": npy(header_of(shape=(True, 2)), bytes(8))}, "no array has the shape"),
        ({"w.npy": npy(header_of(order=0), bytes(8))}, "fortran_order is not a valid bool: 0"),
        ({"w.npy": npy(header_of("|O"), bytes(16))}, "holds Python objects"),
        ({"w.npy": npy(header_of("<U1"), bytes(8))}, "aren't numbers"),
        ({"w.npy": npy(header_of([("x", "<f4")]), bytes(8))}, "aren't numbers"),
        ({"w.npy": npy(header_of("<f3"), bytes(6))}, "not a whole npz file"),
        ({"w.npy": npy("{}")}, "not a whole npz file: Header does not contain the correct keys"),
        ({"w.npy": npy("[" * 200)}, "not a whole npz file"),
        ({"w.npy": npy("x" * 20_000)}, r"Header info length \(20000\) is large"),
        ({"w.npy": npy(header_of("|b1"), b"\1\2")}, "neither 0 nor 1"),
    ],
)
def test_no_arrays(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    with pytest.raises(FormatError, match=reason):
        read_npz(write(tmp_path / "f", members))


def test_an_object_is_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "f.npz", w=np.array([{}], object))
    with pytest.raises(FormatError, match="holds Python objects"):
        read_npz(tmp_path / "f.npz")


def test_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "f", "w") as archive:
        archive.writestr("w.npy", npy(header_of(), bytes(8)))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("w.npy", npy(header_of(), bytes(8)))
    with pytest.raises(FormatError, match="is there twice"):
        read_npz(tmp_path / "f")


def test_other_compression(tmp_path: Path) -> None:
    content = npy(header_of(), bytes(8))
    with pytest.raises(FormatError, match="neither plain nor deflated"):
        read_npz(write(tmp_path / "f", {"w.npy": content}, zipfile.ZIP_BZIP2))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match=re.escape(str(path))):
            read_npz(path)
    (tmp_path / "text").write_text("not an archive")
    with pytest.raises(FormatError, match="text: not a whole npz file: File is not a zip file"):
        read_npz(tmp_path / "text")


def test_bounds(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "f.npz"
    np.savez_compressed(path, a=np.zeros(1 << 20, np.uint8), b=np.zeros(10))
    total = (1 << 20) + 80 + 2 * 128
    assert len(read_npz(path, total)) == 2
    with pytest.raises(DataError, match=f"take {total:,} bytes, max_bytes is {total - 1:,}"):
        read_npz(path, total - 1)

    def no_memory(*arguments: object) -> None:
        raise MemoryError("none is left")

    monkeypatch.setattr(np, "empty", no_memory)
    with pytest.raises(DataError, match=r"'a\.npy': can't be held in memory"):
        read_npz(path)


def directory_of(data: bytes) -> int:
    """Return where the archive's directory begins, by its last record."""
    return int.from_bytes(data[-6:-2], "little")


@pytest.mark.parametrize(
    ("compress_size", "file_size", "reason"),
    [
        (LONG >> 9, None, "declare more bytes than the file has"),
        (None, LONG >> 9, "can't hold"),
        (None, 137, "can't hold"),  # one more than the 136 that there are
    ],
)
def test_sizes_that_the_archive_cannot_have(
    tmp_path: Path, compress_size: int | None, file_size: int | None, reason: str, monkeypatch
) -> None:
    data = bytearray(npz_bytes({"w": np.zeros(2, np.float32)}))
    start = directory_of(data)
    for offset, size in ((20, compress_size), (24, file_size)):
        if size is not None:
            data[start + offset : start + offset + 4] = size.to_bytes(4, "little")
    (tmp_path / "f").write_bytes(data)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # known before anything is read
    with pytest.raises(FormatError, match=reason):
        read_npz(tmp_path / "f")


@pytest.mark.parametrize("deflated", [False, True])
def test_no_damage_raises_another_error(tmp_path: Path, deflated: bool) -> None:
    """Cut anywhere it is refused; with a bit changed too, unless the bit says nothing."""
    path = tmp_path / "f"
    content = {"w.npy": npy(header_of(), b"\1\2\3\4\5\6\7\x08")}
    data = write(path, content, zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED)
    whole = data.read_bytes()
    expected = read_npz(path)["w"].tolist()
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        with pytest.raises(FormatError):
            read_npz(path)
    for position in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[position // 8] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            found = read_npz(path)
        except (DataError, FormatError):
            continue
        assert [array.tolist() for array in found.values()] == [expected]
