"""ONNX models, which have to come back as they were."""

import importlib.util
from random import Random
from typing import Any

from deepcompress.formats import onnx

from .limits import limited, outcome, require, scratch_path

available = importlib.util.find_spec("onnx") is not None
if available:
    from onnx import ModelProto

_path = scratch_path()
_out = scratch_path()


def test_one_input(data: bytes) -> None:
    _path.write_bytes(data)
    with limited("reading"):
        source, _ = outcome(lambda: onnx.OnnxFile(_path))
    if source is None:
        return
    with limited("reading arrays"):
        arrays, _ = outcome(lambda: dict(source.items()))
    if arrays is None:
        return
    require(all(source.shapes[name] == array.shape for name, array in arrays.items()), "shapes")
    origin = source.metadata["origin"]
    with limited("writing"):
        _, refusal = outcome(lambda: onnx.write(_out, arrays.items(), origin))
    require(not refusal, f"what was read can't be written: {refusal}")
    again = onnx.OnnxFile(_out)
    require(list(again) == list(arrays), "names differ")
    for name, array in arrays.items():
        same = again[name].dtype == array.dtype and again[name].tobytes() == array.tobytes()
        require(same, f"{name!r} differs")
    graphs = [one.skeleton.SerializeToString(deterministic=True) for one in (again, source)]
    require(graphs[0] == graphs[1], "graphs differ")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: Any) -> bytes:
    """Change a tensor within the model, or anything."""
    model = None
    if random.random() < 0.7:
        try:
            model = ModelProto.FromString(data)
            tensors = [tensor for _, tensor in onnx._tensors(model)]
            tensor = random.choice(tensors)
            changed = mutate_bytes(tensor.SerializeToString(), 300)
            tensor.CopyFrom(type(tensor).FromString(changed))
        except Exception:  # what protobuf says of bytes that are no message
            model = None
    if model is None:
        return mutate_bytes(data, max_size)
    return model.SerializeToString()[:max_size]
