"""Time ``x @ w`` of weights (in, out) against ``w @ x`` of the same weights as (out, in).

``python -m benchmarks.bench_transposed [--threads N] [--batch N] [--rounds N] [--isa NAME ...]
[--layer NAME ...] [--json FILE]``; a batch of N > 1 is a matrix of N rows, or of N columns.

Layers are those of the paper's Table 8, with the weights of `bench_spmv`: 5-bit labels, random
positions. First each answer is checked against float64. Then three contestants take turns, twice
in a row each: the first turn warms the caches, the second counts. They are ``w @ x``, ``x @ v``
and ``v.T @ x``, where v is the transpose of w, packed on its own. x is contiguous for each, so that
``x @ v`` has to turn a batch round. Ratios are of medians, over that of ``w @ x``: more than 1
means that the transpose is slower. Beside them are the milliseconds of the first product, which
builds a layout.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from deepcompress import native, relindex
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.reports.product_timing import product_bound, random_tensor, verify
from deepcompress.spmv import transpose
from deepcompress.tensors import SharedWeights

from .bench_spmv import TABLE_8, Case, timed
from .harness import machine, require_kernels


def turned(w: CompressedTensor) -> CompressedTensor:
    """Return the transpose as a tensor of its own, (in, out)."""
    positions, labels = transpose((w.rows, w.cols), *w.survivors())
    gaps = relindex.encode(positions, w.size, w.gap_bits)
    weights = SharedWeights(w.codebook, labels, w.label_bits)
    return CompressedTensor.from_parts((w.cols, w.rows), weights, gaps)


def measure(case: Case, isa: str, batch: int, threads: int, rounds: int) -> dict[str, Any]:
    """Return the row of a layer."""
    w = random_tensor((case.rows, case.cols), case.density)
    v = turned(w)
    dense = w.to_dense()
    shape = (case.cols, batch) if batch > 1 else (case.cols,)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    rows = np.ascontiguousarray(x.T)
    with native.use("native", isa):
        first = {"w @ x": seconds_of(partial(w.dot, x)), "x @ v": seconds_of(lambda: rows @ v)}
        calls: dict[str, Callable[[], Any]] = {
            "w @ x": lambda: w @ x,
            "x @ v": lambda: rows @ v,
            "v.T @ x": lambda: v.T @ x,
        }
        right = dense.astype(np.float64) @ x, product_bound(dense, x), f"a product of {case.name}"
        verify({name: partial(upright, call, x) for name, call in calls.items()}, *right)
        seconds: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(rounds):
            for name, call in calls.items():
                seconds[name].append(timed(call, threads))
    median = {name: statistics.median(turns) for name, turns in seconds.items()}
    return {
        "layer": case.name,
        "batch": batch,
        "threads": threads,
        "isa": isa,
        "seconds": median,
        "first_seconds": first,
        "ratio_from_left": median["x @ v"] / median["w @ x"],
        "ratio_transposed": median["v.T @ x"] / median["w @ x"],
        "bytes": {"w @ x": w.nbytes, "x @ v": v.nbytes},
    }


def upright(call: Callable[[], np.ndarray], x: np.ndarray) -> np.ndarray:
    """Return a product with a column for each of x, whichever way round it is computed."""
    y = call()
    return y if y.ndim == 1 or y.shape[1] == x.shape[1] else y.T


def seconds_of(call: Callable[[], Any]) -> float:
    """Return the seconds of one call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def main() -> None:
    """Measure, print the table and write the rows."""
    isas = list(native.info()["available_isas"])
    layers = {case.name: case for case in TABLE_8}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1, help="vectors of x")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--isa", nargs="+", choices=isas, default=[native.info()["isa"]])
    parser.add_argument("--layer", nargs="+", choices=list(layers), default=list(layers))
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    require_kernels()
    threadpool_limits(options.threads)
    rows = []
    for isa in options.isa:
        for name in options.layer:
            row = measure(layers[name], isa, options.batch, options.threads, options.rounds)
            rows.append(row)
            ms = {name: 1e3 * seconds for name, seconds in row["seconds"].items()}
            first = {name: 1e3 * seconds for name, seconds in row["first_seconds"].items()}
            print(
                f"{name:12} {isa:7} w @ x {ms['w @ x']:7.3f} ms  "
                f"x @ v {row['ratio_from_left']:.2f}  v.T @ x {row['ratio_transposed']:.2f}  "
                f"first {first['w @ x']:.0f} and {first['x @ v']:.0f} ms  "
                f"{row['bytes']['w @ x']} and {row['bytes']['x @ v']} bytes",
                flush=True,
            )
    of_vectors = [row["ratio_from_left"] for row in rows]
    mean, worst = statistics.geometric_mean(of_vectors), max(of_vectors)
    print(f"x @ v over w @ x: {mean:.2f} in the geometric mean, {worst:.2f} at most")
    if options.json:
        content = {"machine": machine(options.threads), "rows": rows, "mean_from_left": mean}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
