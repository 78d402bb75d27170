"""IDX files: what is written is read, and whatever isn't one raises DataError."""

import gzip
import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from deepcompress.errors import DataError
from deepcompress.formats.idx import _read_idx, read_idx

same_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
SMALL = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)


def idx_bytes(array: np.ndarray) -> bytes:
    """Write IDX, independently of the reader."""
    sizes = b"".join(struct.pack(">I", size) for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def read(folder: Path, content: bytes) -> np.ndarray:
    path = folder / "file"
    path.write_bytes(content)
    return read_idx(path)


@same_folder
@given(
    array=arrays(np.uint8, array_shapes(min_dims=1, max_dims=3, max_side=6)),
    compressed=st.booleans(),
)
def test_round_trip(tmp_path: Path, array: np.ndarray, compressed: bool) -> None:
    content = idx_bytes(array)
    read_back = read(tmp_path, gzip.compress(content) if compressed else content)
    assert read_back.dtype == np.uint8
    np.testing.assert_array_equal(read_back, array, strict=True)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_truncation_raises(tmp_path: Path, pack) -> None:
    content = pack(idx_bytes(SMALL))
    for length in range(len(content)):
        with pytest.raises(DataError, match=r"file: (after )?offset \d+"):
            read(tmp_path, content[:length])


def test_every_changed_header_byte_raises_or_is_consistent() -> None:
    content = idx_bytes(SMALL)
    accepted = 0
    for position in range(16):
        for value in range(256):
            changed = content[:position] + bytes([value]) + content[position + 1 :]
            try:
                array = _read_idx(io.BytesIO(changed))
            except DataError:
                continue
            assert idx_bytes(array) == changed
            accepted += changed != content
    assert accepted == 0  # no other rank fits this file, and each size follows from the rest


def test_every_changed_gzip_byte_raises_or_reads_the_same(tmp_path: Path) -> None:
    content = gzip.compress(idx_bytes(SMALL), mtime=0)
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 0x20
        try:
            array = read(tmp_path, bytes(changed))
        except DataError:
            continue
        np.testing.assert_array_equal(array, SMALL)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "offset 0: ends within the magic"),
        (b"\x89PNG\r\n\x1a\n", "offset 0: not an IDX file, begins with 89 50 4e 47"),
        (b"\0\0\x0d\x01" + bytes(8), "offset 2: dtype code 0x0d"),
        (b"\0\0\x08\x00" + bytes(1), "offset 3: rank 0"),
        (b"\0\0\x08\x04" + bytes(17), "offset 3: rank 4"),
        (b"\0\0\x08\x02" + bytes(7), "offset 11: ends within the sizes of 2 axes"),
        (b"\0\0\x08\x02" + struct.pack(">II", 5, 0), "offset 8: an axis of size 0"),
        (b"\0\0\x08\x01" + struct.pack(">I", 3) + b"ab", "offset 10: ends after 2 of the 3"),
        (b"\0\0\x08\x01" + struct.pack(">I", 3) + b"abcd", "offset 11: more bytes than"),
        (idx_bytes(SMALL)[:4] + b"\xff" * 12 + bytes(12), f"of the {(2**32 - 1) ** 3} elements"),
        (gzip.compress(idx_bytes(SMALL), mtime=0) + b"x", "corrupt gzip"),
    ],
)
def test_message_tells_file_and_offset(tmp_path: Path, content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        read(tmp_path, content)
    assert str(tmp_path / "file") in str(caught.value)


def test_gzip_bomb_is_read_only_as_far_as_declared(tmp_path: Path, monkeypatch) -> None:
    bomb = gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 3) + bytes(50_000_000))
    taken = 0
    original = gzip.GzipFile.read

    def counting_read(self, size=-1):
        nonlocal taken
        data = original(self, size)
        taken += len(data)
        return data

    monkeypatch.setattr(gzip.GzipFile, "read", counting_read)
    with pytest.raises(DataError, match="offset 11: more bytes"):
        read(tmp_path, bomb)
    assert taken == 8 + 3 + 1


@pytest.mark.parametrize("name", ["absent", "."])
def test_unreadable_file_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="can't read it"):
        read_idx(tmp_path / name)
