"""A folder of files that is gone on with after a kill: nothing finished is made again."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import deepcompress as dc
from deepcompress.files import resumable
from deepcompress.files.resumable import JOURNAL_NAME, ResumableFolder, digest


def writing(data: bytes, made: list[str] | None = None) -> Any:
    """Return a function that writes these bytes, and notes it."""

    def write(path: str) -> dict[str, Any]:
        Path(path).write_bytes(data)
        if made is not None:
            made.append(path)
        return {"size": len(data)}

    return write


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_what_is_finished_is_told_and_what_differs_is_not(tmp_path: Path) -> None:
    with ResumableFolder(tmp_path) as folder:
        assert folder.told("a", "x") is None
        assert folder.make("a", "x", writing(b"first")) == {"size": 5}
        assert folder.told("a", "x") == {"size": 5}
    with ResumableFolder(tmp_path) as folder:
        assert folder.told("a", "x") == {"size": 5}
        assert folder.told("a", "y") is None
        assert folder.told("b", "x") is None
        folder.make("a", "y", writing(b"second"))
        assert folder.told("a", "x") is None
        assert (tmp_path / "a").read_bytes() == b"second"
        (tmp_path / "a").write_bytes(b"sec0nd")
        assert folder.told("a", "y") is None
        (tmp_path / "a").unlink()
        assert folder.told("a", "y") is None
    assert names(tmp_path) == [JOURNAL_NAME]


KILLED = """
import os, signal, sys
from deepcompress.files import resumable
def end(*_):
    os.kill(os.getpid(), signal.SIGKILL)
setattr(resumable.ResumableFolder, sys.argv[2], end)
with resumable.ResumableFolder(sys.argv[1]) as folder:
    def write(path):
        open(path, "wb").write(b"new")
        return {"size": 3}
    folder.make("a", "x", write)
"""


@pytest.mark.parametrize(("moment", "is_known"), [("_append", False), ("_publish", True)])
def test_a_kill_at_the_worst_moment(tmp_path: Path, moment: str, is_known: bool) -> None:
    (tmp_path / "a").write_bytes(b"old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), moment], timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "a").read_bytes() == b"old"
    assert len(names(tmp_path)) == 2 + is_known  # and what waits for its name
    with ResumableFolder(tmp_path) as folder:
        assert folder.told("a", "x") == ({"size": 3} if is_known else None)
        assert (tmp_path / "a").read_bytes() == (b"new" if is_known else b"old")
    assert names(tmp_path) == [JOURNAL_NAME, "a"][not is_known :]


def test_lines_that_make_no_sense_are_passed_over(tmp_path: Path) -> None:
    with ResumableFolder(tmp_path) as folder:
        folder.make("a", "x", writing(b"a"))
        folder.make("b", "x", writing(b"b"))
    journal = tmp_path / JOURNAL_NAME
    whole = journal.read_bytes()
    nonsense = [b"{", b"[]", b"\xff", b"[" * 10**5, b'{"name": "a"}', b'{"name": 1}']
    journal.write_bytes(b"\n".join(nonsense) + whole[: whole.rindex(b'"told"')])
    with ResumableFolder(tmp_path) as folder:
        assert (folder.told("a", "x"), folder.told("b", "x")) == ({"size": 1}, None)
        folder.make("b", "x", writing(b"b"))  # after the line that was cut off
    with ResumableFolder(tmp_path) as folder:
        assert (folder.told("a", "x"), folder.told("b", "x")) == ({"size": 1}, {"size": 1})


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def fails(path: str) -> dict[str, Any]:
        Path(path).write_bytes(b"half")
        raise dc.OutputError(f"{path}: can't write: No space left on device")

    with ResumableFolder(tmp_path) as folder:
        with pytest.raises(dc.OutputError) as error:
            folder.make("a", "x", fails)
        assert str(error.value) == f"{tmp_path / 'a'}: can't write: No space left on device"
        assert folder.told("a", "x") is None
    assert names(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_the_journal_cant_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with ResumableFolder(tmp_path) as folder:
        monkeypatch.setattr(ResumableFolder, "_append", full)
        with pytest.raises(dc.OutputError, match="a: can't write: No space left"):
            folder.make("a", "x", writing(b"a"))
    assert names(tmp_path) == []


def test_links_are_followed_and_permissions_kept(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    there = tmp_path / "elsewhere" / "file"
    there.write_bytes(b"old")
    there.chmod(0o640)
    (tmp_path / "out" / "a").symlink_to(there)
    with ResumableFolder(tmp_path / "out") as folder:
        folder.make("a", "x", writing(b"new"))
        assert folder.told("a", "x") == {"size": 3}
    assert (tmp_path / "out" / "a").is_symlink()
    assert there.read_bytes() == b"new"
    assert there.stat().st_mode & 0o777 == 0o640
    assert names(tmp_path / "elsewhere") == ["file"]


def test_folders_that_cant_be_used(tmp_path: Path) -> None:
    with pytest.raises(dc.OutputError, match="absent: can't write there: make that folder first"):
        ResumableFolder(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(dc.OutputError, match="file: can't write there: it is no folder"):
        ResumableFolder(tmp_path / "file")
    (tmp_path / "a").mkdir()
    with ResumableFolder(tmp_path) as folder:
        with pytest.raises(dc.OutputError, match="another run is writing here"):
            ResumableFolder(tmp_path)
        with pytest.raises(dc.OutputError, match="a: can't write: it is a folder"):
            folder.make("a", "x", writing(b"new"))
    (tmp_path / JOURNAL_NAME).mkdir()
    with pytest.raises(dc.OutputError, match="journal: can't read it: Is a directory"):
        ResumableFolder(tmp_path)
    (tmp_path / JOURNAL_NAME).rmdir()
    ResumableFolder(tmp_path).__exit__(None, None, None)  # which wasn't left locked


def test_digests_tell_files_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "_READ_BYTES", 3)
    contents = {"a": b"12345", "b": b"678", "c": b"1234", "d": b"5678"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    found = {
        text: digest([tmp_path / name for name in text])
        for text in ("a", "b", "ab", "ba", "cd", "")
    }
    assert len(set(found.values())) == len(found)
    assert found == {text: digest(map(tmp_path.joinpath, text)) for text in found}
