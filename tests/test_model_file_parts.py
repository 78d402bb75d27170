"""Of a file, what is asked for is read and checked, and no other byte."""

import math

import numpy as np
import pytest
from campaigns.damage import contents
from support.model_files import blocks_file, dense

import deepcompress as dc
from deepcompress.container.reader import Reader
from deepcompress.container.records import RAW_CHUNK_BYTES
from deepcompress.container.writer import pack
from deepcompress.errors import ChecksumError, FormatError

CRC_BYTES = 4


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
