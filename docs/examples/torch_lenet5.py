"""A PyTorch LeNet-5 trains on MNIST, is pruned, shares its weights, and becomes lenet5.dcnn.

python docs/examples/torch_lenet5.py     # MNIST is read from DEEPCOMPRESS_DATA, or downloaded
"""

import json
import os

import torch
from torch import nn

import deepcompress.torch
from deepcompress.experiments.datasets import load_mnist

SPARSITY = {"0": 0.34, "2": 0.88, "5": 0.95, "7": 0.81}  # by the layer's place
RULES = {f"{layer}.weight": {"sparsity": zeros} for layer, zeros in SPARSITY.items()}


def train(net, data, epochs, rate, decay=0.0, after_step=lambda: None):
    """Train by SGD with momentum: a loop like any other."""
    optimizer = torch.optim.SGD(net.parameters(), rate, momentum=0.9, weight_decay=decay)
    steps = epochs * (-len(data[0]) // -64)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(data[0])).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(data[0][batch]), data[1][batch]).backward()
            optimizer.step()
            after_step()  # the line that compression adds
            schedule.step()


@torch.no_grad()
def error(net, images, labels):
    """Return the percentage of images that a network gets wrong."""
    return 100 * (net(images).argmax(1) != labels).float().mean().item()


def run(data, test, path, epochs=(5, 2, 4, 1)):
    """Train; prune along a ramp; retrain; share and fine-tune; return errors and file size."""
    torch.manual_seed(0)
    convolutions = [nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2)]
    dense = [nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Linear(500, 10)]
    net = nn.Sequential(*convolutions, *dense).to(memory_format=torch.channels_last)
    train(net, data, epochs[0], 0.02, decay=5e-4)
    reference, ramp_steps = error(net, *test), epochs[1] * (-len(data[0]) // -64)
    config = deepcompress.Config({"bits": 5, "coder": "rans"}, by_name=RULES)
    compression = deepcompress.torch.prepare(net, config, ramp_steps=ramp_steps)
    train(net, data, epochs[1] + epochs[2], 0.02, decay=5e-4, after_step=compression.step)
    compression.share()
    train(net, data, epochs[3], 2e-5, after_step=compression.step)
    found = {"reference_error": reference, "file_bytes": compression.finalize().save(path)}
    return found | {"error": error(net, *test)}


if __name__ == "__main__":
    mnist = load_mnist(os.environ.get("DEEPCOMPRESS_DATA"))
    *data, images, labels = map(torch.from_numpy, vars(mnist).values())
    print(json.dumps(run(data, (images, labels), "lenet5.dcnn"), indent=2))
