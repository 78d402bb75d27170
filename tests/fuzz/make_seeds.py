"""Write the seeds of all targets, a few KB each: ``python tests/fuzz/make_seeds.py``.

Small files of every kind, so that a fuzzer begins behind the checks of the beginning; those of
the C kernels, whose input is no file, are `kernel_seeds`.
"""

import gzip
import importlib.util
import io
import json
import struct
import sys
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz import kernel_seeds
from fuzz import shards as shards_target
from fuzz.net import CONVOLUTION, PRODUCTS
from support.along import labels_along
from support.npz import npz_bytes

import deepcompress as dc
from deepcompress.coding.delta import DeltaCoding
from deepcompress.container.records import (
    BITMASK,
    CONTEXT,
    DENSE,
    DTYPES,
    MAX_BLOCK_BITS,
    RELATIVE,
    Coding,
    PlaneCoding,
)
from deepcompress.formats import net, safetensors
from deepcompress.formats.npz import NUMBERS, npz_parts
from deepcompress.nn.activations import Clip, HardSigmoid, LeakyReLU, Softmax
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.definition import to_definition
from deepcompress.nn.joins import Add, Multiply
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import BatchNorm, LocalResponseNorm, Scale
from deepcompress.nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.rearranging import Pad, Permute, Reshape
from deepcompress.nn.transposed import ConvTranspose2D
from deepcompress.packed.survivors import pack
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS, RANS1, Survivors

BASE = {
    "bytes": np.arange(40, dtype=np.int16),
    "bools": np.arange(20) % 3 == 0,
    "same": np.linspace(-1, 1, 9),
}
CORPUS = Path(__file__).parent / "corpus"


def containers() -> dict[str, bytes]:
    golden = Path(__file__).parents[1] / "golden"
    names = ("v1-nooks", "v1-nothing", "v2-lacking", "v3-ties")
    files = {name[3:]: (golden / f"{name}.dcnn").read_bytes() for name in names}
    files["dtypes"] = dc.compress({d.name: np.arange(2).astype(d) for d in DTYPES}).to_bytes()
    metadata = {" é": [1, None, 0.5, True], "a": {"b": "\ud800"}}
    files["metadata"] = dc.compress({}, metadata=metadata).to_bytes()
    rng = np.random.default_rng(0)
    weights = rng.choice([-1, 0.5, 2, 3], size=(12, 20)) * (rng.random((12, 20)) < 0.3)
    tensor = dc.compress({"w": weights.astype(np.float32)}, dc.Config(dc.TensorConfig(min_size=0)))
    coders = {"fixed": FIXED_WIDTH, "huffman": HUFFMAN, "rans1": RANS1, "rans": RANS}
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
    changed = {name: array[::-1].copy() for name, array in BASE.items()}
    how = {name: DeltaCoding(BASE[name], PlaneCoding((2,), 4)) for name in ("bytes", "bools")}
    deltas = dc.CompressedModel(
        {**BASE, **changed}, {}, {**how, "same": DeltaCoding(BASE["same"], None)}
    )
    deltas.tensors["same"] = BASE["same"]
    files["deltas"] = deltas.to_bytes()
    groups = {"min_size": 0, "group_size": 5}
    by_name = {"w": {"encoding": "dense"}, "b": {"encoding": "bitmask"}}
    by_name["r"] = {"gap_bits": 2, "group_size": 7}
    grouped = dc.Config(groups, by_name=by_name)
    rows = {"w": weights.astype(np.float32), "r": weights[:9], "b": weights.astype(np.float16)}
    files["grouped"] = dc.compress(rows, grouped).to_bytes()
    codebook = np.array([0, -3, -2, -1, 1, 2, 4], np.float32)
    values = 2 * rng.normal(size=(6, 3, 2, 2))
    labels = labels_along(values, values.shape, codebook)
    weights = Survivors(values.shape, codebook, np.flatnonzero(labels), labels[labels > 0])
    coding = Coding(CONTEXT, block_bits=MAX_BLOCK_BITS, trellis=True)
    along = {"w": pack(weights), "h": pack(weights)}
    how = {"w": coding, "h": replace(coding, half=True)}
    files["trellis"] = dc.CompressedModel(along, {}, how).to_bytes()
    plain = dict.fromkeys(along, replace(coding, trellis=False))
    files["context"] = dc.CompressedModel(along, {}, plain).to_bytes()
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
    exported = (
        Conv2D("c", 3, 6, (3, 1), (1, 2), (0, 1, 2, 1), 3, dilation=(2, 1)),
        Clip("q", 0.0, 6.0),
        GlobalAvgPool2D("g"),
        HardSigmoid("h", 0.2),
        Multiply("m"),
        Add("a"),
        Pad("p", (1, 0, 0, 2)),
        ConvTranspose2D("t", 6, 2, 3, 2, 1, more=1),
        AvgPool2D("v", (3, 2), 2, (1, 0, 1, 1), counts_padding=False),
        LeakyReLU("l", 0.125),
        Permute("w", (1, 2, 0)),
        Reshape("r", (4, 32)),
        Softmax("s"),
    )
    sources = {"m": ["q", "h"], "a": ["m", "q"]}
    networks = {"branches": network, "averages": Network("é", averaged, (2, 9, 9))}
    networks["exported"] = Network("onnx", exported, (3, 9, 9), sources)
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


