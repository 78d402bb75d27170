"""A lock that a forked process doesn't find held by a thread that it hasn't got."""

import os
import threading
from types import TracebackType


class ForkSafeLock:
    """A lock for what can be made once more, if the process is forked in the midst of it.

    A fork copies one thread alone. What the others held then stays held in the child for ever:
    so each process has a lock of its own.
    """

    def __init__(self) -> None:
        self._of_process: dict[int, threading.Lock] = {}

    def __enter__(self) -> None:
        process = os.getpid()
        # Of threads that come at once, all get what the first one puts there.
        lock = self._of_process.get(process) or self._of_process.setdefault(
            process, threading.Lock()
        )
        lock.acquire()
        self._held = lock

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._held.release()
