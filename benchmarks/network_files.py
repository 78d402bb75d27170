"""The files of `bench_networks`: each network compressed, and its dense weights for PyTorch.

AlexNet and VGG-16 have synthetic weights (see `synthetic`), LeNet-5 has untrained ones; all are
pruned to the densities of the paper's tables 3 to 5 and share 8 bits in convolutions, 5 in fully
connected layers. SqueezeNet is the one that the paper's authors compressed.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import deepcompress
from deepcompress.commands.convert import convert
from deepcompress.nn import zoo
from deepcompress.reports.paper import PAPER

from . import synthetic

NETWORKS = ("lenet-5", "alexnet", "vgg-16", "squeezenet")


class Drawn(Mapping[str, np.ndarray[Any, Any]]):
    """The weights of a network, each drawn when it is asked for."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.shapes = zoo.build(name).param_shapes

    def __getitem__(self, tensor: str) -> np.ndarray[Any, Any]:
        if self.name == "lenet-5":
            return zoo.build(self.name).init(np.random.default_rng(0))[tensor]
        return synthetic.tensor(self.name, tensor)

    def __iter__(self) -> Iterator[str]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


def build(name: str, folder: Path) -> Path:
    """Return the network's file in a folder, made if it isn't there."""
    path = folder / f"{name}.dcnn"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    if name == "squeezenet":
        data = Path(os.environ.get("DEEPCOMPRESS_DATA", "../shared/data")) / "squeezenet"
        layers = str(data / "layers.json")
        convert(str(data / "compressed_SqueezeNet.net"), str(path), layers=layers)
        return path
    by_name = {
        row.layer: {"sparsity": 1 - row.kept_percent / 100, "bits": int(row.weight_bits_PQ)}
        for row in PAPER[name].rows[:-1]
    }
    config = deepcompress.Config(by_name=by_name)
    deepcompress.compress_to(Drawn(name), path, config, metadata={"network": name}, jobs=2)
    return path


def write_dense(path: Path) -> Path:
    """Write a file's tensors as one ``.npy`` file each, and return their folder."""
    folder = path.with_suffix("")
    if not folder.exists():
        folder.mkdir()
        with deepcompress.open_file(path) as file:
            for index, tensor in enumerate(file.values()):
                dense = tensor if isinstance(tensor, np.ndarray) else tensor.to_dense()
                np.save(folder / f"{index}.npy", dense)
    return folder


def read_dense(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays that `write_dense` wrote."""
    with deepcompress.open_file(path) as file:
        names = list(file)
    folder = path.with_suffix("")
    return {name: np.load(folder / f"{index}.npy") for index, name in enumerate(names)}
