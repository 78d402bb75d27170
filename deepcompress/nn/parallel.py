"""Threads that can't change a result: independent tasks, each with a single-threaded BLAS.

NumPy releases the interpreter's lock in products, ufuncs and copies, so plain threads do.
A BLAS with threads of its own would fight them, and may round differently with each number.
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

from ..errors import ArgumentError
from ..locks import ForkSafeLock

Run = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]


def available_threads() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep NumPy's BLAS to one thread, as its results may round differently with each number.

    The number is mostly that of the whole process: of threads that are in here at once, the last
    sets it back to that which the first has found. It takes microseconds, where
    `threadpool_limits` looks for libraries for milliseconds.
    """
    of_process, of_thread = _controllers()
    limiters = _limiters.setdefault(os.getpid(), [])
    with of_thread.limit(limits=1):
        with _counting:
            _take_charge(of_process)
            limiters.append(of_process.limit(limits=1))
            _take_charge(of_process)
        try:
            yield
        finally:
            with _counting:
                _take_charge(of_process)
                limiters.pop().restore_original_limits()  # all but the first have found 1
                _take_charge(of_process)


# By process: if it is forked, at most one of the threads that are within goes on in the child.
_limiters: dict[int, list[Any]] = {}
_counting = ForkSafeLock()


@cache
def _controllers() -> tuple[ThreadpoolController, ThreadpoolController]:
    """Return BLAS libraries that have a number for the process, and those with one per thread.

    The latter are OpenBLAS with OpenMP.
    """
    blas = ThreadpoolController().select(user_api="blas")
    of_thread = blas.select(internal_api="openblas").select(threading_layer="openmp")
    own = [library.filepath for library in of_thread.lib_controllers]
    others = [one.filepath for one in blas.lib_controllers if one.filepath not in own]
    return blas.select(filepath=others), of_thread


def _take_charge(controller: ThreadpoolController) -> None:
    """Let the next thread that sets a number do so, whichever has set it before.

    As threads can't each have a number of their own, threadpoolctl (since 3.8) ignores the
    settings of all but one of them. Here they agree.
    """
    for library in controller.lib_controllers:
        getattr(library, "clear_controlling_thread", lambda force: None)(force=True)


@contextmanager
def workers(threads: int | None = None) -> Iterator[Run]:
    """Yield ``run(function, items) -> list``, a `map` over at most `threads` threads.

    Parameters
    ----------
    threads : int, optional
        All available processors by default.
    """
    count = available_threads() if threads is None else threads
    if count < 1:
        raise ArgumentError(f"threads {threads} is not positive")
    with single_threaded_blas():
        if count == 1:
            yield serially
            return
        with ThreadPoolExecutor(count - 1) as pool:
            yield lambda function, items: _together(pool, count, function, items)


def serially(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Do what `workers` gives on the calling thread."""
    return [function(item) for item in items]


def _together(
    pool: ThreadPoolExecutor, count: int, function: Callable[[Any], Any], items: Iterable[Any]
) -> list[Any]:
    """Share the items between the calling thread and those of the pool.

    The caller works, too, as to wake a thread takes as long as many a task.
    """
    left = deque(enumerate(items))
    results: list[Any] = [None] * len(left)

    def work() -> None:
        while left:
            try:
                index, item = left.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                results[index] = function(item)
            except BaseException:
                left.clear()  # nobody begins another item
                raise

    others = [pool.submit(work) for _ in range(min(count, len(left)) - 1)]
    try:
        work()
    finally:
        wait(others)
    for other in others:
        other.result()
    return results
