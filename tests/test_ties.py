"""Tensors that are the same are stored once, and come back as one object."""

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
from support.command import call

import deepcompress as dc
from deepcompress.container.records import ENCODINGS
from deepcompress.pipeline import from_bytes
from deepcompress.reports.inspection import describe
from deepcompress.ties import LEAST_BYTES

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(50, 40)).astype(np.float32)
OTHERS = {"conv": RNG.normal(size=(8, 4, 3, 3)).astype(np.float32), "bias": np.ones(8, np.float32)}


def encodings(data: bytes) -> dict[str, str]:
    return {n: ENCODINGS[e.encoding] for n, e in dc.ModelFile(data).entries.items()}


@pytest.mark.parametrize(
    "config",
    [
        dc.Config(),
        dc.preset("lossless"),
        dc.Config({"method": "raw"}),
        dc.Config({"method": "float16"}),
    ],
)
@pytest.mark.parametrize("how", ["object", "view", "bytes"])
def test_equal_tensors_are_stored_once(tmp_path: Path, config: dc.Config, how: str) -> None:
    again = {"object": TABLE, "view": TABLE[:], "bytes": TABLE.copy()}[how]
    tensors = {"in": TABLE, **OTHERS, "out": again}
    model = dc.compress(tensors, config)
    assert model["in"] is model["out"]
    data = model.to_bytes()
    assert data[8] == 3
    assert encodings(data)["out"] == "tied"
    alone = len(dc.compress({"in": TABLE, **OTHERS}, config).to_bytes())
    assert alone < len(data) < alone + 25
    for read in (from_bytes(data), dc.CompressedModel(dict(model), {}, model.storage)):
        assert read["in"] is read["out"]
        dense = read.to_dense()
        assert dense["in"] is dense["out"]
        assert dense["bias"] is not dense["conv"]
        assert read.to_bytes() == data
    for jobs in (1, 3):
        dc.compress_to(tensors, tmp_path / "out.dcnn", config, jobs=jobs)
        assert (tmp_path / "out.dcnn").read_bytes() == data


def test_a_tied_tensor_is_read_alone(tmp_path: Path) -> None:
    tensors = {"a": OTHERS["conv"], "in": TABLE, "out": TABLE, "third": TABLE.copy()}
    dc.compress(tensors).save(tmp_path / "m.dcnn")
    with dc.open_file(tmp_path / "m.dcnn") as file:
        dense = file["in"].to_dense()
        np.testing.assert_array_equal(file["third"].to_dense(), dense)
        np.testing.assert_array_equal(file.rows("out", 3, 7).to_dense(), dense[3:7])
        assert file.coding("out") == file.coding("in")
        assert file.shapes["out"] == TABLE.shape


class Lazy(Mapping[str, np.ndarray]):
    """Makes each array anew, in whatever order it is asked for."""

    def __init__(self, tensors: dict[str, np.ndarray]) -> None:
        self.tensors = tensors
        self.shapes = {name: tensor.shape for name, tensor in tensors.items()}

    def __getitem__(self, name: str) -> np.ndarray:
        return self.tensors[name].copy()

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)


def test_the_first_in_the_file_holds_the_others_however_they_are_read(tmp_path: Path) -> None:
    tensors = {f"t{i}": (TABLE if i % 3 else TABLE + i).copy() for i in range(12)}
    tensors = {
        "small": TABLE[:26],
        **tensors,
        "again": TABLE[:26].copy(),
        "large": np.tile(TABLE, 3),
    }
    data = dc.compress(tensors).to_bytes()
    for jobs in (1, 4):
        dc.compress_to(Lazy(tensors), tmp_path / "m.dcnn", jobs=jobs)
        assert (tmp_path / "m.dcnn").read_bytes() == data
    tied = [name for name, encoding in encodings(data).items() if encoding == "tied"]
    assert tied == ["t1", "t2", "t4", "t5", "t7", "t8", "t10", "t11", "again"]


@pytest.mark.parametrize(
    "second",
    [
        TABLE.reshape(40, 50),
        TABLE.view(np.int32),
        TABLE.astype(np.float64),
        np.where(np.arange(40) == 39, np.nextafter(TABLE, 9), TABLE),
    ],
    ids=["shape", "dtype", "values", "one bit"],
)
def test_others_arent_tied(second: np.ndarray) -> None:
    assert "tied" not in encodings(dc.compress({"a": TABLE, "b": second}).to_bytes()).values()


def test_neither_are_small_ones_or_those_to_be_stored_otherwise() -> None:
    few = np.arange(LEAST_BYTES // 4 - 1, dtype=np.float32)
    data = dc.compress({"a": few, "b": few}).to_bytes()
    assert encodings(data) == {"a": "raw", "b": "raw"}
    assert data[8] == 1
    config = dc.Config(by_name={"b": {"bits": 3}})
    model = dc.compress({"a": TABLE, "b": TABLE}, config)
    assert len(model["b"].codebook) < len(model["a"].codebook)


def test_why_a_tied_tensor_is_kept_is_told(tmp_path: Path) -> None:
    ids = np.arange(2000)
    tensors = {"ids": ids, "same": ids.copy()}
    expected = {"ids": "integers", "same": "integers"}
    assert dc.compress(tensors).kept == expected
    assert dc.compress_to(tensors, tmp_path / "m.dcnn").kept == expected


def test_inspect_shows_ties(tmp_path: Path) -> None:
    path = tmp_path / "m.dcnn"
    dc.compress({"in": TABLE, "out": TABLE}).save(path)
    status, text, _ = call("inspect", path)
    assert status == 0
    assert "\ntied tensors:\nout is in" in text
    values = describe(path.read_bytes(), prices=True)
    assert [row.get("tied_to") for row in values["tensors"]] == [None, "in"]
    assert sum(values["parts"].values()) == path.stat().st_size
    assert sum(row["chosen"] for row in values["tensors"][1]["alternatives"]) == 1


def test_equal_checksums_are_no_tie(tmp_path: Path) -> None:
    """As anybody can make them: a multiple of CRC-32's polynomial changes nothing in it."""
    one = RNG.integers(0, 256, LEAST_BYTES, dtype=np.uint8)
    other = one.copy()
    other[100:105] ^= np.frombuffer((1 | 0xEDB88320 << 1).to_bytes(5, "little"), np.uint8)
    assert zlib.crc32(one.tobytes()) == zlib.crc32(other.tobytes())
    tensors = {"a": one, "b": other, "c": other.copy(), "d": one.copy()}
    model = dc.compress(tensors)
    assert model["d"] is model["a"] is not model["b"]
    assert model["c"] is model["b"]
    back = from_bytes(model.to_bytes())
    assert {name: back[name].tobytes() for name in back} == {
        name: array.tobytes() for name, array in tensors.items()
    }
    dc.compress_to(tensors, tmp_path / "a.dcnn")
    assert (tmp_path / "a.dcnn").read_bytes() == model.to_bytes()
