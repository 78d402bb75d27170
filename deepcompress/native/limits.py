"""How many threads native work may take, and how long they look for more before they sleep.

The number is that of `set_threads`, or else of ``OMP_NUM_THREADS``, or else of the processors that
the process may use. ``threadpoolctl`` limits it for the calling thread, as it does for OpenMP, by
the controller that `register` hands to it.
"""

import math
import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import threadpoolctl

from ..errors import ConfigError

SPIN_US = 150.0  # microseconds; to wake a thread takes a tenth or a half of it
MOST_SPIN_US = 1e6
_GROUPS = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


class _Limits:
    """What was set for the process; `era` tells limits of threads that are older."""

    number: int | None = None
    spin_us: float | None = None
    era = 0


_limits = _Limits()
_own = threading.local()  # `number` and `era` of a thread that was limited


def number() -> int:
    """Return how many threads native work of the calling thread may take, at least 1."""
    if getattr(_own, "era", None) == _limits.era:
        return int(_own.number)
    return _limits.number or _of_environment()


def spin_us() -> float:
    """Return for how many microseconds a thread looks for more work.

    Raises
    ------
    ConfigError
        If ``DEEPCOMPRESS_SPIN_US`` isn't such a number.
    """
    return _spin_of_environment() if _limits.spin_us is None else _limits.spin_us


def set_process(threads: int | None, spin_us: float | None) -> None:
    """Set both for the process, None being what the environment says; limits of threads end."""
    _limits.number, _limits.spin_us = threads, spin_us
    _limits.era += 1


def set_thread(threads: int) -> None:
    """Limit the calling thread, until `set_process`."""
    _own.number, _own.era = max(int(threads), 1), _limits.era


@cache
def processors() -> int:
    """Count the processors that this process may use: by its affinity and its groups' quotas."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, math.ceil(min(count, _quota())))


def _quota() -> float:
    """Return of how many processors the time is the process's, by its control groups."""
    least = math.inf
    try:
        lines = _GROUPS.read_text().splitlines()
    except OSError:
        return least
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        root = _CGROUPS / controllers if controllers else _CGROUPS
        folder = root / group.lstrip("/")
        for place in (folder, *folder.parents):  # a container may see its own as the root
            least = min(least, _quota_of(place))
            if place == root:
                break
    return least


def _quota_of(folder: Path) -> float:
    """Return the quota of a group, in either version of its files; infinite without one."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text()
            period = (folder / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # "max" isn't a number
        return math.inf


@cache
def _of_environment() -> int:
    """Return the number of OpenMP's variables, whose nonsense is ignored as OpenMP does."""
    first = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()  # one for each level
    count = int(first) if first.isdecimal() and int(first) else processors()
    limit = os.environ.get("OMP_THREAD_LIMIT", "").strip()
    return min(count, int(limit)) if limit.isdecimal() and int(limit) else count


@cache
def _spin_of_environment() -> float:
    text = os.environ.get("DEEPCOMPRESS_SPIN_US")
    if text is None:
        return SPIN_US
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MOST_SPIN_US:
        raise ConfigError(
            f"DEEPCOMPRESS_SPIN_US must be microseconds from 0 to {MOST_SPIN_US:.0f}: {text!r}"
        )
    return value


class _Controller(threadpoolctl.LibController):  # type: ignore[misc]
    """The limits as ``threadpoolctl`` knows them; the file is that of the C extension."""

    user_api = "deepcompress"
    internal_api = "deepcompress"
    filename_prefixes = ("_native",)
    check_symbols = ("dc_pool_create",)

    def get_num_threads(self) -> int:
        """Return the number of the calling thread."""
        return number()

    def set_num_threads(self, num_threads: int) -> None:
        """Limit the calling thread."""
        set_thread(num_threads)

    def get_version(self) -> None:
        """Return nothing, as the package has one of its own."""


@cache
def register() -> Any:
    """Hand the controller to ``threadpoolctl``, once."""
    threadpoolctl.register(_Controller)
    return _Controller
