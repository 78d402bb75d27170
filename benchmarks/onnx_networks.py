"""Our networks as ONNX graphs, dense, from the same definition; what other engines read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Dropout, Flatten, Layer, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import LocalResponseNorm
from deepcompress.nn.pool import GlobalAvgPool2D, MaxPool2D
from deepcompress.nn.wiring import INPUT

OPSET = 17


def pair(sides: Any) -> list[int]:
    """Return height and width of what is one number, or two."""
    return [sides, sides] if isinstance(sides, int) else list(sides)


def four(padding: Any) -> list[int]:
    """Return the paddings of the top, left, bottom and right."""
    return [padding] * 4 if isinstance(padding, int) else list(padding)


def window(layer: Any) -> dict[str, Any]:
    """Return the attributes of a layer that looks through windows."""
    return {
        "kernel_shape": pair(layer.kernel),
        "strides": pair(layer.stride),
        "pads": four(layer.padding),
    }


def nodes(layer: Layer, sources: list[str]) -> list[Any]:
    """Return the nodes of a layer, of which the last has its name as the output."""
    name = layer.name
    own = [f"{name}.weight", f"{name}.bias"]
    match layer:
        case Conv2D():
            more = {"group": layer.groups, **window(layer)}
            return [helper.make_node("Conv", [*sources, *own], [name], **more)]
        case Linear():
            return [helper.make_node("Gemm", [*sources, *own], [name], transB=1)]
        case ReLU():
            return [helper.make_node("Relu", sources, [name])]
        case Dropout():
            return [helper.make_node("Identity", sources, [name])]
        case Flatten():
            return [helper.make_node("Flatten", sources, [name])]
        case MaxPool2D():
            more = {"ceil_mode": int(layer.round_up), **window(layer)}
            return [helper.make_node("MaxPool", sources, [name], **more)]
        case LocalResponseNorm():
            more = {"alpha": layer.alpha, "beta": layer.beta, "bias": layer.k, "size": layer.size}
            return [helper.make_node("LRN", sources, [name], **more)]
        case GlobalAvgPool2D():
            mean = helper.make_node("GlobalAveragePool", sources, [f"{name}.mean"])
            return [mean, helper.make_node("Flatten", [f"{name}.mean"], [name])]
        case Concat():
            return [helper.make_node("Concat", sources, [name], axis=1)]
    raise SystemExit(f"layer {name!r}: {type(layer).__name__} has no operator here")


def write(
    network: Network, params: Mapping[str, np.ndarray[Any, Any]], batch: int, path: Path
) -> Path:
    """Write the network with dense parameters for pictures of one batch size.

    A fixed size is what engines plan best for.
    """
    made = []
    for step in network.steps:
        made += nodes(step.layer, ["x" if name == INPUT else name for name in step.sources])
    last = network.steps[-1].layer.name
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *network.input_shape])
    answer = helper.make_tensor_value_info(last, TensorProto.FLOAT, None)
    held = [
        numpy_helper.from_array(np.ascontiguousarray(params[name], np.float32), name)
        for name in network.param_shapes
    ]
    graph = helper.make_graph(made, path.stem, [given], [answer], held)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.save(model, str(path))
    return path
