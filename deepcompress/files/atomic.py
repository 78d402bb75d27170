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
from collections.abc import Callable, Iterable
from typing import IO

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
    return write_by(path, lambda file: sum(map(file.write, parts)))


def write_by(path: StrPath, fill: Callable[[IO[bytes]], int]) -> int:
    """Write a file whole or not at all, by a function that writes to it and returns its size.

    Otherwise as `write_parts`.
    """
    try:
        target = os.path.realpath(os.fsdecode(path))
    except (TypeError, ValueError) as reason:
        raise OutputError(f"{shown(path)}: can't write: {reason}") from reason
    try:
        return _replace(target, permissions(path), fill)
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


def permissions(path: StrPath) -> int | None:
    """Permissions of the regular file at `path`, None if there is no file yet."""
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):  # renaming over /dev/null, say, would replace the device
        raise OSError("it is a folder" if stat.S_ISDIR(mode) else "it is not a regular file")
    return stat.S_IMODE(mode) & 0o777


def _replace(target: str, mode: int | None, fill: Callable[[IO[bytes]], int]) -> int:
    """Fill a file beside `target`, then rename it; `target` is no symbolic link."""
    staged = Staged(target, mode)
    try:
        size = staged.fill_by(fill)
        staged.publish(target)
    finally:
        staged.discard()
    sync_folder(os.path.dirname(target))
    return size


class Staged:
    """A file beside `target` under a temporary name; raises OSError.

    It is locked until it is discarded, as must be done at the end in any case. What killed
    writers to `target` left is removed if this is the first of what is written now.
    """

    def __init__(self, target: str, mode: int | None, is_first: bool = True) -> None:
        self._mode = mode
        folder, name = os.path.split(target)
        prefix = f".{zlib.crc32(os.fsencode(name)):08x}-"  # as a name may be of any length
        if is_first:
            remove_abandoned(folder, prefix)
        creation = 0o666 if mode is None else mode  # the umask is taken off
        self._descriptor, self._temporary = _create(os.path.join(folder, prefix), creation)

    def fill(self, parts: Iterable[bytes | bytearray | memoryview]) -> int:
        """Write the content and wait until it is on the disk; return its size."""
        return self.fill_by(lambda file: sum(map(file.write, parts)))

    def fill_by(self, fill: Callable[[IO[bytes]], int]) -> int:
        """Have the content written by a function that returns its size; otherwise as `fill`."""
        with open(self._descriptor, "wb", closefd=False) as file:
            size = fill(file)
            file.flush()
            if self._mode is not None:
                os.chmod(self._temporary, self._mode)
            os.fsync(self._descriptor)
        if fcntl is None:  # where an open file can't be renamed
            self._close()
        return size

    def publish(self, target: str) -> None:
        """Give the file its name; `sync_folder` waits until that is on the disk too."""
        os.replace(self._temporary, target)
        self._temporary = ""
        self._close()

    def discard(self) -> None:
        """Remove the file if it has no name yet; a keyboard interrupt leaves no litter either."""
        if self._temporary:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
            self._temporary = ""
        self._close()

    def _close(self) -> None:
        """Close the file, and thus unlock it, now that the temporary name is gone."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


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


def remove_abandoned(folder: str, prefix: str = ".") -> None:
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


def sync_folder(folder: str) -> None:
    """Ask for the new name to be on the disk too; the file is complete either way."""
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
