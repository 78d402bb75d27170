"""ONNX's products with matrices, sums, scales and activations, as layers."""

import math
from collections.abc import Callable
from dataclasses import replace

from ..nn import activations
from ..nn.conv import Conv2D
from ..nn.joins import Add, Multiply
from ..nn.layers import Layer, Linear, ReLU
from ..nn.norm import BatchNorm, Scale
from ..nn.transposed import ConvTranspose2D
from .onnx_builder import Builder, Node
from .onnx_values import Constant, Value, like, normal

NO_LIMIT = 1e30  # of a Clip: what exporters write for it is the largest float


def gemm(graph: Builder, node: Node) -> Value:
    """Gemm with a constant matrix."""
    value, weight, bias = node.value(), node.constant(1), node.optional(2)
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    if node.get("transA", 0) or len(weight.shape) != 2:
        raise node.unknown("of a transposed input")
    name, given = _linear(graph, node, value, weight, is_turned=not node.get("transB", 0))
    if alpha != 1:
        graph.set_parameter(node, name, "bias", 0.0)
        scale = Scale(graph.name(node, "/scale"), given.shape[0])
        given = graph.add(node, scale, given.layer)
        name = scale.name
        graph.set_parameter(node, name, "weight", alpha)
    graph.set_parameter(node, name, "bias", 0.0 if bias is None else bias, factor=beta)
    return given


def matmul(graph: Builder, node: Node) -> Value:
    """MatMul of vectors with a constant matrix of (inputs, outputs)."""
    if not isinstance(node.input(0), Value) or not isinstance(node.input(1), Constant):
        raise node.unknown("of two computed values")
    value, weight = node.value(), node.constant(1)
    if len(weight.shape) != 2:
        raise node.unknown(f"with a weight of {len(weight.shape)} axes")
    name, given = _linear(graph, node, value, weight, is_turned=True)
    graph.set_parameter(node, name, "bias", 0.0)
    return given


def _linear(
    graph: Builder, node: Node, value: Value, weight: Constant, *, is_turned: bool
) -> tuple[str, Value]:
    if len(value.shape) != 1:
        raise node.unknown(f"of values of {len(value.shape) + 1} axes")
    inputs, outputs = weight.shape if is_turned else weight.shape[::-1]
    layer = Linear(graph.name(node), inputs, outputs)
    given = graph.add(node, layer, graph.shaped(value, value.shape))
    graph.set_parameter(node, layer.name, "weight", weight, transposed=is_turned)
    return layer.name, given


def batch_normalization(graph: Builder, node: Node) -> Value:
    """BatchNormalization by known statistics."""
    value = node.value()
    if node.get("training_mode", 0):
        raise node.unknown("in training")
    layer = BatchNorm(graph.name(node), value.shape[0], float(node.get("epsilon", 1e-5)))
    given = graph.add(node, layer, graph.channels(value))
    for index, part in enumerate(("weight", "bias", "mean", "variance"), 1):
        graph.set_parameter(node, layer.name, part, node.constant(index))
    return like(given, value)


def add(graph: Builder, node: Node) -> Value:
    """Add: two values, or a bias."""
    left, right = node.input(0), node.input(1)
    if isinstance(left, Value) and isinstance(right, Value):
        return _sum(graph, node, [left, right])
    place = 0 if isinstance(left, Value) else 1
    return _plus(graph, node, place, node.constant(1 - place), 1.0)


def sum_of_all(graph: Builder, node: Node) -> Value:
    """Sum of several values, two by two."""
    return _sum(graph, node, [node.value(index) for index in range(len(node.inputs))])


def _sum(graph: Builder, node: Node, values: list[Value]) -> Value:
    if any(one.shape != values[0].shape for one in values):
        raise node.unknown(f"of shapes {', '.join(str(one.shape) for one in values)}")
    total = values[0]
    for one in values[1:]:
        physical = graph.shapes[total.layer]
        layer = Add(graph.name(node))
        given = graph.add(node, layer, total.layer, graph.shaped(one, physical))
        total = Value(given.layer, total.shape)
    return total


def subtract(graph: Builder, node: Node) -> Value:
    """Sub of a constant, or from one."""
    if isinstance(node.input(1), Constant):
        return _plus(graph, node, 0, node.constant(1), -1.0)
    value = node.value(1)
    return _scale(graph, node, value, -1.0, _of_channels(node, node.constant(0), value))


def multiply(graph: Builder, node: Node) -> Value:
    """Mul: two values, a value and a gate, or constant factors."""
    left, right = node.input(0), node.input(1)
    if not isinstance(left, Value) or not isinstance(right, Value):
        place = 0 if isinstance(left, Value) else 1
        value = node.value(place)
        return _scale(graph, node, value, _of_channels(node, node.constant(1 - place), value), 0.0)
    for value, factor, place in ((left, right, 1), (right, left, 0)):
        known = _gated_by_itself(graph, node, value, factor, place)
        if known is not None:
            return known
    if left.shape != right.shape and math.prod(left.shape) < math.prod(right.shape):
        left, right = right, left
    is_gate = right.shape == (left.shape[0], *[1] * (len(left.shape) - 1))
    if left.shape != right.shape and not is_gate:
        raise node.unknown(f"of shapes {left.shape} and {right.shape}")
    source = graph.channels(left)
    other = graph.channels(right) if left.shape == right.shape else _gate(graph, right)
    return like(graph.add(node, Multiply(graph.name(node)), source, other), left)


