"""Where tensors to be compressed come from: files of other programs, read lazily."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import DataError, FormatError
from .npz import NpzFile, open_npz
from .safetensors import SafetensorsFile


class NpyFolder(Mapping[str, npt.NDArray[Any]]):
    """The arrays of a folder's ``.npy`` files, mapped, by their names without the suffix.

    Parameters
    ----------
    folder : path-like

    Attributes
    ----------
    shapes : dict of str to tuple of int

    Raises
    ------
    DataError
        If there is no such folder or file, the folder has none, or it can't be read.
    FormatError
        If a file isn't a whole array of numbers.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        try:
            self._names = sorted(
                path.stem for path in self._folder.iterdir() if path.suffix == ".npy"
            )
        except OSError as error:
            raise DataError(f"{os.fspath(folder)}: {error.strerror or error}") from error
        if not self._names:
            raise DataError(f"{os.fspath(folder)}: has no .npy files")
        self.shapes = {name: self[name].shape for name in self._names}

    def path(self, name: str) -> Path:
        """Return the file of an array."""
        return self._folder / f"{name}.npy"

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        path = self.path(name)
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from error
        except Exception as error:  # of a damaged file NumPy raises anything
            raise FormatError(f"{path}: not a whole npy file: {error}") from error

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


Source = NpyFolder | NpzFile | SafetensorsFile


@contextlib.contextmanager
def open_source(path: str | os.PathLike[str]) -> Iterator[Source]:
    """Open a folder of ``.npy`` files, an ``.npz`` or a ``.safetensors`` file.

    Parameters
    ----------
    path : path-like
        A folder, or a file whose suffix says what it is.

    Yields
    ------
    Source

    Raises
    ------
    DataError
        If it can't be read.
    FormatError
        If it isn't valid, or of another kind.
    """
    suffix = os.path.splitext(path)[1].lower()
    if os.path.isdir(path):
        yield NpyFolder(path)
    elif suffix == ".npz":
        with open_npz(path) as file:
            yield file
    elif suffix == ".safetensors":
        yield SafetensorsFile(path)
    elif not os.path.exists(path):
        raise DataError(f"{os.fspath(path)}: No such file or directory")
    else:
        raise FormatError(
            f"{os.fspath(path)}: neither .npz nor .safetensors, nor a folder of .npy files"
        )
