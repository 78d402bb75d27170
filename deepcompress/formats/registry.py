"""The formats of other programs, and which of them a file has.

A file's first bytes tell its format, of a zip file the names of its members, or else its suffix.
A new format is a module with a `Format`, and an entry in `FORMATS`.
"""

import importlib.util
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial

from ..container.records import MAGIC
from ..errors import ArgumentError, DataError, FormatError
from ..model_file import ModelFile, open_file
from . import (
    hdf5,
    keras,
    npy,
    onnx,
    pickles,
    safetensors,
    safetensors_shards,
    skops,
    sparse,
    torch,
)
from .source import Format, Source, Writer

FORMATS = (
    *(sparse.FORMAT, safetensors.FORMAT, safetensors_shards.FORMAT, npy.FORMAT, torch.FORMAT),
    *(keras.FORMAT, hdf5.FORMAT, skops.FORMAT, onnx.FORMAT, safetensors_shards.FOLDER),
    npy.FOLDER,  # the last folder, as any other may be one
)
_START_BYTES = 32
_ZIP = (b"PK\3\4", b"PK\5\6")


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
        raise FormatError(f"{os.fspath(path)}: neither {known}, nor {_folders()}")
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
        known = f"{', '.join(titles)} nor {last} file, nor {_folders()}"
        raise FormatError(f"{os.fspath(path)}: neither {known}")


def stem(path: str | os.PathLike[str]) -> str:
    """Return the name of a file without the suffix of its format, or that of a folder."""
    name = os.path.basename(os.path.abspath(path))
    if os.path.isdir(path):
        return name
    known = [suffix for one in _files() for suffix in (one.suffix, *one.also)]
    found = [suffix for suffix in known if name.lower().endswith(suffix)]
    return name[: -len(max(found, key=len))] if found else os.path.splitext(name)[0]


def described() -> str:
    """Return the formats that `open_source` knows, in words."""
    names = " or ".join(f"{one.title.split()[0]} {one.suffix}" for one in _files())
    return f"{names} file, or {_folders(' or ')}"


def writer(path: str | os.PathLike[str], shard_bytes: int | None = None) -> tuple[Format, Writer]:
    """Return the format to write, which the suffix decides, and its writer.

    A path that ends with a separator, or is a folder's, is for the format that fills a folder.

    Parameters
    ----------
    path : path-like
    shard_bytes : int, optional
        The most bytes of arrays in a file, where one format may be several files.

    Raises
    ------
    ArgumentError
        If no format that can be written has it, or it isn't one of several files; or it needs an
        extra that isn't installed.
    """
    text = os.fspath(path)
    if os.path.isdir(text) or text.endswith(("/", os.sep)):
        found = [one for one in FORMATS if one.is_folder and one.write is not None]
    else:
        found = [one for one in _files() if one.write is not None and _has_suffix(path, one)]
    if not found:
        raise ArgumentError(f"{text}: the suffix must be {writable()}, the format to write")
    _check_extra(found[0], path)
    if shard_bytes is None:
        assert found[0].write is not None
        return found[0], found[0].write
    if found[0] not in (safetensors.FORMAT, safetensors_shards.FORMAT):
        raise ArgumentError(f"{text}: only .safetensors files can be cut into shards")
    return found[0], partial(safetensors_shards.write, shard_bytes=shard_bytes)


def writable() -> str:
    """Return the suffixes of formats that can be written, in words."""
    suffixes = [suffix for one in _files() if one.write for suffix in (one.suffix, *one.also)]
    return " or ".join([*suffixes, "/ (for a folder)"])


def _find(path: str | os.PathLike[str]) -> tuple[Format | None, bytes]:
    """Return a file's format, None if it isn't known, and the file's first bytes."""
    if os.path.isdir(path):
        folders = [one for one in FORMATS if one.is_folder]
        held = (one for one in folders if one.holds is None or one.holds(os.fspath(path)))
        return next(held, None), b""
    try:
        with open(path, "rb") as file:
            start = file.read(_START_BYTES)
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from error
    pickles.refuse(path, start)
    members = _members(path) if start.startswith(_ZIP) else ()
    by_members = [one for one in _files() if one.tells and one.tells(members)]
    by_start = [one for one in _files() if start.startswith(one.starts)]
    by_suffix = [one for one in _files() if _has_suffix(path, one)]
    by_both = [one for one in by_suffix if one in by_start]
    found = next(iter(by_members + by_both + by_start + by_suffix), None)
    return found, start[: len(MAGIC)]


def _members(path: str | os.PathLike[str]) -> Collection[str]:
    """Return the names in a zip file, none if its directory can't be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except Exception:  # of any kind; the format's own reader says what is wrong
        return ()


def _files() -> list[Format]:
    return [one for one in FORMATS if not one.is_folder]


def _folders(between: str = " nor ") -> str:
    """Return the titles of folders that are known."""
    return between.join(one.title for one in FORMATS if one.is_folder)


def _has_suffix(path: str | os.PathLike[str], one: Format) -> bool:
    return os.path.basename(os.fspath(path)).lower().endswith((one.suffix, *one.also))


@contextmanager
def _opened(found: Format, path: str | os.PathLike[str]) -> Iterator[Source]:
    _check_extra(found, path)
    with found.open(os.fspath(path)) as source:
        yield source


def _check_extra(found: Format, path: str | os.PathLike[str]) -> None:
    """Raise ArgumentError if the format needs an extra that isn't installed."""
    module = found.module or found.requires
    if module is not None and importlib.util.find_spec(module) is None:
        raise ArgumentError(
            f"{os.fspath(path)}: needs {found.requires}, an extra of deepcompress-nn"
        )
