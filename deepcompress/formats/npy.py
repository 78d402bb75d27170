"""NumPy's ``.npy`` files, and folders of them and of npz files; elements are mapped.

A single file's array has the file's name without the suffix. In a folder so do those of ``.npy``
files, and an array of an npz file is ``file/key``; a folder that is written again has the same
files.
"""

import io
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, FormatError
from ..files.atomic import write_parts
from ..files.folders import checked_file_name, write_folder
from . import pickles
from .npz import npz_parts, open_npz
from .source import Array, Format, Source

MAGIC = b"\x93NUMPY"  # at the start of a file
NPY, NPZ = ".npy", ".npz"
FOLDER_ORIGIN = "/"


class NpyFile(Source):
    """The one array of a file, by its name without the suffix; errors as `NpyFolder`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self.shapes = {self._path.stem: _mapped(self._path).shape}

    def __getitem__(self, name: str) -> Array:
        return _mapped(self._path)


class NpyFolder(Source):
    """The arrays of a folder's ``.npy`` and npz files.

    Raises
    ------
    DataError
        If there is no such folder or file, the folder has none, or it can't be read.
    FormatError
        If a file isn't a whole array of numbers, or no whole npz file.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        try:
            found = sorted(path for path in self._folder.iterdir() if path.suffix in (NPY, NPZ))
        except OSError as error:
            raise DataError(f"{os.fspath(folder)}: {error.strerror or error}") from error
        if not found:
            raise DataError(f"{os.fspath(folder)}: has no .npy files and no .npz files")
        self._files, self.shapes = found, {}
        self._places: dict[str, tuple[Path, str]] = {}
        self._opened = ExitStack()
        self._archives: dict[Path, Source] = {}
        with ExitStack() as stack:
            for path in found:
                self._add(path, stack)
            self._opened = stack.pop_all()

    def _add(self, path: Path, stack: ExitStack) -> None:
        """Take the names and shapes of a file."""
        if path.suffix == NPY:
            self._places[path.stem] = path, ""
            self.shapes[path.stem] = _mapped(path).shape
            return
        self._archives[path] = archive = stack.enter_context(open_npz(path))
        for key, shape in archive.shapes.items():
            self._places[f"{path.stem}/{key}"] = path, key
            self.shapes[f"{path.stem}/{key}"] = shape

    def close(self) -> None:
        """Close the npz files."""
        self._opened.close()

    @property
    def files(self) -> list[Path]:
        """The files of the arrays."""
        return self._files

    @property
    def metadata(self) -> dict[str, Any]:
        """Names of the npz files, if there are any."""
        if not self._archives:
            return {}
        names = [path.stem for path in self._archives]
        return {"origin": {"format": FOLDER_ORIGIN, "npz": names}}

    def __getitem__(self, name: str) -> Array:
        path, key = self._places[name]
        return self._archives[path][key] if path in self._archives else _mapped(path)


def _mapped(path: Path) -> Array:
    """Return the array of a file, whose elements are read when they are used."""
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # NumPy raises anything for a damaged file
        if re.search("allow_pickle|Python objects", str(error)) and _start(path) == MAGIC:
            raise FormatError(f"{path}: {pickles.OBJECTS}") from None
        raise FormatError(f"{path}: not a whole npy file: {error}") from error


def _start(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(len(MAGIC))


def write_file(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write the one array there is; return the bytes of the file.

    Raises
    ------
    ArgumentError
        If there are none or several, or the format has no such dtype.
    OutputError
        As `write_parts`.
    """
    items = iter(arrays)
    first, second = next(items, None), next(items, None)
    if first is None or second is not None:
        raise ArgumentError(f"an .npy file has one array, here are {'two or more' if first else 0}")
    return write_parts(path, [_npy_bytes(*first)])


def _npy_bytes(name: str, array: Array) -> memoryview:
    if array.dtype.kind not in "biufc":
        raise ArgumentError(f"{name[:40]!r}: an npy file has no dtype {array.dtype.name}")
    content = io.BytesIO()
    np.lib.format.write_array(content, array, allow_pickle=False)
    return content.getbuffer()


def write_to_folder(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write a new folder with a file for each array, or the npz files that `origin` names.

    Returns
    -------
    int
        Bytes of all files.

    Raises
    ------
    ArgumentError
        If a name can't be a file's, or the format has no such dtype.
    OutputError
        As `write_folder`.
    """
    named = origin.get("npz")
    archives = {stem for stem in named if isinstance(stem, str)} if isinstance(named, list) else ()
    return write_folder(path, _files_of(arrays, frozenset(archives)))


def _files_of(
    arrays: Iterable[tuple[str, Array]], archives: frozenset[str]
) -> Iterator[tuple[str, Iterable[bytes | memoryview]]]:
    """Yield names and contents of files; arrays of an npz file follow one another."""
    items, written = iter(arrays), set()
    item = next(items, None)

    def members(stem: str) -> Iterator[tuple[str, Array]]:
        nonlocal item
        while item is not None and item[0].startswith(f"{stem}/"):
            yield item[0][len(stem) + 1 :], item[1]
            item = next(items, None)

    while item is not None:
        stem, separator, _ = item[0].partition("/")
        suffix = NPZ if separator and stem in archives else NPY
        name = checked_file_name((stem if suffix == NPZ else item[0]) + suffix)
        if name.casefold() in written:
            raise ArgumentError(f"two files of a folder would have the name {name[:40]!r}")
        written.add(name.casefold())
        if suffix == NPZ:
            yield name, npz_parts(members(stem))
        else:
            yield name, [_npy_bytes(*item)]
            item = next(items, None)


@contextmanager
def _open_folder(path: str) -> Iterator[Source]:
    folder = NpyFolder(path)
    try:
        yield folder
    finally:
        folder.close()


FORMAT = Format(
    "an .npy",
    NPY,
    lambda path: nullcontext(NpyFile(path)),
    (MAGIC,),
    write=write_file,
)
FOLDER = Format(
    "a folder of .npy or .npz files",
    FOLDER_ORIGIN,
    _open_folder,
    is_folder=True,
    write=write_to_folder,
)
