"""Packed products beside dense ones and CSR, over density, size and batch: `bench_spmv --sweep`.

Weights are those of `reports.product_timing`, from 60 to 98 % zeros. The answer has a row for each
case, and for each size and batch the density from which on dense products are faster: as measured,
between the densities that were, and as `runtime.crossover` has it, by the shipped costs.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from deepcompress import native
from deepcompress.reports import plots
from deepcompress.reports.product_timing import Timing, find_crossovers, time_products
from deepcompress.runtime import costs

SIZES = ((300, 784), (1024, 1024), (4096, 4096))
DENSITIES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4)
BATCHES = (1, 8, 32, 64, 256)


def sweep(threads: int, picture: Path | None) -> dict[str, Any]:
    """Time all cases, print them, draw a picture if it is asked for; return the rows."""
    costs.path = lambda: Path("none") / "costs.json"  # not what this machine has measured
    timings: list[Timing] = []
    for timing in time_products(threads, SIZES, DENSITIES, BATCHES):
        timings.append(timing)
        print(
            f"{timing.rows:5} x {timing.cols:5} {timing.density:5.0%} batch {timing.batch:3}: "
            f"{timing.ours_seconds * 1e6:10,.1f} us  dense {timing.ratio_dense:6.2f}  "
            f"CSR {timing.ratio_scipy_csr:6.2f}  "
            f"the model takes {'dense' if timing.model_runs_dense else 'packed'}",
            flush=True,
        )
    crossings = find_crossovers(timings, native.info()["isa"], threads)
    for crossing in crossings:
        print(crossing)
    right = sum(timing.model_runs_dense == (timing.ratio_dense < 1) for timing in timings)
    print(f"the model picks the faster one in {right} of {len(timings)} cases")
    if picture is not None:
        picture.write_bytes(plots.render(plots.draw_products, timings, crossings))
    return {
        "isa": native.info()["isa"],
        "rows": [
            {
                **asdict(timing),
                "ratio_dense": timing.ratio_dense,
                "ratio_scipy_csr": timing.ratio_scipy_csr,
                "model": "dense" if timing.model_runs_dense else "packed",
            }
            for timing in timings
        ],
        "crossovers": [asdict(crossing) for crossing in crossings],
        "model_right": right,
    }
