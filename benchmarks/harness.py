"""The parts of all benchmarks: contestants that take turns, and the machine that they ran on."""

import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deepcompress import native
from deepcompress.reports.product_timing import verify


def medians(
    calls: dict[str, Callable[[], Any]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of each call, by a clock of those in `time`.

    In each round all take turns, twice in a row each: the first turn warms the caches that the
    others have used, the second counts.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            started = clock()
            call()
            times[name].append(clock() - started)
    return {name: statistics.median(mine) for name, mine in times.items()}


def compare(
    calls: dict[str, Callable[[], Any]],
    exact: np.ndarray,
    bound: np.ndarray | float,
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return `medians`, or raise DeepCompressError if an answer is further off than the bound."""
    verify(calls, exact, bound, "an answer")
    return medians(calls, rounds, clock)


def row(case: str, seconds: dict[str, float], **more: Any) -> dict[str, Any]:
    """Return a row of figures; ratios are peer / ours, more than 1 where we are faster."""
    peers = [name for name in seconds if name != "ours"]
    return {
        "case": case,
        **more,
        **{f"{name}_seconds": value for name, value in seconds.items()},
        **{f"ratio_{name}": seconds[name] / seconds["ours"] for name in peers},
    }


def require_kernels() -> None:
    """Stop where there are no kernels to be timed.

    A checkout comes before an installed package, and has the kernels only if it is what was
    installed.
    """
    if not native.active():
        reason = native.info()["reason"] or "the reference backend was asked for"
        raise SystemExit(
            f"no C kernels to be timed ({reason}); pip install -e . compiles them here"
        )


def machine(threads: int | None = None, **versions: Any) -> dict[str, Any]:
    """Describe what this ran on; `threads` are those in use by default."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.processor(),
        "processors": os.cpu_count(),
        "threads": threads or native.threads(),
        "system": platform.platform(),
        "compiler": native.info()["compiler"],
        "backend": native.backend(),
        "numpy": np.__version__,
        **versions,
    }
