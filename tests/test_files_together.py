"""Files that belong together: all of them or none, whatever fails and when."""

import os
import signal
from pathlib import Path

import pytest

from deepcompress.errors import OutputError
from deepcompress.files import atomic
from deepcompress.files.together import FileSet, check_free


def write(folder: Path, parts: int = 2) -> int:
    with FileSet(folder / "index") as together:
        for number in range(parts):
            assert together.add([b"part", bytes([48 + number])]) == 5
        return together.publish([f"p{number}" for number in range(parts)], [b"index"])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_are_there(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(b"old")  # is replaced
    assert write(tmp_path) == 5
    assert contents(tmp_path) == {"p0": b"part0", "p1": b"part1", "index": b"index"}


def test_no_name_is_taken_before_all_are_complete(tmp_path: Path) -> None:
    def last():
        names = {path.name for path in tmp_path.iterdir()}
        assert len(names) == 2
        assert all(name.endswith(atomic.TEMPORARY_SUFFIX) for name in names)
        yield b"index"

    with FileSet(tmp_path / "index") as together:
        together.add([b"part"])
        together.publish(["p"], last())
    assert contents(tmp_path) == {"p": b"part", "index": b"index"}


def test_a_part_replaces_nothing(tmp_path: Path) -> None:
    (tmp_path / "p1").symlink_to("nowhere")
    with pytest.raises(OutputError, match="p1: is there already"):
        write(tmp_path)
    with pytest.raises(OutputError, match="p1: is there already"):
        check_free(tmp_path, ["p0", "p1"])
    assert [path.name for path in tmp_path.iterdir()] == ["p1"]


@pytest.mark.parametrize("failing", range(3))
def test_a_name_that_cant_be_given(tmp_path: Path, monkeypatch, failing: int) -> None:
    (tmp_path / "index").write_bytes(b"old")
    replace, calls = os.replace, []

    def fail(source: str, target: str) -> None:
        calls.append(target)
        if len(calls) == failing + 1:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="index: can't write: No space left"):
        write(tmp_path)
    assert contents(tmp_path) == {"index": b"old"}


def test_an_index_that_cant_be(tmp_path: Path) -> None:
    (tmp_path / "index").mkdir()
    with pytest.raises(OutputError, match="index: can't write: it is a folder"):
        write(tmp_path)
    with pytest.raises(OutputError, match="can't write"):
        write(tmp_path / "absent")
    with pytest.raises(OutputError, match="can't write"):
        FileSet("a\0b")
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_the_next_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    child = os.fork()
    if not child:
        with FileSet(tmp_path / "index") as together:
            together.add([b"part"])
            together.add([b"part"])
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(contents(tmp_path)) == 2
    write(tmp_path)
    assert contents(tmp_path).keys() == {"p0", "p1", "index"}
