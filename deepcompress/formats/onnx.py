"""ONNX models: their weights as arrays, and the graph without them, to be filled again.

- An initializer is a tensor by its name; the value of a ``Constant`` node by the node's output.
- Integers and booleans of fewer than `LEAST_INTEGERS` elements stay in the graph: they are shapes,
  axes and paddings. So do values of dtypes that a ``.dcnn`` file hasn't (strings, 4 bits), sparse
  ones, those of functions, other attributes, and in graphs within graphs what has a name that an
  outer graph, or an earlier one, has already.
- A model is written in one file, unless that would be above protobuf's limit: then its weights are
  in ``OUT.onnx.data`` beside it.
"""

import base64
import binascii
import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .. import dtypes
from ..errors import ArgumentError, FormatError
from ..files.atomic import write_bytes
from ..files.reading import read_file
from ..files.together import FileSet, check_free
from . import onnx_graph
from .onnx_tensors import DTYPES, EXTERNAL, file_of, hold, is_empty, reader, shape_of
from .source import Array, Arrays, Format, Source

LEAST_INTEGERS = 64
MOST_BYTES = (1 << 31) - (1 << 20)  # of a file: protobuf has messages below 2 GiB
MOST_GRAPH_BYTES = 1 << 28  # of one in the metadata
LEAST_EXTERNAL = 1024  # bytes of a tensor; smaller ones stay in the model, as the onnx package does
ALIGNMENT = 4096  # of external data, so that they can be mapped


class OnnxFile(Source):
    """The weights of a model, in the order of its graph.

    Attributes
    ----------
    skeleton : onnx.ModelProto
        The model without the elements of these weights (see `onnx_tensors.empty`).

    Raises
    ------
    DataError
        If a file can't be read.
    FormatError
        If it isn't a model of a version that the onnx package knows, or a tensor isn't whole,
        has a name twice, or its data lie outside of the model's folder.
    """

    keeps_names = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._what = os.fspath(path)
        model = _parsed(read_file(path), self._what)
        folder = Path(path).parent
        self._files = {
            file_of(tensor, folder, f"{self._what}: tensor {tensor.name!r}")
            for _, tensor in _tensors(model)
            if tensor.data_location == EXTERNAL
        }
        self._readers: dict[str, Callable[[], Array]] = {}
        self.shapes = {}
        for name, tensor in _tensors(model):
            what = f"{self._what}: tensor {name or tensor.name!r}"
            if name and name not in self.shapes and _is_weight(tensor, what):
                self.shapes[name] = shape_of(tensor, what)
                self._readers[name] = reader(tensor, folder, what)
            else:
                hold(tensor, folder, what)
        # The parsed one's memory is its arena's, which gives nothing back.
        self.skeleton = type(model).FromString(model.SerializeToString())

    @property
    def files(self) -> list[Path]:
        """The files of external data."""
        return sorted(self._files)

    @property
    def metadata(self) -> dict[str, Any]:
        """The graph, for `write`, and the network that it is, as `onnx_graph` has it."""
        text = zlib.compress(self.skeleton.SerializeToString(deterministic=True), 9)
        origin = {"format": FORMAT.suffix, "graph": base64.b64encode(text).decode()}
        return {"origin": origin, **onnx_graph.metadata(self.skeleton, self.__getitem__)}

    def __getitem__(self, name: str) -> Array:
        try:
            return self._readers[name]()
        except ArgumentError as error:  # a dtype whose package isn't installed
            raise ArgumentError(f"{self._what}: tensor {name!r}: {error}") from None


def _parsed(data: bytes, what: str) -> Any:
    """Return a model of versions that are known."""
    import onnx

    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # protobuf's class for it is another in each implementation
        raise FormatError(f"{what}: not an ONNX model: {error}") from None
    if not model.ir_version or not model.HasField("graph") or not model.opset_import:
        raise FormatError(f"{what}: not an ONNX model: it has no version, or no graph")
    newest = onnx.defs.onnx_opset_version()
    if not 1 <= model.ir_version <= onnx.IR_VERSION:
        raise FormatError(
            f"{what}: IR version {model.ir_version} isn't known to onnx {onnx.__version__}"
        )
    for one in model.opset_import:
        if one.domain in ("", "ai.onnx") and not 1 <= one.version <= newest:
            raise FormatError(
                f"{what}: opset {one.version} isn't known to onnx {onnx.__version__}: "
                f"1 to {newest} are"
            )
    if not all(isinstance(name, str) for name, _ in _tensors(model)):  # protobuf leaves it bytes
        raise FormatError(f"{what}: the name of a tensor isn't UTF-8")
    seen: set[str] = set()
    for name, _ in _of_graph(model.graph, deep=False):
        if name in seen:
            raise FormatError(f"{what}: tensor {name!r} is there twice")
        seen |= {name} - {""}
    return model


def _is_weight(tensor: Any, what: str) -> bool:
    """Tell whether a tensor is to be an array, or stays in the graph."""
    dtype = DTYPES.get(tensor.data_type)
    if dtype is None or tensor.HasField("segment"):
        return False
    count = math.prod(shape_of(tensor, what))
    return dtype.kind in "fc" or count >= LEAST_INTEGERS


