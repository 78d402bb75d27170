"""Clustering that knows the coder, against plain k-means and the exact optimum.

``python -m benchmarks.bench_rated [--cache DIR] [--network NAME]... [--shorten N] [--json FILE]``

Survivors are shared by plain k-means from an even start, at the exact optimum of the sum of
squares, and by `quantize.rated`, which adds a price for bits. Each gives a curve of bytes against
what is lost, from few centroids to many, or from a high price to a low one. Bytes are those of the
tensors in a file, labels and positions coded by rANS.

The networks are those of ``deepcompress figure``, pruned, with the same folder for what is trained;
nothing is retrained after sharing. The convolutions are real ones of AlexNet, pruned to the paper's
densities, of which there is no network to measure. What is lost is told in three ways:

- squares, of all weights: the sum that is left against the weights' own;
- loss, of networks: the mean cross-entropy on the test images, finer than the error;
- divergence: how far the outputs for the test images are from those before sharing, the mean of
  KL(before || after) in nats. A loss may fall by chance, this can't;
- error: percent of the test images.

The curves are compared where plain k-means has 3 to 6 bits: with the same squares, loss, and
divergence, the bytes of each, by straight lines between the points of its curve that no smaller one
beats. And as one would use them: the smallest file whose loss on training images is at most that
of plain k-means, and what it then has on the test images.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import machine
from deepcompress import prune, quantize
from deepcompress.calibrate.divergence import kl_divergence
from deepcompress.coding import prices
from deepcompress.coding.prices import Choice
from deepcompress.figures import Bench
from deepcompress.figures.networks import trained
from deepcompress.nn import zoo
from deepcompress.nn.losses import error_count, softmax_cross_entropy
from deepcompress.pipeline.weights import survivors_of
from deepcompress.quantize.rated import rated_codebook
from deepcompress.tensors import SharedWeights

BITS = (2, 3, 4, 5, 6, 7)
PRICES = tuple(0.12 / 2**step for step in range(13))  # of the variance of all weights
CLUSTERS = 127  # to start with; the price leaves fewer
SAMPLE = 20_000  # survivors that centroids are found with; all take the labels of least cost
CHUNK = 1 << 15
COMPARED = (3, 4, 5, 6)  # bits of plain k-means
METHODS = ("plain", "optimal", "rated")
TRAINING = 10_000  # training images, the first ones, that settings are chosen with

Tensors = Mapping[str, tuple[Any, Any]]  # weights and mask of each


def shared(values: Any, method: str, setting: float, variance: float) -> SharedWeights:
    """Return the codebook and labels of survivors by one of the three ways."""
    rng = np.random.default_rng(0)
    if method != "rated":
        init = "linear" if method == "plain" else "optimal"
        return quantize.share_weights(values, np.ones(values.shape, np.bool_), int(setting), init)
    price = setting * variance
    sample = values if values.size <= SAMPLE else rng.choice(values, SAMPLE, replace=False)
    book = rated_codebook(sample, min(CLUSTERS, len(np.unique(sample))), price)
    labels = np.concatenate(
        [book.labels(values[i : i + CHUNK], price) for i in range(0, values.size, CHUNK)]
    )
    codebook = np.concatenate([np.zeros(1, np.float32), book.centroids])
    bits = max(len(codebook) - 1, 1).bit_length()
    return SharedWeights(codebook, (labels + 1).astype(np.uint8), bits)


def curve(tensors: Tensors, method: str, measure: Any) -> Iterator[dict[str, Any]]:
    """Yield bytes and squares lost for each setting of a method.

    Bits are those of every tensor. There is one price for all, as a byte counts the same in each.
    """
    variance = float(np.var(np.concatenate([w[mask] for w, mask in tensors.values()])))
    for setting in PRICES if method == "rated" else BITS:
        size, lost, total, params = 0, 0.0, 0.0, {}
        for name, (weights, mask) in tensors.items():
            values = weights[mask]
            one = shared(values, method, setting, variance)
            size += prices.choose(survivors_of(mask, one), Choice("rans")).size_bytes
            lost += quantize.sum_of_squares(values, one)
            total += float(np.sum(values.astype(np.float64) ** 2))
            params[name] = np.zeros(mask.shape, np.float32)
            params[name][mask] = one.codebook[one.labels]
        point = {"setting": setting, "bytes": size, "lost": lost / total}
        yield point | (measure(params) if measure else {})


def compared(curves: dict[str, list[dict[str, Any]]], what: str) -> list[dict[str, Any]]:
    """Return the bytes of each method where plain k-means has certain bits, `what` being equal.

    Straight lines are of the logarithms of bytes, of squares and of divergence.
    """
    scale = np.asarray if what == "loss" else np.log
    rows = []
    for point in curves["plain"]:
        if point["setting"] not in COMPARED:
            continue
        row = {"plain_bits": point["setting"], "equal": what, what: point[what]}
        for method in METHODS:
            lost, sizes = np.array(frontier(curves[method], what)).T
            inside = lost[-1] <= point[what] <= lost[0]
            at = np.interp(-scale(point[what]), -scale(lost), np.log(sizes))
            row[method] = float(np.exp(at)) if inside else None
        rows.append(row)
    return rows


def frontier(points: list[dict[str, Any]], what: str) -> list[tuple[float, int]]:
    """Return what is lost and the bytes of each point that loses less than all smaller ones."""
    kept: list[tuple[float, int]] = []
    for size, lost in sorted((one["bytes"], one[what]) for one in points):
        if not kept or lost < kept[-1][0]:
            kept.append((lost, size))
    return kept


def chosen(curves: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return each method's smallest file with at most plain k-means' loss on training images."""
    rows = []
    for point in curves["plain"]:
        if point["setting"] in COMPARED:
            row: dict[str, Any] = {"plain_bits": point["setting"]}
            for method in METHODS:
                fit = [one for one in curves[method] if one["train_loss"] <= point["train_loss"]]
                row[method] = min(fit, key=lambda one: int(one["bytes"]), default=None)
            rows.append(row)
    return rows


