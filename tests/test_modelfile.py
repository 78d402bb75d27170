"""A file of which parts are read: they alone are touched, checked, and kept."""

import gc
import math
import os
from pathlib import Path

import numpy as np
import pytest
from damage import contents

import deepcompress as dc
from deepcompress import coding, modelfile
from deepcompress.container import DTYPES, RAW_CHUNK_BYTES, Coding
from deepcompress.container_reader import Reader
from deepcompress.container_writer import pack
from deepcompress.errors import ArgumentError, ChecksumError, DataError, FormatError, TruncatedError

CRC_BYTES = 4


def dense(tensor: object) -> np.ndarray:
    return tensor.to_dense() if isinstance(tensor, dc.CompressedTensor) else tensor


def spoilt(data: bytes, keep: list[tuple[int, int]], start: int) -> bytes:
    """Change every byte from `start` on that isn't in one of the ranges to keep."""
    array = np.frombuffer(data, np.uint8) ^ 0xFF
    for first, stop in [(0, start), *keep]:
        array[first:stop] ^= 0xFF
    return array.tobytes()


def data_start(reader: Reader) -> int:
    return min(entry.offset for entry in reader.entries.values())


def needed(reader: Reader, name: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Return the ranges of a file that the rows `start` up to `stop` need, by the specification."""
    entry = reader.entries[name]
    cols = math.prod(entry.shape[1:])
    elements = range(start * cols, stop * cols)
    if not entry.encoding:
        size = RAW_CHUNK_BYTES // entry.dtype.itemsize
        chunks = {element // size for element in elements}
        step = RAW_CHUNK_BYTES + CRC_BYTES
        begin, end = entry.offset, entry.offset + entry.data_bytes
        return [(begin + c * step, min(begin + (c + 1) * step, end)) for c in chunks]
    head = reader.shared_head(entry)
    blocks = {element >> head.coding.block_bits for element in elements}
    if len(head.spans) == 1:
        return [(entry.offset, entry.offset + entry.data_bytes)]
    spans = [(0, head.bytes), *(head.spans[block] for block in blocks)]
    return [(entry.offset + begin, entry.offset + end + CRC_BYTES) for begin, end in spans]


def blocks_file() -> bytes:
    """Each encoding in blocks whose ends are within rows, and a raw tensor between."""
    rng = np.random.default_rng(3)
    codebook = np.array([0, -1, 0.5, 2], np.float32)
    tensors: dict[str, object] = {"raw": rng.normal(size=(5, 2))}
    storage = {}
    for encoding, gap_bits in ((1, 2), (2, 0), (3, 0)):
        for coder in (0, 1):
            positions = np.flatnonzero(rng.random(23 * 7) < 0.4)
            labels = rng.integers(1, 4, positions.size).astype(np.uint8)
            name = f"{encoding}{coder}"
            tensors[name] = coding.from_survivors((23, 7), codebook, positions, labels, 2)
            positions_coder = 0 if encoding == 2 else coder
            storage[name] = Coding(encoding, coder, positions_coder, gap_bits, block_bits=4)
    return dc.CompressedModel(tensors, {}, storage).to_bytes()


@pytest.mark.parametrize(
    "data", [contents("v1-every-coder"), blocks_file()], ids=["small", "blocks"]
)
class TestOnlyWhatIsNeededIsTouched:
    def test_tensors(self, data: bytes) -> None:
        reader = Reader(data)
        whole = dc.ModelFile(data)
        for name, entry in reader.entries.items():
            own = (entry.offset, entry.offset + entry.data_bytes)
            alone = dc.ModelFile(spoilt(data, [own], data_start(reader)))
            np.testing.assert_array_equal(dense(alone[name]), dense(whole[name]))
            assert alone.coding(name) == whole.coding(name)
            for other in set(reader.entries) - {name}:
                assert other in alone
                with pytest.raises(FormatError, match=f"^file: .*{other!r}"):
                    alone[other]

    def test_rows(self, data: bytes) -> None:
        reader = Reader(data)
        whole = dc.ModelFile(data)
        for name, entry in reader.entries.items():
            rows = entry.shape[0]
            expected = dense(whole[name])
            for start in range(rows + 1):
                for stop in {start, min(start + 1, rows), min(start + 4, rows), rows}:
                    keep = needed(reader, name, start, stop)
                    part = dc.ModelFile(spoilt(data, keep, data_start(reader)))
                    values = dense(part.rows(name, start, stop))
                    assert values.dtype == expected.dtype
                    np.testing.assert_array_equal(values, expected[start:stop])

    def test_each_needed_byte_is_checked(self, data: bytes) -> None:
        reader = Reader(data)
        for name, entry in reader.entries.items():
            start = entry.shape[0] // 2
            for first, stop in needed(reader, name, start, start + 1):
                for offset in range(first, stop):
                    damaged = bytearray(data)
                    damaged[offset] ^= 1
                    with pytest.raises(FormatError, match=rf"^m\.dcnn: .*{name!r}"):
                        dc.ModelFile(bytes(damaged), "m.dcnn").rows(name, start, start + 1)


RNG = np.random.default_rng(0)
RAW_TENSORS = {
    "bool": RNG.random((3 * RAW_CHUNK_BYTES + 500, 1)) < 0.5,
    "double": RNG.normal(size=(150_000, 3)),
    "half rows": RNG.integers(0, 99, (3, 500_000), np.int16),
    "exact": RNG.integers(0, 99, 2 * RAW_CHUNK_BYTES, np.uint8),
}


class TestRowsOfRawTensors:
    """Chunks of 2**20 bytes are read if they hold wanted rows, and no others."""

    data = pack(RAW_TENSORS)
    reader = Reader(data)

    @pytest.mark.parametrize("name", RAW_TENSORS)
    def test_over_the_ends_of_chunks(self, name: str) -> None:
        values = RAW_TENSORS[name]
        rows = len(values)
        row_bytes = values.nbytes // rows
        ends = [-(-i * RAW_CHUNK_BYTES // row_bytes) for i in range(values.nbytes >> 20)]
        starts = {0, rows - 1, rows, *(end + d for end in ends for d in (-1, 0, 1))}
        for start in sorted(s for s in starts if 0 <= s <= rows):
            for stop in {start, min(start + 1, rows), min(start + 2, rows)}:
                entry = self.reader.entries[name]
                size = RAW_CHUNK_BYTES + CRC_BYTES
                first, last = start * row_bytes >> 20, (stop * row_bytes - 1) >> 20
                begin = entry.offset + first * size
                end = min(entry.offset + (last + 1) * size, entry.offset + entry.data_bytes)
                keep = [(begin, end)] if start < stop else []
                damaged = spoilt(self.data, keep, data_start(self.reader))
                part = dc.ModelFile(damaged).rows(name, start, stop)
                assert part.dtype == values.dtype
                np.testing.assert_array_equal(part, values[start:stop])
                if keep:
                    at = begin + (end - begin) // 2
                    damaged = damaged[:at] + bytes([damaged[at] ^ 1]) + damaged[at + 1 :]
                    with pytest.raises(
                        ChecksumError, match=rf"{name!r}.*chunk [{first}-{last}] at"
                    ):
                        dc.ModelFile(damaged).rows(name, start, stop)

    def test_the_whole(self) -> None:
        file = dc.ModelFile(self.data)
        for name, values in RAW_TENSORS.items():
            np.testing.assert_array_equal(file[name], values)
            assert file[name].flags.writeable
            np.testing.assert_array_equal(file.rows(name, 0, len(values)), values)


def test_an_element_of_bool_that_is_2_matters_where_it_is() -> None:
    values = np.ones(3 * RAW_CHUNK_BYTES, np.bool_)
    values.view(np.uint8)[RAW_CHUNK_BYTES + 5] = 2
    file = dc.ModelFile(pack({"b": values}))
    with pytest.raises(FormatError, match=r"^file: tensor 'b': .* neither 0 nor 1"):
        file["b"]
    start = RAW_CHUNK_BYTES + 5
    assert file.rows("b", start + 1, start + 3).all()
    assert file.rows("b", 0, start).all()
    with pytest.raises(FormatError, match="neither 0 nor 1"):
        file.rows("b", start - 1, start + 1)


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
    tensor = coding.from_survivors(shape, codebook, positions, labels, 1)
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
    tensor = coding.from_survivors(shape, codebook, np.array([3]), np.array([1], np.uint8), 8)
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
    monkeypatch.setattr(modelfile, "THREAD_BYTES", 0)
    monkeypatch.setattr(modelfile.native, "threads", lambda: 3)
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
