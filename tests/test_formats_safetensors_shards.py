"""Checkpoints in shards: read, refused, and written again as they were or as is asked."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails

from deepcompress.errors import ArgumentError, DataError, FormatError, OutputError
from deepcompress.formats import safetensors, safetensors_shards
from deepcompress.formats.registry import open_source
from deepcompress.formats.safetensors import SafetensorsFile
from deepcompress.formats.safetensors_shards import ShardedSafetensors
from deepcompress.formats.source import Arrays

INDEX = "model.safetensors.index.json"
RAW = {"default": {"method": "raw"}}
PARTS = {
    "part-b.safetensors": {"z": np.eye(3, dtype=np.float32), "a": np.arange(5, dtype=np.int8)},
    "part-c.safetensors": {"m": np.ones((2, 0), np.float16), "b": np.array(True)},
}
NAMES = ["z", "a", "m", "b"]


def save(folder: Path, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """Write shards and an index as Hugging Face's libraries do; return the index."""
    folder.mkdir()
    for name, arrays in PARTS.items():
        texts = {"format": "pt", **({"only": "here"} if "c" in name else {})}
        safetensors.write(folder / name, arrays.items(), {"metadata": texts})
    weight_map = {tensor: name for name, arrays in PARTS.items() for tensor in arrays}
    size = sum(array.nbytes for arrays in PARTS.values() for array in arrays.values())
    index = {"metadata": {"total_size": size, **(more or {})}, "weight_map": weight_map}
    put(folder, index)
    return index


def put(folder: Path, index: object) -> None:
    (folder / INDEX).write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("path", ["", INDEX])
def test_a_folder_or_its_index(tmp_path: Path, path: str) -> None:
    save(tmp_path / "in")
    with open_source(tmp_path / "in" / path) as source:
        assert list(source) == NAMES
        assert [file.name for file in source.files] == [INDEX, *PARTS]
        for arrays in PARTS.values():
            for name, array in arrays.items():
                np.testing.assert_array_equal(source[name], array, strict=True)
                assert source.shapes[name] == array.shape


def test_the_same_files_come_back(tmp_path: Path) -> None:
    save(tmp_path / "in", {"total_parameters": 15})
    (tmp_path / "raw.json").write_text(json.dumps(RAW))
    packed, out = tmp_path / "x.dcnn", tmp_path / "out"
    out.mkdir()
    assert (
        call("compress", tmp_path / "in", "-o", packed, "--config", tmp_path / "raw.json")[0] == 0
    )
    assert call("decompress", packed, "-o", out / INDEX)[0] == 0
    assert contents(out) == contents(tmp_path / "in")
    assert call("decompress", packed, "-o", tmp_path / "one.safetensors")[0] == 0
    one = SafetensorsFile(tmp_path / "one.safetensors")
    assert (list(one), one.texts) == (NAMES, {"format": "pt"})


