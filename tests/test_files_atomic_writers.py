"""Writers that are killed, abandon files or write the same one at once: none is lost or mixed."""

import errno
import fcntl
import json
import os
import threading
from pathlib import Path

import pytest
from support.writers import content_of, run_python

from deepcompress.files import atomic
from deepcompress.files.atomic import TEMPORARY_SUFFIX, write_bytes


def abandoned(folder: Path, target: str) -> Path:
    """Leave a temporary file as a killed writer to `target` does."""
    names = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "replace", lambda source, target: names.append(source))
        write_bytes(folder / target, b"never finished")
    return Path(names[0])


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    mine, others = abandoned(tmp_path, "file"), abandoned(tmp_path, "other")
    similar = [mine.with_suffix(".old"), tmp_path / f".mine{TEMPORARY_SUFFIX}"]
    for path in similar:
        path.touch()
    write_bytes(tmp_path / "file", b"new")
    assert not mine.exists()
    assert sorted(tmp_path.iterdir()) == sorted([tmp_path / "file", others, *similar])


def test_what_a_living_writer_is_writing_stays(tmp_path: Path) -> None:
    path = abandoned(tmp_path, "file")
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        write_bytes(tmp_path / "file", b"new")
        assert path.exists()
    write_bytes(tmp_path / "file", b"new")
    assert not path.exists()


def test_a_writer_holds_its_lock_until_the_name_is_taken(tmp_path: Path, monkeypatch) -> None:
    replace = os.replace

    def check(source: str, target: str) -> None:
        with open(source, "rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        replace(source, target)

    monkeypatch.setattr(os, "replace", check)
    write_bytes(tmp_path / "file", b"new")
    assert content_of(tmp_path) == {"file": b"new"}


def test_a_writer_whose_file_is_removed_before_it_is_locked_starts_anew(
    tmp_path: Path, monkeypatch
) -> None:
    flock, removed = fcntl.flock, []

    def remove_first(descriptor: int, operation: int) -> None:
        if len(removed) < 2:
            (path,) = tmp_path.iterdir()
            path.unlink()
            removed.append(path)
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", remove_first)
    write_bytes(tmp_path / "file", b"new")
    assert content_of(tmp_path) == {"file": b"new"}
    assert len(set(removed)) == 2


def test_without_locks_nothing_is_removed(tmp_path: Path, monkeypatch) -> None:
    left = abandoned(tmp_path, "file")

    def fail(*arguments) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    for place in (fcntl, atomic):
        with pytest.MonkeyPatch.context() as patch:
            if place is fcntl:
                patch.setattr(fcntl, "flock", fail)
            else:
                patch.setattr(atomic, "fcntl", None)
            write_bytes(tmp_path / "file", b"new")
        assert sorted(tmp_path.iterdir()) == sorted([left, tmp_path / "file"])


def test_killed_writers_leave_a_whole_file() -> None:
    """`kills` in short: its exit status says whether a file was lost or mixed."""
    process = run_python(
        Path(__file__).parent / "campaigns" / "kills.py", "--kills", 20, "--longest", 0.05
    )
    out, error = process.communicate()
    assert process.returncode == 0, (out, error)
    counts = json.loads(out)
    assert counts["left a temporary file"] > 0  # otherwise nothing was put to the test
    assert counts["newer than before"] > 0
    assert counts["most temporary files at once"] == 1


@pytest.mark.slow
def test_processes_that_write_the_same_file_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    program = (
        "import sys\n"
        "from deepcompress.files.atomic import write_bytes\n"
        "for _ in range(30): write_bytes(sys.argv[1], sys.argv[2].encode() * 300_000)\n"
    )
    contents = [letter.encode() * 300_000 for letter in "abcd"]
    write_bytes(path, contents[0])
    processes = [run_python("-c", program, path, letter) for letter in "abcd"]
    seen = set()
    while any(process.poll() is None for process in processes):
        data = path.read_bytes()
        assert data in contents
        seen.add(data[:1])
    for process in processes:
        assert process.communicate() == (b"", b"")
        assert process.returncode == 0
    assert len(seen) > 1
    assert list(content_of(tmp_path)) == ["file"]


def test_concurrent_writers_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "file"
    contents = [bytes([65 + writer]) * 100_000 for writer in range(4)]
    write_bytes(path, contents[0])
    done = threading.Event()
    torn = []

    def read() -> None:
        while not done.is_set():
            if path.read_bytes() not in contents:
                torn.append(True)

    def write(content: bytes) -> None:
        for _ in range(20):
            write_bytes(path, content)

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(content,)) for content in contents]
    reader.start()
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert not torn
    assert list(content_of(tmp_path)) == ["file"]
    assert path.read_bytes() in contents
