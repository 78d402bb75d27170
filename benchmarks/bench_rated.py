"""Clustering that knows the coder, against plain k-means and the exact optimum.

``python -m benchmarks.bench_rated [--cache DIR] [--network NAME]... [--shorten N] [--json FILE]``

Survivors are shared by plain k-means from an even start, at the exact optimum of the sum of
squares, and by `quantize.rated`, which adds a price for bits. Each gives a curve of bytes against
the squares that are lost, from few centroids to many, or from a high price to a low one. Bytes are
those of the tensors in a file, labels and positions coded by rANS. The curves are compared where
plain k-means has 3 to 6 bits: at the same squares lost, the bytes of each, by straight lines
between points in logarithms.

The networks are those of ``deepcompress figure``, pruned, with the same folder for what is trained;
their errors on the test images are without fine-tuning. The convolutions are real ones of AlexNet,
pruned to the paper's densities without retraining, in which errors can't be measured.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine
from deepcompress import prune, quantize
from deepcompress.coding import prices
from deepcompress.coding.prices import Choice
from deepcompress.figures import Bench
from deepcompress.figures.networks import trained
from deepcompress.figures.points import measured
from deepcompress.pipeline.weights import survivors_of
from deepcompress.quantize.rated import rated_codebook
from deepcompress.tensors import SharedWeights

BITS = (2, 3, 4, 5, 6, 7)
PRICES = (
    0.12,
    0.06,
    0.03,
    0.015,
    0.007,
    0.003,
    0.0012,
    0.0005,
    0.0002,
    0.00008,
    0.00003,
)  # of variances
CLUSTERS = 127  # to start with; the price leaves fewer
SAMPLE = 20_000  # survivors that centroids are found with; all take the labels of least cost
CHUNK = 1 << 15
COMPARED = (3, 4, 5, 6)  # bits of plain k-means

Tensors = Mapping[str, tuple[Any, Any]]  # weights and mask of each


def shared(values: Any, method: str, setting: float, rng: np.random.Generator) -> SharedWeights:
    """Return the codebook and labels of survivors by one of the three ways."""
    if method != "rated":
        init = "linear" if method == "plain" else "optimal"
        return quantize.share_weights(values, np.ones(values.shape, np.bool_), int(setting), init)
    price = setting * float(np.var(values))
    sample = values if values.size <= SAMPLE else rng.choice(values, SAMPLE, replace=False)
    book = rated_codebook(sample, min(CLUSTERS, len(np.unique(sample))), price)
    labels = np.concatenate(
        [book.labels(values[i : i + CHUNK], price) for i in range(0, values.size, CHUNK)]
    )
    codebook = np.concatenate([np.zeros(1, np.float32), book.centroids])
    bits = max(len(codebook) - 1, 1).bit_length()
    return SharedWeights(codebook, (labels + 1).astype(np.uint8), bits)


def curve(tensors: Tensors, method: str, measure: Any) -> Iterator[dict[str, Any]]:
    """Yield bytes and squares lost for each setting of a method."""
    for setting in PRICES if method == "rated" else BITS:
        size, lost, total, params = 0, 0.0, 0.0, {}
        for name, (weights, mask) in tensors.items():
            values = weights[mask]
            one = shared(values, method, setting, np.random.default_rng(0))
            size += prices.choose(survivors_of(mask, one), Choice("rans")).size_bytes
            lost += quantize.sum_of_squares(values, one)
            total += float(np.sum(values.astype(np.float64) ** 2))
            params[name] = np.zeros(mask.shape, np.float32)
            params[name][mask] = one.codebook[one.labels]
        point = {"setting": setting, "bytes": size, "lost": lost / total}
        yield point | ({"error": measure(params)} if measure else {})


def compared(curves: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return the bytes of each method where plain k-means has certain bits."""
    rows = []
    for point in curves["plain"]:
        if point["setting"] not in COMPARED:
            continue
        row = {"plain_bits": point["setting"], "lost": point["lost"], "plain": point["bytes"]}
        for method in ("optimal", "rated"):
            ordered = sorted((one["lost"], one["bytes"]) for one in curves[method])
            lost, sizes = np.log(np.array(ordered)).T
            at = np.log(point["lost"])
            inside = lost[0] <= at <= lost[-1]
            row[method] = float(np.exp(np.interp(at, lost, sizes))) if inside else None
        rows.append(row)
    return rows


def networks(bench: Bench) -> Iterator[tuple[str, Tensors, Any]]:
    """Yield trained, pruned networks, and how to measure them."""
    for network in bench.networks:
        net = trained(bench, network)
        tensors = {name: (net.pruned[name], mask) for name, mask in net.masks.items()}

        def measure(params: Any, net: Any = net, network: str = network) -> float:
            return measured(bench, network, net.pruned | params)

        yield network, tensors, measure


def convolutions(bench: Bench) -> Iterator[tuple[str, Tensors, None]]:
    """Yield AlexNet's real convolutions at the paper's densities."""
    found = bench.convolutions("alexnet")
    if found:
        densities = bench.densities("alexnet").values()
        tensors = {
            name: (weights, prune.sparsity_mask(weights, 1 - density))
            for (name, weights), density in zip(found.items(), densities, strict=False)
        }
        yield "alexnet, convolutions", tensors, None


def main() -> None:
    """Compute the curves, compare them, and tell."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cache", default="figures/cache", help="as of deepcompress figure")
    parser.add_argument("--network", action="append", help="default: both LeNets")
    parser.add_argument("--shorten", type=int, action="append", default=[], help="of each network")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    names = tuple(options.network or ("lenet-300-100", "lenet-5"))
    shorten = tuple(zip(names, options.shorten, strict=False))
    bench = Bench(options.cache, names, shorten=shorten, threads=options.threads)
    results = []
    for name, tensors, measure in [*networks(bench), *convolutions(bench)]:
        curves = {
            method: list(curve(tensors, method, measure))
            for method in ("plain", "optimal", "rated")
        }
        rows = compared(curves)
        results.append({"weights": name, "curves": curves, "compared": rows})
        print(f"{name}: bytes at the squares that plain k-means loses")
        for row in rows:
            others = (
                f"{method} {row[method]:,.0f} ({row[method] / row['plain']:.3f}x)"
                for method in ("optimal", "rated")
                if row[method]
            )
            print(f"  {row['plain_bits']} bits: plain {row['plain']:,}, " + ", ".join(others))
        if measure:
            for method, points in curves.items():
                told = (f"{point['bytes']:,}: {point['error']:.2f} %" for point in points)
                print(f"  {method}: " + ", ".join(told))
    if options.json:
        content = {"machine": machine(), "results": results}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
