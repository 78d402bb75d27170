"""HDF5 files, in and out, with all that is around the tensors; the tests need h5py."""

import errno
import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import fails
from support.full_disk import FullDisk
from support.round_trips import assert_same, refused, there, there_and_back

from deepcompress.errors import ArgumentError, OutputError
from deepcompress.formats import hdf5
from deepcompress.formats.registry import open_source

if importlib.util.find_spec("h5py") is None:
    pytest.skip("h5py isn't installed (extra keras)", allow_module_level=True)

import h5py

RNG = np.random.default_rng(0)


def fill(file: h5py.File) -> None:
    """Write something of everything that is kept."""
    file.attrs["text"] = "é"
    file.attrs["names"] = ["a", "bb"]
    file.attrs["bytes"] = np.array([b"x", b"yy"])
    file.attrs["fixed"] = np.bytes_("z")
    file.attrs["none"] = np.zeros(0)
    file.attrs["nothing"] = h5py.Empty("f4")
    file.attrs["number"] = np.int16(-3)
    file.attrs["flags"] = np.array([[True, False]])
    file.attrs["complex"] = 1 + 2j
    file.attrs["opaque"] = np.void(b"\0\1\2")
    layer = file.create_group("layer")
    layer.attrs["name"] = "mine"
    layer["kernel"] = RNG.normal(size=(30, 20)).astype(np.float32)
    layer["kernel"].attrs["units"] = "none"
    layer["big"] = np.arange(6, dtype=">i4").reshape(2, 3)
    layer["half"] = np.float16(0.5)
    layer["bool"] = np.array([True, False])
    layer["complex"] = np.array([1 + 2j], np.complex64)
    layer["empty"] = np.zeros((0, 3), np.float64)
    options = {"chunks": (10, 5), "compression": "gzip", "compression_opts": 7, "shuffle": True}
    layer.create_dataset("zipped", data=np.eye(20), maxshape=(None, 20), fletcher32=True, **options)
    layer.create_dataset("lzf", data=np.eye(20), compression="lzf")
    bfloat16 = layer.create_dataset("bfloat16", data=np.array([1, 2], np.uint16).view("V2"))
    bfloat16.attrs["dtype"] = "bfloat16"
    file["text"] = "a text"
    file["texts"] = np.array(["é", "b"], h5py.string_dtype())
    file["fixed"] = np.array([b"abc", b"d"])
    file["opaque"] = np.void(b"123")
    file["nothing"] = h5py.Empty("i8")
    file["z_again"] = file["layer/kernel"]
    file["z_group"] = file["layer"]
    file["soft"] = h5py.SoftLink("/layer/kernel")
    file.create_group("hollow")


def listed(path: Path) -> dict[str, Any]:
    """Return all that a file has, in words."""
    found = {}

    def attributes(node: Any) -> list[Any]:
        return [
            (name, str(node.attrs.get_id(name).dtype), repr(node.attrs[name]))
            for name in node.attrs
        ]

    def visit(group: Any, path: str) -> None:
        found[path or "/"] = attributes(group)
        for name in group:
            link = group.get(name, getlink=True)
            node = group[name]
            if isinstance(link, h5py.SoftLink):
                found[f"{path}/{name}"] = link.path
            elif isinstance(node, h5py.Dataset):
                how = node.dtype.str, node.shape, node.chunks, node.compression, node.maxshape
                more = node.compression_opts, node.shuffle, node.fletcher32
                value = None if node.shape is None else node[()]
                data = value.tobytes() if isinstance(value, np.ndarray) else repr(value)
                if isinstance(value, np.ndarray) and value.dtype == object:
                    data = value.tolist()
                found[f"{path}/{name}"] = how, more, data, attributes(node)
            elif name != "z_group":
                visit(node, f"{path}/{name}")

    with h5py.File(path) as file:
        visit(file, "")
        found["linked"] = file["z_again"] == file["layer/kernel"], file["z_group"] == file["layer"]
    return found


