"""The formats of other programs, and which of them a file has.

A file's first bytes tell its format, or else its suffix. A new format is a module with a
`Format`, and an entry in `FORMATS`.
"""

import importlib.util
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..container.records import MAGIC
from ..errors import ArgumentError, DataError, FormatError
from ..model_file import ModelFile, open_file
from . import npy, npz, safetensors
from .source import Format, Source, Writer

FORMATS = (npz.FORMAT, safetensors.FORMAT, npy.FORMAT)


@contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a file, or a folder, of arrays of other programs.

    Raises
    ------
    DataError
        If it can't be read.
    FormatError
        If it isn't valid, or of no format that is known.
    ArgumentError
        If its format needs an extra that isn't installed.
    """
    found, _ = _find(path)
    if found is None:
        known = " nor ".join(one.suffix for one in _files())
        raise FormatError(f"{os.fspath(path)}: neither {known}, nor {_folder().title}")
    with _opened(found, path) as source:
        yield source


@contextmanager
def open_tensors(path: str | os.PathLike[str]) -> Iterator[Source | ModelFile]:
    """Open a ``.dcnn`` file, or whatever `open_source` opens; both have ``shapes``.

    Raises
    ------
    DataError, FormatError, ArgumentError
        As `open_source`.
    """
    found, start = _find(path)
    if start == MAGIC:
        with open_file(path) as model:
            yield model
    elif found is not None:
        with _opened(found, path) as source:
            yield source
    else:
        *titles, last = ["a .dcnn", *(one.title for one in _files())]
        known = f"{', '.join(titles)} nor {last} file, nor {_folder().title}"
        raise FormatError(f"{os.fspath(path)}: neither {known}")


def described() -> str:
    """Return the formats that `open_source` knows, in words."""
    names = " or ".join(f"{one.title.split()[0]} {one.suffix}" for one in _files())
    return f"{names} file, or {_folder().title}"


def writer(path: str | os.PathLike[str]) -> tuple[str, Writer]:
    """Return title and function of the format to write, which the suffix decides.

    Raises
    ------
    ArgumentError
        If no format that can be written has it.
    """
    for one in FORMATS:
        if one.write is not None and one.suffix == _suffix(path):
            return one.title, one.write
    raise ArgumentError(f"{os.fspath(path)}: the suffix must be {writable()}, the format to write")


def writable() -> str:
    """Return the suffixes of formats that can be written, in words."""
    return " or ".join(one.suffix for one in FORMATS if one.write is not None)


def _find(path: str | os.PathLike[str]) -> tuple[Format | None, bytes]:
    """Return a file's format, None if it isn't known, and the file's first bytes."""
    if os.path.isdir(path):
        return _folder(), b""
    try:
        with open(path, "rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from error
    by_start = [one for one in _files() if start.startswith(one.starts)]
    by_suffix = [one for one in _files() if one.suffix == _suffix(path)]
    return next(iter(by_start + by_suffix), None), start


def _files() -> list[Format]:
    return [one for one in FORMATS if not one.is_folder]


def _folder() -> Format:
    """Return the one format whose files fill a folder."""
    return next(one for one in FORMATS if one.is_folder)


def _suffix(path: str | os.PathLike[str]) -> str:
    return os.path.splitext(os.fspath(path))[1].lower()


@contextmanager
def _opened(found: Format, path: str | os.PathLike[str]) -> Iterator[Source]:
    if found.requires is not None and importlib.util.find_spec(found.requires) is None:
        raise ArgumentError(
            f"{os.fspath(path)}: needs {found.requires}, an extra of deepcompress-nn"
        )
    with found.open(os.fspath(path)) as source:
        yield source
