"""Small ONNX models, which the onnx package makes."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

RNG = np.random.default_rng(0)
W = RNG.normal(size=(6, 3, 3, 3)).astype(np.float32)
B = RNG.normal(size=6).astype(np.float32)
SHAPE = np.array([1, -1])
FC = RNG.normal(size=(6 * 16, 40)).astype(np.float32)
TABLE = RNG.integers(0, 40, 64)


def model(**options: Any) -> Any:
    """Return a model with weights as initializers and in Constant nodes, and small integers."""
    fc = helper.make_node("Constant", [], ["fc"], value=numpy_helper.from_array(FC, "inner"))
    six = helper.make_node("Constant", [], ["six"], value=numpy_helper.from_array(np.float32(6)))
    axes = helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([1])))
    nodes = [
        fc,
        six,
        axes,
        helper.make_node("Conv", ["x", "w", "b"], ["conv"], pads=[1] * 4),
        helper.make_node("Clip", ["conv", "", "six"], ["clipped"]),
        helper.make_node("Reshape", ["clipped", "shape"], ["flat"]),
        helper.make_node("MatMul", ["flat", "fc"], ["product"]),
        helper.make_node("Gather", ["product", "table"], ["taken"], axis=1),
        helper.make_node("ReduceSum", ["taken", "axes"], ["y"], keepdims=0),
    ]
    initializers = [
        numpy_helper.from_array(W, "w"),
        numpy_helper.from_array(B, "b"),
        numpy_helper.from_array(SHAPE, "shape"),
        numpy_helper.from_array(TABLE, "table"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
        initializers,
    )
    options = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8, **options}
    return helper.make_model(graph, **options)


def small() -> Any:
    """Return a model of all kinds of places for tensors, of few bytes."""
    inner = helper.make_graph([], "inner", [], [], [numpy_helper.from_array(B, "v")])
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("s", TensorProto.FLOAT, [1], [1]),
        helper.make_tensor("i", TensorProto.INT64, [1], [2]),
        [3],
    )
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(B)),
        helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(SHAPE)),
        helper.make_node("Constant", [], ["n"], value_floats=[1.0]),
        helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner),
        helper.make_node("Other", [], [], domain="of.others", t=numpy_helper.from_array(B)),
    ]
    graph = helper.make_graph(nodes, "graph", [], [], [numpy_helper.from_array(B, "b")])
    graph.sparse_initializer.append(sparse)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("of.others", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def of_initializers(*tensors: Any) -> Any:
    """Return a model of nothing but initializers."""
    graph = helper.make_graph([], "graph", [], [], list(tensors))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def with_external(tensor: Any, location: str, **entries: object) -> Any:
    """Return a tensor whose elements are said to be in a file."""
    external = onnx.TensorProto()
    external.CopyFrom(tensor)
    external.ClearField("raw_data")
    external.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        external.external_data.add(key=key, value=str(value))
    return external


def save(path: Path, made: Any) -> Path:
    path.write_bytes(made.SerializeToString())
    return path