def divide(graph: Builder, node: Node) -> Value:
    """Div by a constant number."""
    number = node.constant(1).number()
    if not number:
        raise node.unknown("by several numbers")
    return _scale(graph, node, node.value(), 1.0 / number, 0.0)


def _of_channels(node: Node, constant: Constant, value: Value) -> Constant:
    """Return a constant of one number, or of one for each channel; raise for any other."""
    full = (*[1] * (len(value.shape) + 1 - len(constant.shape)), *constant.shape)
    if constant.size == 1 or full == (1, value.shape[0], *[1] * (len(value.shape) - 1)):
        return constant
    raise node.unknown(f"of shapes {value.shape} and {constant.shape}")


def _plus(graph: Builder, node: Node, place: int, constant: Constant, factor: float) -> Value:
    """Add a constant: as the bias of the layer before it if that has none, or by a layer."""
    value = node.value(place)
    added = _of_channels(node, constant, value)
    layer = graph.layers.get(value.layer)
    if (
        type(layer) in (Conv2D, Linear, ConvTranspose2D, Scale)
        and graph.is_fill(f"{value.layer}.bias", 0.0)
        and graph.is_used_once(node.names[place])
        and math.prod(value.shape) == math.prod(graph.shapes[value.layer])
    ):
        graph.set_parameter(node, value.layer, "bias", added, factor=factor)
        return value
    return _scale(graph, node, value, 1.0, added, factor)


def _scale(
    graph: Builder,
    node: Node,
    value: Value,
    factor: Constant | float,
    added: Constant | float,
    sign: float = 1.0,
) -> Value:
    layer = Scale(graph.name(node), value.shape[0])
    given = graph.add(node, layer, graph.channels(value))
    graph.set_parameter(node, layer.name, "weight", factor)
    graph.set_parameter(node, layer.name, "bias", added, factor=sign)
    return like(given, value)


def _gate(graph: Builder, value: Value) -> str:
    """Return the layer that gives a number for each channel, however many axes that has."""
    shape = graph.shapes[value.layer]
    fits = shape in ((value.shape[0],), (value.shape[0], 1, 1))
    return value.layer if fits else graph.shaped(value, value.shape[:1])


def _gated_by_itself(
    graph: Builder, node: Node, value: Value, factor: Value, place: int
) -> Value | None:
    """Return a value times a sigmoid of it, as a layer of its own."""
    gate = graph.layers.get(factor.layer)
    is_alone = value.shape == factor.shape and graph.is_used_once(node.names[place])
    if not is_alone or graph.sources.get(factor.layer) != (value.layer,):
        return None
    kind: Callable[..., Layer] | None = None
    if isinstance(gate, activations.Sigmoid):
        kind = activations.SiLU
    elif isinstance(gate, activations.HardSigmoid) and gate.beta == 0.5:
        kind = activations.HardSwish if math.isclose(gate.alpha, 1 / 6, rel_tol=1e-6) else None
    return None if kind is None else activation(kind)(graph, replace(node, inputs=[value]))


def activation(kind: Callable[..., Layer], **defaults: float) -> Callable[..., Value]:
    """Return the function for a layer of each number, whose attributes are its own in order."""

    def make(graph: Builder, node: Node) -> Value:
        constants = [float(node.get(name, default)) for name, default in defaults.items()]
        return Value(
            graph.add(node, kind(graph.name(node), *constants), node.value().layer).layer,
            node.value().shape,
        )

    return make


def clip(graph: Builder, node: Node) -> Value:
    """Clip by constant limits; a ReLU if that is all it does."""
    value = node.value()
    limits: list[float | None] = []
    for index, name in ((1, "min"), (2, "max")):
        given, limit = node.optional(index), node.get(name)
        if given is not None:
            limit = given.number()
            if limit is None:
                raise node.unknown("by several numbers")
        limits.append(None if limit is None or abs(limit) >= NO_LIMIT else float(limit))
    name = graph.name(node)
    layer = ReLU(name) if limits == [0, None] else activations.Clip(name, *limits)
    return (
        value
        if limits == [None, None]
        else Value(graph.add(node, layer, value.layer).layer, value.shape)
    )


def softmax(graph: Builder, node: Node) -> Value:
    """Softmax over the channels."""
    value = node.value()
    axis = node.get("axis", -1 if graph.opset >= 13 else 1)
    places = normal([axis], (1, *value.shape))
    if places != [1] or (graph.opset < 13 and len(value.shape) > 1):
        raise node.unknown(f"over axis {axis} of {len(value.shape) + 1}")
    given = graph.add(node, activations.Softmax(graph.name(node)), graph.channels(value))
    return like(given, value)
