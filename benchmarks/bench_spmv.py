"""Time ``y = W x`` from packed weights against MKL, SciPy and OpenBLAS.

``python -m benchmarks.bench_spmv [--threads N] [--batch N] [--json FILE] [--rounds N]
[--isa NAME ...] [--layer NAME ...] [--cold] [--prefer HOW] [--cases] [--sweep [--picture FILE]]``;
a batch of N > 1 is the product with a matrix of N columns. ``--prefer`` takes the form for speed or
for memory everywhere, by default that which is chosen. ``--cold`` throws everything out of the
caches before each call that counts, as happens in a network whose layers take turns. ``--cases``
compares N threads with one instead, in a loop, after rests and beside PyTorch's threads
(`spmv_threads`). ``--sweep`` goes through densities, sizes and batches beside dense ones and CSR
instead (`spmv_sweep`).

Layers of the paper's Table 8 and of EIE (Han et al. 2016, Table III), 5-bit labels, random
positions. First each answer is checked against float64. Then the contestants take turns, twice
in a row each: the first turn warms the caches that the others have used, the second counts.
Ratios are of medians, peer over ours, so more than 1 means that we are faster. The gather
limit is the time to gather an element of x for each surviving weight and do nothing else, by the
processor's own gathers; where those are slow, as on AMD's, products can be faster than that.

The rows of a layer are a ladder from the paper's y = W x up: `plain` is the loop over the stream
of gaps and labels as the file has it, ``scalar`` the portable kernel over a layout, and so on.

Each row has the bytes of weights that each contestant reads, and what the paper measured for the
layer on a Core i7-5930K with MKL (Table 8; per sample there, per product here).

All have as many threads, but for SciPy, whose products have only one, and the gather limit, which
is that of one. PyTorch and MKL share the threads of the OpenMP which PyTorch brings, OpenBLAS has
its own and we have ours. Each would look for work on into the turns of others, so that with threads
each contestant rests before its first turn. All are kept off the processor of the main thread:
some virtual machines else put threads that have rested on the same one.
"""

import argparse
import itertools
import json
import os
import statistics
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy
import torch
from scipy.sparse import csr_array
from threadpoolctl import threadpool_limits

from deepcompress import native, spmv
from deepcompress.native import pool as native_pool
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.reports.product_timing import product_bound, random_tensor, verify
from deepcompress.spmv.choose import PREFER

from . import spmv_sweep, spmv_threads
from .gather_limit import GatherLimit, compile_gather
from .harness import machine, require_kernels

PROCESSORS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
REST = 0.05  # seconds; OpenBLAS's threads spin for 30 ms
EVICTING_BYTES = 1 << 28  # some times the last cache of any processor with a few of them


class Case(NamedTuple):
    """A layer: y of `rows` elements from x of `cols`."""

    name: str
    rows: int
    cols: int
    density: float


TABLE_8 = [
    Case("alexnet-fc6", 4096, 9216, 0.09),
    Case("alexnet-fc7", 4096, 4096, 0.09),
    Case("alexnet-fc8", 1000, 4096, 0.25),
    Case("vgg-fc6", 4096, 25088, 0.04),
    Case("vgg-fc7", 4096, 4096, 0.04),
    Case("vgg-fc8", 1000, 4096, 0.23),
]
# EIE prints a layer's input before its output.
NEURALTALK = [
    Case("neuraltalk-we", 600, 4096, 0.10),
    Case("neuraltalk-wd", 8791, 600, 0.11),
    Case("neuraltalk-lstm", 2400, 1201, 0.10),
]
# Table 8's microseconds per sample on the i7, dense and sparse, by batch, in the order above.
PAPER_I7 = {
    1: (
        (7516.2, 6187.1, 1134.9, 35022.8, 5372.8, 774.2),
        (3066.5, 1282.1, 890.5, 3774.3, 545.1, 777.3),
    ),
    64: ((318.4, 188.9, 45.8, 1056.0, 188.3, 45.7), (1417.6, 682.1, 407.7, 1780.3, 274.9, 363.1)),
}
PEERS = ("plain", "mkl_csr", "mkl_dense", "scipy_csr", "openblas_dense", "gather_limit")


