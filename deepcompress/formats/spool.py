"""Arrays in a temporary file, for writers that need all of them before they write the first byte.

The file has no name, is in the folder of the one to be, and is mapped when it is complete, so
that no more than one array is in memory.
"""

import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from .. import dtypes
from ..dtypes import ElementType
from ..errors import ArgumentError, OutputError
from .source import Array

_ALIGNMENT = 64
COPY_BYTES = 1 << 20


@dataclass(frozen=True)
class Spooled:
    """An array in the file.

    Attributes
    ----------
    element_type : ElementType
    shape : tuple of int
    data : memoryview
        Its elements, writable, of which a change stays in memory.
    """

    element_type: ElementType
    shape: tuple[int, ...]
    data: memoryview

    def array(self) -> Array:
        """Return the array; raise ArgumentError if its dtype needs ml_dtypes."""
        flat = np.frombuffer(self.data, self.element_type.bits)
        return self.element_type.array(flat).reshape(self.shape)


class NotingFile:
    """A file that remembers why it couldn't be written: other libraries tell something else."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write to the file."""
        try:
            return self._file.write(data)
        except OSError as error:
            self.error = error
            raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


@contextmanager
def temporary(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Give a file without a name beside the one to be; its errors become OutputError."""
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(path))) as file:
            yield file
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(f"{os.fspath(path)}: can't write: {error.strerror or error}") from error


def pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Yield a file's bytes from its start."""
    file.seek(0)
    while piece := file.read(COPY_BYTES):
        yield piece


@contextmanager
def spooled(
    path: str | os.PathLike[str], arrays: Iterable[tuple[str, Array]]
) -> Iterator[dict[str, Spooled]]:
    """Give all arrays, by name; raise ArgumentError for a dtype that no file has."""
    with temporary(path) as file:
        places: dict[str, tuple[ElementType, tuple[int, ...], int, int]] = {}
        for name, array in arrays:
            element_type = dtypes.of(array.dtype)
            if element_type is None:
                raise ArgumentError(f"{name[:40]!r}: dtype {array.dtype} can't be stored")
            file.write(bytes(-file.tell() % _ALIGNMENT))
            begin = file.tell()
            file.write(dtypes.bits_of(array, element_type).data.cast("B") if array.size else b"")
            places[name] = element_type, array.shape, begin, file.tell()
        file.write(b"\0")  # as nothing of no bytes can be mapped
        file.flush()
        mapped = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
        yield {
            name: Spooled(element_type, shape, mapped[begin:end])
            for name, (element_type, shape, begin, end) in places.items()
        }