def test_hugging_faces_own_reader_and_writer_agree(tmp_path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy", reason="safetensors isn't installed")
    rng = np.random.default_rng(0)
    arrays = {f"w{i}": rng.normal(size=(i + 1, 7)).astype(np.float32) for i in range(6)}
    safetensors_shards.write(tmp_path / "m.safetensors", arrays.items(), {}, 260)
    index = json.loads((tmp_path / "m.safetensors.index.json").read_text())
    assert index["metadata"] == {"total_size": 28 * 21}
    assert list(index["weight_map"]) == sorted(arrays)
    for number, names in enumerate((["w0", "w1", "w2"], ["w3", "w4"], ["w5"]), 1):
        name = f"m-{number:05d}-of-00003.safetensors"
        there = numpy.load_file(tmp_path / name)
        assert list(there) == names
        assert {index["weight_map"][tensor] for tensor in names} == {name}
        for tensor, array in there.items():
            np.testing.assert_array_equal(array, arrays[tensor], strict=True)
        numpy.save_file({tensor: arrays[tensor] for tensor in names}, tmp_path / "theirs")
        assert (tmp_path / "theirs").read_bytes() == (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    ("size", "count"), [("1", 3), ("40B", 2), ("45", 1), ("1KB", 1), ("1GiB", 1)]
)
def test_shards_of_a_size(tmp_path: Path, size: str, count: int) -> None:
    given, packed, out = (tmp_path / name for name in ("in.npz", "x.dcnn", "out.safetensors"))
    np.savez(given, w=np.ones(9, np.float32), b=np.ones(8, np.int8), c=np.array(2, np.int8))
    assert call("compress", given, "-o", packed)[0] == 0
    before = set(tmp_path.iterdir())
    assert call("decompress", packed, "-o", out, "--shard-size", size)[0] == 0
    names = sorted(path.name for path in {*tmp_path.iterdir()} - before)
    shards = [f"out-{number:05d}-of-{count:05d}.safetensors" for number in range(1, count + 1)]
    expected = ["out.safetensors"] if count == 1 else [*shards, "out.safetensors.index.json"]
    assert names == expected
    with open_source(tmp_path / names[-1]) as source:
        assert list(source) == ["w", "b", "c"]


@pytest.mark.parametrize("size", ["0", "2 G B", "-1", "1TB", "GB", "1.5GB"])
def test_sizes_that_are_none(tmp_path: Path, size: str) -> None:
    fails(2, "decompress", tmp_path / "x", "-o", tmp_path / "y.safetensors", f"--shard-size={size}")


def test_only_safetensors_can_be_cut(tmp_path: Path) -> None:
    arguments = ("-o", tmp_path / "y.npz", "--shard-size", "2GB")
    assert "only .safetensors" in fails(2, "decompress", tmp_path / "x", *arguments)


def test_a_shard_replaces_nothing(tmp_path: Path) -> None:
    arrays = {"a": np.ones(3), "b": np.ones(3)}
    (tmp_path / "m-00002-of-00002.safetensors").write_bytes(b"another's")
    before = contents(tmp_path)
    kind = Arrays.of(arrays.items())
    unread = Arrays(kind.types, kind.shapes, iter(()))  # it is refused before any is asked for
    with pytest.raises(OutputError, match=r"m-00002-of-00002\.safetensors: is there already"):
        safetensors_shards.write(tmp_path / "m.safetensors", unread, {}, 24)
    with pytest.raises(OutputError, match=r"m-00002-of-00002\.safetensors: is there already"):
        safetensors_shards.write(tmp_path / "m.safetensors", arrays.items(), {}, 24)
    assert contents(tmp_path) == before


@pytest.mark.parametrize("bad", [ValueError("read"), FormatError("read")])
def test_what_fails_in_the_middle_leaves_nothing(tmp_path: Path, bad: Exception) -> None:
    array = np.ones(3)

    def pairs():
        yield "a", array
        raise bad

    kind = Arrays.of({"a": array, "b": array}.items())
    with pytest.raises(type(bad)):
        safetensors_shards.write(
            tmp_path / "m.safetensors", Arrays(kind.types, kind.shapes, pairs()), {}, 24
        )
    assert list(tmp_path.iterdir()) == []


def test_what_the_format_has_not_is_named_and_nothing_written(tmp_path: Path) -> None:
    for arrays in ({"a": np.ones(3), "b": np.ones(3, complex)}, {"a": np.ones(3, "U2")}):
        with pytest.raises(ArgumentError, match=r"dtype (complex128|<U2)"):
            safetensors_shards.write(tmp_path / "m.safetensors", arrays.items(), {}, 24)
    assert list(tmp_path.iterdir()) == []


def test_other_tensors_than_the_origins_are_cut_anew(tmp_path: Path) -> None:
    save(tmp_path / "in")
    origin = ShardedSafetensors(tmp_path / "in").metadata["origin"]
    (tmp_path / "out").mkdir()
    safetensors_shards.write(tmp_path / "out" / INDEX, [("z", np.ones(3))], origin)
    assert sorted(contents(tmp_path / "out")) == ["model-00001-of-00001.safetensors", INDEX]


@pytest.mark.parametrize(
    "shards",
    [
        3,
        [3],
        [{}],
        [{"file": "a.safetensors"}],
        [{"file": "../a.safetensors", "tensors": ["w"]}],
        [{"file": "/a.safetensors", "tensors": ["w"]}],
        [{"file": "a.txt", "tensors": ["w"]}],
        [{"file": "\0.safetensors", "tensors": ["w"]}],
        [{"file": "\ud800.safetensors", "tensors": ["w"]}],
        [{"file": 3, "tensors": ["w"]}],
        [{"file": "a.safetensors", "tensors": ["w"], "metadata": [3]}],
        [{"file": "a.safetensors", "tensors": ["w"]}, {"file": "a.safetensors", "tensors": []}],
    ],
)
def test_origins_that_cant_be(tmp_path: Path, shards: object) -> None:
    with pytest.raises(ArgumentError, match="shards that can't be"):
        safetensors_shards.write(tmp_path / INDEX, [("w", np.ones(3))], {"shards": shards})
    with pytest.raises(ArgumentError, match="mapping of texts"):
        safetensors_shards.write(tmp_path / INDEX, [("w", np.ones(3))], {"metadata": [3]})
    assert list(tmp_path.iterdir()) == []


def with_map(**changes: str | None) -> Any:
    def change(folder: Path, index: dict[str, Any]) -> None:
        changed = {**index["weight_map"], **changes}
        put(folder, {"weight_map": {name: file for name, file in changed.items() if file}})

    return change


def with_text(text: str) -> Any:
    return lambda folder, index: (folder / INDEX).write_text(text)


def without_a_shard(folder: Path, index: dict[str, Any]) -> None:
    (folder / "part-b.safetensors").unlink()


def with_a_link(folder: Path, index: dict[str, Any]) -> None:
    (folder / "other").hardlink_to(folder / "part-c.safetensors")
    with_map(b="other")(folder, index)


def with_a_tensor_twice(folder: Path, index: dict[str, Any]) -> None:
    safetensors.write(folder / "part-c.safetensors", [("m", np.ones(3)), ("a", np.ones(3))])


def with_another_index(folder: Path, index: dict[str, Any]) -> None:
    (folder / "x.safetensors.index.json").write_text("{}")


def with_a_short_shard(folder: Path, index: dict[str, Any]) -> None:
    path = folder / "part-c.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_a_shard, r"json: shard 'part-b.safetensors' isn't there"),
        (with_map(q="part-b.safetensors"), "tensor 'q' isn't in part-b.safetensors"),
        (with_map(a="part-c.safetensors"), "tensor 'a' of part-b.safetensors is in part-c"),
        (with_map(b=None), "tensor 'b' of part-c.safetensors isn't listed by the index"),
        (with_a_tensor_twice, "tensor 'a' is in part-c.safetensors, too, and in another shard"),
        (with_a_link, "shard 'part-c.safetensors' is listed twice, also as 'other'"),
        (with_map(b="../out.safetensors"), r"shard '../out.safetensors' isn't a file beside it"),
        (with_map(b="/etc/passwd"), "shard '/etc/passwd' isn't a file beside it"),
        (with_map(b=".."), r"shard '..' isn't a file beside it"),
        (with_map(b="a\0b"), "isn't a file beside it"),
        (with_text("{"), "isn't JSON"),
        (with_text('{"weight_map": {"a": "x", "a": "x"}}'), "the name 'a' is there twice"),
        (with_text("[]"), "has no weight_map"),
        (with_text('{"weight_map": {}}'), "has no weight_map"),
        (with_text('{"weight_map": {"a": 3}}'), "has no weight_map"),
        (with_text('{"weight_map": {"a": "b"}, "metadata": 3}'), "has no weight_map"),
        (with_another_index, r"one \*.safetensors.index.json is needed"),
        (with_a_short_shard, "part-c.safetensors: 1[0-9]* bytes, its header declares"),
    ],
)
def test_bad_indexes(tmp_path: Path, change: Any, words: str) -> None:
    folder = tmp_path / "in"
    change(folder, save(folder))
    with pytest.raises((FormatError, DataError), match=words), open_source(folder):
        pass
    before = contents(folder)
    assert call("compress", folder, "-o", tmp_path / "x.dcnn")[0] != 0
    assert contents(folder) == before
    assert list(tmp_path.iterdir()) == [folder]