def contestants(
    case: Case, packed: CompressedTensor, dense: np.ndarray, x: np.ndarray, gather: Any
) -> tuple[dict[str, Callable[[], Any]], int]:
    """Return the call of each peer, and the bytes of the weights as CSR."""
    csr: csr_array = packed.to_scipy_csr()
    csr.indices, csr.indptr = csr.indices.astype(np.int32), csr.indptr.astype(np.int32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls its CSR a beta version
        mkl = torch.sparse_csr_tensor(
            *map(torch.from_numpy, (csr.indptr, csr.indices, csr.data)), size=dense.shape
        )
    x_torch, dense_torch = torch.from_numpy(x), torch.from_numpy(dense)
    stream, out = packed.stream(), np.empty((case.rows, *x.shape[1:]), np.float32)
    peers: dict[str, Callable[[], Any]] = {
        "plain": lambda: spmv.dot(stream, x, out),
        "mkl_csr": lambda: mkl @ x_torch,
        "mkl_dense": lambda: dense_torch @ x_torch,
        "scipy_csr": lambda: csr @ x,
        "openblas_dense": lambda: dense @ x,
    }
    if gather and x.ndim == 1:
        has_avx512 = "avx512" in native.info()["available_isas"]
        peers["gather_limit"] = GatherLimit(gather, x, csr.nnz, case.density, has_avx512)
    return peers, csr.data.nbytes + csr.indices.nbytes + csr.indptr.nbytes


def keep_apart(processors: list[int]) -> None:
    """Give the first processor to this thread and the others to all that there are beside it."""
    for task in map(int, os.listdir("/proc/self/task")):
        mine = task == threading.get_native_id()
        os.sched_setaffinity(task, processors[:1] if mine else processors[1:])


def have_threads(call: Callable[[], Any], threads: int) -> None:
    """Call until all threads of ours are there, which have to be worth it each time."""
    end = time.monotonic() + 5
    while native_pool.report()["threads"] < threads - 1 and time.monotonic() < end:
        call()


def timed(
    call: Callable[[], Any], threads: int, evicting: np.ndarray[Any, Any] | None = None
) -> float:
    """Return the seconds of a second call, before which something large may be read."""
    time.sleep(REST if threads > 1 else 0)
    call()
    if evicting is not None:
        evicting.max()
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(
    case: Case,
    isas: list[str],
    batch: int,
    threads: int,
    rounds: int,
    cold: bool,
    prefer: str,
    gather: Any,
) -> list[dict[str, Any]]:
    """Return a row for each instruction set."""
    evicting = np.ones(EVICTING_BYTES, np.uint8) if cold else None
    packed = random_tensor((case.rows, case.cols), case.density)
    dense = packed.to_dense()
    shape = (case.cols, batch) if batch > 1 else (case.cols,)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    peers, csr_bytes = contestants(case, packed, dense, x, gather)
    right = dense.astype(np.float64) @ x, product_bound(dense, x), f"a product of {case.name}"
    verify({name: call for name, call in peers.items() if name != "gather_limit"}, *right)
    # One tensor for each set, as a layout is made for the set in use at the first product.
    tensors = {isa: packed[:] for isa in isas}  # noqa: C420  (each its own)
    out = np.empty((case.rows, *x.shape[1:]), np.float32)
    for isa, tensor in tensors.items():
        with native.use("native", isa):
            tensor.layout(prefer)
            verify({isa: partial(tensor.dot, x)}, *right)
    if threads > 1 and len(PROCESSORS) > 1:
        have_threads(partial(tensors[isas[-1]].dot, x), threads)
        keep_apart(PROCESSORS)  # now that all threads have been made
    seconds: dict[str, list[float]] = {name: [] for name in [*isas, *peers]}
    for _ in range(rounds):
        for isa, tensor in tensors.items():
            with native.use("native", isa):
                seconds[isa].append(timed(partial(tensor.dot, x, out), threads, evicting))
        for name, call in peers.items():
            seconds[name].append(timed(call, threads, evicting))
    median = {name: statistics.median(turns) for name, turns in seconds.items()}
    return [
        {
            "layer": case.name,
            "batch": batch,
            "threads": threads,
            "cold": cold,
            "prefer": prefer,
            "isa": isa,
            "rows": case.rows,
            "cols": case.cols,
            "density": case.density,
            "layout": describe(tensors[isa]),
            "ours_bytes": tensors[isa].nbytes,
            "csr_bytes": csr_bytes,
            "dense_bytes": dense.nbytes,
            "ratio_bytes": csr_bytes / tensors[isa].nbytes,
            "ours_seconds": median[isa],
            **{f"{name}_seconds": median[name] for name in peers},
            **{f"ratio_{name}": median[name] / median[isa] for name in peers},
            **of_paper(case, batch),
        }
        for isa in isas
    ]


def of_paper(case: Case, batch: int) -> dict[str, float]:
    """Return the seconds of a product on the paper's i7, if it has them."""
    if case not in TABLE_8 or batch not in PAPER_I7:
        return {}
    dense, sparse = (times[TABLE_8.index(case)] * batch / 1e6 for times in PAPER_I7[batch])
    return {"paper_i7_dense_seconds": dense, "paper_i7_sparse_seconds": sparse}


def describe(tensor: CompressedTensor) -> str:
    """Name the form in which the tensor is held."""
    layout = tensor.layout()
    if layout is None:
        return "stream"
    if layout.kind == "lanes":
        return f"lanes, {layout.gap_bits}-bit differences"
    return layout.kind


def beside_paper(row: dict[str, Any]) -> str:
    """Return the paper's figures for a line of the table, in ms."""
    if "paper_i7_dense_seconds" not in row:
        return ""
    dense, sparse = (row[f"paper_i7_{kind}_seconds"] * 1e3 for kind in ("dense", "sparse"))
    return f"  paper's i7: dense {dense:.2f} ms, sparse {sparse:.2f} ms"


def geometric_means(rows: list[dict[str, Any]], isas: list[str]) -> list[dict[str, Any]]:
    """Return the means of the ratios over Table 8's layers, and over the sparser ones of them."""
    means = []
    for isa, densest in itertools.product(isas, (1.0, 0.09)):
        names = {case.name for case in TABLE_8 if case.density <= densest}
        mine = [row for row in rows if row["isa"] == isa and row["layer"] in names]
        keys = [key for key in (mine[0] if mine else {}) if key.startswith("ratio_")]
        mean = {key: statistics.geometric_mean(row[key] for row in mine) for key in keys}
        means += [{"isa": isa, "layers": len(mine), **mean}] if mine else []
    return means


def peers() -> dict[str, Any]:
    """Return the versions of those that ours is compared with."""
    mkl = torch.backends.mkl.is_available()
    return {"scipy": scipy.__version__, "torch": torch.__version__, "mkl": mkl}


def compare_cases(options: argparse.Namespace, layers: list[Case]) -> None:
    """Compare threads with one, print the means and write the rows."""
    rows = spmv_threads.compare(layers, options.threads, options.rounds)
    means = {
        state: statistics.geometric_mean(
            1 / row["ratio"]
            for row in rows
            if row["state"] == state and row["layer"] in {case.name for case in TABLE_8}
        )
        for state in spmv_threads.STATES
    }
    print("times as fast, geometric mean over Table 8:", means)
    idle = spmv_threads.idle(TABLE_8[4], options.threads)
    if options.json:
        about = machine(options.threads, **peers())
        content = {"machine": about, "rows": rows, "geometric_means": means, "idle": idle}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Measure, print the table and write the rows."""
    isas = list(native.info()["available_isas"])
    layers = {case.name: case for case in [*TABLE_8, *NEURALTALK]}
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of every contestant that can")
    parser.add_argument("--batch", type=int, default=1, help="columns of x")
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--isa", nargs="+", choices=isas, default=isas)
    parser.add_argument("--layer", nargs="+", choices=list(layers), default=list(layers))
    parser.add_argument("--cold", action="store_true", help="with nothing in the caches")
    parser.add_argument("--prefer", choices=PREFER, default="auto", help="as `layout` takes it")
    parser.add_argument("--cases", action="store_true", help="N threads against one")
    parser.add_argument("--sweep", action="store_true", help="over density, size and batch")
    parser.add_argument("--picture", type=Path, help="PNG file, with --sweep")
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    require_kernels()
    if options.cases:
        compare_cases(options, [layers[name] for name in options.layer])
        return
    if options.sweep:
        content = spmv_sweep.sweep(options.threads, options.picture)
        if options.json:
            content = {"machine": machine(options.threads, scipy=scipy.__version__)} | content
            options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        return
    torch.set_num_threads(options.threads)
    threadpool_limits(options.threads)
    if native.threads() != options.threads:
        raise SystemExit(f"products have {native.threads()} threads, not {options.threads}")
    gather = compile_gather() if "avx2" in isas else None
    rows: list[dict[str, Any]] = []
    for name in options.layer:
        how = options.threads, options.rounds, options.cold, options.prefer, gather
        for row in measure(layers[name], options.isa, options.batch, *how):
            ratios = "  ".join(
                f"{peer} {row['ratio_' + peer]:5.2f}" for peer in PEERS if "ratio_" + peer in row
            )
            print(
                f"{row['layer']:16} {row['isa']:7} {row['ours_seconds'] * 1e3:7.3f} ms  {ratios}"
                f"  bytes 1/{row['ratio_bytes']:.2f} of CSR  ({row['layout']}){beside_paper(row)}",
                flush=True,
            )
            rows.append(row)
    means = geometric_means(rows, options.isa)
    for mean in means:
        ratios = "  ".join(f"{key[6:]} {mean[key]:.2f}" for key in mean if key.startswith("ratio"))
        print(f"mean of {mean['layers']} layers  {mean['isa']:7} {ratios}")
    if options.json:
        content = {
            "machine": machine(options.threads, **peers()),
            "rows": rows,
            "geometric_means": means,
        }
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
