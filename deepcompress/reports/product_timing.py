"""Times products with packed weights beside dense ones and SciPy's CSR, on this machine.

Weights are random: 5-bit labels, positions independent. Each answer is checked before it is
timed. The contestants take turns, packed, CSR and dense, of as many products as fill a few
milliseconds. The fastest turn of each counts: other work on the machine only ever makes turns
longer, and a user's machine isn't idle. `benchmarks/` takes tensors and checks from here.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise, product
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from .. import native, relindex
from ..errors import DeepCompressError
from ..packed.tensor import CompressedTensor
from ..runtime import crossover
from ..tensors import Float32Array, Float64Array, SharedWeights

SIZES = ((300, 784), (1024, 1024), (2048, 4096))  # LeNet-300-100's largest layer, and larger ones
REFERENCE_SIZES = SIZES[:1]  # as NumPy takes seconds for the others
DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.4)
BATCHES = (1, 8, 64)
TURNS, TURN_SECONDS = 7, 0.003
CASE_SECONDS = 0.7  # after which a case has no more turns, on a machine that is slow or busy
REST_SECONDS = 0.04  # OpenBLAS's threads spin for 30 ms, at the expense of the next product
BITS, GAP_BITS = 5, 5
EPS = 2.0**-23


@dataclass(frozen=True)
class Timing:
    """Seconds of one product, measured and by the model."""

    rows: int
    cols: int
    density: float
    batch: int
    ours_seconds: float
    dense_seconds: float
    scipy_csr_seconds: float
    model_packed_seconds: float
    model_dense_seconds: float

    @property
    def ratio_dense(self) -> float:
        """Dense over packed: more than 1 where packed is faster."""
        return self.dense_seconds / self.ours_seconds

    @property
    def ratio_scipy_csr(self) -> float:
        """CSR over packed."""
        return self.scipy_csr_seconds / self.ours_seconds

    @property
    def model_runs_dense(self) -> bool:
        """The decision of `runtime.crossover`."""
        return self.model_dense_seconds < self.model_packed_seconds


@dataclass(frozen=True)
class CrossOver:
    """The density from which on dense products are faster; None if there is none up to 1.

    `measured` is None, too, where packed products won at all densities measured, and 0.0 where
    they lost at all.
    """

    rows: int
    cols: int
    batch: int
    measured: float | None
    model: float | None


def time_products(
    threads: int,
    sizes: Iterable[tuple[int, int]] = SIZES,
    densities: Iterable[float] = DENSITIES,
    batches: Iterable[int] = BATCHES,
    turn_seconds: float = TURN_SECONDS,
) -> Iterator[Timing]:
    """Time each combination; packed and dense products with as many threads.

    Raises
    ------
    DeepCompressError
        If an answer is wrong.
    """
    with threadpool_limits(threads):
        for (rows, cols), density in product(sizes, densities):
            packed = random_tensor((rows, cols), density)
            dense, csr = packed.to_dense(), packed.to_scipy_csr()
            for batch in batches:
                shape = (cols, batch) if batch > 1 else (cols,)
                x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
                calls = {
                    "ours": partial(packed.dot, x),
                    "scipy_csr": partial(csr.dot, x),
                    "dense": partial(dense.dot, x),
                }
                exact, bound = dense.astype(np.float64) @ x, product_bound(dense, x)
                verify(calls, exact, bound, f"a product of {dense.shape}")
                seconds = _take_turns(calls, turn_seconds, REST_SECONDS if threads > 1 else 0)
                isa = native.info()["isa"]
                packed_ns = crossover.packed_ns(rows, cols, csr.nnz, batch, isa, threads)
                dense_ns = crossover.dense_ns(rows, cols, batch, isa, threads)
                measured = seconds["ours"], seconds["dense"], seconds["scipy_csr"]
                model = packed_ns * 1e-9, dense_ns * 1e-9
                yield Timing(rows, cols, density, batch, *measured, *model)


def find_crossovers(timings: Iterable[Timing], isa: str | None, threads: int) -> list[CrossOver]:
    """Return where dense products begin to win, for each size and batch, in order.

    Between two densities that were measured, logarithms of ratio and density are taken to be on
    a line.
    """
    cases: dict[tuple[int, int, int], list[Timing]] = {}
    for timing in timings:
        cases.setdefault((timing.rows, timing.cols, timing.batch), []).append(timing)
    return [
        CrossOver(*case, _measured(rows), crossover.density(*case, isa, threads))
        for case, rows in cases.items()
    ]


def _measured(timings: list[Timing]) -> float | None:
    """Return the density at which the ratio falls below 1 for the last time."""
    ordered = sorted(timings, key=lambda timing: timing.density)
    logs = [(np.log(timing.density), np.log(timing.ratio_dense)) for timing in ordered]
    if logs[-1][1] >= 0:
        return None
    for (d0, r0), (d1, r1) in reversed([*pairwise(logs)]):
        if r0 >= 0 > r1:
            return float(np.exp(d0 + (d1 - d0) * r0 / (r0 - r1)))
    return 0.0


def random_tensor(
    shape: tuple[int, ...], density: float, bits: int = BITS, gap_bits: int = GAP_BITS
) -> CompressedTensor:
    """Return a tensor with random weights at independent places, always the same one."""
    rng = np.random.default_rng(0)
    mask = rng.random(shape, dtype=np.float32) < density
    positions = np.flatnonzero(mask)
    codebook = np.zeros(2**bits, np.float32)
    codebook[1:] = np.sort(rng.standard_normal(2**bits - 1))
    labels = rng.integers(1, 2**bits, len(positions)).astype(np.uint8)
    gaps = relindex.encode(positions, mask.size, gap_bits)
    return CompressedTensor.from_parts(shape, SharedWeights(codebook, labels, bits), gaps)


def product_bound(dense: Float32Array, x: Float32Array) -> Float64Array:
    """Return how far a product in float32 may be from the exact one, by the bound of `spmv`."""
    terms = np.count_nonzero(dense, axis=1).reshape(-1, *[1] * (x.ndim - 1))
    bound: Float64Array = (terms + 1) * EPS * (np.abs(dense).astype(np.float64) @ np.abs(x))
    return bound + 1e-30  # as products of tiny numbers vanish


def verify(
    calls: Mapping[str, Callable[[], Any]],
    exact: Float64Array,
    bound: Float64Array | float,
    what: str,
) -> None:
    """Raise DeepCompressError unless each call's answer is as exact as the bound says."""
    for name, call in calls.items():
        if not (np.abs(np.asarray(call()) - exact) <= bound).all():
            raise DeepCompressError(f"{what} is wrong: {name}")


def _take_turns(
    calls: Mapping[str, Callable[[], Any]], turn_seconds: float, rest_seconds: float
) -> dict[str, float]:
    """Return the seconds of one call of each, in its fastest turn."""
    counts: dict[str, int] = {}
    begin = time.perf_counter()
    for name, call in calls.items():
        start = time.perf_counter()
        call()
        counts[name] = max(1, int(turn_seconds / (time.perf_counter() - start)))
    turns: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(TURNS):
        time.sleep(rest_seconds)
        for name, call in calls.items():
            call()  # brings its data back to the cache
            start = time.perf_counter()
            for _ in range(counts[name]):
                call()
            turns[name].append((time.perf_counter() - start) / counts[name])
        if time.perf_counter() - begin > CASE_SECONDS:
            break
    return {name: min(seconds) for name, seconds in turns.items()}
