"""The interface of a format: how its files are told, opened and written."""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


class Source(Mapping[str, Array]):
    """The arrays of an open file, each read when it is asked for.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Shapes of all arrays, from headers alone.
    """

    shapes: dict[str, tuple[int, ...]]

    @property
    def files(self) -> list[Path]:
        """Files that are read besides the one that was opened."""
        return []

    @abstractmethod
    def __getitem__(self, name: str) -> Array:
        """Read an array."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


Opener = Callable[[str], AbstractContextManager[Source]]
Writer = Callable[[str, Iterable[tuple[str, Array]]], int]


@dataclass(frozen=True)
class Format:
    """A format of other programs.

    Attributes
    ----------
    title : str
        With an article, such as ``"an npz"``.
    suffix : str
        Suffix of its files' names; for a folder, of the files in it.
    open : callable
        Takes a path, and gives a `Source` as a context; raises DataError and FormatError.
    starts : tuple of bytes
        The first bytes of its files; empty if only the suffix tells them.
    is_folder : bool
    write : callable or None
        Takes a path and pairs of name and array, and returns the bytes written; raises
        ArgumentError and OutputError.
    requires : str or None
        The extra of deepcompress-nn that it needs, which has the name of the module to import.
    """

    title: str
    suffix: str
    open: Opener
    starts: tuple[bytes, ...] = ()
    is_folder: bool = False
    write: Writer | None = None
    requires: str | None = None