def structures() -> dict[str, bytes]:
    tensor = {"tensor": "w", "parameter": True, "grad": True}
    values = [None, True, 3, 0.5, "é", {"float": "nan"}, {"complex": [0.5, {"float": "inf"}]}]
    more = [{"tuple": [1, []]}, {"set": [1, "a"]}, {"bytes": "AAE="}, {"bytearray": ""}]
    attributes = {"dict": [["_metadata", {"ordered": []}]]}
    state = {"ordered": [["a", {"tensor": "a"}]], "attributes": attributes}
    pair = [["w_orig", {"tensor": "w_orig"}], ["w_mask", {"tensor": "w_mask"}], [0, {"dict": []}]]
    forms = {"values": values + more, "state": state, "pair": {"dict": pair}, "tensor": tensor}
    return {name: json.dumps(form).encode() for name, form in forms.items()}


def sparse_matrices() -> dict[str, bytes]:
    data, whole = np.array([1.5, -2], np.float32), {"shape": np.array([2, 4])}
    row = {"indices": np.array([0, 3], np.int32), "indptr": np.array([0, 1, 2], np.int32)}
    columns = {"indices": np.array([0, 1]), "indptr": np.array([0, 1, 1, 1, 2])}
    entries = {"row": np.array([0, 1]), "col": np.array([3, 3])}
    blocks = row | {"indices": np.array([0, 1], np.int32)}
    parts = {
        "csr": row | {"data": data, "_is_array": np.array(True)},
        "csc": columns | {"data": data},
        "coo": entries | {"data": data},
        "dia": {"offsets": np.array([0, -1]), "data": np.ones((2, 4), np.int8)},
        "bsr": blocks | {"data": np.arange(4.0).reshape(2, 1, 2)},
    }
    return {
        form: b"".join(
            npz_parts((one | whole | {"format": np.array(form.encode())}).items(), "S" + NUMBERS)
        )
        for form, one in parts.items()
    } | {"arrays": npz_bytes({"w": np.ones(2)})}


def perceptrons() -> dict[str, bytes]:
    def node(member: str) -> dict[str, object]:
        return {"__loader__": "NdArrayNode", "file": f"{member}.npy"}

    weights = {"content": [node("1"), node("2")]}
    inner = {"coefs_": weights, "t_": {"content": "3"}, "classes_": node("3"), "n": node("4")}
    mlp = {"__class__": "MLPClassifier", "__loader__": "ObjectNode"}
    mlp["content"] = {"__loader__": "DictNode", "content": inner}
    arrays = {
        "1": np.asfortranarray(np.arange(6, dtype=">f4").reshape(2, 3)),
        "2": np.ones(2),
        "3": np.array(["a", "b"]),
        "4": np.array(3),
    }
    members = {f"{name}.npy": npy_bytes(array) for name, array in arrays.items()}
    pipeline = {"content": {"content": {"steps": {"content": [{"content": ["a", mlp]}]}}}}
    return {
        name: zip_bytes({**members, "schema.json": json.dumps(schema).encode()})
        for name, schema in (("estimator", mlp), ("pipeline", pipeline))
    }


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array)
    return stream.getvalue()


