"""A file on a disk that is full."""

import errno
import io
from typing import Any


class FullDisk(io.BytesIO):
    """Takes `free` bytes, and then nothing more."""

    def __init__(self, free: int = 0) -> None:
        super().__init__()
        self.free = free

    def write(self, data: Any) -> int:
        if self.tell() + len(data) > self.free:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)
