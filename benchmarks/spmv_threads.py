"""Two threads against one in products with a vector, in the three states that a process can be in.

`bench_spmv --cases` runs it. Each product is timed in turns, now with one thread, now with all:

- in a ``loop``, one call after the other, when the threads are awake;
- ``rested``, 10 ms after the last call, when they sleep;
- ``beside`` PyTorch's threads, which have just had work and look for more, on the processors that
  ours could have.

``idle`` is what the threads cost between calls: seconds of a processor for a second, at a call per
1, 10 and 100 ms, with all threads and with one.
"""

import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from deepcompress import native
from deepcompress.native import pool as native_pool
from deepcompress.reports.product_timing import product_bound, random_tensor, verify

REST = 0.01
TURN_SECONDS = 0.03
CALLS = 12  # of a turn, after rests
IDLE_SECONDS = 2.0
INTERVALS = 1e-3, 1e-2, 1e-1

State = Callable[[Callable[[], Any]], float]


def timed(call: Callable[[], Any]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def in_loop(call: Callable[[], Any]) -> float:
    """Return the median of calls in a row, but for the first ones."""
    for _ in range(5):
        call()
    seconds, end = [], time.perf_counter() + TURN_SECONDS
    while time.perf_counter() < end:
        seconds.append(timed(call))
    return statistics.median(seconds)


def rested(call: Callable[[], Any]) -> float:
    """Return the median of calls, each after a rest."""
    seconds = []
    for _ in range(CALLS):
        time.sleep(REST)
        seconds.append(timed(call))
    return statistics.median(seconds)


def beside(call: Callable[[], Any]) -> float:
    """Return the median of calls, each right after work of PyTorch's threads."""
    ones = torch.ones(300_000)
    seconds = []
    for _ in range(CALLS):
        ones.add_(1.0)
        ones.mul_(0.5)
        seconds.append(timed(call))
    return statistics.median(seconds)


STATES: dict[str, State] = {"loop": in_loop, "rested": rested, "beside": beside}


def compare(cases: Iterable[Any], threads: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row for each layer and state: medians of turns with one thread and with all."""
    torch.set_num_threads(threads)
    rows = []
    for case in cases:
        w = random_tensor((case.rows, case.cols), case.density)
        x = np.random.default_rng(1).standard_normal(case.cols).astype(np.float32)
        out = np.empty(case.rows, np.float32)

        def call(w: Any = w, x: Any = x, out: Any = out) -> Any:
            return w.dot(x, out)

        dense = w.to_dense()
        exact, bound = dense.astype(np.float64) @ x, product_bound(dense, x)
        for state, measure in STATES.items():
            turns: dict[int, list[float]] = {1: [], threads: []}
            before = native_pool.report()
            for _ in range(rounds):
                for count, seconds in turns.items():
                    native.set_threads(count)
                    if state != "beside":
                        time.sleep(0.05)  # whoever spins goes to sleep
                    seconds.append(measure(call))
            verify({case.name: call}, exact, bound, f"a product of {case.name}")
            after = native_pool.report()
            one, many = (statistics.median(seconds) for seconds in turns.values())
            done = {name: after[name] - before[name] for name in ("shared", "woken", "refused")}
            rows.append(
                {
                    "layer": case.name,
                    "state": state,
                    "threads": threads,
                    "one_seconds": one,
                    "seconds": many,
                    "ratio": many / one,
                    **done,
                }
            )
            print(f"{case.name:16} {state:7} {one * 1e3:7.3f} ms, {many * 1e3:7.3f} ms with "
                  f"{threads} threads: {many / one:.2f}  {done}", flush=True)  # fmt: skip
    native.set_threads()
    return rows


def idle(case: Any, threads: int) -> list[dict[str, float]]:
    """Return a row for each interval: the processor's time over time, with all threads and one."""
    w = random_tensor((case.rows, case.cols), case.density)
    x, rows = np.ones(case.cols, np.float32), []
    for interval in INTERVALS:
        load = {}
        for count in (1, threads):
            native.set_threads(count)
            w.dot(x)
            spent, begin = time.process_time(), time.perf_counter()
            turn = begin
            while turn - begin < IDLE_SECONDS:
                w.dot(x)
                turn += interval
                time.sleep(max(0.0, turn - time.perf_counter()))
            load[count] = (time.process_time() - spent) / (time.perf_counter() - begin)
        extra = load[threads] - load[1]
        rows.append({"interval": interval, "one": load[1], "all": load[threads], "extra": extra})
        print(f"a call of {case.name} per {interval * 1e3:.0f} ms: {load[1]:.2%} of a processor "
              f"with one thread, {load[threads]:.2%} with {threads}", flush=True)  # fmt: skip
    native.set_threads()
    return rows
