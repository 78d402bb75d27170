"""Graphs that have no network here: one clear reason each, and the weights are left alone."""

import importlib.util
import re

import numpy as np
import pytest

from deepcompress import load
from deepcompress.errors import ArgumentError, FormatError

for needed in ("onnx", "onnxruntime"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}, an extra", allow_module_level=True)

from onnx import TensorProto, helper  # noqa: E402 -- only where it is there
from support.onnx_graphs import draw, in_file, ints, model_of, node, scalar  # noqa: E402

from deepcompress.formats import onnx_graph  # noqa: E402

IMAGE, VECTOR = (4, 9, 8), (6,)
W = {"w": draw(6, 4, 3, 3)}
NORM = {"s": draw(4), "b": draw(4), "m": draw(4), "v": draw(4) + 2}


def refused(nodes, tensors=None, shape=IMAGE, **options):
    """Return the reason for which a graph has no network."""
    output = options.pop("output", "y")
    entries = onnx_graph.metadata(model_of(nodes, shape, output, tensors, **options))
    assert set(entries) == {"no_network"}
    return entries["no_network"]


RELU = [node("Relu", "x")]

REFUSED = [
    (
        [node("Erf", "x", "e"), node("Resize", "e", "r"), node("Relu", "r")],
        {},
        {},
        "unknown operators: Erf$",
    ),
    (
        [node("Erf", "x", "e"), node("Elu", "x", "f"), node("Add", "e f")],
        {},
        {},
        "unknown operators: Elu, Erf$",
    ),
    (
        [node("If", "x", then_branch=model_of(RELU, IMAGE, "y").graph)],
        {},
        {},
        "unknown operators: If$",
    ),
    (
        [node("Gelu", "x", domain="com.microsoft")],
        {},
        {},
        "unknown operators: com.microsoft::Gelu$",
    ),
    (RELU, {}, {"opset": 6}, "opset 6 of ONNX isn't known, only 7 to 22"),
    (RELU, {}, {"opset": 23}, "opset 23 of ONNX isn't known, only 7 to 22"),
    (RELU, {}, {"shape": (3, "height", 8)}, "an axis besides the batch whose size isn't fixed"),
    (RELU, {}, {"shape": (3, 0, 8)}, "an axis besides the batch whose size isn't fixed"),
    (RELU, {}, {"shape": (3, 4, 5, 6)}, "its input has 5 axes, expected 2 to 4"),
    (RELU, {}, {"output": "z"}, "its output doesn't depend on its input"),
    ([node("Identity", "w")], W, {}, "its output doesn't depend on its input"),
    ([node("Identity", "x")], {}, {}, "computes nothing"),
    (
        [node("Add", "x z", "y"), node("Relu", "y", "z")],
        {},
        {},
        "node '/y/' takes 'z' before a node gives it: a cycle",
    ),
    ([node("Add", "x y")], {}, {}, "takes 'y' before a node gives it: a cycle, or no order"),
    ([node("Conv", "x w")], {}, {}, "node '/y/' takes 'w', which nothing gives"),
    ([node("Relu", "x", "y"), node("Tanh", "x", "y")], {}, {}, "two nodes give 'y'"),
    (
        [node("Conv", "x w b")],
        W | {"b": draw(5)},
        {},
        r"node '/y/' \('Conv'\): a weight has shape \(5,\), expected \(6,\)",
    ),
    (
        [node("Conv", "x w")],
        {"w": draw(6, 5, 3, 3)},
        {},
        r"node '/y/' \('Conv'\): .*input of shape \(4, 9, 8\), expected \(5",
    ),
    ([node("Conv", "x w", strides=[0, 1])], W, {}, "'Conv'.*must be positive"),
    ([node("Conv", "x w", strides=[1])], W, {}, "'Conv'"),
    ([node("Conv", "x w", auto_pad="SAME")], W, {}, "auto_pad SAME isn't known"),
    ([node("Conv", "x w", pads=[0, -1, 0, 0])], W, {}, "Conv with negative padding"),
    ([node("Conv", "x")], {}, {}, "Conv whose weight is computed"),
    (
        [
            node("Conv", "x w b"),
        ],
        W | {"b": scalar(2)},
        {"output": "q"},
        "doesn't depend",
    ),
    ([node("Relu", "x", "r"), node("Conv", "x r")], {}, {}, "Conv whose weight is computed"),
    ([node("MatMul", "x w")], {"w": draw(8, 3)}, {}, "MatMul of values of 4 axes"),
    ([node("MatMul", "x x")], {}, {"shape": VECTOR}, "MatMul of two computed values"),
    (
        [node("Gemm", "x w", transA=1)],
        {"w": draw(6, 3)},
        {"shape": VECTOR},
        "Gemm of a transposed input",
    ),
    ([node("Reshape", "x s")], {"s": ints(-1, 8)}, {}, "Reshape across the batch"),
    (
        [node("Reshape", "x s")],
        {"s": ints(-1, 7)},
        {},
        r"'Reshape'\): \(1, 4, 9, 8\) can't be reshaped to \[-1, 7\]",
    ),
    ([node("Reshape", "x s")], {"s": ints(-1, -1)}, {}, "can't be reshaped"),
    ([node("Reshape", "x s")], {"s": draw(2)}, {}, "expected a few whole numbers"),
    ([node("Transpose", "x", perm=[1, 0, 2, 3])], {}, {}, r"Transpose by \[1, 0, 2, 3\]"),
    (
        [node("Reshape", "x s", "r"), node("Transpose", "r", perm=[0, 2, 1, 3, 4])],
        {"s": ints(0, 2, 2, 9, 8)},
        {},
        "unknown operators: Transpose of 5 axes$",
    ),
    ([node("Softmax", "x", axis=3)], {}, {}, "Softmax over axis 3 of 4"),
    ([node("Softmax", "x", axis=7)], {}, {}, r"'Softmax'\): no axes \[7\]"),
    ([node("Concat", "x x", axis=2)], {}, {}, "Concat along axis 2"),
    ([node("Add", "x b")], {"b": draw(8)}, {}, "Add of shapes"),
    ([node("GlobalAveragePool", "x", "g"), node("Add", "x g")], {}, {}, "Add of shapes"),
    ([node("Div", "x b")], {"b": draw(4, 1, 1)}, {}, "Div by several numbers"),
    (
        [node("Pad", "x", mode="reflect", pads=[0, 0, 1, 1, 0, 0, 1, 1])],
        {},
        {"opset": 10},
        "Pad by anything but zeros",
    ),
    ([node("Pad", "x", pads=[0, 1, 0, 0, 0, 0, 0, 0])], {}, {"opset": 10}, "Pad of the channels"),
    ([node("Pad", "x", pads=[0, 1])], {}, {"opset": 10}, "'Pad'.*not as ONNX has it"),
    ([node("ReduceMean", "x", axes=[1])], {}, {}, r"ReduceMean over axes \[1\]"),
    (
        [node("MaxPool", "x", kernel_shape=[2, 2], dilations=[2, 2])],
        {},
        {},
        "MaxPool with dilations",
    ),
    ([node("MaxPool", "x")], {}, {}, "'MaxPool'.*not as ONNX has it"),
    (
        [
            helper.make_node("MaxPool", ["x"], ["p", "i"], kernel_shape=[2, 2]),
            node("Cast", "i", to=1),
        ],
        {},
        {},
        "MaxPool with 2 outputs",
    ),
    ([node("Cast", "x", to=7)], {}, {}, "Cast to INT64"),
    ([node("Clip", "x lo")], {"lo": draw(3)}, {}, "Clip by several numbers"),
    ([node("LRN", "x", size=4)], {}, {}, "'LRN'.*size 4 must be odd"),
    (
        [node("BatchNormalization", "x s b m v", training_mode=1)],
        NORM,
        {},
        "BatchNormalization in training",
    ),
    (
        [node("ConstantOfShape", "s", "c"), node("Add", "x c")],
        {"s": ints(2**20, 2**20)},
        {},
        "ConstantOfShape of 1,099,511,627,776 elements",
    ),
    (
        [node("Expand", "v s", "c"), node("Add", "x c")],
        {"s": ints(2**40), "v": scalar(0)},
        {},
        "Expand of 1,099,511,627,776",
    ),
    (
        [node("Range", "a z d", "c"), node("Add", "x c")],
        {"a": scalar(0), "z": scalar(1e30), "d": scalar(1e-30)},
        {},
        "Range of",
    ),
    (
        [node("Sqrt", "w", "c"), node("Conv", "x c")],
        {"w": draw(600, 4, 9, 9)},
        {},
        "Sqrt of weights",
    ),
    ([node("Sqrt", "w", "c"), node("Conv", "x c")], W, {}, "Conv whose weights are computed"),
    (
        [node("Gather", "w i", "c"), node("Add", "x c")],
        {"w": draw(3), "i": ints(9)},
        {},
        "'Gather'.*not as ONNX has it",
    ),
]


