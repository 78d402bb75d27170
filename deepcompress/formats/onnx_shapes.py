"""ONNX's operators that leave all numbers as they are, as layers where order changes."""

import math

import numpy as np

from ..nn.layers import Concat
from ..nn.rearranging import MAX_AXES, Permute
from ..nn.wiring import INPUT
from .onnx_builder import Builder, Node
from .onnx_values import Constant, Shape, Value, normal, reshaped, squeezed, unsqueezed


def concat(graph: Builder, node: Node) -> Value:
    """Concat of channels."""
    values = [node.value(index) for index in range(len(node.inputs))]
    axis = node.get("axis")
    if normal([axis], (0, *values[0].shape)) != [1]:
        raise node.unknown(f"along axis {axis}")
    layer = Concat(graph.name(node))
    given = graph.add(node, layer, *map(graph.channels, values))
    return Value(given.layer, (given.shape[0], *values[0].shape[1:]))


def identity(graph: Builder, node: Node) -> Value:
    """Identity, and Dropout when a network isn't trained."""
    if node.operator == "Dropout" and node.input(2) is not None and node.constant(2).number():
        raise node.unknown("in training")
    return node.value()


def cast(graph: Builder, node: Node) -> Value:
    """Cast of what is float32 to float32."""
    from onnx import TensorProto

    if node.get("to") != TensorProto.FLOAT:
        raise node.unknown(f"to {TensorProto.DataType.Name(node.get('to'))}")
    return node.value()


def cast_like(graph: Builder, node: Node) -> Constant | Value:
    """CastLike to a value's type, which is float32."""
    node.value(1)
    given = node.input(0)
    if isinstance(given, Value):
        return given
    constant = node.constant(0)
    if constant.tensor is not None:  # becomes float32 when it is run
        return constant
    return Constant.of(constant.values.astype(np.float32))


def shape(graph: Builder, node: Node) -> Constant:
    """Shape of a value, whose batch is fixed."""
    axes = (graph.batch, *node.value().shape)
    return Constant.of(np.array(axes[node.get("start", 0) : node.get("end")], np.int64))


def reshape(graph: Builder, node: Node) -> Value:
    """Reshape of each input alone."""
    target = node.constant(1).wholes()
    full = reshaped((graph.batch, *node.value().shape), target, bool(node.get("allowzero", 0)))
    return _within_batch(graph, node, full)


def flatten(graph: Builder, node: Node) -> Value:
    """Flatten of each input alone."""
    full = graph.batch, *node.value().shape
    (axis,) = normal([node.get("axis", 1)], (*full, 1))
    return _within_batch(graph, node, (math.prod(full[:axis]), math.prod(full[axis:])))


def squeeze(graph: Builder, node: Node) -> Value:
    """Squeeze and Unsqueeze of axes that aren't the batch."""
    full = graph.batch, *node.value().shape
    given = node.optional(1)
    axes = node.get("axes") if given is None else given.wholes()
    change = squeezed if node.operator == "Squeeze" else unsqueezed
    if node.operator == "Squeeze" and axes is None:
        raise node.unknown("of any axes")
    changed = change(full, axes)
    places = normal(axes or (), full if node.operator == "Squeeze" else changed)
    if 0 in places:
        raise node.unknown("of the batch")
    return Value(node.value().layer, changed[1:])


def transpose(graph: Builder, node: Node) -> Value:
    """Transpose of anything but the batch."""
    value = node.value()
    rank = len(value.shape) + 1
    perm = list(node.get("perm", range(rank)[::-1]))
    if sorted(perm) != [*range(rank)] or perm[0] != 0:
        raise node.unknown(f"by {perm}")
    axes = tuple(axis - 1 for axis in perm[1:])
    changed = tuple(value.shape[axis] for axis in axes)
    if value.layer == INPUT and graph.is_channels_last:
        return Value(INPUT, changed)
    long = [axis for axis in axes if value.shape[axis] > 1]
    if long == sorted(long):  # the order of the numbers stays
        return Value(value.layer, changed)
    before = graph.layers.get(value.layer)
    if isinstance(before, Permute) and graph.shapes[value.layer] == value.shape:
        source = graph.sources[value.layer][0]
        if tuple(before.axes[axis] for axis in axes) == tuple(range(len(axes))):
            return Value(source, changed)
    if len(axes) > MAX_AXES:
        raise node.unknown(f"of {rank} axes")
    layer = Permute(graph.name(node), axes)
    return graph.add(node, layer, graph.shaped(value, value.shape))


def _within_batch(graph: Builder, node: Node, full: Shape) -> Value:
    if len(full) < 2 or full[0] != graph.batch:
        raise node.unknown("across the batch")
    return Value(node.value().layer, full[1:])
