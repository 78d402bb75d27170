"""Write the seeds of all targets, a few KB each: ``python tests/fuzz/make_seeds.py``.

Small files of every kind, so that a fuzzer begins behind the checks of the beginning; those of
the C kernels, whose input is no file, are `kernel_seeds`.
"""

import gzip
import json
import struct
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz import kernel_seeds
from fuzz.net import CONVOLUTION, PRODUCTS
from support.npz import npz_bytes

import deepcompress as dc
from deepcompress.container.records import BITMASK, DENSE, DTYPES, RELATIVE, Coding, PlaneCoding
from deepcompress.formats import net
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.definition import to_definition
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import BatchNorm, LocalResponseNorm, Scale
from deepcompress.nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS

CORPUS = Path(__file__).parent / "corpus"


def containers() -> dict[str, bytes]:
    golden = Path(__file__).parents[1] / "golden"
    names = ("v1-nooks", "v1-nothing", "v2-lacking")
    files = {name[3:]: (golden / f"{name}.dcnn").read_bytes() for name in names}
    files["dtypes"] = dc.compress({d.name: np.arange(2).astype(d) for d in DTYPES}).to_bytes()
    metadata = {" é": [1, None, 0.5, True], "a": {"b": "\ud800"}}
    files["metadata"] = dc.compress({}, metadata=metadata).to_bytes()
    rng = np.random.default_rng(0)
    weights = rng.choice([-1, 0.5, 2, 3], size=(12, 20)) * (rng.random((12, 20)) < 0.3)
    tensor = dc.compress({"w": weights.astype(np.float32)}, dc.Config(dc.TensorConfig(min_size=0)))
    coders = {"fixed": FIXED_WIDTH, "huffman": HUFFMAN, "rans": RANS}
    for name, coder in coders.items():
        for kind, coding in {
            "relative": Coding(RELATIVE, coder, coder, 3),
            "dense": Coding(DENSE, coder),
            "bitmask": Coding(BITMASK, coder, coder),
            "relative-blocks": Coding(RELATIVE, coder, coder, 4, 6),
            "bitmask-blocks": Coding(BITMASK, coder, FIXED_WIDTH, 0, 7),
        }.items():
            files[f"{kind}-{name}"] = replace(tensor, storage={"w": coding}).to_bytes()
        arrays = {"h": weights[:3].astype(np.float16), "i": weights.astype(np.int8)}
        how = {"h": PlaneCoding((0, coder), 4), "i": PlaneCoding((coder,))}
        files[f"planes-{name}"] = dc.CompressedModel({**arrays}, {}, {**how}).to_bytes()
    return files


def nets() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    files = {}
    for name, layers in {"products": PRODUCTS, "convolution": CONVOLUTION}.items():
        tensors = {}
        for layer in layers:
            weights = rng.choice([-1, 0.5, 2], size=layer.shape) * (rng.random(layer.shape) < 0.4)
            tensors[layer.name + net.WEIGHT] = weights
            tensors[layer.name + net.BIAS] = np.ones(layer.shape[0], np.float32)
        config = dc.Config(dc.TensorConfig(min_size=0), {"bias": {"method": "raw"}})
        files[name] = net.write(dc.compress(tensors, config))
    return files


def lists_of_layers() -> dict[str, bytes]:
    convolution = {"name": "c", "type": "Convolution", "in_channels": 4, "out_channels": 8}
    product = {"name": "p", "type": "InnerProduct", "in_channels": 4, "out_channels": 8}
    data, input_shape = ["data"], [4, 9, 9]
    graph = [
        {"name": "data", "type": "Input", "shape": input_shape},
        convolution | {"kernel": 3, "inputs": data, "pad": 1, "stride": 2, "group": 2},
        {"name": "r", "type": "ReLU", "inputs": ["c"], "output": "c"},
        {"name": "m", "type": "Pooling", "pool": "MAX", "kernel": 2, "inputs": ["c"]},
        {"name": "a", "type": "Pooling", "pool": "AVE", "kernel": 2, "inputs": ["c"]},
        {"name": "j", "type": "Concat", "inputs": ["m", "a", "a"]},
        {"name": "n", "type": "LRN", "local_size": 3, "alpha": 0.5, "inputs": ["j"]},
        {"name": "g", "type": "Pooling", "pool": "AVE", "global": True, "inputs": ["n"]},
        {"name": "d", "type": "Dropout", "dropout_ratio": 0.25, "inputs": ["g"]},
        product | {"in_channels": 24, "inputs": ["d"]},
        {"name": "s", "type": "Softmax", "inputs": ["p"]},
    ]
    relu = {"name": "r", "type": "ReLU", "of": [1.5, None, {"é": True}]}
    return {
        "layers": json.dumps([convolution | {"kernel": 3, "group": 2}, relu, product]).encode(),
        "network": json.dumps(graph).encode(),
        "large": json.dumps([product | {"in_channels": 2**32, "out_channels": 2**31 - 1}]).encode(),
        "utf-16": json.dumps([product]).encode("utf-16"),
    }


def definitions() -> dict[str, bytes]:
    layers = (
        Conv2D("c", 2, 4, 3, stride=2, padding=1, groups=2),
        BatchNorm("b", 4, epsilon=0.25),
        MaxPool2D("m", 2, 1, round_up=True),
        LocalResponseNorm("l", 3, alpha=0.5),
        Concat("j"),
        Flatten("f"),
        Linear("p", 128, 3),
        ReLU("r"),
        Dropout("d", 0.25),
    )
    network = Network("net", layers, (2, 9, 9), {"l": ["m"], "j": ["m", "l"]})
    averaged = (Scale("s", 2), AvgPool2D("a", 3, 2, 1), GlobalAvgPool2D("g"))
    networks = {"branches": network, "averages": Network("é", averaged, (2, 9, 9))}
    files = {name: json.dumps(to_definition(one)).encode() for name, one in networks.items()}
    return files | {"name": b'"squeezenet"'}


def idx_files() -> dict[str, bytes]:
    image = struct.pack(">HBB3I", 0, 8, 3, 2, 3, 4) + bytes(range(24))
    label = struct.pack(">HBBI", 0, 8, 1, 5) + bytes(range(5))
    return {"images": image, "labels": label, "gzip": gzip.compress(image, mtime=0)}


def npz_files() -> dict[str, bytes]:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(2), "": np.array(1)}
    return {"arrays": npz_bytes(arrays), "none": npz_bytes({})}


def record_files() -> dict[str, bytes]:
    return {"config": b'{"seed": 1, "a": [1.5, null, {"b": true}]}\n', "list": b"[]"}


SEEDS = {
    "container": containers,
    "net": nets,
    "layers": lists_of_layers,
    "definition": definitions,
    "idx": idx_files,
    "npz": npz_files,
    "records": record_files,
} | kernel_seeds.SEEDS

if __name__ == "__main__":
    for target, make in SEEDS.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (CORPUS / target / name).write_bytes(data)
