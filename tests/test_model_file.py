"""A file as a mapping: whole tensors and rows of any rank and dtype, limits, mapped and closed."""

import gc
import math
import os
from pathlib import Path

import numpy as np
import pytest
from support.model_files import blocks_file

import deepcompress as dc
from deepcompress import model_file
from deepcompress.container.records import DTYPES, Coding
from deepcompress.container.writer import pack
from deepcompress.errors import ArgumentError, DataError, FormatError, TruncatedError
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.tensors import Survivors


@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
@pytest.mark.parametrize("shape", [(), (5,), (0,), (3, 4), (0, 4), (4, 0), (2, 3, 2)])
def test_rows_of_every_dtype_and_rank(dtype: np.dtype, shape: tuple[int, ...]) -> None:
    values = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    file = dc.ModelFile(pack({"x": values, "y": np.ones(3)}))
    assert file["x"].tobytes() == values.tobytes()
    assert file["x"].shape == file.shape("x") == shape
    assert file.coding("x") is None
    for start in range(shape[0] + 1 if shape else 0):
        for stop in range(start, shape[0] + 1):
            part = file.rows("x", start, stop)
            assert part.dtype == dtype
            assert part.shape == values[start:stop].shape
            assert part.tobytes() == values[start:stop].tobytes()


@pytest.mark.parametrize("shape", [(), (7,), (0,), (0, 4), (4, 0), (3, 2, 2)])
@pytest.mark.parametrize("encoding", [1, 2, 3])
@pytest.mark.parametrize("block_bits", [1, 20])
def test_rows_of_shared_weights_of_every_rank(
    shape: tuple[int, ...], encoding: int, block_bits: int
) -> None:
    size = math.prod(shape)
    positions = np.arange(0, size, 2)
    labels = np.ones(len(positions), np.uint8)
    codebook = np.array([0, 3], np.float32)
    tensor = pack_weights(Survivors(shape, codebook, positions, labels), 1)
    how = Coding(encoding, gap_bits=1 if encoding == 1 else 0, block_bits=block_bits)
    file = dc.ModelFile(dc.CompressedModel({"x": tensor}, {}, {"x": how}).to_bytes())
    np.testing.assert_array_equal(file["x"].to_dense(), tensor.to_dense())
    assert file.coding("x") == how
    for start in range(shape[0] + 1 if shape else 0):
        for stop in range(start, shape[0] + 1):
            part = file.rows("x", start, stop)
            assert part.shape == tensor.to_dense()[start:stop].shape
            np.testing.assert_array_equal(part.to_dense(), tensor.to_dense()[start:stop])


@pytest.mark.parametrize("name", ["raw", "10"])
@pytest.mark.parametrize(
    ("start", "stop", "words"),
    [
        (0, 24, "shape .* has no rows 0 to 24"),
        (-1, 2, "no rows -1 to 2"),
        (3, 2, "no rows 3 to 2"),
        (2**70, 2**70, "no rows"),
        (0.0, 1, "rows must be integers, got 0.0 to 1"),
        (0, None, "rows must be integers, got 0 to None"),
    ],
)
def test_rows_outside(name: str, start: object, stop: object, words: str) -> None:
    with pytest.raises(ArgumentError, match=rf"^m\.dcnn: tensor {name!r}: .*{words}"):
        dc.ModelFile(blocks_file(), "m.dcnn").rows(name, start, stop)


def test_a_tensor_of_rank_0_has_no_rows() -> None:
    with pytest.raises(ArgumentError, match=r"^file: tensor 'x': shape \(\) has no rows 0 to 0"):
        dc.ModelFile(pack({"x": np.float32(1)})).rows("x", 0, 0)


def test_numpys_integers_are_rows_too_and_dont_overflow() -> None:
    shape = (2**31, 2**31)
    codebook = np.array([0, 3], np.float32)
    tensor = pack_weights(Survivors(shape, codebook, np.array([3]), np.array([1], np.uint8)), 8)
    file = dc.ModelFile(dc.CompressedModel({"x": tensor}).to_bytes())
    for start, expected in ((0, [3]), (2**30, [])):
        part = file.rows("x", np.int32(start), np.int32(2**31 - 1))
        assert part.positions()[part.labels() > 0].tolist() == expected


def test_it_is_a_mapping() -> None:
    file = dc.ModelFile(blocks_file())
    assert list(file) == ["raw", "10", "11", "20", "21", "30", "31"]
    assert len(file) == 7
    assert "nothing" not in file
    for read in (file.__getitem__, file.shape, file.coding, lambda name: file.rows(name, 0, 1)):
        with pytest.raises(KeyError):
            read("nothing")


