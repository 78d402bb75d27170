"""Time an epoch of training against PyTorch on the same processors.

``python -m benchmarks.bench_train [--threads N] [--images N] [--rounds N] [--json FILE]``

Both networks of the paper, with SGD, momentum and L2, at two batch sizes, on random images of
MNIST's shape. First both programs must give the same loss and gradients for the same weights.
Then they take turns; a round trains on `images` images and counts as that part of an epoch of
60,000. The table shows the median round, since a turn of either may be disturbed.

Run it on a quiet machine: PyTorch's threads spin while they wait for each other, so another
busy process slows it far more than it slows us.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from deepcompress.nn import optim, zoo
from deepcompress.nn.network import Network
from deepcompress.nn.parallel import available_threads
from deepcompress.nn.train import fit
from deepcompress.nn.trainable import free

EPOCH = 60_000
RATE, MOMENTUM, L2 = 0.01, 0.9, 5e-4
TOLERANCE = 1e-4  # relative to a gradient's largest element: 1000 times float32's epsilon


def lenet_300_100() -> nn.Sequential:
    """LeNet-300-100 in PyTorch."""
    return nn.Sequential(
        nn.Linear(784, 300), nn.ReLU(), nn.Linear(300, 100), nn.ReLU(), nn.Linear(100, 10)
    )


def lenet_5() -> nn.Sequential:
    """Caffe's LeNet-5 in PyTorch."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 28, 28)),
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)),
    )


TORCH_NETWORKS = {"lenet-300-100": lenet_300_100, "lenet-5": lenet_5}


class Ours:
    """Our network and its parameters."""

    def __init__(self, name: str, threads: int) -> None:
        self.network: Network = zoo.build(name)
        self.params = self.network.init(np.random.default_rng(0))
        self.threads = threads

    def train(self, x: np.ndarray, labels: np.ndarray, batch_size: int) -> None:
        """Train one pass over the images."""
        fit(
            self.network,
            self.params,
            (x, labels),
            free(self.params),
            optim.SGD(l2=L2, momentum=MOMENTUM),
            optim.constant(RATE),
            epochs=1,
            batch_size=batch_size,
            seed=(0,),
            threads=self.threads,
        )


class Torch:
    """PyTorch's network with the same parameters."""

    def __init__(self, ours: Ours) -> None:
        self.model = TORCH_NETWORKS[ours.network.name]()
        for mine, theirs in zip(ours.params.values(), self.model.parameters(), strict=True):
            theirs.data = torch.from_numpy(mine.copy())
        self.loss = nn.CrossEntropyLoss()
        weights = [p for p in self.model.parameters() if p.ndim > 1]
        biases = [p for p in self.model.parameters() if p.ndim == 1]
        groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": L2}, {"params": biases}]
        self.optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM)

    def train(self, x: torch.Tensor, labels: torch.Tensor, batch_size: int) -> None:
        """Train one pass over the images."""
        order = torch.randperm(len(x))
        for start in range(0, len(x), batch_size):
            batch = order[start : start + batch_size]
            self.optimizer.zero_grad()
            self.loss(self.model(x[batch]), labels[batch]).backward()
            self.optimizer.step()


def verify(ours: Ours, theirs: Torch, x: np.ndarray, labels: np.ndarray) -> None:
    """Exit unless both give the same loss and gradients."""
    loss, grads = ours.network.loss_and_grads(ours.params, x, labels)
    expected = theirs.loss(theirs.model(torch.from_numpy(x)), torch.from_numpy(labels))
    expected.backward()
    if abs(loss - expected.item()) > TOLERANCE * expected.item():
        raise SystemExit(f"loss {loss}, PyTorch's {expected.item()}")
    for (name, shape), theirs_grad in zip(
        ours.network.param_shapes.items(), theirs.model.parameters(), strict=True
    ):
        assert theirs_grad.grad is not None
        reference = theirs_grad.grad.numpy().reshape(shape)
        error = np.abs(grads[name] - reference).max() / np.abs(reference).max()
        if not error < TOLERANCE:
            raise SystemExit(f"gradient of {name}: relative error {error}")


def measure(
    name: str, batch_size: int, threads: int, images: int, rounds: int
) -> dict[str, object]:
    """Return one row: the median seconds per epoch of both, and their ratio."""
    rng = np.random.default_rng(0)
    x = rng.random((images, 784), dtype=np.float32)
    labels = rng.integers(0, 10, images)
    ours = Ours(name, threads)
    theirs = Torch(ours)
    verify(ours, theirs, x[:batch_size], labels[:batch_size])
    x_torch, labels_torch = torch.from_numpy(x), torch.from_numpy(labels)
    seconds: dict[str, list[float]] = {"ours": [], "torch": []}
    for _ in range(rounds + 1):
        started = time.perf_counter()
        ours.train(x, labels, batch_size)
        between = time.perf_counter()
        theirs.train(x_torch, labels_torch, batch_size)
        seconds["ours"].append(between - started)
        seconds["torch"].append(time.perf_counter() - between)
    # The first round warms up: allocators, thread pools, PyTorch's choice of kernels.
    median = {who: statistics.median(turns[1:]) * EPOCH / images for who, turns in seconds.items()}
    best = {who: min(turns[1:]) * EPOCH / images for who, turns in seconds.items()}
    return {
        "case": f"{name}, batch {batch_size}",
        "threads": threads,
        "ours_seconds": median["ours"],
        "torch_seconds": median["torch"],
        "ratio_torch": median["torch"] / median["ours"],
        "ours_best_seconds": best["ours"],
        "torch_best_seconds": best["torch"],
    }


def main() -> None:
    """Measure, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=available_threads())
    parser.add_argument("--images", type=int, default=6400, help="images per round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"seconds per epoch of {EPOCH} images, {options.threads} threads: median (best)")
    rows = []
    for name in TORCH_NETWORKS:
        for batch_size in (64, 128):
            row = measure(name, batch_size, options.threads, options.images, options.rounds)
            ours = f"{row['ours_seconds']:6.2f} ({row['ours_best_seconds']:.2f})"
            theirs = f"{row['torch_seconds']:6.2f} ({row['torch_best_seconds']:.2f})"
            ratio = f"{row['ratio_torch']:.2f}"
            print(f"{row['case']:25}  ours {ours}  torch {theirs}  torch/ours {ratio}", flush=True)
            rows.append(row)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
