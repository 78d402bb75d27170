"""Threads that can't change a result: independent tasks, each with a single-threaded BLAS.

NumPy releases the interpreter's lock in products, ufuncs and copies, so plain threads do.
A BLAS with threads of its own would fight them, and may round differently with each number.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController, threadpool_limits

from ..errors import ArgumentError

Run = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]


def available_threads() -> int:
    """Count the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Keep NumPy's BLAS to one thread, as its results may round differently with each number.

    It takes microseconds, where `threadpool_limits` looks for libraries for milliseconds.
    """
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    return ThreadpoolController()


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
    with threadpool_limits(1, "blas"):
        if count == 1:
            yield lambda function, items: [function(item) for item in items]
            return
        with ThreadPoolExecutor(count) as pool:
            yield lambda function, items: list(pool.map(function, items))