@pytest.mark.parametrize("max_bytes", [-1, 1.5, "1G"])
def test_a_limit_is_a_count(max_bytes: object) -> None:
    with pytest.raises(ArgumentError, match="max_bytes must be an integer from 0"):
        dc.ModelFile(blocks_file(), max_bytes=max_bytes)


class TestOpenFile:
    def write(self, folder: Path, value: float) -> Path:
        dc.CompressedModel({"x": np.full(5000, value)}).save(folder / "m.dcnn")
        return folder / "m.dcnn"

    def is_mapped(self, path: Path) -> bool:
        maps = Path("/proc/self/maps")
        if not maps.exists():
            pytest.skip("no list of mappings here")
        return str(path) in maps.read_text()

    def test_the_old_content_stays_while_it_is_replaced_or_deleted(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, 1)
        with dc.open_file(path) as old:
            self.write(tmp_path, 2)
            with dc.open_file(path) as new:
                path.unlink()
                assert (new["x"] == 2).all()
            assert (old["x"] == 1).all()
        assert list(tmp_path.iterdir()) == []

    def test_nothing_is_mapped_afterwards(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, 1)
        gc.disable()  # what is asked for is not left to the collector
        try:
            with dc.open_file(str(path)) as file:
                assert self.is_mapped(path)
                values, rows = file["x"], file.rows("x", 1, 3)
            assert not self.is_mapped(path)
            dc.load(path)
            assert not self.is_mapped(path)
        finally:
            gc.enable()
        assert (values == 1).all()
        assert (rows == 1).all()
        with pytest.raises(ArgumentError, match=r"m\.dcnn: the file is closed"):
            file["x"]
        file.close()

    def test_not_even_after_an_error(self, tmp_path: Path) -> None:
        path = self.write(tmp_path, 1)
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        for wrong in (bytes(data), bytes(data[:-1]), b"nothing"):
            path.write_bytes(wrong)
            with pytest.raises(FormatError, match=r"m\.dcnn"):
                dc.load(path)
            gc.collect()
            assert not self.is_mapped(path)

    def test_no_file(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "empty").touch()
        for place, error, words in [
            ("absent", DataError, "No such file"),
            ("", DataError, "[Dd]irectory|regular"),
            ("pipe", DataError, "not a regular file"),
            ("a\0b", DataError, "null"),
            ("empty", FormatError, "not a .dcnn file: it begins empty"),
        ]:
            path = os.path.join(tmp_path, place) if place else tmp_path
            for read in (dc.load, lambda path: dc.open_file(path).__enter__()):
                with pytest.raises(error, match=words) as caught:
                    read(path)
                assert str(caught.value).startswith(f"{path}: ")

    def test_a_file_cut_short_says_what_is_whole(self, tmp_path: Path) -> None:
        data = pack({"a": np.ones(2), "line\nend": np.ones(9), "c": np.ones(100)})
        path = tmp_path / "m.dcnn"
        path.write_bytes(data[:-10])
        message = (
            f"{path}: 10 of {len(data)} bytes are missing; "
            r"2 of 3 tensors are whole: 'a', 'line\\nend'$"
        )
        for read in (dc.load, lambda path: dc.open_file(path).__enter__()):
            with pytest.raises(TruncatedError, match=message):
                read(path)
        with pytest.raises(TruncatedError, match=message):
            dc.ModelFile(data[:-10], str(path))


def test_threads_read_the_same_and_report_the_first_error(monkeypatch) -> None:
    rng = np.random.default_rng(0)
    dense = {f"w{i}": rng.normal(size=(20, 10 * i)) for i in range(1, 6)}
    data = dc.compress(dense).to_bytes()
    expected = dict(dc.ModelFile(data).items())
    monkeypatch.setattr(model_file, "THREAD_BYTES", 0)
    monkeypatch.setattr(model_file.native, "threads", lambda: 3)
    read = dc.ModelFile(data).read()
    assert list(read) == list(expected)
    for name, (tensor, how) in read.items():
        np.testing.assert_array_equal(tensor.to_dense(), expected[name].to_dense())
        assert how == dc.ModelFile(data).coding(name)
    entries = dc.ModelFile(data)._reader.entries
    damaged = bytearray(data)
    for name in ("w5", "w2", "w4"):
        damaged[entries[name].offset + 20] ^= 1
    with pytest.raises(dc.ChecksumError, match="'w2'"):
        dc.ModelFile(bytes(damaged)).read()