def test_everything_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    back = there_and_back(path, "b.h5")
    assert_same(path, back)
    assert listed(back) == listed(path)
    assert listed(back)["linked"] == (True, True)
    with open_source(path) as source:
        assert set(source) == {
            f"layer/{name}"
            for name in ("kernel", "big", "half", "bool", "complex", "empty", "zipped", "lzf")
        } | {"layer/bfloat16"}
    assert there_and_back(path, "b.h5").read_bytes() == back.read_bytes()


def test_weights_are_shared_and_the_rest_isnt(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["w/kernel"] = RNG.normal(size=(30, 20)).astype(np.float32)
        file["optimizer/vars/0"] = file["w/kernel"][()]
    with h5py.File(there_and_back(path, "b.h5", "--seed", 0)) as again, h5py.File(path) as file:
        assert len(np.unique(again["w/kernel"])) <= 32
        np.testing.assert_array_equal(again["optimizer/vars/0"], file["optimizer/vars/0"])


def test_out_of_another_format(tmp_path: Path) -> None:
    arrays = {"a/b": np.eye(3), "a/c": np.arange(3), "d": np.array(1.5)}
    np.savez(tmp_path / "a.npz", **arrays)
    with h5py.File(there_and_back(tmp_path / "a.npz", "b.hdf5")) as file:
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name][()], array, strict=True)


def test_names_and_dtypes_that_no_file_has(tmp_path: Path) -> None:
    for names, words in (
        (["a/./b"], "no name for a dataset"),
        (["/a"], "no name for a dataset"),
        (["a\0"], "no name for a dataset"),
        (["a", "a/b"], "no HDF5 file has that"),
        (["a/b", "a"], "no HDF5 file has that"),
    ):
        with pytest.raises(ArgumentError, match=words):
            hdf5.write(tmp_path / "a.h5", [(name, np.ones(3)) for name in names])
    with pytest.raises(ArgumentError, match="no HDF5 file has dtype"):
        hdf5.write(tmp_path / "a.h5", [("a", np.array(["x"]))])
    assert list(tmp_path.iterdir()) == []


def with_link(file: h5py.File) -> None:
    file["x"] = h5py.ExternalLink("/etc/passwd", "/")


def with_external(file: h5py.File) -> None:
    file.create_dataset("x", (3,), "u1", external=[("/etc/passwd", 0, 3)])


def with_virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (3,))
    file.create_virtual_dataset("x", layout)


def with_reference(file: h5py.File) -> None:
    file.attrs["x"] = file.ref


def with_compound(file: h5py.File) -> None:
    file["x"] = np.zeros(3, [("a", "f4"), ("b", "i4")])


def with_rows(file: h5py.File) -> None:
    file.create_dataset("x", (2,), h5py.vlen_dtype(np.int32))


def with_enum(file: h5py.File) -> None:
    file.attrs.create("x", 1, dtype=h5py.enum_dtype({"RED": 1}))


def with_datatype(file: h5py.File) -> None:
    file["x"] = np.dtype("f4")


