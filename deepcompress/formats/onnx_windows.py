"""ONNX's operators over windows of images, and over whole images, as layers."""

from collections.abc import Sequence
from typing import Any

from ..errors import FormatError
from ..nn.conv import Conv2D
from ..nn.norm import LocalResponseNorm
from ..nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from ..nn.rearranging import Pad, Permute
from ..nn.transposed import ConvTranspose2D
from .onnx_builder import Builder, Node
from .onnx_values import Shape, Value, like, normal


def conv(graph: Builder, node: Node) -> Value:
    """Conv, with the padding of a Pad before it."""
    value, weight = node.value(), node.constant(1)
    groups = node.get("group", 1)
    kernel = _sides(weight.shape[2:], 1)
    options = _window(node, value.shape[1:], weight.shape[2:])
    source, padding = graph.images(value), options["padding"]
    before = graph.layers.get(source)
    if isinstance(before, Pad):
        own = before.window.padding
        padding = tuple(a + b for a, b in zip(own, padding, strict=True))
        source = graph.sources[source][0]
    sizes = weight.shape[1] * groups, weight.shape[0], kernel, options["stride"], padding
    layer = Conv2D(graph.name(node), *sizes, groups, options["dilation"])
    given = graph.add(node, layer, source)
    _weights(graph, node, layer.name)
    return like(given, value)


def conv_transpose(graph: Builder, node: Node) -> Value:
    """ConvTranspose, with the padding and the output padding that it states."""
    value, weight = node.value(), node.constant(1)
    if "output_shape" in node.attributes or node.get("auto_pad", "NOTSET") != "NOTSET":
        raise node.unknown("whose output's shape is stated")
    groups, rank = node.get("group", 1), len(weight.shape) - 2
    options = _window(node, value.shape[1:], weight.shape[2:])
    layer = ConvTranspose2D(
        graph.name(node),
        weight.shape[0],
        weight.shape[1] * groups,
        _sides(weight.shape[2:], 1),
        options["stride"],
        options["padding"],
        groups,
        options["dilation"],
        _sides(node.get("output_padding", [0] * rank), 0),
    )
    given = graph.add(node, layer, graph.images(value))
    _weights(graph, node, layer.name)
    return like(given, value)


def _weights(graph: Builder, node: Node, layer: str) -> None:
    """Say where the weight and the bias of a convolution are."""
    weight, bias = node.constant(1), node.optional(2)
    if weight.transposed:
        raise node.unknown("whose weight is transposed")
    graph.set_parameter(node, layer, "weight", weight)
    graph.set_parameter(node, layer, "bias", 0.0 if bias is None else bias)


def pad(graph: Builder, node: Node) -> Value:
    """Pad with zeros, of images."""
    value = node.value()
    rank = len(value.shape) + 1
    pads, fill = node.get("pads"), node.get("value", 0.0)
    if pads is None:
        pads = node.constant(1).wholes()
        number = node.optional(2)
        fill = 0.0 if number is None or number.size == 0 else number.number()
    axes = normal(node.constant(3).wholes(), (1,) * rank) if node.input(3) else range(rank)
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(axes):
        before[axis], after[axis] = pads[place], pads[place + len(axes)]
    if node.get("mode", "constant") != "constant" or fill != 0:
        raise node.unknown("by anything but zeros")
    if not any(before + after):
        return value
    if any(before[:2] + after[:2]) or min(before + after) < 0:
        raise node.unknown("of the channels, or that cuts off")
    padding = *_sides(before[2:], 0), *_sides(after[2:], 0)
    layer = Pad(graph.name(node), padding)
    return like(graph.add(node, layer, graph.images(value)), value)


def max_pool(graph: Builder, node: Node) -> Value:
    """MaxPool."""
    return _pool(graph, node, MaxPool2D)


def average_pool(graph: Builder, node: Node) -> Value:
    """AveragePool; by default padding doesn't count."""
    options = _window(node, node.value().shape[1:], node.get("kernel_shape"))
    counts = bool(node.get("count_include_pad", 0)) or not any(options["padding"])
    return _pool(graph, node, AvgPool2D, counts_padding=counts)