def zip_bytes(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return stream.getvalue()


def hdf5_trees() -> dict[str, bytes]:
    tensor = {"tensor": "a/w", "dtype": "<f4", "shape": [3, 2]}
    zipped = {"chunks": [2, 1], "compression": "gzip", "level": 4, "shuffle": True}
    zipped |= {"tensor": "z", "dtype": ">i2", "shape": [3, 2], "maxshape": [None, 2]}
    text = {"shape": [2], "text": ["é", ""], "encoding": "utf-8"}
    fixed = {"shape": [], "text": ["ab"], "encoding": "ascii", "length": 3}
    numbers = {"shape": [2], "numbers": "AAECAw==", "dtype": "<u2"}
    attributes = [["text", text], ["fixed", fixed], ["n", numbers], ["no", {"dtype": "<f4"}]]
    links = [["b", {"soft": "/a"}], ["c", {"hard": "/a/w"}], ["d", {"data": text}]]
    group = {"group": [["w", {**tensor, "attributes": attributes}]]}
    forms = {"group": {"group": [["a", group], *links], "attributes": attributes}}
    forms["zipped"] = {"group": [["e", {"data": {"dtype": "<f8"}}], ["z", zipped]]}
    return {name: json.dumps(form).encode() for name, form in forms.items()}


def models() -> dict[str, bytes]:
    if importlib.util.find_spec("onnx") is None:
        return {}
    from onnx import TensorProto, helper, numpy_helper
    from support.onnx_models import of_initializers, small, with_external

    w = numpy_helper.from_array(np.eye(3, dtype=np.float32), "w")
    fields = [
        helper.make_tensor("f", TensorProto.FLOAT, [2], [1, 2]),
        helper.make_tensor("c", TensorProto.COMPLEX64, [1], [1j]),
        helper.make_tensor("h", TensorProto.FLOAT16, [2], [1, 2]),
        helper.make_tensor("i", TensorProto.INT8, [64], list(range(64))),
        helper.make_tensor("b", TensorProto.BOOL, [8, 8], [1] * 64),
        helper.make_tensor("u", TensorProto.UINT64, [64], list(range(64))),
        helper.make_tensor("d", TensorProto.DOUBLE, [], [2]),
    ]
    made = {
        "model": small(),
        "fields": of_initializers(*fields),
        "external": of_initializers(with_external(w, "input", offset=3, length=36)),
        "others": of_initializers(
            helper.make_tensor("q", TensorProto.INT4, [4], b"ab", raw=True),
            helper.make_tensor("s", TensorProto.STRING, [1], [b"text"]),
            numpy_helper.from_array(np.arange(3), "few"),
        ),
    }
    return {name: one.SerializeToString() for name, one in made.items()}


def shard_files() -> dict[str, bytes]:
    texts = {"metadata": {"format": "pt"}}
    arrays = {"w": np.eye(2, dtype=np.float32), "b": np.ones(3, np.int8), "t": np.array(True)}
    halves = {
        "h": np.ones((2, 2), np.float16),
        "z": np.zeros((0, 3)),
        "c": np.ones(1, np.complex64),
    }
    files = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.safetensors"
        for case, pair in {"two": (arrays, halves), "none": ({}, arrays)}.items():
            shards = []
            for one in pair:
                safetensors.write(path, one.items(), texts if case == "two" else {})
                shards.append(path.read_bytes())
            places = zip(("a", "b"), pair, strict=True)
            weight_map = {key: f"{file}.safetensors" for file, one in places for key in one}
            index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
            files[case] = shards_target.join([json.dumps(index).encode(), *shards])
    return files


SEEDS = {
    "container": containers,
    "net": nets,
    "layers": lists_of_layers,
    "definition": definitions,
    "idx": idx_files,
    "npz": npz_files,
    "records": record_files,
    "structure": structures,
    "sparse": sparse_matrices,
    "skops": perceptrons,
    "hdf5_tree": hdf5_trees,
    "onnx_model": models,
    "shards": shard_files,
} | kernel_seeds.SEEDS

if __name__ == "__main__":
    for target, make in SEEDS.items():
        (CORPUS / target).mkdir(parents=True, exist_ok=True)
        for name, data in make().items():
            (CORPUS / target / name).write_bytes(data)