@pytest.mark.parametrize(
    ("add", "words"),
    [
        (with_link, "'x' leads to another file"),
        (with_external, "'x' has its elements in another file"),
        (with_virtual, "'x' has its elements in another file"),
        (with_reference, "attribute 'x' of '/' is of a kind that can't be kept"),
        (with_compound, "dataset 'x' is of a kind that can't be kept"),
        (with_rows, "dataset 'x' is of a kind that can't be kept"),
        (with_enum, "attribute 'x' of '/' is of a kind that can't be kept"),
        (with_datatype, "'x' is a datatype of its own"),
    ],
)
def test_what_cant_be_kept_is_named(tmp_path: Path, add: Any, words: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["w"] = np.ones(3)
        add(file)
    message = refused(tmp_path / "a.h5", 2)
    assert "a.h5: " in message
    assert words in message


def test_a_dataset_that_declares_what_it_hasnt(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("w", (1 << 33,), "f4")
    assert "dataset 'w': 0 bytes can't hold 34359738368" in refused(tmp_path / "a.h5")


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    data = path.read_bytes()
    for damaged in (b"", b"x", data[:100], data[:8] + bytes(len(data) - 8)):
        path.write_bytes(damaged)
        assert "a.h5: not a whole HDF5 file" in refused(path)


TENSOR = {"tensor": "w", "dtype": "<f4", "shape": [3]}
TEXT = {"shape": [], "text": ["x"], "encoding": "utf-8"}


@pytest.mark.parametrize(
    "tree",
    [
        *(None, [], {}, {"group": 1}, {"group": [1]}, {"group": [["w", 1]]}),
        *({"group": [[name, TENSOR]]} for name in ("v", "", ".", "w/w", "\0", 1)),
        {"group": [["w", TENSOR], ["w", TENSOR]]},
        *(
            {"group": [["w", {**TENSOR, key: value}]]}
            for key, value in (
                *(("shape", value) for value in (None, [-1], [2**70], [[]], [4])),
                *(("dtype", value) for value in (None, "", "O", "S3", "x", ",f4", "<f8", "f4" * 9)),
                *(("chunks", value) for value in (1, [0], [4], [1, 1])),
                *(("maxshape", value) for value in (1, [1], [-1])),
                *(("attributes", value) for value in (1, [1], [["a"]], [["a", 1]], [[1, TEXT]])),
            )
        ),
        {"group": [["w", TENSOR], ["x", {"hard": "/y"}]]},
        {"group": [["w", TENSOR], ["x", {"more": 1}]]},
        *(
            {"group": [["w", TENSOR], ["x", {"data": value}]]}
            for value in (
                {**TEXT, "text": 1},
                {**TEXT, "text": [1]},
                {**TEXT, "text": []},
                {**TEXT, "text": ["\ud800"]},
                {**TEXT, "text": ["a\0"]},
                {**TEXT, "encoding": "latin-1"},
                {**TEXT, "length": 0},
                {**TEXT, "length": 2**40},
                {**TEXT, "text": ["long"], "length": 2},
                {**TEXT, "shape": [2**40]},
                {**TEXT, "shape": 1},
                {"shape": [2], "dtype": "<f4", "numbers": "AAAA"},
                {"shape": [1], "dtype": "<f4", "numbers": "é"},
                {"shape": [1], "dtype": "<f4", "numbers": 1},
                {"shape": [1], "dtype": "O", "numbers": ""},
                {"shape": [0], "dtype": "(,)f4", "numbers": ""},
            )
        ),
    ],
    ids=repr,
)
def test_origins_that_arent_valid(tmp_path: Path, tree: Any) -> None:
    with pytest.raises(ArgumentError):
        hdf5.write(tmp_path / "a.h5", [("w", np.ones(3, np.float32))], {"tree": tree})
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_arent_those_of_the_origin(tmp_path: Path) -> None:
    origin = {"tree": {"group": [["w", TENSOR]]}}
    for arrays, words in (
        ([], "tensor 'w' is missing"),
        ([("v", np.ones(3))], "'v': the file that it came from has no such tensor"),
        ([("w", np.ones(3))], "float64 of shape"),
        ([("w", np.ones(4, np.float32))], "float32 of shape"),
    ):
        with pytest.raises(ArgumentError, match=words):
            hdf5.write(tmp_path / "a.h5", arrays, origin)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("free", [0, 3000, 20_000])
def test_a_full_disk(tmp_path: Path, monkeypatch, free: int) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: FullDisk(free))
    with pytest.raises(OutputError, match=r"a\.h5: can't write: No space left") as raised:
        hdf5.write(tmp_path / "a.h5", [(name, np.ones(3000)) for name in "vw"])
    assert raised.value.__cause__.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


def test_a_part_has_no_tree(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        fill(file)
    packed = there(path, "--only", "layer")
    with open_source(path) as source, h5py.File(there_and_back(path, "b.h5", "--only", "layer")):
        assert source.metadata_below("layer") == {}
    message = fails(2, "compress", path, "-o", packed, "--only", "layers")
    assert "no tensor is below 'layers'; nearest: 'layer'" in message
