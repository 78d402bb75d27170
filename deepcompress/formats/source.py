"""The interface of a format: how its files are told, opened and written."""

import math
from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy.typing as npt

from .. import dtypes
from ..dtypes import ElementType
from ..errors import ArgumentError

Array: TypeAlias = npt.NDArray[Any]


class Source(Mapping[str, Array]):
    """The arrays of an open file, each read when it is asked for.

    Attributes
    ----------
    shapes : dict of str to tuple of int
        Shapes of all arrays, from headers alone.
    """

    shapes: dict[str, tuple[int, ...]]
    keeps_names = False  # whether a name belongs to more than its array, as in a graph

    @property
    def files(self) -> list[Path]:
        """Files that are read besides the one that was opened."""
        return []

    @property
    def metadata(self) -> dict[str, Any]:
        """What a ``.dcnn`` file has to know besides the arrays, in JSON's types.

        ``"origin"`` is what the format's own `Writer` needs to write such a file again: a
        mapping whose ``"format"`` is the format's suffix. ``"network"`` and ``"preprocessing"``
        are as `runtime` reads them. Empty where names and arrays say it all.
        """
        return {}

    @property
    def exact(self) -> Collection[str]:
        """Names of arrays that aren't a network's weights, such as an optimizer's state.

        They are stored bit for bit unless a configuration names them.
        """
        return ()

    def metadata_below(self, prefix: str) -> dict[str, Any]:
        """Return the `metadata` for a ``.dcnn`` file of the arrays below a prefix alone.

        By default that is all of it without ``"origin"``, as a writer needs every array.
        """
        return {key: value for key, value in self.metadata.items() if key != "origin"}

    @abstractmethod
    def __getitem__(self, name: str) -> Array:
        """Read an array."""

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


class Arrays(Iterable[tuple[str, Array]]):
    """Pairs of name and array, each made when it is asked for; what is known of them before.

    Attributes
    ----------
    types : dict of str to ElementType
    shapes : dict of str to tuple of int
    """

    def __init__(
        self,
        types: dict[str, ElementType],
        shapes: dict[str, tuple[int, ...]],
        pairs: Iterable[tuple[str, Array]],
    ) -> None:
        self.types, self.shapes, self._pairs = types, shapes, pairs

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, Array]]) -> "Arrays":
        """Return pairs as they are, or those of another iterable, all held in memory.

        Raises
        ------
        ArgumentError
            If a ``.dcnn`` file has no such dtype, naming the array.
        """
        if isinstance(pairs, cls):
            return pairs
        held = dict(pairs)
        for name, array in held.items():
            if dtypes.of(array.dtype) is None:
                raise ArgumentError(f"{name[:40]!r}: no file has dtype {array.dtype}")
        types = {name: dtypes.named(array.dtype) for name, array in held.items()}
        return cls(types, {name: array.shape for name, array in held.items()}, held.items())

    def __iter__(self) -> Iterator[tuple[str, Array]]:
        return iter(self._pairs)

    def bytes_of(self, name: str) -> int:
        """Return the size of an array."""
        return math.prod(self.shapes[name]) * self.types[name].itemsize


Opener = Callable[[str], AbstractContextManager[Source]]
Writer = Callable[[str, Iterable[tuple[str, Array]], Mapping[str, Any]], int]


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
    also : tuple of str
        Other suffixes of its files.
    starts : tuple of bytes
        The first bytes of its files; empty if only the suffix tells them.
    tells : callable or None
        Takes the names of a zip file's members, and tells whether it is of the format.
    is_folder : bool
    write : callable or None
        Takes a path, pairs of name and array, and the ``"origin"`` of a file (see
        `Source.metadata`; empty if it was of another format), and returns the bytes written;
        raises ArgumentError and OutputError.
    origin : str or None
        The ``"format"`` of origins that it gives and takes; by default its suffix.
    holds : callable or None
        For folders: takes a path, and tells whether that is one; by default any may be.
    requires : str or None
        The extra of deepcompress-nn that it needs.
    module : str or None
        The module that is imported then, by default of the same name.
    """

    title: str
    suffix: str
    open: Opener
    starts: tuple[bytes, ...] = ()
    also: tuple[str, ...] = ()
    tells: Callable[[Collection[str]], bool] | None = None
    is_folder: bool = False
    write: Writer | None = None
    origin: str | None = None
    holds: Callable[[str], bool] | None = None
    requires: str | None = None
    module: str | None = None
