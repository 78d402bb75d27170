"""Bytes of labels coded by contexts, against the best of the other encodings.

``python -m benchmarks.bench_context [FILE.dcnn …] [--json FILE]``

The files' shared tensors, and where ``DEEPCOMPRESS_DATA`` holds ``real-weights``, the convolutions
of real networks: shared by k-means at some widths,
pruned as the paper prunes them, and rounded to one step for all layers, without k-means. Each
tensor is stored by Huffman codes, by rANS and by contexts, the coders each with the encoding that
takes the fewest bytes. Bytes are those of the tensors' data: with codebooks, tables, checksums.

Megalabels per second are of one thread and of all elements, zeros too: the best of three runs,
each of which encodes or decodes all tensors.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import deepcompress
from benchmarks.harness import machine
from deepcompress.coding import context, prices
from deepcompress.coding.prices import Choice
from deepcompress.formats.registry import open_source
from deepcompress.packed.survivors import unpack
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.reports.tables import align
from deepcompress.tensors import Survivors

STEP = 0.008  # of all layers, as a rounding network coder would have it
RUNS = 3
NETWORKS = {  # convolutions of real networks: bits, and the share of zeros
    "squeezenet-1.1": [(4, 0.0), (5, 0.0), (6, 0.0), (5, 0.6)],
    "alexnet-convolutions": [(5, 0.65), (8, 0.65)],
    "vgg16-convolutions": [(5, 0.67)],
}


def shared(model: deepcompress.CompressedModel) -> list[Survivors]:
    """Return the shared tensors of a model."""
    return [unpack(one) for one in model.values() if isinstance(one, CompressedTensor)]


def rounded(values: np.ndarray, step: float) -> Survivors:
    """Return a tensor whose weights are rounded to multiples of a step."""
    multiples = np.rint(values / step).astype(np.int64)
    levels = np.unique(multiples[multiples != 0])
    codebook = np.concatenate([[0], levels * step]).astype(np.float32)
    positions = np.flatnonzero(multiples)
    labels = np.searchsorted(levels, multiples.reshape(-1)[positions]) + 1
    return Survivors(values.shape, codebook, positions, labels.astype(np.uint8))


def cases(files: list[Path], data: Path | None) -> Iterator[tuple[str, list[Survivors]]]:
    """Yield a name and the tensors of each case."""
    for path in files:
        yield path.stem, shared(deepcompress.load(path))
    if data is None:
        return
    for name, ways in NETWORKS.items():
        path = data / "real-weights" / f"{name}.safetensors"
        if not path.exists():
            continue
        with open_source(path) as source:
            weights = {key: np.asarray(source[key]) for key in source}
        weights = {key: values for key, values in weights.items() if values.ndim > 1}
        for bits, sparsity in ways:
            options = deepcompress.TensorConfig(
                bits=bits, sparsity=sparsity or None, max_iterations=10, coder="rans"
            )
            model = deepcompress.compress(weights, deepcompress.Config(options))
            yield f"{name}, {bits} bits, {sparsity:.0%} pruned", shared(model)
        if name == "squeezenet-1.1":
            yield f"{name}, step {STEP}", [rounded(one, STEP) for one in weights.values()]


def seconds(run: Callable[[], Any]) -> float:
    """Return the least processor time of some runs."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def measure(name: str, tensors: list[Survivors]) -> dict[str, Any]:
    """Return a case's row."""
    sizes = {
        way: sum(prices.choose(one, choice).size_bytes for one in tensors)
        for way, choice in (
            ("huffman", Choice("huffman")),
            ("rans", Choice("rans")),
            ("context", Choice(encoding="context")),
        )
    }
    dense = []
    for one in tensors:
        labels = np.zeros(one.size, np.uint8)
        labels[one.positions] = one.labels
        dense.append((labels, one.shape, one.codebook))
    streams = [context.encode(*case) for case in dense]
    elements = sum(one.size for one in tensors)
    encoding = seconds(lambda: [context.encode(*case) for case in dense])
    coded = list(zip(streams, dense, strict=True))
    decoding = seconds(lambda: [context.decode(data, *case[1:]) for data, case in coded])
    return {
        "case": name,
        "tensors": len(tensors),
        "elements": elements,
        "density": sum(len(one.positions) for one in tensors) / elements,
        **sizes,
        "saved_percent": 100 * (1 - sizes["context"] / min(sizes["huffman"], sizes["rans"])),
        "encoded_per_us": elements / encoding / 1e6,
        "decoded_per_us": elements / decoding / 1e6,
    }


def main() -> None:
    """Measure, print a table and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, metavar="FILE.dcnn")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    folder = os.environ.get("DEEPCOMPRESS_DATA")
    rows = []
    header = ["case", "density", "huffman", "rans", "context", "saved", "enc M/s", "dec M/s"]
    for name, tensors in cases(args.files, Path(folder) if folder else None):
        row = measure(name, tensors)
        rows.append(row)
        print(f"{name}: {row['context']:,} of {row['rans']:,}", flush=True)
    lines = [
        [
            row["case"],
            f"{row['density']:.3f}",
            *(f"{row[way]:,}" for way in ("huffman", "rans", "context")),
            f"{row['saved_percent']:.1f} %",
            f"{row['encoded_per_us']:.1f}",
            f"{row['decoded_per_us']:.1f}",
        ]
        for row in rows
    ]
    print(align([header, *lines]))
    if args.json:
        result = {"machine": machine(), "cases": rows}
        args.json.write_text(json.dumps(result, indent=1, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
