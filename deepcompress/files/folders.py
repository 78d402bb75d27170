"""Writes folders of files whole or not at all.

A folder gets its name when all of its files are on the disk. A writer that is killed leaves a
folder whose name ends with ``TEMPORARY_SUFFIX``.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterable

from ..errors import ArgumentError, OutputError
from .atomic import TEMPORARY_SUFFIX, StrPath, write_parts

_MAX_NAME_BYTES = 200  # what every file system has, less the temporary suffix


def checked_file_name(name: str) -> str:
    """Return a file's name, or raise ArgumentError for one that isn't within its folder."""
    try:
        size = len(os.fsencode(name))
    except UnicodeEncodeError:
        size = _MAX_NAME_BYTES + 1
    if size > _MAX_NAME_BYTES or name in ("", ".", "..") or set(name) & set("/\\\0"):
        raise ArgumentError(f"no name for a file: {name[:40]!r}")
    return name


def write_folder(path: StrPath, files: Iterable[tuple[str, Iterable[bytes | memoryview]]]) -> int:
    """Write a new folder; return the bytes of its files together.

    Parameters
    ----------
    path : path
        The folder to make. One that is there must be empty.
    files : iterable of (str, iterable of bytes)
        Names (see `checked_file_name`) and contents. Where it raises, everything stays as it was.

    Raises
    ------
    OutputError
        If the folder can't be written, or has files already.
    """
    target = os.path.realpath(path)
    parent, name = os.path.split(target)
    temporary = os.path.join(parent, f".{name[:40]}-{secrets.token_hex(8)}{TEMPORARY_SUFFIX}")
    try:
        if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
            raise OSError("it is there already, and not an empty folder")
        os.mkdir(temporary)
        try:
            size = sum(
                write_parts(os.path.join(temporary, checked_file_name(name)), parts)
                for name, parts in files
            )
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(target)
            os.rename(temporary, target)
        except BaseException:  # a keyboard interrupt leaves no litter either
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OutputError as error:  # of a file within the temporary folder
        reason = error.__cause__ or error
        text = getattr(reason, "strerror", None) or reason
        raise OutputError(f"{os.fspath(path)}: can't write: {text}") from reason
    except OSError as error:
        reason_text = error.strerror or error
        raise OutputError(f"{os.fspath(path)}: can't write: {reason_text}") from error
    return size
