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
from itertools import pairwise
from typing import Any

import numpy as np
from threadpoolctl import ThreadpoolController

from ..errors import ArgumentError
from ..locks import ForkSafeLock

Run = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]

SLICE_BYTES = 1 << 20  # of an array: nearly fits a second cache, and is worth waking a thread


def serially(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Be the `Run` of one thread."""
    return [function(item) for item in items]


def slices(length: int, work: int, most: int = SLICE_BYTES) -> list[slice]:
    """Cut an axis into slices of nearly equal length, each worth at most `most`.

    They depend on the work alone and never on the number of threads, so that results can't.

    Parameters
    ----------
    length : int
    work : int
        That each place of the axis is worth, in the unit of `most`.
    """
    longest = max(1, most // max(work, 1))
    count = max(1, -(-length // longest))
    bounds = [length * part // count for part in range(count + 1)]
    return [slice(*pair) for pair in pairwise(bounds)]


def available_threads() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep NumPy's BLAS to one thread, as its results may round differently with each number.

    The number is mostly that of the whole process: of threads that are in here at once, the last
    sets it back to what the first has found. It takes microseconds, where `threadpool_limits`
    looks for libraries for milliseconds.
    """
    process = os.getpid()
    with _counting:
        found = [library.get_num_threads() for library in _libraries()]
        inside, before = _within.get(process, (0, found))
        _within[process] = inside + 1, before if inside else found
        _set_threads([1] * len(found))
    try:
        yield
    finally:
        with _counting:
            inside, before = _within[process]
            _within[process] = inside - 1, before
            wanted = list(before) if inside == 1 else [1] * len(before)
            for index, library in enumerate(_libraries()):
                if _is_set_by_thread(library):
                    wanted[index] = found[index]
            _set_threads(wanted)


# How many are within, and what the first has found, by process: of those within when a process
# is forked, one at most goes on in it.
_within: dict[int, tuple[int, list[int]]] = {}
_counting = ForkSafeLock()


def _set_threads(numbers: list[int]) -> None:
    """Set the numbers of threads of the libraries, whichever thread has set them before.

    As threads can't each have a number of their own, threadpoolctl (since 3.8) ignores what
    others than one of them set. Here they agree.
    """
    for library, number in zip(_libraries(), numbers, strict=True):
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(number)
        release(force=True)


def _is_set_by_thread(library: Any) -> bool:
    """Tell whether each thread has a number of its own, as with OpenMP."""
    is_openmp = getattr(library, "threading_layer", None) == "openmp"
    return bool(library.internal_api == "openblas" and is_openmp)


@cache
def _libraries() -> list[Any]:
    """Return the BLAS libraries that are loaded, of which NumPy's is one."""
    found = ThreadpoolController().select(user_api="blas").lib_controllers
    return [library for library in found if library.get_num_threads() is not None]


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
        with ThreadPoolExecutor(count) as pool:
            yield lambda function, items: list(pool.map(function, items))


class Crew:
    """Threads that are kept for many short tasks, and sleep in between.

    They are made when first needed, anew in a forked process, and end with this object.
    """

    def __init__(self) -> None:
        self._kept: tuple[tuple[int, int], ThreadPoolExecutor | None] = ((0, 0), None)

    def __reduce__(self) -> tuple[Any, ...]:
        return Crew, ()  # a copy makes its own threads

    def of(self, threads: int) -> Run:
        """Return a `Run` over so many threads at most, of which the calling one is the first.

        To wake a thread takes as long as an item may, so each gets two or more, one whenever
        it has done the one before. Where NumPy warns and what it ignores is as in the calling
        thread, and BLAS has one thread.
        """
        if threads == 1:
            return serially

        def run(function: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
            pending = deque(enumerate(items))
            results: list[Any] = [None] * len(pending)
            floating = np.geterr()

            def work() -> None:
                while pending:
                    try:
                        place, item = pending.popleft()
                    except IndexError:  # another thread was faster
                        return
                    results[place] = function(item)

            def help_out() -> None:
                with single_threaded_blas(), np.errstate(**floating):
                    work()

            count = min(threads, len(pending) // 2)
            if count < 2:
                work()
                return results
            pool = self._pool(threads - 1)
            with single_threaded_blas():  # around that of the others, which set it back to this
                helpers = [pool.submit(help_out) for _ in range(count - 1)]
                try:
                    work()
                finally:
                    pending.clear()
                    wait(helpers)
            for helper in helpers:
                helper.result()
            return results

        return run

    def _pool(self, size: int) -> ThreadPoolExecutor:
        key = (os.getpid(), size)  # threads aren't forked along
        kept, pool = self._kept
        if pool is None or kept != key:
            pool = ThreadPoolExecutor(size, "deepcompress")
            self._kept = (key, pool)
        return pool
