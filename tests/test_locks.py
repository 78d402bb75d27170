"""Locks that stay usable in a forked process; `test_threads` forks one."""

import os
import threading
from typing import ClassVar

from deepcompress import locks


class Recorded:
    """A lock that nobody waits for; while one is made, `elsewhere` happens in another thread."""

    acquired: ClassVar = []
    elsewhere = None

    def __init__(self):
        happens, Recorded.elsewhere = Recorded.elsewhere, None
        if happens:
            happens()

    def acquire(self):
        self.acquired.append(self)

    def release(self):
        self.acquired.remove(self)


def test_threads_that_come_at_once_to_a_forked_process_share_a_lock(monkeypatch):
    monkeypatch.setattr(threading, "Lock", Recorded)
    lock = locks.ForkSafeLock()
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)
    Recorded.elsewhere = lock.__enter__  # before the first one has its lock
    with lock:
        first, second = Recorded.acquired
        assert first is second
    assert Recorded.acquired == [first]  # the other one's
