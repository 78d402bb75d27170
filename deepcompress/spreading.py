"""Independent tasks on whatever workers the caller of `joblib.parallel_config` has chosen.

Where nobody has chosen processes, work is done by threads of this one, and nothing here is
needed but `jobs_here`. Else a task carries all of its data with it, so that another worker can do
it again if one is killed. Tasks are made by the caller's thread alone, in rounds that together
hold no more than so many times the largest one. As the largest come first where sizes are known,
a worker waits for the others, over all rounds, about as long as the largest task takes.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib
from joblib.parallel import get_active_backend

from .checks import is_whole
from .errors import ArgumentError, BackendError, DeepCompressError

TRIES = 3  # of a round whose workers were killed
TASK_BYTES = 4096  # what a task takes besides its arrays, and a little time

Result = TypeVar("Result")


@dataclass(frozen=True)
class Parcel:
    """The arguments of a function, and the bytes of the arrays among them."""

    arguments: tuple[Any, ...]
    size_bytes: int


def in_processes() -> bool:
    """Tell whether the caller has chosen workers that don't share this process's memory."""
    backend, _ = get_active_backend(prefer="threads")  # threads unless a backend was chosen
    return not getattr(backend, "supports_sharedmem", False)


def jobs_here(jobs: int | None, otherwise: int = 1) -> int:
    """Return how many tasks to have at once.

    Parameters
    ----------
    jobs : int or None
        As was asked for. None is for what `joblib.parallel_config` says, in processes all workers.
    otherwise : int
        Where that says nothing.

    Raises
    ------
    ArgumentError
        If `jobs`, or ``n_jobs`` of `joblib.parallel_config`, isn't such a number.
    BackendError
        If a cluster has no workers.
    """
    if jobs is not None:
        if not is_whole(jobs, 1):
            raise ArgumentError(f"jobs must be a positive integer, not {jobs!r}")
        return int(jobs)
    try:
        count = int(joblib.effective_n_jobs(None))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"n_jobs of joblib.parallel_config: {error}") from error
    except Exception as error:  # of any kind: a cluster that doesn't answer
        raise BackendError(f"joblib's backend {_name()}: {error}") from error
    if in_processes():
        return max(count, 1)
    return count if count > 1 else otherwise


def spread(function: Callable[..., Result], tasks: Iterable[Parcel], jobs: int) -> Iterator[Result]:
    """Yield what a function returns for each task, in order.

    Parameters
    ----------
    function : callable
        At the top of a module, so that another process finds it; what it returns can be pickled.
    tasks : iterable of Parcel
        Taken by this thread, and no more at a time than `jobs` times the largest one until then.
    jobs : int

    Raises
    ------
    BackendError
        If workers fail again and again, as when they are killed for want of memory. What the
        function raises on purpose comes through.
    """
    largest = 0
    pending = iter(tasks)
    while True:
        tasks_now, largest = _round(pending, jobs, largest)
        if not tasks_now:
            return
        results = _results(function, tasks_now, jobs)
        tasks_now.clear()
        yield from results


def _round(pending: Iterator[Parcel], jobs: int, largest: int) -> tuple[list[Parcel], int]:
    """Take as many tasks as may be held; `largest` has the bytes of the largest one until now."""
    tasks: list[Parcel] = []
    total = 0
    for task in pending:
        tasks.append(task)
        size = task.size_bytes + TASK_BYTES
        largest, total = max(largest, size), total + size
        if total + size > jobs * largest:  # another one like this
            break
    return tasks, largest


def _results(function: Callable[..., Result], tasks: list[Parcel], jobs: int) -> list[Result]:
    """Return the results of one round, which is tried again if a worker was killed.

    Dask does that by itself, for the one task.
    """
    for tries_left in reversed(range(TRIES)):
        # Each task in a batch of its own. Arrays aren't mapped from files: those would have
        # to fit into /dev/shm, which is small in containers.
        run = joblib.Parallel(jobs, pre_dispatch="all", batch_size=1, max_nbytes=None)
        try:
            results: list[Result] = run(
                joblib.delayed(_called)(function, task.arguments) for task in tasks
            )
            return results
        except (DeepCompressError, MemoryError):
            raise
        except Exception as error:  # of any kind: each backend has its own
            if tries_left == 0 or not _was_killed(error):
                what = f"{type(error).__name__}: {error}"
                raise BackendError(f"joblib's backend {_name()} failed: {what}") from error
    raise AssertionError("unreachable")


def _called(function: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
    """Call a function; joblib's Dask backend leaves what is in a tuple with its task.

    An array that is an argument itself would be put onto one worker, and be lost with it.
    """
    return function(*arguments)


def _was_killed(error: Exception) -> bool:
    """Tell whether a worker of loky is gone; a new call starts new ones."""
    return any(one.__name__ == "BrokenProcessPool" for one in type(error).__mro__)


def _name() -> str:
    backend, _ = get_active_backend(prefer="threads")
    return type(backend).__name__
