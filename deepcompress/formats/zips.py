"""Zip files of members that other formats give: written as the same bytes at any time."""

import base64
import os
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import IO

from ..errors import ArgumentError, shown
from ..files.atomic import write_by

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold
_UNIX = 3  # the system that a zip file says it is from
_MAX_NAME_BYTES = 65535
_LARGE = 1 << 31
MAX_TEXT_BYTES = 1 << 28  # of a member that is kept in the metadata


def write(path: str | os.PathLike[str], members: Iterable[tuple[str, Iterable[bytes], int]]) -> int:
    """Write a zip file, not compressed, whole or not at all; return its size.

    Parameters
    ----------
    path : path-like
    members : iterable of (str, iterable of bytes, int)
        Names, contents, and the most bytes that each may have.

    Raises
    ------
    ArgumentError
        If a name can't be one in a zip file.
    OutputError
        As `write_by`.
    """

    def fill(file: IO[bytes]) -> int:
        with zipfile.ZipFile(file, "w") as archive:
            for name, parts, most in members:
                entry = zipfile.ZipInfo(name, _DATE)
                if entry.filename != name or len(name.encode()) > _MAX_NAME_BYTES:
                    raise ArgumentError(f"no name in a zip file: {name[:40]!r}")
                entry.create_system = _UNIX
                with archive.open(entry, "w", force_zip64=most >= _LARGE) as stream:
                    for part in parts:
                        stream.write(part)
        return file.tell()

    return write_by(path, fill)


def to_text(data: bytes) -> str:
    """Return bytes as text for JSON: compressed, in base64."""
    return base64.b64encode(zlib.compress(data, 9)).decode()


def from_text(text: object) -> bytes:
    """Return the bytes of a text of `to_text`; raise ArgumentError for any other."""
    try:
        if not isinstance(text, str):
            raise ValueError("no text")
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(text, validate=True), MAX_TEXT_BYTES)
        if not inflate.eof or inflate.unused_data:
            raise ValueError("not whole, or too large")
        return data
    except (ValueError, zlib.error) as error:
        raise ArgumentError(f"not a member of a file: {shown(text)}: {error}") from None


def is_texts(value: object) -> bool:
    """Tell whether a value is a mapping of names to texts."""
    return isinstance(value, Mapping) and all(isinstance(text, str) for text in value.values())
