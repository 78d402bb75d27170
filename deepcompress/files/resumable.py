"""Makes many files of one folder, so that after a kill those that were finished stay as they are.

A file is written under a temporary name; then a line of the folder's journal says what it was
made of and which bytes it has; then it takes its name. So a file that has its name is in the
journal, whenever the process was killed, and one that waits for its name gets it next time.

The journal has one JSON object on each line. The last line on a file holds. A line that was cut
off, or makes no sense, is as if it weren't there: its file is made again.
"""

import contextlib
import hashlib
import json
import os
import zlib
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import Any

from ..errors import OutputError
from . import strict_json
from .atomic import TEMPORARY_SUFFIX, permissions, remove_abandoned, sync_folder
from .folder_lock import lock_folder

JOURNAL_NAME = ".deepcompress-journal"
_READ_BYTES = 1 << 20


class ResumableFolder:
    """A folder of files, each made of something; it is locked against others that do the same.

    A context manager.

    Parameters
    ----------
    folder : path
        Must exist.

    Raises
    ------
    OutputError
        If there is no such folder, it is in use by another run, or its journal can't be read.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = os.fspath(folder)
        self._lines: dict[str, dict[str, Any]] = {}
        if not os.path.isdir(self.folder):
            why = "it is no folder" if os.path.lexists(self.folder) else "make that folder first"
            raise OutputError(f"{self.folder}: can't write there: {why}")
        self._journal = os.path.join(self.folder, JOURNAL_NAME)
        self._lock = lock_folder(self.folder)
        try:
            self._read()
        except OSError as error:
            self._unlock()
            raise OutputError(f"{self._journal}: can't read it: {error.strerror}") from error

    def __enter__(self) -> "ResumableFolder":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        remove_abandoned(self.folder)
        self._unlock()

    def path(self, name: str) -> str:
        """Return the path of a file."""
        return os.path.join(self.folder, name)

    def told(self, name: str, made_of: str) -> dict[str, Any] | None:
        """Return what there was to tell of a file that is whole and made of just this.

        None if there isn't one.
        """
        line = self._lines.get(name)
        if line is None or line["made_of"] != made_of:
            return None
        target, temporary = self._places(name)
        with contextlib.suppress(OSError):
            if digest([target]) == line["sha256"]:
                return dict(line["told"])
        with contextlib.suppress(OSError):
            if digest([temporary]) == line["sha256"]:
                self._publish(name)
                return dict(line["told"])
        return None

    def make(
        self, name: str, made_of: str, write: Callable[[str], dict[str, Any]]
    ) -> dict[str, Any]:
        """Make a file, or make it anew, and return what there is to tell of it.

        Parameters
        ----------
        name : str
        made_of : str
            Tells everything that the file depends on.
        write : callable
            Takes the path to write to, and returns what is to be told, in JSON's types.

        Raises
        ------
        OutputError
            If it can't be written. What `write` raises comes through. A file that was there is
            untouched then.
        """
        target, temporary = self._places(name)
        path = self.path(name)
        try:
            mode = permissions(target)
            told = write(temporary)
            if mode is not None:
                os.chmod(temporary, mode)
            sha256 = digest([temporary])
            line = {"name": name, "made_of": made_of, "sha256": sha256, "told": told}
            self._append(line)
            self._lines[name] = line
            self._publish(name)
        except OSError as error:
            if isinstance(error, OutputError):  # of the temporary file
                message = str(error).replace(temporary, path)
                raise OutputError(message) from error.__cause__
            raise OutputError(f"{path}: can't write: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        return told

    def _places(self, name: str) -> tuple[str, str]:
        """Return the file itself, where a symbolic link points, and its temporary name."""
        target = os.path.realpath(self.path(name))
        folder, own = os.path.split(target)
        whole = f".{zlib.crc32(os.fsencode(own)):08x}-whole{TEMPORARY_SUFFIX}"
        return target, os.path.join(folder, whole)

    def _publish(self, name: str) -> None:
        target, temporary = self._places(name)
        os.replace(temporary, target)
        sync_folder(os.path.dirname(target))

    def _read(self) -> None:
        try:
            with open(self._journal, "rb") as file:
                lines = file.read().split(b"\n")
        except FileNotFoundError:
            return
        for text in lines:
            with contextlib.suppress(ValueError):
                line = strict_json.parse(text)
                if _is_line(line):
                    self._lines[line["name"]] = line

    def _append(self, line: dict[str, Any]) -> None:
        """Append to the journal, and wait until it is on the disk."""
        with open(self._journal, "ab") as file:
            # On a line of its own, even after one that was cut off.
            file.write(b"\n" + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _unlock(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def digest(paths: Iterable[str | os.PathLike[str]]) -> str:
    """Return the SHA-256 of files one after the other, each with its name and size if several.

    Raises
    ------
    OSError
        If one can't be read.
    """
    every = list(paths)
    hashed = hashlib.sha256()
    for path in every:
        with open(path, "rb") as file:
            if len(every) > 1:
                size = os.fstat(file.fileno()).st_size
                hashed.update(repr((os.path.basename(path), size)).encode(errors="replace"))
            while piece := file.read(_READ_BYTES):
                hashed.update(piece)
    return hashed.hexdigest()


def _is_line(line: Any) -> bool:
    texts = ("name", "made_of", "sha256")
    is_object = isinstance(line, dict) and isinstance(line.get("told"), dict)
    return is_object and all(isinstance(line.get(key), str) for key in texts)
