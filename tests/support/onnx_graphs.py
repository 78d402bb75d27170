"""Small ONNX graphs: made node by node, run by onnxruntime, and by the network made of them."""

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from deepcompress import CompressedNetwork
from deepcompress.formats import onnx_graph
from deepcompress.model import CompressedModel


def draw(*shape):
    """Draw weights, the same for the same number of axes."""
    return np.random.default_rng(len(shape)).uniform(-1, 1, shape).astype(np.float32)


def node(operator, inputs, output="y", **attributes):
    """Return a node of inputs that are named in one text."""
    return helper.make_node(operator, inputs.split(), [output], name=f"/{output}/", **attributes)


def ints(*values):
    """Return whole numbers as graphs have them."""
    return np.array(values, np.int64)


def scalar(value):
    """Return a number of no axes."""
    return np.array(value, np.float32)


def model_of(nodes, shape, output, tensors=None, *, opset=17, batch="n", domains=()):
    """Return a model of one input ``x`` of `shape` and one output, not checked."""
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])
    taken = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
    initializers = [
        numpy_helper.from_array(np.asarray(array), name) for name, array in (tensors or {}).items()
    ]
    graph = helper.make_graph(nodes, "small", [given], [taken], initializers)
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(one, 1) for one in domains)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def tensors_of(model):
    """Return the initializers of a model, by name."""
    return {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}


def in_runtime(model, x, input_name=None):
    """Return onnxruntime's output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {input_name or session.get_inputs()[0].name: x})[0]


def in_file(model, path, compressed=None):
    """Return the network of a ``.dcnn`` file with a model's tensors, as they are or compressed."""
    tensors = compressed or constants_of(model)
    CompressedModel(tensors, onnx_graph.metadata(model)).save(path)
    return CompressedNetwork.load(path)


def constants_of(model):
    """Return initializers and constants of nodes, as a reader of ONNX files gives them."""
    nodes = {
        node.output[0]: numpy_helper.to_array(node.attribute[0].t)
        for node in model.graph.node
        if node.op_type == "Constant" and node.attribute[0].name == "value"
    }
    return tensors_of(model) | nodes


def assert_same(model, path, shape, *, batch=2, seed=0, tolerance=2e-5, channels_last=False):
    """Check a file's network against onnxruntime, to `tolerance` of the largest output."""
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(model))
    x = np.random.default_rng(seed).standard_normal((batch, *shape)).astype(np.float32)
    expected = in_runtime(model, x)
    network = in_file(model, path)
    taken = np.ascontiguousarray(np.moveaxis(x, -1, 1)) if channels_last else x
    y = network.predict(taken)
    assert y.shape == expected.shape
    assert np.abs(y - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-3)
    return network
