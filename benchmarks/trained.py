"""Trained networks, inputs to calibrate with, and others, with labels, to measure on.

SqueezeNet 1.1 and EfficientNet-Lite0 come from ``real-weights`` of `DEEPCOMPRESS_DATA`, pictures
from ``photographs`` there, in the order of their names: the first, third, … calibrate, without
labels; the others are measured on. MNIST's training images calibrate a file of
``deepcompress run``; its test images are measured on.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import deepcompress
from deepcompress.experiments.datasets import load_mnist
from deepcompress.formats.registry import open_source, open_tensors
from deepcompress.nn import zoo
from deepcompress.nn.network import Network
from deepcompress.runtime.loading import read_definition
from deepcompress.runtime.parameters import parameter, read_sources
from deepcompress.runtime.pictures import load_picture
from deepcompress.runtime.preprocessing import Preprocessing

DATA = Path(os.environ.get("DEEPCOMPRESS_DATA", ""))
CAFFE = Preprocessing((227, 227), "BGR", mean=(104, 117, 123), resize=(256, 256))
LITE = Preprocessing((224, 224), "RGB", mean=127, scale=0.0078125, resize=256)
HELD = 10_000  # of MNIST's training images, the last, on which settings are chosen

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Trained:
    """A trained network, inputs that calibrate it, and what it is measured on.

    Attributes
    ----------
    network : Network
    params : mapping of str to ndarray
    inputs : ndarray of shape (n, ...)
        To calibrate with.
    x, labels : ndarray of shape (m, ...) and (m,)
        To measure on.
    held, held_labels : ndarray, optional
        On which settings may be chosen: neither calibrated with nor measured on.
    """

    network: Network
    params: Mapping[str, Array]
    inputs: Array
    x: Array
    labels: Array
    held: Array | None = None
    held_labels: Array | None = None


def squeezenet() -> Trained:
    """Return SqueezeNet 1.1 with the photographs."""
    network = zoo.build("squeezenet-1.1")
    with open_tensors(str(DATA / "real-weights" / "squeezenet-1.1.safetensors")) as tensors:
        params = {name: np.asarray(tensors[name]) for name in network.param_shapes}
    return Trained(network, params, *photographs(CAFFE))


def efficientnet() -> Trained:
    """Return EfficientNet-Lite0, as its graph of ONNX has it, with the photographs."""
    with open_source(DATA / "real-weights" / "efficientnet-lite0.onnx") as source:
        network, _ = read_definition(source.metadata)
        places, _ = read_sources(source.metadata, network)
        params = {
            name: np.array(parameter(name, places[name], shape, source.__getitem__))
            for name, shape in network.param_shapes.items()
        }
    return Trained(network, params, *photographs(LITE))


def photographs(preprocessing: Preprocessing) -> tuple[Array, Array, Array]:
    """Return pictures to calibrate with, others to measure on, and the labels of these."""
    files = sorted((DATA / "photographs").glob("*.jpg"))
    x = np.stack([load_picture(file, preprocessing) for file in files])
    rows = (DATA / "photographs" / "labels.csv").read_text(encoding="utf-8").splitlines()
    by_file = dict(row.split(",")[:2] for row in rows)
    labels = np.array([int(by_file[file.name]) for file in files])
    return x[0::2], x[1::2], labels[1::2]


def mnist(file: str) -> Trained:
    """Return a network of ``deepcompress run``, or of `search_network`, with MNIST."""
    if file.endswith(".npz"):
        network, params = zoo.build("lenet-300-100"), dict(np.load(file))
    else:
        model = deepcompress.load(file)
        network = read_definition(model.metadata)[0]
        params = {name: np.asarray(v, np.float32) for name, v in model.to_dense().items()}
    data = load_mnist(DATA)
    kept, held = data.train_images[:-HELD], data.train_images[-HELD:]
    tests = data.test_images, data.test_labels
    return Trained(network, params, kept, *tests, held, data.train_labels[-HELD:])
