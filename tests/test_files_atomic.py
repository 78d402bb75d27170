"""Files are written whole or not at all, whatever goes wrong."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from support.writers import content_of, run_python

from deepcompress.errors import ArgumentError, OutputError
from deepcompress.files.atomic import canonical_json, write_bytes, write_json, write_text


def test_new_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    write_bytes(str(path), memoryview(b"new"))
    write_text(tmp_path / "text", "µ\r\n")
    assert content_of(tmp_path) == {"file": b"new", "text": "µ\r\n".encode()}


@pytest.mark.parametrize(
    ("existing", "call"),
    [(True, "fsync"), (False, "fsync"), (True, "replace"), (False, "replace"), (True, "chmod")],
)
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), KeyboardInterrupt()]
)
def test_failure_changes_nothing(tmp_path: Path, monkeypatch, existing, call, error) -> None:
    def fail(*arguments) -> None:
        raise error

    path = tmp_path / "file"
    if existing:
        path.write_bytes(b"old")
    before = content_of(tmp_path)
    monkeypatch.setattr(os, call, fail)
    with pytest.raises(OutputError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
        write_bytes(path, b"new")
    assert content_of(tmp_path) == before
    if isinstance(error, OSError):
        assert str(path) in str(caught.value)
        assert "No space left" in str(caught.value)


def test_bytes_are_on_the_disk_before_the_name(tmp_path: Path, monkeypatch) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace

    def record_fsync(descriptor: int) -> None:
        status = os.fstat(descriptor)
        calls.append("folder" if stat.S_ISDIR(status.st_mode) else status.st_size)
        fsync(descriptor)

    def record_replace(source: str, target: str) -> None:
        calls.append(Path(target).name)
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_bytes(tmp_path / "file", b"new")
    assert calls == [3, "file", "folder"]


def test_permissions_are_set_before_the_bytes_are_on_the_disk(tmp_path: Path, monkeypatch) -> None:
    calls = []
    for call in ("chmod", "fsync", "replace"):
        original = getattr(os, call)

        def record(*arguments, call=call, original=original):
            calls.append(call)
            return original(*arguments)

        monkeypatch.setattr(os, call, record)
    (tmp_path / "file").touch()
    write_bytes(tmp_path / "file", b"new")
    assert calls == ["chmod", "fsync", "replace", "fsync"]


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    """A limit on the size of files stands for it: a write gives less, then an error."""
    (tmp_path / "file").write_bytes(b"old")
    program = (
        "import resource, sys\n"
        "from deepcompress.files.atomic import write_bytes\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "write_bytes(sys.argv[1], bytes(300_000))\n"
    )
    for name in ("file", "new"):
        process = run_python("-c", program, tmp_path / name)
        error = process.communicate()[1].decode()
        assert process.returncode == 1
        assert f"OutputError: {tmp_path / name}: can't write: File too large" in error
        assert content_of(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("absent/file", "No such file"),
        ("file/below", "Not a directory"),
        ("folder", "it is a folder"),
        ("loop", "symbolic links"),
        ("x" * 300, "name too long"),
    ],
)
def test_unsuitable_place(tmp_path: Path, place: str, reason: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError, match=reason) as caught:
        write_bytes(tmp_path / place, b"new")
    assert str(tmp_path / place) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_names_that_are_bytes(tmp_path: Path) -> None:
    write_bytes(os.fsencode(tmp_path / "file"), b"new")
    assert content_of(tmp_path) == {"file": b"new"}
    with pytest.raises(OutputError, match=r"can't write: .*embedded null"):
        write_bytes(tmp_path / "a\0b", b"new")


def test_device_or_pipe_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OutputError, match="not a regular file"):
        write_bytes(tmp_path / "pipe", b"new")
    assert (tmp_path / "pipe").is_fifo()


def test_symbolic_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/file")
    for content in (b"first", b"second"):  # a dangling link, then one to a file
        write_bytes(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert content_of(tmp_path / "folder") == {"file": content}


def test_permissions(tmp_path: Path) -> None:
    path = tmp_path / "file"
    old_umask = os.umask(0o027)
    try:
        write_bytes(path, b"")
        assert path.stat().st_mode & 0o777 == 0o640
        for mode in (0o600, 0o666, 0o444):
            path.chmod(mode)
            write_bytes(path, b"new")
            assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(old_umask)


def test_json_is_canonical(tmp_path: Path) -> None:
    value = {
        "b": [0.1, 1e22, -0.0, np.float64(1 / 3)],
        "a": {"y": None, "x": np.uint8(7)},
        "c": "µ",
    }
    write_json(tmp_path / "file", value)
    text = (tmp_path / "file").read_text()
    assert text == (
        '{\n  "a": {\n    "x": 7,\n    "y": null\n  },\n'
        '  "b": [\n    0.1,\n    1e+22,\n    -0.0,\n    0.3333333333333333\n  ],\n'
        '  "c": "\\u00b5"\n}\n'
    )
    assert canonical_json(dict(reversed(value.items()))) == text


@pytest.mark.parametrize("value", [float("nan"), np.float32("inf"), np.zeros(2), {1: 0, "a": 0}])
def test_value_without_json_form(tmp_path: Path, value: object) -> None:
    with pytest.raises(ArgumentError, match="no JSON form"):
        write_json(tmp_path / "file", value)
    assert not content_of(tmp_path)
