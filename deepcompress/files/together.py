"""Writes files that belong together: each gets its name when all are complete on the disk.

No system renames several files in one step. So the parts come first and the file that names
them, an index, comes last, and no part replaces a file: whoever reads an index finds the parts
that were written with it, whenever the writer was killed.
"""

import contextlib
import os
from collections.abc import Iterable, Sequence
from types import TracebackType

from ..errors import OutputError, shown
from . import atomic
from .atomic import StrPath


class FileSet:
    """Files in the folder of `path`, the last of them, which wait under temporary names.

    A context manager: what has no name yet at its end is removed. What a killed process left is
    removed by the next one that writes to `path`.

    Raises
    ------
    OutputError
        Here and in its methods: if a file can't be written; then there is none of the set.
    """

    def __init__(self, path: StrPath) -> None:
        self._path = os.fspath(path)
        try:
            self._target = os.path.realpath(path)
        except ValueError as error:
            raise OutputError(f"{shown(path)}: can't write: {error}") from error
        self._staged: list[atomic.Staged] = []

    def __enter__(self) -> "FileSet":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for staged in self._staged:
            staged.discard()

    def add(self, parts: Iterable[bytes | bytearray | memoryview]) -> int:
        """Write the next of the parts that come first; return its size."""
        try:
            staged = atomic.Staged(self._target, None, is_first=not self._staged)
            self._staged.append(staged)
            return staged.fill(parts)
        except OSError as error:
            raise self._error(error) from error

    def publish(self, names: Sequence[str], index: Iterable[bytes | bytearray | memoryview]) -> int:
        """Name the parts, within the folder, and then write `path` itself; return its size."""
        folder = os.path.dirname(self._target)
        check_free(folder, names)
        named: list[str] = []
        try:
            last = atomic.Staged(self._target, atomic.permissions(self._target), is_first=False)
            self._staged.append(last)
            size = last.fill(index)
            targets = [*(os.path.join(folder, name) for name in names), self._target]
            for staged, target in zip(self._staged, targets, strict=True):
                staged.publish(target)
                named.append(target)
        except OSError as error:
            for target in named:  # the index isn't among them, as it is the last
                with contextlib.suppress(OSError):
                    os.unlink(target)
            raise self._error(error) from error
        atomic.sync_folder(folder)
        return size

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"{self._path}: can't write: {error.strerror or error}")


def check_free(folder: StrPath, names: Iterable[str]) -> None:
    """Raise OutputError if there is a file of one of the names already."""
    for name in names:
        path = os.path.join(os.fspath(folder), name)
        if os.path.lexists(path):
            raise OutputError(
                f"{path}: is there already, and files that belong together can't replace others "
                "in one step; remove it, or choose another name or folder"
            )
