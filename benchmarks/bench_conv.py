"""Time convolutions with packed weights against dense ones, in PyTorch and in this project.

``python -m benchmarks.bench_conv [--threads N] [--batch N ...] [--rounds N] [--json FILE]
[--layer NAME ...] [--clock process]``

Layers of AlexNet and VGG-16 with the densities of the paper's Tables 4 and 5, and some of
SqueezeNet 1.0 at the third that the paper's authors published; 8-bit labels, random positions,
bias and ReLU included. First each answer is checked against PyTorch's in float64. Then the
contestants take turns, twice in a row each: the first turn warms the caches that the others have
used, the second counts. Ratios are of medians, peer over ours: more than 1 means that we are
faster. PyTorch has its images with the batch first, as it wants them. Where others work on the
machine, too, ``--clock process`` with one thread counts the processor's time alone.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from deepcompress import native
from deepcompress.nn.conv import Conv2D
from deepcompress.reports.product_timing import EPS, random_tensor

from .bench_spmv import peers
from .harness import compare, machine, require_kernels

BITS, GAP_BITS = 8, 5
CLOCKS = {"wall": time.perf_counter, "process": time.process_time}
PEERS = ("torch", "dense")


class Case(NamedTuple):
    """A layer and the extent of its square images."""

    name: str
    layer: Conv2D
    extent: int
    density: float


def _case(name: str, channels: tuple[int, int], extent: int, density: float, **more: int) -> Case:
    return Case(
        name, Conv2D(name, *channels, **{"kernel": 3, "padding": 1, **more}), extent, density
    )


ALEXNET = [
    _case("alexnet-conv2", (96, 256), 27, 0.38, kernel=5, padding=2, groups=2),
    _case("alexnet-conv3", (256, 384), 13, 0.35),
    _case("alexnet-conv4", (384, 384), 13, 0.37, groups=2),
    _case("alexnet-conv5", (384, 256), 13, 0.37, groups=2),
]
VGG_16 = [
    _case("vgg-conv1_1", (3, 64), 224, 0.58),
    _case("vgg-conv1_2", (64, 64), 224, 0.22),
    _case("vgg-conv2_1", (64, 128), 112, 0.34),
    _case("vgg-conv2_2", (128, 128), 112, 0.36),
    _case("vgg-conv3_1", (128, 256), 56, 0.53),
    _case("vgg-conv3_2", (256, 256), 56, 0.24),
    _case("vgg-conv3_3", (256, 256), 56, 0.42),
    _case("vgg-conv4_1", (256, 512), 28, 0.32),
    _case("vgg-conv4_2", (512, 512), 28, 0.27),
    _case("vgg-conv4_3", (512, 512), 28, 0.34),
    _case("vgg-conv5_1", (512, 512), 14, 0.35),
    _case("vgg-conv5_2", (512, 512), 14, 0.29),
    _case("vgg-conv5_3", (512, 512), 14, 0.36),
]
SQUEEZENET = [
    _case("squeezenet-fire2-squeeze", (96, 16), 55, 0.33, kernel=1, padding=0),
    _case("squeezenet-fire2-expand3x3", (16, 64), 55, 0.33),
    _case("squeezenet-fire9-squeeze", (512, 64), 13, 0.33, kernel=1, padding=0),
    _case("squeezenet-fire9-expand1x1", (64, 256), 13, 0.33, kernel=1, padding=0),
    _case("squeezenet-fire9-expand3x3", (64, 256), 13, 0.33),
]
CASES = {case.name: case for case in [*ALEXNET, *VGG_16, *SQUEEZENET]}


def by_torch(
    layer: Conv2D, weight: torch.Tensor, bias: torch.Tensor, x: torch.Tensor
) -> torch.Tensor:
    """Convolve as PyTorch does."""
    options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
    return torch.relu_(torch.nn.functional.conv2d(x, weight, bias, **options))


def by_us(layer: Conv2D, params: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Convolve densely in NumPy."""
    y, _ = layer.forward(params, x)
    return np.maximum(y, 0, out=y)


