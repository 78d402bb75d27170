"""Measures this machine's coefficients for `runtime.crossover`, within seconds.

Each is found from the fastest of several turns, with one thread, as other work on the machine only
ever makes turns longer. Weights are those of `product_timing`.
"""

import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import native
from ..errors import BackendError
from ..runtime import costs
from ..tensors import Float32Array
from .product_timing import random_tensor

SECONDS = 0.15  # of one product's turns
SMALL, CACHED, LARGE = (16, 64), (1024, 1024), (4096, 4096)  # sides of the matrices
DENSITY = 0.1
FEW, MANY = 8, 64  # columns of x


def measure() -> dict[str, float]:
    """Return a value for each of `costs.MEASURED`, of the instruction set in use.

    They are within the bounds in which `costs` believes them.

    Raises
    ------
    BackendError
        With the reference backend, which has nothing to choose from.
    """
    isa = native.info()["isa"]
    if isa is None:
        raise BackendError("the reference backend has no kernels whose costs could be measured")
    usual = asdict(costs.shipped(isa))
    with threadpool_limits(1):
        found = _packed(usual) | _dense(usual["cache_bytes"] // 4)
    return {name: _within(found[name], usual[name]) for name in costs.MEASURED}


def _packed(usual: dict[str, float]) -> dict[str, float]:
    """Return the coefficients of packed products."""
    small, w, large = (random_tensor(sides, DENSITY) for sides in (SMALL, CACHED, LARGE))
    call = _ns(partial(small.dot, _x(SMALL[1]))) - _ns(partial(small.to_dense().dot, _x(SMALL[1])))
    entries = large.density * large.size
    entry = (_ns(partial(large.dot, _x(LARGE[1]))) - call - usual["row"] * large.rows) / entries
    many = {}
    for columns in (FEW, MANY):
        work = _ns(partial(w.dot, _x(CACHED[1], columns))) - call
        work -= usual["many_x"] * w.cols * columns
        many[columns] = work / (w.density * w.size)
    many_entry, many_column = _line(many)
    return {
        "call": call,
        "entry": entry,
        "many_entry": many_entry,
        "many_column": many_column,
    }


def _dense(cached: float) -> dict[str, float]:
    """Return the coefficients of dense products; `cached` weights are read from a cache."""
    w, large = np.ones(CACHED, np.float32), np.ones(LARGE, np.float32)
    near = _ns(partial(w.dot, _x(CACHED[1]))) / w.size
    far = (_ns(partial(large.dot, _x(LARGE[1]))) - near * cached) / (large.size - cached)
    many = {n: _ns(partial(w.dot, _x(CACHED[1], n))) / w.size for n in (FEW, MANY)}
    weight, column = _line(many)
    return {
        "dense_cached": near,
        "dense_memory": far,
        "dense_weight": weight,
        "dense_column": column,
    }


def _x(*shape: int) -> Float32Array:
    """Return a vector or a matrix to multiply with."""
    return np.random.default_rng(1).standard_normal(shape, np.float32)


def _line(by_columns: dict[int, float]) -> tuple[float, float]:
    """Return the time for no column and that for each, from those for a few and for many."""
    each = (by_columns[MANY] - by_columns[FEW]) / (MANY - FEW)
    return by_columns[FEW] - FEW * each, each


def _within(value: float, usual: float) -> float:
    return float(min(max(value, usual / costs.FACTOR), usual * costs.FACTOR))


def _ns(call: Callable[[], Any]) -> float:
    """Return the nanoseconds of a call, in its fastest turn."""
    call()
    end, best = time.perf_counter() + SECONDS, float("inf")
    while best == float("inf") or time.perf_counter() < end:
        begin = time.perf_counter_ns()
        call()
        best = min(best, time.perf_counter_ns() - begin)
    return best