@pytest.mark.parametrize(("nodes", "tensors", "options", "reason"), REFUSED)
def test_graphs_that_have_no_network_say_why(nodes, tensors, options, reason):
    why = refused(nodes, tensors, **options)
    assert why.startswith("graph 'small': ")
    assert len(why) < 300
    assert re.search(reason, why), why


def test_more_than_one_input_or_output_is_refused():
    model = model_of(RELU, IMAGE, "y")
    model.graph.output.append(model.graph.output[0])
    with pytest.raises(ArgumentError, match="has 2 outputs, a network has one"):
        onnx_graph.network_of(model)
    model = model_of(RELU, IMAGE, "y")
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2]))
    with pytest.raises(ArgumentError, match="has 2 inputs, a network has one"):
        onnx_graph.network_of(model)
    model = model_of(RELU, IMAGE, "y")
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    with pytest.raises(ArgumentError, match="its input 'x' isn't of float32"):
        onnx_graph.network_of(model)
    model = model_of([node("Conv", "x w")], IMAGE, "y", W)
    model.graph.initializer.append(model.graph.initializer[0])
    with pytest.raises(FormatError, match="two tensors are called 'w'"):
        onnx_graph.network_of(model)


def test_an_unknown_operator_leaves_the_weights_alone(tmp_path):
    model = model_of([node("Conv", "x w", "c"), node("Erf", "c")], IMAGE, "y", W)
    with pytest.raises(ArgumentError, match=r"names no network: .*unknown operators: Erf"):
        in_file(model, tmp_path / "net.dcnn")
    np.testing.assert_array_equal(load(tmp_path / "net.dcnn")["w"], W["w"])