def error_bound(dense: np.ndarray) -> float:
    """Return how far a convolution may be from the exact one, by the rounding of float32.

    Terms of a sum are below the largest weight times the largest x, which is at most 6.
    """
    terms = np.count_nonzero(dense[0]) * 2 + 2
    return float(terms * (terms + 2) * EPS * np.abs(dense).max() * 6)


def measure(case: Case, batch: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Return the row of a layer."""
    layer = case.layer
    shape = layer.param_shapes()[f"{case.name}.weight"]
    packed = random_tensor(shape, case.density, BITS, GAP_BITS)
    dense = packed.to_dense()
    rng = np.random.default_rng(1)
    bias = rng.standard_normal(layer.outputs).astype(np.float32)
    x = rng.standard_normal((layer.inputs, case.extent, case.extent, batch)).astype(np.float32)
    x.clip(-6, 6, out=x)
    params = {f"{case.name}.weight": dense, f"{case.name}.bias": bias}
    torch_x = torch.from_numpy(np.ascontiguousarray(x.transpose(3, 0, 1, 2)))
    operands = torch.from_numpy(dense), torch.from_numpy(bias), torch_x
    options = {"stride": layer.stride, "padding": layer.padding, "groups": layer.groups}
    out = np.empty((*layer.output_shape(x.shape[:3]), batch), np.float32)
    calls: dict[str, Callable[[], Any]] = {
        "ours": partial(packed.convolve, x, bias=bias, relu=True, out=out, **options),
        "torch": lambda: by_torch(layer, *operands).permute(1, 2, 3, 0),
        "dense": partial(by_us, layer, params, x),
    }
    exact = by_torch(layer, *(operand.double() for operand in operands)).permute(1, 2, 3, 0)
    median = compare(calls, exact.numpy(), error_bound(dense), rounds, clock)
    return {
        "layer": case.name,
        "batch": batch,
        "density": case.density,
        "isa": native.info()["isa"],
        "ours_bytes": packed.nbytes,
        "dense_bytes": dense.nbytes,
        "ratio_bytes": dense.nbytes / packed.nbytes,
        "ours_seconds": median["ours"],
        **{f"{peer}_seconds": median[peer] for peer in PEERS},
        **{f"ratio_{peer}": median[peer] / median["ours"] for peer in PEERS},
    }


def networks(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the sums of each network's layers at each batch."""
    sums = []
    for name in ("alexnet", "vgg", "squeezenet"):
        for batch in sorted({row["batch"] for row in rows}):
            mine = [r for r in rows if r["layer"].startswith(name) and r["batch"] == batch]
            seconds = {who: sum(r[f"{who}_seconds"] for r in mine) for who in ("ours", *PEERS)}
            ratios = {f"ratio_{p}": seconds[p] / seconds["ours"] for p in PEERS if mine}
            times = {f"{who}_seconds": value for who, value in seconds.items()}
            if mine:
                entry = {"case": f"{name}, all of its layers here", "batch": batch}
                sums.append({**entry, "layers": len(mine), **times, **ratios})
    return sums


def show(name: str, row: dict[str, Any]) -> None:
    """Print the times and ratios of a row."""
    ratios = "  ".join(f"{peer} {row['ratio_' + peer]:5.2f}" for peer in PEERS)
    print(
        f"{name:32} batch {row['batch']}  {row['ours_seconds'] * 1e3:8.2f} ms  {ratios}", flush=True
    )


def main() -> None:
    """Measure, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=1, help="of every contestant")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--layer", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--clock", choices=list(CLOCKS), default="wall")
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    require_kernels()
    if options.clock == "process" and options.threads > 1:
        parser.error("--clock process sums up the time of all threads; measure with one")
    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    threadpool_limits(options.threads)
    rows = []
    for name in options.layer:
        for batch in options.batch:
            row = measure(CASES[name], batch, options.rounds, CLOCKS[options.clock])
            show(name, row)
            rows.append(row)
    sums = networks(rows)
    for entry in sums:
        show(entry["case"], entry)
    if options.json:
        content = {"machine": {**machine(options.threads, **peers()), "clock": options.clock}}
        content |= {"rows": rows, "networks": sums}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
