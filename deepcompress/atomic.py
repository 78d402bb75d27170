"""Writes files whole or not at all.

A file appears under its name only when all of its bytes are on the disk: they
go to a temporary file in the same folder, which then takes the name in one
step. Whoever reads sees the old file or the new one; a writer that fails, or is
killed, leaves the old one as it was.

What is settled here:

- a symbolic link is followed: the file that it points to is replaced, the link stays;
- a replaced file's permissions are kept, a new file's follow the umask;
- only a regular file can be replaced: a folder or a device is refused;
- a killed writer leaves a temporary file, told by its suffix ``TEMPORARY_SUFFIX``,
  which `journal` removes.
"""

import contextlib
import json
import os
import secrets
import stat

import numpy as np

from .errors import ArgumentError, OutputError

TEMPORARY_SUFFIX = ".deepcompress-partial"

StrPath = str | os.PathLike[str]


def write_bytes(path: StrPath, data: bytes | bytearray | memoryview) -> None:
    """Write a file whole or not at all, and wait until it is on the disk.

    Parameters
    ----------
    path : path
        The file to write or replace; its folder must exist.
    data : bytes-like
        All of its content.

    Raises
    ------
    OutputError
        If it can't be written, with the path and the reason; then nothing changed.
    """
    try:
        _replace(os.path.realpath(path), _permissions(path), data)
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


def _replace(target: str, permissions: int | None, data: bytes | bytearray | memoryview) -> None:
    """Write `data` beside `target`, then rename it; `target` is no symbolic link."""
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f".{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    creation = 0o666 if permissions is None else permissions  # the umask is taken off
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, creation)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        if permissions is not None:
            os.chmod(temporary, permissions)
        os.replace(temporary, target)
    except BaseException:  # a keyboard interrupt leaves no litter either
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _sync_folder(folder: str) -> None:
    """Ask for the new name to be on the disk too; the file is complete either way."""
    with contextlib.suppress(OSError):  # not every file system can sync a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