def networks(bench: Bench) -> Iterator[tuple[str, Tensors, Any]]:
    """Yield trained, pruned networks, and how to measure them."""
    for name in bench.networks:
        net = trained(bench, name)
        tensors = {tensor: (net.pruned[tensor], mask) for tensor, mask in net.masks.items()}
        yield name, tensors, damage_to(bench, name, net.pruned)


def damage_to(bench: Bench, name: str, pruned: Mapping[str, Any]) -> Any:
    """Return what measures a network some of whose tensors are replaced."""
    data, network = bench.dataset(name), zoo.build(name)
    images = np.concatenate([data.test_images, data.train_images[:TRAINING]])
    tests = len(data.test_images)

    def logits(params: Mapping[str, Any]) -> Any:
        return network.predict(params, images, threads=bench.threads).astype(np.float64)

    before = logits(pruned)

    def measure(params: Mapping[str, Any]) -> dict[str, float]:
        after = logits({**pruned, **params})
        test, train = after[:tests], after[tests:]
        return {
            "error": 100 * error_count(test, data.test_labels) / tests,
            "loss": softmax_cross_entropy(test.T, data.test_labels)[0],
            "divergence": kl_divergence(before[:tests], test),
            "train_loss": softmax_cross_entropy(train.T, data.train_labels[:TRAINING])[0],
        }

    return measure


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


def tell(result: dict[str, Any]) -> None:
    """Print what was found for one network."""
    print(f"{result['weights']}: bytes where plain k-means loses as much")
    for row in result["compared"]:
        others = (
            f"{method} {row[method]:,.0f} ({row[method] / row['plain']:.3f}x)"
            for method in METHODS[1:]
            if row[method] and row["plain"]
        )
        told = ", ".join(others)
        plain = f"{row['plain']:,.0f}" if row["plain"] else "beaten by fewer bits"
        print(f"  equal {row['equal']}, {row['plain_bits']} bits: plain {plain}, {told}")
    for row in result.get("chosen", ()):
        told = (
            f"{method} {row[method]['bytes']:,} ({row[method]['error']:.2f} %, "
            f"{row[method]['loss']:.5f})"
            for method in METHODS
            if row[method]
        )
        print(f"  chosen on training images, {row['plain_bits']} bits: " + ", ".join(told))


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
        curves = {method: list(curve(tensors, method, measure)) for method in METHODS}
        equals = ("lost", "loss", "divergence") if measure else ("lost",)
        rows = [row for what in equals for row in compared(curves, what)]
        result = {"weights": name, "curves": curves, "compared": rows}
        if measure:
            result |= {"unshared": measure({}), "chosen": chosen(curves)}
        results.append(result)
        tell(result)
    if options.json:
        content = {"machine": machine(), "results": results}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
