"""Search under a budget against the best single setting, on LeNet-300-100 without retraining.

``python -m benchmarks.search_network NET.npz``
``python -m benchmarks.bench_search NET.npz [--max-drop 0.5] [--json FILE]``

The score is the accuracy, in per cent, on the 10,000 training images that the network wasn't
trained on; what is reported is that of MNIST's test images, which take no part. The rival has
one sparsity and one bit width for all weights, magnitudes pruned by it, and plain k-means with
the same coders, biases included; of its grid, `same_score` is the smallest file within the drop of
the score, `same_test` the smallest of those whose drop on the test images is at most the
search's: chosen by the test images themselves, which the search isn't.

``process_seconds`` are the processor's own, of the search with its scores.
"""

import argparse
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from deepcompress import Config, compress
from deepcompress.experiments.datasets import load_mnist
from deepcompress.nn import zoo
from deepcompress.search import search
from deepcompress.search.scores import dense

from .harness import machine
from .search_network import TRAINED_ON

SPARSITIES = (0.0, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.725, 0.75, 0.775, 0.8, 0.825, 0.85, 0.9)
BITS = (2, 3, 4, 5)


def main() -> None:
    """Search, go through the rival's grid, and print and keep both."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("network")
    parser.add_argument("--max-drop", type=float, default=0.5)
    parser.add_argument("--coder", default="rans", help="of both")
    parser.add_argument("--inputs", type=int, default=10_000, help="of `search_inputs`")
    parser.add_argument("--json")
    arguments = parser.parse_args()
    params = dict(np.load(arguments.network))
    network, data = zoo.build("lenet-300-100"), load_mnist()
    held = data.train_images[TRAINED_ON:], data.train_labels[TRAINED_ON:]
    tests = data.test_images, data.test_labels

    def accuracy(model: Any, part: tuple[Any, Any] = held) -> float:
        arrays = {name: dense(model[name]) for name in params}
        classes = network.predict(arrays, part[0].reshape(len(part[0]), -1)).argmax(axis=1)
        return 100 * float((classes == part[1]).mean())

    dense_score, dense_test = accuracy(params), accuracy(params, tests)
    rows: dict[str, Any] = {}
    calibrating = data.train_images[: arguments.inputs].reshape(arguments.inputs, -1)
    ways: dict[str, dict[str, Any]] = {
        "search": {},
        "search_float16": {"half": True},
        "search_inputs": {"half": True, "network": network, "inputs": calibrating},
    }
    for name, options in ways.items():
        started, of_process = time.perf_counter(), time.process_time()
        found = search(
            params, accuracy, max_drop=arguments.max_drop, coder=arguments.coder, **options
        )
        row = {
            "bytes": found.bytes,
            "drop": found.drop,
            "test_drop": dense_test - accuracy(found.model, tests),
            "settings": found.settings,
            "trials": found.trials,
            "seconds": round(time.perf_counter() - started, 1),
            "process_seconds": round(time.process_time() - of_process, 1),
        }
        print(name, row, flush=True)
        rows[name] = row | {"frontier": found.frontier.to_dict()}
    grid: list[dict[str, Any]] = []
    for sparsity, bits in itertools.product(SPARSITIES, BITS):
        default = {"sparsity": sparsity, "bits": bits, "coder": arguments.coder}
        model = compress(params, Config(default=default))
        point = {"sparsity": sparsity, "bits": bits, "bytes": len(model.to_bytes())}
        drop, test_drop = dense_score - accuracy(model), dense_test - accuracy(model, tests)
        grid.append(point | {"drop": drop, "test_drop": test_drop})
        print(grid[-1], flush=True)
    within = [point for point in grid if point["drop"] <= arguments.max_drop]
    rival: dict[str, Any] = {"same_score": min(within, key=lambda point: point["bytes"])}
    for name, row in rows.items():
        within = [point for point in grid if point["test_drop"] <= row["test_drop"]]
        best = min(within, key=lambda point: point["bytes"])
        rival["same_test" + name.removeprefix("search")] = best
        row["times_smaller"] = round(best["bytes"] / row["bytes"], 3)
        row["times_smaller_than_same_score"] = round(rival["same_score"]["bytes"] / row["bytes"], 3)
        print(name, row["times_smaller"], row["times_smaller_than_same_score"])
    print(rival)
    if arguments.json:
        kept = {
            "machine": machine(),
            "load": os.getloadavg()[0],
            "arguments": vars(arguments),
            "dense": {"score": dense_score, "test": dense_test},
            **rows,
            "rival": rival,
            "grid": grid,
        }
        Path(arguments.json).write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
