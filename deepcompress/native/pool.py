"""The gateway to ``csrc/pool``: the threads of this process, of which a forked one has its own."""

import os
from typing import Any

from ..checks import is_finite, is_whole
from ..errors import ArgumentError
from ..locks import ForkSafeLock
from . import limits
from .gateway import _ffi, _lib, threads

LEAST_SHARE = 10e3  # nanoseconds of work for a thread, if one that is awake is to help
MOST_WORKERS = 256

_pool: Any = None  # struct dc_pool *, once it is needed; NULL if there is no memory for it
_making = ForkSafeLock()


def set_threads(count: int | None = None, *, spin_us: float | None = None) -> None:
    """Set how many threads native work may take in this process, and how long they wait.

    It holds for all threads of the program, also those that ``threadpoolctl`` has limited before.
    No result depends on it.

    Parameters
    ----------
    count : int, optional
        At least 1. By default as many as ``OMP_NUM_THREADS`` says, or the processors that the
        process may use.
    spin_us : float, optional
        Microseconds, at most 1,000,000, for which a thread looks for more work before it sleeps.
        By default ``DEEPCOMPRESS_SPIN_US``, or 150. More helps calls that follow each other at
        longer intervals, at the expense of whatever else the processor could do; with 0, only long
        work is worth several threads. They never wait so if they are more than the
        processors.

    Raises
    ------
    ArgumentError
        If a number is out of range.

    Examples
    --------
    >>> import deepcompress
    >>> deepcompress.set_threads(1)
    >>> deepcompress.set_threads()  # as before
    """
    if count is not None and not is_whole(count, 1, 2**31 - 1):
        raise ArgumentError(f"the number of threads must be a whole one from 1 on: {count!r}")
    if spin_us is not None and not is_finite(spin_us, 0, limits.MOST_SPIN_US):
        most = f"{limits.MOST_SPIN_US:.0f}"
        raise ArgumentError(f"spin_us must be a number from 0 to {most}: {spin_us!r}")
    limits.set_process(count, spin_us)
    with _making:
        if _pool is not None:
            _tune(_pool)


def report() -> dict[str, int]:
    """Call dc_pool_report: what the threads of this process have done, in nanoseconds."""
    found = _ffi().new("struct dc_pool_report *")
    _lib().dc_pool_report(_ffi().NULL if _pool is None else _pool, found)
    return {name: getattr(found, name) for name, _ in _ffi().typeof(found[0]).fields}


def team(nanoseconds: float, most: int) -> tuple[Any, int]:
    """Return a struct dc_team for work that takes one thread so long, and its threads.

    They are at most `most`, and as many as the work is worth; of one, the team is NULL.
    """
    count = min(threads(), most, int(nanoseconds / LEAST_SHARE))
    if count < 2:
        return _ffi().NULL, 1
    return _ffi().new("struct dc_team *", (_get_pool(), count, nanoseconds)), count


def _get_pool() -> Any:
    global _pool
    if _pool is None:
        with _making:
            if _pool is None:
                made = _lib().dc_pool_create(MOST_WORKERS)
                _tune(made)
                _pool = made
    return _pool


def _tune(pool: Any) -> None:
    if pool != _ffi().NULL:
        _lib().dc_pool_tune(pool, limits.processors(), int(limits.spin_us() * 1e3))


def _leave_pool() -> None:
    """Leave the pool to the process that this one was forked from: its threads are there."""
    global _pool
    _pool = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_pool)
