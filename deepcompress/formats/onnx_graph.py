"""The network that an ONNX graph computes, as PyTorch's exporters and tf2onnx write it.

Each node becomes a layer of `nn`, or nothing if it only computes with constants (sizes, paddings)
or changes a shape. The batch is 1 here wherever the graph leaves it open. A layer's parameters stay
in the graph's tensors, whatever their names: the entry ``"parameters"`` of a file's metadata says
which is which, and `runtime.parameters` reads it.

`onnx_operators` lists the operators that are known.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..checks import is_name
from ..errors import ArgumentError, DeepCompressError, FormatError, shown
from ..nn.definition import to_metadata
from ..nn.network import Network
from ..nn.wiring import INPUT
from . import onnx_operators
from .onnx_builder import Builder, Node
from .onnx_tensors import is_empty
from .onnx_values import FOLDED, Array, Constant, UnknownOperator, Value, folded, moved

OPSETS = range(7, 23)
DOMAINS = ("", "ai.onnx")
_TO_CHANNELS_FIRST = [0, 3, 1, 2]
_MAX_NAME_BYTES = 1000  # below a definition's limit, with room for a number

Read = Callable[[str], Array]


def metadata(model: Any, read: Read | None = None) -> dict[str, Any]:
    """Return the entries of a ``.dcnn`` file's metadata that make its network run.

    Parameters
    ----------
    model, read
        As for `network_of`.

    Returns
    -------
    dict
        ``"network"`` and ``"parameters"``; or, for a graph that can't be run here,
        ``"no_network"``, the reason in words.
    """
    try:
        network, parameters = network_of(model, read)
    except DeepCompressError as error:
        return {"no_network": str(error)}
    return {"network": to_metadata(network), "parameters": parameters}


def network_of(model: Any, read: Read | None = None) -> tuple[Network, dict[str, dict[str, Any]]]:
    """Return the network of a graph, and where its parameters are.

    Parameters
    ----------
    model : onnx.ModelProto
        Its initializers need no data, if `read` has them.
    read : callable, optional
        Returns the array of an initializer, or of a node ``Constant``, by name. Only small ones
        are asked for. By default the model itself has them.

    Returns
    -------
    network : Network
        From images ``(C, H, W)``, also where the graph first transposes those of ``(H, W, C)``.
    parameters : dict
        As `runtime.parameters` reads them; every tensor has the graph's name.

    Raises
    ------
    ArgumentError
        If an operator isn't known, naming all of them; if the opset or a domain isn't, or an axis
        besides the batch has no fixed size, or there isn't one input and one output.
    FormatError
        If the graph contradicts itself: a value that nothing gives, a cycle, shapes that don't fit.
    """
    graph = Graph(model, read)
    try:
        return graph.network()
    except DeepCompressError as error:
        if str(error).startswith("graph"):
            raise
        raise type(error)(f"graph {shown(model.graph.name)}: {error}") from None


class Graph(Builder):
    """A graph that is walked, node by node.

    Parameters
    ----------
    model, read
        As for `network_of`.
    """

    def __init__(self, model: Any, read: Read | None) -> None:
        super().__init__()
        self._model = model
        self._read = read
        self._values: dict[str, Constant | Value] = {}

    def network(self) -> tuple[Network, dict[str, dict[str, Any]]]:
        """Build the network."""
        graph = self._model.graph
        self._check_domains()
        if len(graph.output) != 1:
            raise ArgumentError(f"has {len(graph.output)} outputs, a network has one")
        nodes = self._needed()
        self._add_initializers()
        self._add_input(nodes)
        unknown: set[str] = set()
        lost: set[str] = set()  # what can't be known behind such operators
        for proto in nodes:
            names = [name for name in proto.input if name]
            if lost.isdisjoint(names):
                try:
                    self._add(proto)
                    continue
                except UnknownOperator as error:
                    unknown.add(str(error))
            lost.update(proto.output)
        if unknown:
            raise ArgumentError(f"unknown operators: {', '.join(sorted(unknown))}")
        output = self._values.get(graph.output[0].name)
        if not isinstance(output, Value):
            raise ArgumentError("its output doesn't depend on its input")
        return self._assembled(self.shaped(output, output.shape))

    def _check_domains(self) -> None:
        opsets = {one.domain: one.version for one in self._model.opset_import}
        self.opset = max((opsets.get(domain, 0) for domain in DOMAINS), default=0)
        if self.opset not in OPSETS:
            raise ArgumentError(
                f"opset {self.opset} of ONNX isn't known, only {OPSETS[0]} to {OPSETS[-1]}"
            )

    def _needed(self) -> list[Any]:
        """Return the nodes that the output needs, and count who takes each value."""
        graph = self._model.graph
        givers: dict[str, int] = {}
        for index, proto in enumerate(graph.node):
            for name in filter(None, proto.output):
                if name in givers:
                    raise FormatError(f"two nodes give {shown(name)}")
                givers[name] = index
        wanted, needed = [graph.output[0].name], set[int]()
        while wanted:
            index = givers.get(wanted.pop(), -1)
            if index >= 0 and index not in needed:
                needed.add(index)
                wanted += graph.node[index].input
        nodes = [proto for index, proto in enumerate(graph.node) if index in needed]
        self.uses.update(name for proto in nodes for name in proto.input)
        self.uses[graph.output[0].name] += 1
        known = {one.name for one in graph.initializer} | {one.name for one in graph.input}
        for proto in nodes:
            for name in filter(None, proto.input):
                if name not in known:
                    where = f"node {shown(proto.name or proto.op_type)} takes {shown(name)}"
                    if name in givers:
                        raise FormatError(f"{where} before a node gives it: a cycle, or no order")
                    raise FormatError(f"{where}, which nothing gives")
            known.update(proto.output)
        return nodes

    def _add_initializers(self) -> None:
        for one in self._model.graph.initializer:
            self._add_tensor(one.name, one)
        if self._model.graph.sparse_initializer:
            raise ArgumentError("sparse initializers aren't known")

    def _add_tensor(self, name: str, proto: Any) -> None:
        """Take a tensor of the file."""
        from onnx import numpy_helper

        def read() -> Array:
            if self._read is None or not is_empty(proto):
                return np.asarray(numpy_helper.to_array(proto))
            return np.asarray(self._read(name))

        if name in self._values:
            raise FormatError(f"two tensors are called {shown(name)}")
        self._values[name] = Constant(tuple(proto.dims), read, name)

    def _add_input(self, nodes: list[Any]) -> None:
        """Take the one input that is no initializer."""
        from onnx import TensorProto

        inputs = [one for one in self._model.graph.input if one.name not in self._values]
        if len(inputs) != 1:
            raise ArgumentError(f"has {len(inputs)} inputs, a network has one")
        tensor = inputs[0].type.tensor_type
        if tensor.elem_type != TensorProto.FLOAT:
            raise ArgumentError(f"its input {shown(inputs[0].name)} isn't of float32")
        axes = [one.dim_value if one.HasField("dim_value") else 0 for one in tensor.shape.dim]
        if not 2 <= len(axes) <= 4:
            raise ArgumentError(f"its input has {len(axes)} axes, expected 2 to 4")
        if min(axes[1:]) < 1:
            raise ArgumentError("its input has an axis besides the batch whose size isn't fixed")
        self.batch = axes[0] if axes[0] > 0 else 1
        shape = tuple(axes[1:])
        takers = [proto for proto in nodes if inputs[0].name in proto.input]
        if len(shape) == 3 and takers and all(map(_is_channels_first, takers)):
            self.is_channels_last = True
            self.shapes[INPUT] = shape[2], *shape[:2]
        else:
            self.shapes[INPUT] = shape if len(shape) != 2 else (shape[0], 1, shape[1])
        self._values[inputs[0].name] = Value(INPUT, shape)

    def _add(self, proto: Any) -> None:
        """Take a node: fold it, or append its layers."""
        from onnx import helper

        if proto.domain not in DOMAINS:
            raise UnknownOperator(f"{proto.domain}::{proto.op_type}")
        try:
            values = {one.name: helper.get_attribute_value(one) for one in proto.attribute}
            inputs = [self._values[name] if name else None for name in proto.input]
            name = proto.name or next(iter(proto.output), "")
            node = Node(proto.op_type, name, inputs, values, list(proto.input), proto)
            given = self._outputs(node)
        except (UnknownOperator, MemoryError):
            raise
        except DeepCompressError as error:
            where = f"node {shown(proto.name or proto.op_type)} ({shown(proto.op_type)})"
            raise FormatError(f"{where}: {error}") from None
        except Exception as error:  # of attributes or inputs that ONNX doesn't have so
            where = f"node {shown(proto.name or proto.op_type)} ({shown(proto.op_type)})"
            raise FormatError(f"{where}: not as ONNX has it: {shown(str(error))}") from None
        for index, name in enumerate(proto.output):
            if index < len(given):
                self._values[name] = given[index]
            elif name and self.uses[name]:
                raise UnknownOperator(f"{proto.op_type} with {len(proto.output)} outputs")

    def _outputs(self, node: Node) -> list[Constant | Value]:
        proto, operator = node.proto, node.operator
        if operator == "Constant" and "value" in node.attributes:
            self._add_tensor(proto.output[0], node.attributes["value"])
            return [self._values[proto.output[0]]]
        weight = moved(node, operator, node.inputs, node.attributes)
        if weight is not None:
            return [weight]
        constants = [one for one in node.inputs if not isinstance(one, Value)]
        if operator in FOLDED and len(constants) == len(node.inputs):
            return [Constant.of(one) for one in folded(proto, self.opset, constants)]
        handler = onnx_operators.OPERATORS.get(operator)
        if handler is None:
            raise UnknownOperator(operator)
        return [handler(self, node)]

    def _assembled(self, output: str) -> tuple[Network, dict[str, dict[str, Any]]]:
        """Return the network of the layers that the output needs."""
        if output == INPUT:
            raise ArgumentError("computes nothing")
        wanted, needed = [output], {INPUT}
        while wanted:
            name = wanted.pop()
            if name not in needed:
                needed.add(name)
                wanted += self.sources[name]
        layers = tuple(layer for name, layer in self.layers.items() if name in needed)
        sources = {layer.name: self.sources[layer.name] for layer in layers}
        given = self._model.graph.name
        title = given if is_name(given, _MAX_NAME_BYTES) else "graph"
        network = Network(title, layers, self.shapes[INPUT], sources)
        shapes = network.param_shapes
        parameters = {name: one for name, one in self.parameters.items() if name in shapes}
        to_metadata(network)  # or raise if no file could define it
        return network, parameters


def _is_channels_first(proto: Any) -> bool:
    """Tell whether a node puts the channels first."""
    perms = [list(one.ints) for one in proto.attribute if one.name == "perm"]
    return proto.op_type == "Transpose" and perms == [_TO_CHANNELS_FIRST]
