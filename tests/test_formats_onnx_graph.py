"""Networks out of ONNX graphs: node by node as onnxruntime has them, or one clear error."""

import importlib.util

import numpy as np
import pytest

for needed in ("onnx", "onnxruntime"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}, an extra", allow_module_level=True)

from onnx import TensorProto, helper  # noqa: E402 -- only where it is there
from support.onnx_graphs import (  # noqa: E402
    assert_same,
    draw,
    in_file,
    ints,
    model_of,
    node,
    scalar,
)

from deepcompress.formats import onnx_graph, onnx_tensors  # noqa: E402

IMAGE, VECTOR, SEQUENCE = (4, 9, 8), (6,), (4, 11)
W, B = {"w": draw(6, 4, 3, 3)}, {"b": draw(6)}
NORM = {"s": draw(4), "b": draw(4), "m": draw(4), "v": draw(4) + 2}

# Name, nodes, shape of the input, tensors, opset.
CASES = [
    ("conv", [node("Conv", "x w b")], IMAGE, W | B, 17),
    ("conv without bias", [node("Conv", "x w", pads=[1, 0, 2, 3])], IMAGE, W, 7),
    (
        "conv with all options",
        [node("Conv", "x w", strides=[2, 1], dilations=[1, 2], group=2, kernel_shape=[3, 2])],
        IMAGE,
        {"w": draw(6, 2, 3, 2)},
        11,
    ),
    ("same upper", [node("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2])], IMAGE, W, 17),
    ("same lower", [node("Conv", "x w", auto_pad="SAME_LOWER", strides=[2, 2])], IMAGE, W, 17),
    ("valid", [node("Conv", "x w", auto_pad="VALID")], IMAGE, W, 17),
    (
        "depthwise",
        [node("Conv", "x w", group=4, pads=[1, 1, 1, 1], strides=[2, 2])],
        IMAGE,
        {"w": draw(8, 1, 3, 3)},
        17,
    ),
    (
        "bias by addition",
        [node("Conv", "x w", "c"), node("Add", "c b")],
        IMAGE,
        W | {"b": draw(1, 6, 1, 1)},
        17,
    ),
    (
        "a bias of what others take, too",
        [node("Conv", "x w", "c"), node("Add", "c b", "d"), node("Mul", "c d")],
        IMAGE,
        W | {"b": draw(6, 1, 1)},
        17,
    ),
    (
        "conv of sequences",
        [node("Conv", "x w b", pads=[2, 1], strides=[2])],
        SEQUENCE,
        {"w": draw(6, 4, 3)} | B,
        17,
    ),
    (
        "sequences to the end",
        [
            node("Conv", "x w b", "c", dilations=[2]),
            node("Relu", "c", "r"),
            node("MaxPool", "r", "p", kernel_shape=[2], strides=[2]),
            node("Flatten", "p", "f"),
            node("Gemm", "f g", transB=1),
        ],
        SEQUENCE,
        {"w": draw(6, 4, 3), "g": draw(5, 18)} | B,
        17,
    ),
    (
        "transposed conv",
        [node("ConvTranspose", "x w b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
        IMAGE,
        {"w": draw(4, 6, 3, 3)} | B,
        17,
    ),
    (
        "transposed conv in groups",
        [
            node(
                "ConvTranspose", "x w", strides=[2, 3], group=2, dilations=[2, 1], pads=[0, 1, 1, 0]
            )
        ],
        IMAGE,
        {"w": draw(4, 3, 2, 3)},
        17,
    ),
    (
        "pad and conv",
        [node("Pad", "x p", "q"), node("Conv", "q w", pads=[1, 0, 0, 0])],
        IMAGE,
        W | {"p": ints(0, 0, 1, 2, 0, 0, 0, 1)},
        13,
    ),
    ("pad of old", [node("Pad", "x", pads=[0, 0, 1, 2, 0, 0, 0, 1])], IMAGE, {}, 10),
    (
        "pad of some axes",
        [node("Pad", "x p  a".replace("  ", " z "))],
        IMAGE,
        {"p": ints(1, 2), "a": ints(-1), "z": scalar(0)},
        18,
    ),
    ("norm", [node("BatchNormalization", "x s b m v", epsilon=0.01)], IMAGE, NORM, 15),
    ("norm of vectors", [node("BatchNormalization", "x s b m v")], (4,), NORM, 15),
    ("norm of sequences", [node("BatchNormalization", "x s b m v")], SEQUENCE, NORM, 9),
    ("lrn", [node("LRN", "x", size=3, alpha=0.1, bias=2.0)], IMAGE, {}, 17),
    ("gemm", [node("Gemm", "x w b")], VECTOR, {"w": draw(6, 5), "b": draw(1, 5)}, 17),
    (
        "gemm with factors",
        [node("Gemm", "x w b", alpha=0.5, beta=3.0, transB=1)],
        VECTOR,
        {"w": draw(5, 6), "b": draw(5)},
        17,
    ),
    (
        "gemm without bias",
        [node("Gemm", "x w", transB=1, alpha=2.0)],
        VECTOR,
        {"w": draw(5, 6)},
        17,
    ),
    (
        "gemm and one number",
        [node("Gemm", "x w b", transB=1)],
        VECTOR,
        {"w": draw(5, 6), "b": scalar(0.5)},
        17,
    ),
    ("matmul", [node("MatMul", "x w")], VECTOR, {"w": draw(6, 5)}, 17),
    (
        "matmul and bias",
        [node("MatMul", "x w", "m"), node("Add", "b m")],
        VECTOR,
        {"w": draw(6, 5), "b": draw(5)},
        17,
    ),
    (
        "a weight that is transposed",
        [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t")],
        VECTOR,
        {"w": draw(5, 6)},
        17,
    ),
    (
        "twice transposed",
        [node("Transpose", "w", "t"), node("Gemm", "x t", transB=1)],
        VECTOR,
        {"w": draw(6, 5)},
        17,
    ),
    (
        "a weight by other names",
        [
            node("Identity", "w", "i"),
            node("Unsqueeze", "b o", "u"),
            node("Squeeze", "u o", "v"),
            node("Conv", "x i v"),
        ],
        IMAGE,
        W | B | {"o": ints(0)},
        17,
    ),
    ("residual", [node("Relu", "x", "r"), node("Add", "r x")], IMAGE, {}, 17),
    ("sum of three", [node("Relu", "x", "r"), node("Sum", "r x r")], IMAGE, {}, 17),
    (
        "gate",
        [node("GlobalAveragePool", "x", "g"), node("Sigmoid", "g", "s"), node("Mul", "s x")],
        IMAGE,
        {},
        17,
    ),
    ("swish", [node("Sigmoid", "x", "s"), node("Mul", "x s")], IMAGE, {}, 17),
    (
        "hard swish in parts",
        [node("HardSigmoid", "x", "s", alpha=1 / 6), node("Mul", "s x")],
        IMAGE,
        {},
        17,
    ),
    (
        "no swish",
        [node("Sigmoid", "x", "s"), node("Mul", "x s", "m"), node("Add", "m s")],
        IMAGE,
        {},
        17,
    ),
    (
        "arithmetic",
        [
            node("Sub", "x m", "d"),
            node("Div", "d t", "q"),
            node("Mul", "q f", "p"),
            node("Sub", "o p"),
        ],
        IMAGE,
        {"m": draw(4, 1, 1), "t": scalar(3), "f": draw(1, 4, 1, 1), "o": scalar(1)},
        17,
    ),
    *(
        (operator, [node(operator, "x", **attributes)], IMAGE, {}, 17)
        for operator, attributes in [
            *(("Relu", {}), ("Sigmoid", {}), ("Tanh", {}), ("HardSwish", {})),
            *(("LeakyRelu", {"alpha": 0.2}), ("HardSigmoid", {}), ("LeakyRelu", {})),
            *(("GlobalAveragePool", {}), ("GlobalMaxPool", {}), ("Softmax", {"axis": 1})),
            *(("ReduceMean", {"axes": [2, 3], "keepdims": 0}), ("ReduceMean", {"axes": [-1, -2]})),
            *(("Flatten", {}), ("Transpose", {"perm": [0, 2, 3, 1]})),
            ("Transpose", {"perm": [0, 1, 3, 2]}),
        ]
    ),
    ("softmax", [node("Softmax", "x")], VECTOR, {}, 13),
    ("softmax of old", [node("Softmax", "x")], VECTOR, {}, 11),
    ("softmax at each place", [node("Softmax", "x", axis=-2)], SEQUENCE, {}, 13),
    ("clip of old", [node("Clip", "x", min=0.0, max=0.5)], IMAGE, {}, 7),
    ("clip without a limit", [node("Clip", "x lo")], IMAGE, {"lo": scalar(0)}, 13),
    (
        "clip by the largest",
        [node("Clip", "x lo hi")],
        IMAGE,
        {"lo": scalar(-0.5), "hi": scalar(3.4e38)},
        13,
    ),
    ("axes of an input", [node("ReduceMean", "x a", keepdims=0)], IMAGE, {"a": ints(2, 3)}, 18),
    (
        "max pool",
        [node("MaxPool", "x", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 1])],
        IMAGE,
        {},
        12,
    ),
    (
        "max pool, rounded up",
        [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)],
        IMAGE,
        {},
        12,
    ),
    *(
        (
            f"average pool, padding {counts}, rounded {ceil}",
            [
                node(
                    "AveragePool",
                    "x",
                    kernel_shape=[3, 2],
                    strides=[2, 2],
                    pads=[1, 1, 1, 0],
                    count_include_pad=counts,
                    ceil_mode=ceil,
                )
            ],
            IMAGE,
            {},
            11,
        )
        for counts in (0, 1)
        for ceil in (0, 1)
    ),
    (
        "average pool of same size",
        [node("AveragePool", "x", kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")],
        IMAGE,
        {},
        17,
    ),
    ("concat", [node("Relu", "x", "r"), node("Concat", "r x r", axis=-3)], IMAGE, {}, 17),
    ("concat of vectors", [node("Relu", "x", "r"), node("Concat", "r x", axis=1)], VECTOR, {}, 17),
    (
        "reshape",
        [node("Reshape", "x s", "r"), node("Relu", "r", "q"), node("Reshape", "q t")],
        IMAGE,
        {"s": ints(0, -1, 3), "t": ints(-1, 288)},
        17,
    ),
    (
        "squeezed and unsqueezed",
        [
            node("GlobalAveragePool", "x", "g"),
            node("Squeeze", "g a", "s"),
            node("Unsqueeze", "s b", "u"),
            node("Conv", "u w"),
        ],
        IMAGE,
        {"a": ints(2, 3), "b": ints(-1, -2), "w": draw(3, 4, 1, 1)},
        17,
    ),
    (
        "squeezed by attribute",
        [node("GlobalAveragePool", "x", "g"), node("Squeeze", "g", axes=[2, 3])],
        IMAGE,
        {},
        11,
    ),
    (
        "a shape that is computed",
        [
            node("Shape", "x", "s"),
            node("Gather", "s zero", "n", axis=0),
            node("Unsqueeze", "n axis0", "u"),
            node("Constant", "", "c", value=helper.make_tensor("c", TensorProto.INT64, [1], [-1])),
            node("Concat", "u c", "t", axis=0),
            node("Reshape", "x t"),
        ],
        IMAGE,
        {"zero": np.array(0, np.int64), "axis0": ints(0)},
        17,
    ),
    (
        "a constant of a node",
        [
            node(
                "Constant",
                "",
                "w",
                value=helper.make_tensor("c", TensorProto.FLOAT, [6, 5], draw(30)),
            ),
            node("MatMul", "x w"),
        ],
        VECTOR,
        {},
        17,
    ),
    (
        "dropped out",
        [
            node("Relu", "x", "r"),
            node("Dropout", "r", "d"),
            node("Identity", "d", "i"),
            node("Cast", "i", "k", to=1),
            node("Tanh", "k"),
        ],
        IMAGE,
        {},
        17,
    ),
    ("nodes that nobody needs", [node("Erf", "x", "unused"), node("Relu", "x")], IMAGE, {}, 17),
]


@pytest.mark.parametrize(
    ("title", "nodes", "shape", "tensors", "opset"), CASES, ids=[one[0] for one in CASES]
)
def test_nodes_as_onnxruntime_has_them(title, nodes, shape, tensors, opset, tmp_path):
    model = model_of(nodes, shape, "y", tensors, opset=opset)
    assert_same(model, tmp_path / "net.dcnn", shape)


def test_channels_last_as_tf2onnx_writes_them(tmp_path):
    """The network takes what the first Transpose gives, and a vector has Keras' order again."""
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("Add", "c b", "d"),
        node("Relu", "d", "r"),
        node("Transpose", "r", "last", perm=[0, 2, 3, 1]),
        node("Reshape", "last s", "f"),
        node("MatMul", "f k", "m"),
        node("Add", "m v"),
    ]
    tensors = {"w": draw(6, 3, 3, 3), "b": draw(1, 6, 1, 1), "s": ints(-1, 120), "k": draw(120, 5)}
    model = model_of(nodes, (9, 8, 3), "y", tensors | {"v": draw(5)}, opset=13)
    network = assert_same(model, tmp_path / "net.dcnn", (9, 8, 3), channels_last=True)
    assert network.input_shape == (3, 9, 8)


def test_channels_last_and_their_mean(tmp_path):
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w", "c"),
        node("Transpose", "c", "last", perm=[0, 2, 3, 1]),
        node("ReduceMean", "last", axes=[1, 2], keepdims=0),
    ]
    model = model_of(nodes, (9, 8, 3), "y", {"w": draw(6, 3, 3, 3)}, opset=13)
    network = assert_same(model, tmp_path / "net.dcnn", (9, 8, 3), channels_last=True)
    assert [type(layer).__name__ for layer in network.network.layers] == [
        "Conv2D",
        "GlobalAvgPool2D",
    ]


def test_what_is_only_moved_costs_no_layer():
    nodes = [
        node("Pad", "x p", "q"),
        node("Conv", "q w", "c"),
        node("Add", "c b", "d"),
        node("Sigmoid", "d", "s"),
        node("Mul", "d s", "m"),
        node("GlobalAveragePool", "m", "g"),
        node("Squeeze", "g a", "v"),
        node("Gemm", "v w2", transB=1),
    ]
    tensors = {"p": ints(0, 0, 0, 0, 0, 0, 1, 1), "b": draw(6, 1, 1), "a": ints(-1, 2)}
    model = model_of(nodes, IMAGE, "y", W | tensors | {"w2": draw(3, 6)}, opset=13)
    network, parameters = onnx_graph.network_of(model)
    assert [type(layer).__name__ for layer in network.layers] == [
        *("Conv2D", "SiLU", "GlobalAvgPool2D", "Linear")
    ]
    assert network.layers[0].padding == (0, 0, 1, 1)
    assert parameters == {
        "c.weight": {"tensor": "w"},
        "c.bias": {"tensor": "b"},
        "y.weight": {"tensor": "w2"},
        "y.bias": {"fill": 0.0},
    }


def test_tensors_are_read_only_if_they_are_needed():
    """Shapes are, and one number for all; weights stay where they are."""
    nodes = [
        node("Conv", "x w", "c"),
        node("Reshape", "c s", "r"),
        node("Clip", "r lo hi"),
    ]
    tensors = W | {"s": ints(0, -1), "lo": scalar(0), "hi": scalar(6)}
    model = model_of(nodes, IMAGE, "y", tensors, opset=13)
    for one in model.graph.initializer:
        onnx_tensors.empty(one)
    read = []
    onnx_graph.network_of(model, lambda name: read.append(name) or tensors[name])
    assert sorted(read) == ["hi", "lo", "s"]


def test_layers_have_names_of_their_own():
    named = ["/", "", "input", "a", "a", "/a/", "é" * 2000]
    nodes, taken = [], "x"
    for index, name in enumerate(named):
        nodes.append(helper.make_node("Tanh", [taken], [f"t{index}"], name=name))
        taken = f"t{index}"
    network, _ = onnx_graph.network_of(model_of(nodes, IMAGE, taken))
    names = [layer.name for layer in network.layers]
    assert names == ["tanh", "t1", "input_2", "a", "a_2", "a_3", "é" * 500]


def test_a_fixed_batch_is_no_obstacle(tmp_path):
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c s")]
    model = model_of(nodes, IMAGE, "y", W | {"s": ints(5, 252)}, batch=5)
    network, _ = onnx_graph.network_of(model)
    assert network.output_shape == (252,)
    assert in_file(model, tmp_path / "net.dcnn").predict(draw(2, *IMAGE)).shape == (2, 252)
