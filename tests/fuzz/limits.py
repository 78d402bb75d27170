"""What the targets for the readers in Python have in common: what counts as a finding.

A target is a module with ``test_one_input(data)``, which returns if the bytes are read, or
refused by an error of ours, and raises anything else if something is wrong. It may have
``mutate(data, max_size, random, mutate_bytes)``, which keeps what a change of bytes alone would
break, such as checksums. None of them needs a fuzzer to be imported: the tests replay the seeds.
"""

import gc
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from deepcompress.errors import DeepCompressError
from deepcompress.native import gateway

MAX_BYTES = 1 << 22  # what a reader may take
MAX_SECONDS = 1.0  # of the processor, for any input of a few KB
ATTEMPTS = 3
_SLACK = 1 << 22  # for the interpreter's own memory, which grows by steps
_MEMORY = "/dev/shm"
_folders: list[tempfile.TemporaryDirectory[str]] = []
_UNIT = 1 if sys.platform == "darwin" else 1024

backends = ("reference", "native") if gateway._load()[0] else ("reference",)


class Finding(AssertionError):
    """A property that has to hold, and doesn't."""


class Slow(Finding):
    """An input that took longer than `MAX_SECONDS`, this time."""


def run(target: ModuleType, data: bytes) -> None:
    """Give a target an input, again if it was slow: a finding is what is slow each time.

    A machine that is busy charges a process for what others make it wait for, such as memory.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return target.test_one_input(data)
        except Slow:
            continue
    return target.test_one_input(data)


def require(holds: object, what: str) -> None:
    if not holds:
        raise Finding(what)


class _Collector:
    """Told by Python's collector when it begins and ends, it sums up its seconds."""

    def __init__(self) -> None:
        self.seconds, self._start = 0.0, 0.0

    def __call__(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._start = time.process_time()
        else:
            self.seconds += time.process_time() - self._start


@contextmanager
def limited(what: str, max_bytes: int = MAX_BYTES) -> Iterator[None]:
    """Raise a finding if the block takes too long or too much memory.

    Memory is told by the highest resident size that the process ever had, which costs
    nothing; so what an earlier input took, and gave back, can hide as much. The seconds of Python's
    collector don't count, which looks through all that the process has.
    """
    collector = _Collector()
    gc.callbacks.append(collector)
    try:
        memory, start = _peak(), time.process_time()
        yield
    finally:
        gc.callbacks.remove(collector)
    seconds, grown = time.process_time() - start - collector.seconds, _peak() - memory
    if seconds > MAX_SECONDS:
        raise Slow(f"{what} took {seconds:.1f} s")
    require(grown <= max_bytes + _SLACK, f"{what} took {grown:,} bytes of {max_bytes:,}")


def outcome(read: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a reader gives, or None and its refusal; other exceptions pass."""
    try:
        return read(), ""
    except DeepCompressError as error:
        return None, f"{type(error).__name__}: {error}"


def scratch_path() -> Path:
    """Return where a target may put its input for a reader that takes a path; in memory if it can.

    The folder goes with the process.
    """
    folder = tempfile.TemporaryDirectory(dir=_MEMORY if Path(_MEMORY).is_dir() else None)
    _folders.append(folder)
    return Path(folder.name) / "input"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
