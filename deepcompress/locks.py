"""A lock that a forked process doesn't find held by a thread that it hasn't got."""

import os
import threading
from types import TracebackType


class ForkSafeLock:
    """A lock for what can be made once more, if the process is forked in the midst of it.

    A fork copies one thread alone. What the others held then stays held in the child for ever:
    so a process that isn't the one which made the lock makes its own.
    """

    def __init__(self) -> None:
        self._process, self._lock = os.getpid(), threading.Lock()

    def __enter__(self) -> None:
        if self._process != os.getpid():  # just forked: nobody else is here yet
            self._process, self._lock = os.getpid(), threading.Lock()
        self._lock.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release()
