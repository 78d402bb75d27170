"""Folders of NumPy's ``.npy`` files, mapped: elements are read when they are used."""

import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from ..errors import DataError, FormatError
from .source import Array, Format, Source


class NpyFolder(Source):
    """The arrays of a folder's ``.npy`` files, by their names without the suffix.

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
            files = [path for path in self._folder.iterdir() if path.suffix == ".npy"]
        except OSError as error:
            raise DataError(f"{os.fspath(folder)}: {error.strerror or error}") from error
        if not files:
            raise DataError(f"{os.fspath(folder)}: has no .npy files")
        self._names = sorted(path.stem for path in files)
        self.shapes = {name: self[name].shape for name in self._names}

    @property
    def files(self) -> list[Path]:
        """The files of the arrays."""
        return [self._folder / f"{name}.npy" for name in self._names]

    def __getitem__(self, name: str) -> Array:
        path = self._folder / f"{name}.npy"
        try:
            return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except OSError as error:
            raise DataError(f"{path}: {error.strerror or error}") from error
        except Exception as error:  # NumPy raises anything for a damaged file
            raise FormatError(f"{path}: not a whole npy file: {error}") from error


FORMAT = Format(
    "a folder of .npy files", ".npy", lambda path: nullcontext(NpyFolder(path)), is_folder=True
)
