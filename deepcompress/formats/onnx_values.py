"""Values of an ONNX graph while its network is built: outputs of layers, and constants.

Constants are folded by onnx's own evaluator, so that sizes and paddings that a graph computes are
numbers here. Weights stay where they are: only their names and shapes are known.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ..errors import FormatError

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

MAX_FOLDED = 1 << 16  # elements of a constant that is computed with: shapes, not weights
# What graphs compute sizes with. Others may make much of little.
FOLDED = {
    *("Constant", "ConstantOfShape", "Range", "Shape", "Size", "Identity", "Cast", "Expand"),
    *("Gather", "Slice", "Concat", "Split", "Reshape", "Transpose", "Squeeze", "Unsqueeze"),
    *("Add", "Sub", "Mul", "Div", "Mod", "Neg", "Abs", "Pow", "Sqrt", "Reciprocal"),
    *("Floor", "Ceil", "Round", "Min", "Max", "Clip", "ReduceProd", "ReduceSum", "ReduceMin"),
    *("Equal", "Less", "Greater", "LessOrEqual", "GreaterOrEqual", "Not", "And", "Or", "Where"),
}


class UnknownOperator(Exception):
    """An operator that no layer computes, in words."""


@dataclass(frozen=True)
class Constant:
    """A constant of the graph.

    Attributes
    ----------
    shape : tuple of int
    read : callable
        Returns the array, of another shape if it was reshaped.
    tensor : str or None
        The tensor of the file that it is, possibly with other axes of length 1; None if computed.
    transposed : bool
        Whether it is the tensor with its two axes exchanged.
    """

    shape: Shape
    read: Callable[[], Array]
    tensor: str | None = None
    transposed: bool = False

    @classmethod
    def of(cls, array: Any) -> "Constant":
        """Return a computed constant."""
        values = np.asarray(array)
        return cls(values.shape, lambda: values)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @cached_property
    def values(self) -> Array:
        """The array."""
        array = self.read()
        return (array.T if self.transposed else array).reshape(self.shape)

    def number(self) -> float | None:
        """Return the one number that it holds, all over if it is small; None if there are more."""
        if not 0 < self.size <= MAX_FOLDED:
            return None
        values = self.values.reshape(-1)
        return float(values[0]) if (values == values[0]).all() else None

    def wholes(self) -> list[int]:
        """Return whole numbers, such as a shape or paddings."""
        if self.size > MAX_FOLDED or self.values.dtype.kind not in "iu":
            raise FormatError("expected a few whole numbers")
        return [int(one) for one in self.values.reshape(-1)]


@dataclass(frozen=True)
class Value:
    """The output of a layer.

    Attributes
    ----------
    layer : str
    shape : tuple of int
        As the graph has it, without the batch. That of the layer may be another one of as many
        elements: images of one row for a sequence, and whatever is only reshaped.
    """

    layer: str
    shape: Shape


def moved(node: Any, operator: str, inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
    """Return a weight that is only given other axes, None if it isn't only that."""
    weight = inputs[0] if inputs else None
    if not isinstance(weight, Constant) or weight.tensor is None:
        return None
    if operator == "Identity":
        return weight
    if operator == "Transpose" and len(weight.shape) == 2:
        if list(attributes.get("perm", [1, 0])) == [1, 0]:
            return replace(weight, shape=weight.shape[::-1], transposed=not weight.transposed)
        return weight
    if weight.transposed or operator not in ("Reshape", "Squeeze", "Unsqueeze"):
        return None
    long = [axis for axis in weight.shape if axis != 1]
    if operator == "Reshape" and isinstance(inputs[1], Constant):
        shape = reshaped(weight.shape, inputs[1].wholes(), bool(attributes.get("allowzero", 0)))
    elif operator == "Reshape":
        return None
    else:
        given = inputs[1].wholes() if len(inputs) > 1 else attributes.get("axes")
        change = squeezed if operator == "Squeeze" else unsqueezed
        shape = change(weight.shape, None if given is None else list(given))
    return replace(weight, shape=shape) if [a for a in shape if a != 1] == long else None


