"""The layers that an ONNX graph becomes, while they are being built."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import FormatError
from ..nn.layers import Flatten, Layer
from ..nn.rearranging import Reshape
from ..nn.wiring import INPUT
from .onnx_values import Constant, Shape, UnknownOperator, Value

_MAX_NAME_BYTES = 1000  # below a definition's limit, with room for a number


@dataclass(frozen=True)
class Node:
    """A node of the graph, with its attributes as Python has them."""

    operator: str
    name: str
    inputs: list[Constant | Value | None]
    attributes: Mapping[str, Any]
    names: list[str]  # of the inputs
    proto: Any = field(repr=False)

    def get(self, name: str, default: Any = None) -> Any:
        """Return an attribute; text as str."""
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else value

    def input(self, index: int) -> Constant | Value | None:
        """Return an input, None if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def value(self, index: int = 0) -> Value:
        """Return an input that a layer gives."""
        found = self.input(index)
        if not isinstance(found, Value):
            raise self.unknown("of constants")
        return found

    def constant(self, index: int) -> Constant:
        """Return an input that is a constant."""
        found = self.input(index)
        if not isinstance(found, Constant):
            raise self.unknown("whose weight is computed" if index == 1 else "of computed values")
        return found

    def optional(self, index: int) -> Constant | None:
        """Return an input that is a constant, or left out."""
        return None if self.input(index) is None else self.constant(index)

    def unknown(self, what: str = "") -> UnknownOperator:
        """Return the error for an operator of which just this isn't known."""
        return UnknownOperator(f"{self.operator} {what}".rstrip())


class Builder:
    """Layers so far, where they take what they take, and where their parameters are.

    Attributes
    ----------
    opset : int
    uses : Counter
        How many nodes take each value of the graph.
    layers, sources, shapes : dict
        By a layer's name; the shape is that of its output, without the batch.
    parameters : dict
        As `runtime.parameters` reads them.
    batch : int
        The batch that the graph has, 1 where it is open.
    is_channels_last : bool
        Whether the graph's input is; the network's isn't.
    """

    def __init__(self) -> None:
        self.opset = 0
        self.uses: Counter[str] = Counter()
        self.layers: dict[str, Layer] = {}
        self.sources: dict[str, tuple[str, ...]] = {}
        self.shapes: dict[str, Shape] = {}
        self.parameters: dict[str, dict[str, Any]] = {}
        self.batch = 1
        self.is_channels_last = False

    def add(self, node: Node, layer: Layer, *sources: str, shape: Shape | None = None) -> Value:
        """Append a layer; the value has its shape, or another one of as many elements."""
        taken = [self.shapes[name] for name in sources]
        given = layer.output_shape(taken if layer.several else taken[0])  # type: ignore[arg-type]
        self.layers[layer.name], self.sources[layer.name] = layer, sources
        self.shapes[layer.name] = given
        return Value(layer.name, given if shape is None else shape)

    def name(self, node: Node, what: str = "") -> str:
        """Return a new layer's name."""
        base = node.name.strip("/") or node.operator.lower()
        name = base = base.encode()[:_MAX_NAME_BYTES].decode(errors="ignore") + what
        number = 1
        while name in self.layers or name == INPUT:
            number += 1
            name = f"{base}_{number}"
        return name

    def shaped(self, value: Value, shape: Shape) -> str:
        """Return the layer that gives a value in a shape, after a `Reshape` if it must be."""
        layer = value.layer
        while self.shapes[layer] != shape and isinstance(
            self.layers.get(layer), (Reshape, Flatten)
        ):
            layer = self.sources[layer][0]
        if self.shapes[layer] == shape:
            return layer
        node = Node("", f"{layer}/reshaped", [], {}, [], None)
        name = self.name(node)
        made = Flatten(name) if len(shape) == 1 else Reshape(name, shape)
        return self.add(node, made, layer).layer

    def images(self, value: Value) -> str:
        """Return the layer that gives a value as images; a sequence is an image of one row."""
        if len(value.shape) == 2:
            return self.shaped(value, (value.shape[0], 1, value.shape[1]))
        if len(value.shape) != 3:
            raise UnknownOperator(f"values of {len(value.shape) + 1} axes")
        return self.shaped(value, value.shape)

    def channels(self, value: Value) -> str:
        """Return the layer that gives a value as a vector or as images."""
        return self.shaped(value, value.shape) if len(value.shape) == 1 else self.images(value)

    def set_parameter(
        self,
        node: Node,
        layer: str,
        part: str,
        constant: Constant | float,
        *,
        transposed: bool = False,
        factor: float = 1.0,
    ) -> None:
        """Say where a parameter of a layer is."""
        name = f"{layer}.{part}"
        shape = self.layers[layer].param_shapes()[name]
        if isinstance(constant, Constant) and constant.tensor is not None and constant.size > 1:
            transposed ^= constant.transposed
            axes = constant.shape[::-1] if transposed ^ constant.transposed else constant.shape
            if [axis for axis in axes if axis != 1] != [axis for axis in shape if axis != 1]:
                raise FormatError(f"a weight has shape {constant.shape}, expected {shape}")
            entry: dict[str, Any] = {"tensor": constant.tensor}
            if transposed:
                entry["transposed"] = True
            if factor != 1:
                entry["factor"] = factor
            self.parameters[name] = entry
            return
        number = constant.number() if isinstance(constant, Constant) else constant
        if (
            isinstance(constant, Constant)
            and constant.tensor is not None
            and shape
            and len(shape) > 1
        ):
            self.parameters[name] = {"tensor": constant.tensor}  # of one element
            return
        if number is None or len(shape) != 1:
            raise node.unknown("whose weights are computed")
        self.parameters[name] = {"fill": number * factor}

    def is_fill(self, name: str, number: float) -> bool:
        """Tell whether a parameter is a number all over."""
        return self.parameters.get(name) == {"fill": number}

    def is_used_once(self, name: str) -> bool:
        """Tell whether one node alone takes a value of the graph."""
        return self.uses[name] == 1
