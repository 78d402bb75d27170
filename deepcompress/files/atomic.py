"""Writes files whole or not at all.

A file appears under its name only when all of its bytes are on the disk: they
go to a temporary file in the same folder, which then takes the name in one
step. A reader sees the old file or the new one; a writer that fails, or is killed,
leaves the old one as it was.

Rules:

- a symbolic link is followed: the file that it points to is replaced, the link stays;
- a replaced file's permissions are kept, a new file's follow the umask;
- only a regular file can be replaced: a folder or a device is refused;
- a killed writer leaves a temporary file, known by its suffix ``TEMPORARY_SUFFIX``. The
  next one to the same path removes it: a writer holds a lock on its temporary file for
  as long as it lives, so that a file whose lock can be had has no writer. Where there
  are no locks, nothing is removed. (`journal` removes all of its folder's.)
"""

import contextlib
import json
import os
import secrets
import stat
import zlib
from collections.abc import Iterable

import numpy as np

from ..errors import ArgumentError, OutputError, shown

try:
    import fcntl
except ImportError:  # not a POSIX system: files of killed writers stay
    fcntl = None  # type: ignore[assignment]

TEMPORARY_SUFFIX = ".deepcompress-partial"

StrPath = str | os.PathLike[str]


def write_bytes(path: StrPath, data: bytes | bytearray | memoryview) -> None:
    """Write a file whole or not at all, given all of its content; otherwise as `write_parts`."""
    write_parts(path, [data])


def write_parts(path: StrPath, parts: Iterable[bytes | bytearray | memoryview]) -> int:
    """Write a file whole or not at all, and wait until it is on the disk; return its size.

    Parameters
    ----------
    path : path
        The file to write or replace; its folder must exist.
    parts : iterable of bytes-like
        Its content, one after the other. Where it raises, everything stays as it was.

    Raises
    ------
    OutputError
        If it can't be written, with the path and the reason; then nothing changed.
    """
    try:
        target = os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError) as reason:
        raise OutputError(f"{shown(path)}: can't write: {reason}") from reason
    try:
        return _replace(target, _permissions(path), parts)
    except OSError as reason:
        raise OutputError(
            f"{os.fspath(path)}: can't write: {reason.strerror or reason}"
        ) from reason


def write_text(path: StrPath, text: str) -> None:
    """Write text as UTF-8, line ends as given; otherwise as `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: StrPath, value: object) -> None:
    """Write a value as canonical JSON (see `canonical_json`); otherwise as `write_bytes`."""
    write_text(path, canonical_json(value))


def canonical_json(value: object) -> str:
    """Turn a value into JSON text, the same text for the same value everywhere.

    Parameters
    ----------
    value : dict, list, tuple, str, int, float, bool, None or a NumPy scalar, nested

    Returns
    -------
    str
        Keys sorted, two spaces of indentation, floats in their shortest exact
        form, a newline at the end.

    Raises
    ------
    ArgumentError
        If a value has no JSON form (NaN and infinity have none).

    Examples
    --------
    >>> print(canonical_json({"b": 0.1, "a": [1]}), end="")
    {
      "a": [
        1
      ],
      "b": 0.1
    }
    """
    try:
        text = json.dumps(value, default=as_python, sort_keys=True, indent=2, allow_nan=False)
    except (TypeError, ValueError) as reason:
        raise ArgumentError(f"no JSON form: {reason}") from reason
    return text + "\n"


def as_python(value: object) -> object:
    """Turn a NumPy scalar into Python's; for ``json.dumps(default=…)``."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a {type(value).__name__} can't be written as JSON")


def _permissions(path: StrPath) -> int | None:
    """Permissions of the regular file at `path`, None if there is no file yet."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):  # renaming over /dev/null, say, would replace the device
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
    return stat.S_IMODE(mode) & 0o777


def _replace(
    target: str, permissions: int | None, parts: Iterable[bytes | bytearray | memoryview]
) -> int:
    """Write `parts` beside `target`, then rename it; `target` is no symbolic link."""
    folder, name = os.path.split(target)
    prefix = f".{zlib.crc32(os.fsencode(name)):08x}-"  # as a name may be of any length
    _remove_abandoned(folder, prefix)
    creation = 0o666 if permissions is None else permissions  # the umask is taken off
    descriptor, temporary = _create(os.path.join(folder, prefix), creation)
    try:
        with open(descriptor, "wb", closefd=fcntl is None) as file:
            size = sum(map(file.write, parts))
            file.flush()
            if permissions is not None:
                os.chmod(temporary, permissions)
            os.fsync(descriptor)
        os.replace(temporary, target)
    except BaseException:  # a keyboard interrupt leaves no litter either
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    finally:
        if fcntl is not None:
            os.close(descriptor)  # and thus unlocks, now that the temporary name is gone
    _sync_folder(folder)
    return size


def _create(start: str, permissions: int) -> tuple[int, str]:
    """Create a file whose name begins so, and lock it; return its descriptor and name."""
    while True:
        temporary = f"{start}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions)
        if fcntl is None:
            return descriptor, temporary
        with contextlib.suppress(OSError):  # not every file system has locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        if os.path.lexists(temporary):
            return descriptor, temporary
        os.close(descriptor)  # before it was locked, it was taken for an abandoned one


def _remove_abandoned(folder: str, prefix: str) -> None:
    """Remove temporary files whose names begin so and whose writers are gone."""
    if fcntl is None:
        return
    with contextlib.suppress(OSError):  # as of a folder that may be written to but not read
        for name in os.listdir(folder or "."):
            if name.startswith(prefix) and name.endswith(TEMPORARY_SUFFIX):
                with contextlib.suppress(OSError):
                    _remove_unlocked(os.path.join(folder, name))


def _remove_unlocked(path: str) -> None:
    """Remove a file unless another process has it locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Ask for the new name to be on the disk too; the file is complete either way."""
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