def _tensors(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield all tensors of a model, each with its name; "" if it is to stay where it is."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        for _, tensor in _of_nodes(function.node):
            yield "", tensor


def _of_graph(graph: Any, deep: bool = True) -> Iterator[tuple[str, Any]]:
    for tensor in graph.initializer:
        yield tensor.name, tensor
    for sparse in graph.sparse_initializer:
        yield from (("", sparse.values), ("", sparse.indices))
    yield from _of_nodes(graph.node, deep)


def _of_nodes(nodes: Any, deep: bool = True) -> Iterator[tuple[str, Any]]:
    for node in nodes:
        is_constant = node.op_type == "Constant" and node.domain in ("", "ai.onnx")
        for attribute in node.attribute:
            if attribute.HasField("t"):
                is_value = is_constant and attribute.name == "value" and node.output
                yield node.output[0] if is_value else "", attribute.t
            for tensor in attribute.tensors:
                yield "", tensor
            sparse = [*attribute.sparse_tensors]
            sparse += [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
            for one in sparse:
                yield from (("", one.values), ("", one.indices))
            graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
            for graph in graphs if deep else ():
                yield from _of_graph(graph)


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write a model: the graph of an origin with arrays for its weights.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        All that the graph lacks, of its shapes; floats become those of its dtypes.
    origin : mapping
        As `OnnxFile.metadata` has it: ``"graph"`` is the model as a text, compressed by zlib.

    Returns
    -------
    int
        Size of the file, or of both files, in bytes.

    Raises
    ------
    ArgumentError
        If there is no graph, or the arrays aren't what it lacks.
    OutputError
        If a file can't be written, or if the weights need a file of their own, and there is one
        of its name; then nothing changed.
    """
    if "graph" not in origin:
        raise ArgumentError(
            "it has no graph, which only a file made from an .onnx has; choose another suffix"
        )
    model = _unpacked(origin["graph"])
    arrays = Arrays.of(arrays)
    lacking = _lacking(model, arrays)
    if sum(map(arrays.bytes_of, lacking)) + model.ByteSize() + 64 * len(lacking) > MOST_BYTES:
        return _write_apart(path, arrays, model, lacking)
    for name, array in arrays:
        _fill(lacking[name], array)
    data = model.SerializeToString(deterministic=True)
    write_bytes(path, data)
    return len(data)


def _unpacked(graph: Any) -> Any:
    """Return the model that is a text in an origin."""
    try:
        inflate = zlib.decompressobj()
        data = inflate.decompress(base64.b64decode(graph, validate=True), MOST_GRAPH_BYTES)
    except (TypeError, ValueError, binascii.Error, zlib.error) as error:
        raise ArgumentError(f"its graph can't be read: {error}") from None
    if not inflate.eof:
        raise ArgumentError(f"its graph isn't whole, or above {MOST_GRAPH_BYTES:,} bytes")
    try:
        return _parsed(data, "its graph")
    except FormatError as error:
        raise ArgumentError(str(error)) from None


def _lacking(model: Any, arrays: Arrays) -> dict[str, Any]:
    """Return the tensors that a graph lacks; raise ArgumentError unless the arrays are these."""
    lacking: dict[str, Any] = {}
    for name, tensor in _tensors(model):
        if is_empty(tensor):
            if name not in arrays.types or name in lacking:
                raise ArgumentError(f"its graph needs a tensor {name!r}")
            lacking[name] = tensor
        elif tensor.data_location == EXTERNAL:
            raise ArgumentError("its graph has data in another file")
    for name, dtype in arrays.types.items():
        if name not in lacking:
            raise ArgumentError(f"its graph has no tensor {name!r}")
        wanted = DTYPES.get(lacking[name].data_type)
        shape = tuple(lacking[name].dims)
        are_floats = wanted is not None and wanted.kind == dtype.kind == "f"
        if shape != arrays.shapes[name] or not (wanted == dtype or are_floats):
            raise ArgumentError(
                f"tensor {name!r}: {dtype} of shape {arrays.shapes[name]} for a graph with "
                f"{wanted} of shape {shape}"
            )
    return lacking


def _fill(tensor: Any, array: Array) -> None:
    """Put an array into a tensor."""
    tensor.raw_data = _bits(tensor, array).tobytes()
    tensor.ClearField("data_location")


def _bits(tensor: Any, array: Array) -> Array:
    """Return elements of a tensor's dtype as their bits."""
    dtype = DTYPES[tensor.data_type]
    return dtypes.bits_of(array.astype(dtype.numpy(), copy=False), dtype)


def _write_apart(
    path: str | os.PathLike[str], arrays: Arrays, model: Any, lacking: dict[str, Any]
) -> int:
    """Write a model, and its large weights into a file beside it."""
    target = os.path.realpath(path)
    name = f"{os.path.basename(target)}.data"
    check_free(os.path.dirname(target), [name])
    with FileSet(target) as together:
        size = together.add(_external_data(arrays, lacking, name))
        return size + together.publish([name], [model.SerializeToString(deterministic=True)])


def _external_data(
    arrays: Arrays, lacking: dict[str, Any], location: str
) -> Iterator[bytes | memoryview]:
    """Yield the elements of large weights; tell in their tensors where they are."""
    end = 0
    for name, array in arrays:
        tensor = lacking[name]
        if array.nbytes < LEAST_EXTERNAL:
            _fill(tensor, array)
            continue
        yield b"\0" * (-end % ALIGNMENT)
        begin = end + -end % ALIGNMENT
        bits = _bits(tensor, array)
        end = begin + bits.nbytes
        for key, value in (("location", location), ("offset", begin), ("length", bits.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
        yield bits.view("u1").data
        del array, bits


FORMAT = Format(
    "an .onnx",
    ".onnx",
    lambda path: nullcontext(OnnxFile(path)),
    write=write,
    requires="onnx",
)
