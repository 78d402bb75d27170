"""A graph of ONNX calibrated, run packed, and written as a graph again."""

from pathlib import Path

import numpy as np
import pytest
from support.command import call

import deepcompress as dc

onnx = pytest.importorskip("onnx", reason="the extra onnx isn't installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime isn't installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

SHAPES = {"c.w": (16, 3, 3, 3), "c.b": (16,), "d.w": (16, 1, 3, 3), "e.w": (32, 16, 1, 1)}
SHAPES |= {"f.w": (10, 32), "f.b": (10,)}


def graph() -> bytes:
    """Return a network of a convolution, a depthwise and a pointwise one, and a matrix."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
    nodes = [
        helper.make_node("Conv", ["x", "c.w", "c.b"], ["c"], pads=[1, 1, 0, 0]),
        helper.make_node("Clip", ["c", "low", "high"], ["c6"]),
        helper.make_node("Conv", ["c6", "d.w"], ["d"], pads=[1] * 4, group=16),
        helper.make_node("Conv", ["d", "e.w"], ["e"]),
        helper.make_node("Relu", ["e"], ["er"]),
        helper.make_node("GlobalAveragePool", ["er"], ["g"]),
        helper.make_node("Flatten", ["g"], ["flat"]),
        helper.make_node("Gemm", ["flat", "f.w", "f.b"], ["y"], transB=1),
    ]
    values = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    values += [numpy_helper.from_array(np.float32(v), n) for n, v in (("low", 0), ("high", 6))]
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        values,
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(made, opset_imports=opsets, ir_version=8).SerializeToString()


def test_there_and_back(tmp_path: Path) -> None:
    given = tmp_path / "in.onnx"
    given.write_bytes(graph())
    session = ort.InferenceSession(given)
    (taken,) = session.get_inputs()
    x = np.random.default_rng(0).normal(size=(64, *taken.shape[1:])).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    packed, again = tmp_path / "m.dcnn", tmp_path / "out.onnx"
    options = ["--calibrate", tmp_path / "x.npy", "--lam", "1e-6"]
    assert call("compress", given, "-o", packed, *options)[::2] == (0, "")
    assert call("decompress", packed, "-o", again)[::2] == (0, "")
    loaded = dc.load(packed)
    with_weights = {name for name in loaded if isinstance(loaded[name], dc.CompressedTensor)}
    assert {"c.w", "e.w", "f.w"} <= with_weights
    assert packed.stat().st_size < given.stat().st_size
    ours = dc.CompressedNetwork.load(packed).predict(x[:5])
    (theirs,) = ort.InferenceSession(again).run(None, {taken.name: x[:5]})
    (before,) = session.run(None, {taken.name: x[:5]})
    assert np.abs(ours - theirs).max() <= 1e-3 * np.abs(theirs).max()
    assert 0 < np.abs(theirs - before).max() < 0.3 * np.abs(before).max()
