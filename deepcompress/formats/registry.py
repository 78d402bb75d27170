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
OURS = "a .dcnn"


@contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a file, or a folder, of arrays of other programs.

    Parameters
    ----------
    path : path-like

    Yields
    ------
    Source

    Raises
    ------
    DataError
        If it can't be read.
    FormatError
        If it isn't valid, or of no format that is known.
    ArgumentError
        If its format needs an extra that isn't installed.
    """
    found = _find(path, _start(path))
    if found is None:
        files, folders = _split(FORMATS)
        known = " nor ".join(one.suffix for one in files)
        raise FormatError(f"{os.fspath(path)}: neither {known}{_list_folders(folders)}")
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
    start = _start(path)
    found = _find(path, start)
    if start == MAGIC:
        with open_file(path) as model:
            yield model
    elif found is not None:
        with _opened(found, path) as source:
            yield source
    else:
        files, folders = _split(FORMATS)
        *first, last = [OURS, *(one.title for one in files)]
        known = f"{', '.join(first)} nor {last} file"
        raise FormatError(f"{os.fspath(path)}: neither {known}{_list_folders(folders)}")


def described() -> str:
    """Return the formats that `open_source` knows, in words."""
    files, folders = _split(FORMATS)
    names = " or ".join(f"{one.title.split()[0]} {one.suffix}" for one in files)
    return ", or ".join([f"{names} file", *(one.title for one in folders)])


def writer(path: str | os.PathLike[str]) -> tuple[str, Writer]:
    """Return title and function of the format to write: that of the suffix if it can, or npz."""
    suffix = os.path.splitext(path)[1].lower()
    for one in FORMATS:
        if one.write is not None and one.suffix == suffix:
            return one.title, one.write
    return npz.FORMAT.title, npz.write


def _start(path: str | os.PathLike[str]) -> bytes | None:
    """Return the first bytes of a file, None for a folder."""
    if os.path.isdir(path):
        return None
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC))
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from error


def _find(path: str | os.PathLike[str], start: bytes | None) -> Format | None:
    """Return the format of a file by its first bytes or else its suffix, None if it has none."""
    files, folders = _split(FORMATS)
    if start is None:
        return folders[0]
    suffix = os.path.splitext(path)[1].lower()
    by_start = [one for one in files if start.startswith(one.starts)]
    by_suffix = [one for one in files if one.suffix == suffix]
    return next(iter(by_start + by_suffix), None)


def _split(formats: tuple[Format, ...]) -> tuple[list[Format], list[Format]]:
    """Return formats of files and of folders."""
    return [one for one in formats if not one.is_folder], [o for o in formats if o.is_folder]


def _list_folders(folders: list[Format]) -> str:
    return "".join(f", nor {one.title}" for one in folders)


@contextmanager
def _opened(found: Format, path: str | os.PathLike[str]) -> Iterator[Source]:
    if found.requires is not None and importlib.util.find_spec(found.requires) is None:
        raise ArgumentError(
            f"{os.fspath(path)}: needs {found.requires}, an extra of deepcompress-nn"
        )
    with found.open(os.fspath(path)) as source:
        yield source