def reshaped(shape: Shape, target: Sequence[int], allow_zero: bool = False) -> Shape:
    """Return the shape that ONNX's Reshape gives."""
    axes = [
        shape[place] if axis == 0 and not allow_zero else axis for place, axis in enumerate(target)
    ]
    if axes.count(-1) == 1:
        rest = -math.prod(axes)
        if rest <= 0 or math.prod(shape) % rest:
            raise FormatError(f"{shape} can't be reshaped to {list(target)}")
        axes[axes.index(-1)] = math.prod(shape) // rest
    if min(axes, default=1) < 0 or math.prod(axes) != math.prod(shape):
        raise FormatError(f"{shape} can't be reshaped to {list(target)}")
    return tuple(axes)


def squeezed(shape: Shape, axes: Sequence[int] | None) -> Shape:
    """Return a shape without some axes of length 1; without all of them for None."""
    places = (
        [i for i, axis in enumerate(shape) if axis == 1] if axes is None else normal(axes, shape)
    )
    if any(shape[place] != 1 for place in places):
        raise FormatError(f"axes {list(places)} of {shape} can't be squeezed")
    return tuple(axis for place, axis in enumerate(shape) if place not in places)


def unsqueezed(shape: Shape, axes: Sequence[int] | None) -> Shape:
    """Return a shape with more axes of length 1, at these places of the result."""
    rank = len(shape) + len(axes or ())
    places, rest = normal(axes or (), (1,) * rank), iter(shape)
    return tuple(1 if place in places else next(rest) for place in range(rank))


def normal(axes: Sequence[int], shape: Sequence[int]) -> list[int]:
    """Return axes counted from the first one, ascending."""
    rank = len(shape)
    places = sorted(axis + rank if axis < 0 else axis for axis in axes)
    if (places and not 0 <= places[0] <= places[-1] < rank) or len(set(places)) < len(places):
        raise FormatError(f"no axes {list(axes)} of {tuple(shape)}")
    return places


def folded(node: Any, opset: int, inputs: Sequence[Constant | None]) -> list[Array]:
    """Return the outputs of a node whose inputs are all constants."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    if any(one is not None and one.size > MAX_FOLDED for one in inputs):
        raise UnknownOperator(f"{node.op_type} of weights")
    arrays = [None if one is None else one.values for one in inputs]
    _check_growth(node.op_type, arrays)
    given = [
        helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
        for name in node.input
        if name
    ]
    taken = [
        helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None)
        for name in node.output
        if name
    ]
    graph = helper.make_graph([node], "constant", given, taken)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    feeds = {name: array for name, array in zip(node.input, arrays, strict=True) if name}
    with np.errstate(all="ignore"):
        outputs = ReferenceEvaluator(model).run(None, feeds)
    return [np.asarray(one) for one in outputs]


def _check_growth(operator: str, arrays: Sequence[Array | None]) -> None:
    """Raise before a few numbers become many."""
    sizes = (
        arrays[0] if operator == "ConstantOfShape" else arrays[1] if operator == "Expand" else None
    )
    count: float = math.prod(int(one) for one in sizes.reshape(-1)) if sizes is not None else 0
    if operator == "Range":
        start, limit, step = (float(one) if one is not None else 0.0 for one in arrays)
        count = (limit - start) / step if step else math.inf
    if not count <= MAX_FOLDED:
        raise UnknownOperator(f"{operator} of {count:,.0f} elements")


def like(given: Value, value: Value) -> Value:
    """Return what a layer gives, with as many axes as what it took."""
    if len(value.shape) == 2 and len(given.shape) == 3:
        return Value(given.layer, (given.shape[0], given.shape[2]))
    return Value(given.layer, given.shape)
