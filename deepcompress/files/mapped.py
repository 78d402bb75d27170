"""Large files read through a map, of which nothing stays in memory once it was copied.

The pages of a mapped file that were looked at count as the process's memory until the system
wants them back; a file larger than memory would seem to fill it.
"""

import mmap
import os

import numpy as np
import numpy.typing as npt

from ..errors import DataError

PIECE_BYTES = 1 << 23


class MappedFile:
    """A regular file, opened once, of which parts are copied.

    Raises
    ------
    DataError
        If the file can't be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            with open(path, "rb") as file:
                self.size = os.fstat(file.fileno()).st_size
                self._data = (
                    mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else None
                )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{os.fspath(path)}: {reason}") from error

    def copy(self, start: int, size: int) -> npt.NDArray[np.uint8]:
        """Return bytes of the file, which has as many: ``start + size <= self.size``."""
        copied = np.empty(size, np.uint8)
        if self._data is None:
            return copied
        for begin in range(0, size, PIECE_BYTES):
            end = min(begin + PIECE_BYTES, size)
            copied[begin:end] = np.frombuffer(self._data, np.uint8, end - begin, start + begin)
            release(self._data, start + begin, start + end)
        return copied


def release(data: object, start: int, stop: int) -> None:
    """Take pages out of the process's memory, if it is a mapped file that they are of.

    They are still there: whoever looks at them reads them again, from the system's own cache
    as a rule.
    """
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED") and start < stop:
        begin = start - start % mmap.PAGESIZE
        data.madvise(mmap.MADV_DONTNEED, begin, stop - begin)