def _pool(graph: Builder, node: Node, kind: Any, **more: Any) -> Value:
    value, kernel = node.value(), node.get("kernel_shape")
    options = _window(node, value.shape[1:], kernel)
    if options.pop("dilation") != (1, 1):
        raise node.unknown("with dilations")
    round_up = bool(node.get("ceil_mode", 0))
    layer = kind(graph.name(node), _sides(kernel, 1), round_up=round_up, **options, **more)
    return like(graph.add(node, layer, graph.images(value)), value)


def global_average(graph: Builder, node: Node) -> Value:
    """GlobalAveragePool."""
    return _mean(graph, node, node.value(), keeps=True)


def global_max(graph: Builder, node: Node) -> Value:
    """GlobalMaxPool."""
    value = node.value()
    source = graph.images(value)
    layer = MaxPool2D(graph.name(node), graph.shapes[source][1:], 1)
    return like(graph.add(node, layer, source), value)


def reduce_mean(graph: Builder, node: Node) -> Value:
    """ReduceMean over all places."""
    value = node.value()
    axes = node.get("axes")
    if axes is None and node.input(1) is not None:
        axes = node.constant(1).wholes()
    rank, keeps = len(value.shape) + 1, bool(node.get("keepdims", 1))
    places = normal(axes, (1,) * rank) if axes is not None else []
    if rank > 2 and places == [*range(2, rank)]:
        return _mean(graph, node, value, keeps=keeps)
    before = graph.layers.get(value.layer)
    if isinstance(before, Permute) and before.axes == (1, 2, 0) and places == [1, 2] and not keeps:
        source = graph.sources[value.layer][0]
        return _mean(graph, node, Value(source, graph.shapes[source]), keeps=False)
    raise node.unknown(f"over axes {'all' if axes is None else list(axes)}")


def _mean(graph: Builder, node: Node, value: Value, *, keeps: bool) -> Value:
    layer = GlobalAvgPool2D(graph.name(node))
    given = graph.add(node, layer, graph.images(value))
    return Value(given.layer, (value.shape[0], *[1] * (len(value.shape) - 1) * keeps))


def lrn(graph: Builder, node: Node) -> Value:
    """LRN."""
    alpha, beta, k = node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    layer = LocalResponseNorm(graph.name(node), node.get("size"), alpha, beta, k)
    return like(graph.add(node, layer, graph.images(node.value())), node.value())


def _sides(numbers: Sequence[int], missing: int) -> tuple[int, ...]:
    """Return a number down and one right; a sequence is an image of one row."""
    if len(numbers) not in (1, 2):
        raise FormatError(f"expected one or two numbers, not {list(numbers)}")
    return (missing, *numbers) if len(numbers) == 1 else tuple(numbers)


def _window(node: Node, extents: Shape, kernel: Sequence[int]) -> dict[str, Any]:
    """Return stride, padding and dilation of a window over images."""
    rank = len(kernel)
    if len(extents) != rank or list(node.get("kernel_shape", kernel)) != list(kernel):
        raise FormatError(f"a kernel of {list(kernel)} for values of {len(extents) + 2} axes")
    strides = node.get("strides", [1] * rank)
    dilations = node.get("dilations", [1] * rank)
    pads, how = node.get("pads", [0] * (2 * rank)), node.get("auto_pad", "NOTSET")
    if how in ("SAME_UPPER", "SAME_LOWER"):
        sizes = zip(extents, kernel, strides, dilations, strict=True)
        total = [max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0) for n, k, s, d in sizes]
        less = [one // 2 for one in total]
        more = [one - half for one, half in zip(total, less, strict=True)]
        pads = less + more if how == "SAME_UPPER" else more + less
    elif how == "VALID":
        pads = [0] * (2 * rank)
    elif how != "NOTSET":
        raise FormatError(f"auto_pad {how} isn't known")
    if [len(strides), len(dilations), len(pads)] != [rank, rank, 2 * rank]:
        raise FormatError(f"strides, dilations or pads aren't those of {rank} axes")
    if min(pads) < 0:
        raise node.unknown("with negative padding")
    return {
        "stride": _sides(strides, 1),
        "padding": (*_sides(pads[:rank], 0), *_sides(pads[rank:], 0)),
        "dilation": _sides(dilations, 1),
    }
