"""Mapped files: what is copied, and that nothing of it stays in memory."""

import mmap
import sys
from pathlib import Path

import numpy as np
import pytest

from deepcompress.errors import DataError
from deepcompress.files import mapped
from deepcompress.files.mapped import MappedFile, release
from deepcompress.model_file import open_file
from deepcompress.pipeline import compress

LINUX = sys.platform == "linux"


def resident() -> int:
    """Return the bytes of mapped files that are in the process's memory."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if "RssFile" in line))


@pytest.mark.parametrize("piece", [1, 7, 4096, 1 << 20])
def test_what_is_copied(tmp_path: Path, monkeypatch, piece: int) -> None:
    monkeypatch.setattr(mapped, "PIECE_BYTES", piece)
    data = np.random.default_rng(0).bytes(10_000)
    (tmp_path / "f").write_bytes(data)
    file = MappedFile(tmp_path / "f")
    assert file.size == 10_000
    for start, size in ((0, 0), (0, 8), (4095, 2), (9_990, 10), (10_000, 0)):
        assert file.copy(start, size).tobytes() == data[start : start + size]
    if piece >= 4096:
        assert file.copy(0, 10_000).tobytes() == data


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert MappedFile(tmp_path / "empty").copy(0, 0).tobytes() == b""
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(DataError, match=str(path)):
            MappedFile(path)


if LINUX:

    def test_pages_dont_stay(tmp_path: Path) -> None:
        (tmp_path / "f").write_bytes(bytes(1 << 26))
        file = MappedFile(tmp_path / "f")
        before = resident()
        copied = file.copy(100, (1 << 26) - 200)
        assert resident() - before < 1 << 24
        assert not copied.any()

    def test_pages_of_tensors_dont_stay(tmp_path: Path) -> None:
        bits = np.random.default_rng(0).integers(0, 1 << 63, 1 << 22)
        compress({"w": bits}).save(tmp_path / "x.dcnn")
        with open_file(tmp_path / "x.dcnn") as model:
            before = resident()
            first = np.asarray(model["w"])
            assert resident() - before > 1 << 24
            model.release("w")
            assert resident() - before < 1 << 22
            np.testing.assert_array_equal(model["w"], first)
            np.testing.assert_array_equal(first, bits)


def test_what_isnt_mapped_is_left_alone() -> None:
    release(b"bytes", 0, 3)
    release(mmap.mmap(-1, 4096), 5, 5)
