"""Where the parameters of a network are: by default, in tensors of the same names.

A network that was made elsewhere has names of its own, other orders of axes, and constants that
are no tensors. The entry ``"parameters"`` of a file's metadata then has an object for each
parameter that isn't just a tensor of its name and shape::

    {"fc.weight": {"tensor": "onnx::MatMul_42", "transposed": true},
     "fc.bias": {"tensor": "bias", "factor": 0.5},
     "conv.bias": {"fill": 0.0}}

``tensor`` names a tensor of the file, whose shape may have more or fewer axes of length 1 than the
parameter's. ``transposed`` says that it is a matrix of (inputs, outputs). ``factor`` multiplies all
of its numbers. ``fill`` is the one number of a vector that is no tensor. With such an entry, the
file may have tensors that the network doesn't take.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import relindex
from ..checks import is_finite, is_name
from ..coding.reading import Tensor
from ..errors import ArgumentError, FormatError, shown
from ..nn.network import Network
from ..packed.grouped import GroupedTensor
from ..packed.tensor import CompressedTensor
from ..tensors import Float32Array, SharedWeights

MAX_FILLED = 1 << 20  # numbers of a vector that no file holds, far more than a layer has outputs
_MAX_NAME_BYTES = 1 << 16
_LARGEST = float(np.finfo(np.float32).max)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class ParameterSource:
    """Where a parameter comes from.

    Attributes
    ----------
    tensor : str or None
        Name of a tensor of the file; None for one number, `fill`, all over.
    transposed : bool
    factor, fill : float
    """

    tensor: str | None
    transposed: bool = False
    factor: float = 1.0
    fill: float = 0.0

    def to_metadata(self) -> dict[str, Any]:
        """Return the object for a file's metadata."""
        if self.tensor is None:
            return {"fill": self.fill}
        values: dict[str, Any] = {"tensor": self.tensor}
        if self.transposed:
            values["transposed"] = True
        if self.factor != 1:
            values["factor"] = self.factor
        return values

    def fits(self, tensor: Shape, parameter: Shape) -> bool:
        """Tell whether a tensor of a shape is a parameter of another."""
        if self.transposed:
            return len(tensor) == 2 and tensor[::-1] == parameter
        return tensor == parameter or _long_axes(tensor) == _long_axes(parameter)


def read_sources(
    metadata: Mapping[str, Any], network: Network
) -> tuple[dict[str, ParameterSource], bool]:
    """Return the source of each parameter of a network, and whether there may be other tensors.

    Raises
    ------
    FormatError
        If the entry isn't as above, naming the parameter.
    """
    shapes = network.param_shapes
    sources = {name: ParameterSource(name) for name in shapes}
    if "parameters" not in metadata:
        return sources, False
    entries = metadata["parameters"]
    if not isinstance(entries, Mapping):
        raise FormatError(f"parameters must be an object, not {shown(entries)}")
    for name, entry in entries.items():
        if name not in shapes:
            raise FormatError(f"parameters: network {network.name!r} has no {shown(name)}")
        try:
            sources[name] = _read(entry, shapes[name])
        except ArgumentError as error:
            raise FormatError(f"parameter {name!r}: {error}") from None
    return sources, True


def parameter(
    name: str, source: ParameterSource, shape: Shape, read: Callable[[str], Tensor]
) -> Tensor:
    """Return a parameter from its tensor, packed if that is.

    `read` gives a tensor of the file by name; its shape is known to fit.

    Raises
    ------
    ArgumentError
        If numbers can't be multiplied by a factor, as they aren't floats; or as `read`.
    """
    if source.tensor is None:
        return np.full(shape, source.fill, np.float32)
    tensor = read(source.tensor)
    if isinstance(tensor, CompressedTensor):
        packed = _transposed(tensor) if source.transposed else tensor
        if source.factor == 1 and packed.shape == shape:
            return packed
        if source.factor == 1 and packed.shape[:1] == shape[:1]:
            return CompressedTensor.from_checked(shape, packed.stream())
        product: Float32Array = packed.to_float32().reshape(shape)
        return product * np.float32(source.factor)
    if isinstance(tensor, GroupedTensor):
        tensor = tensor.to_dense()
    if source.transposed:
        tensor = tensor.T
    tensor = tensor.reshape(shape)
    if source.factor == 1:
        return tensor
    if tensor.dtype.kind not in "fV":
        raise ArgumentError(f"tensor {source.tensor!r} is of {tensor.dtype}, no float")
    return tensor.astype(np.float32) * np.float32(source.factor)


def _transposed(tensor: CompressedTensor) -> CompressedTensor:
    """Return a packed matrix with its axes exchanged: the same weights, in another order."""
    positions, labels = tensor.survivors()
    row, col = np.divmod(positions, max(tensor.cols, 1))
    moved = col * tensor.rows + row
    order = np.argsort(moved, kind="stable")
    weights = SharedWeights(tensor.codebook, labels[order], tensor.label_bits)
    gaps = relindex.encode(moved[order], tensor.size, tensor.gap_bits)
    turned = CompressedTensor.from_parts(tensor.shape[::-1], weights, gaps)
    return turned.of_type(tensor.element_type)


def _read(entry: Any, shape: Shape) -> ParameterSource:
    if not isinstance(entry, Mapping):
        raise ArgumentError(f"must be an object, not {shown(entry)}")
    known = ("fill",) if "fill" in entry else ("tensor", "transposed", "factor")
    for key in entry:
        if key not in known:
            raise ArgumentError(f"unknown field {shown(key)}, expected one of {list(known)}")
    if "fill" in entry:
        if len(shape) != 1 or shape[0] > MAX_FILLED:
            raise ArgumentError(f"only a vector of at most {MAX_FILLED:,} has a fill, not {shape}")
        return ParameterSource(None, fill=_number("fill", entry["fill"]))
    if "tensor" not in entry:
        raise ArgumentError("has neither tensor nor fill")
    if not is_name(entry["tensor"], _MAX_NAME_BYTES):
        raise ArgumentError(f"tensor must be a name, not {shown(entry['tensor'])}")
    transposed = entry.get("transposed", False)
    if not isinstance(transposed, bool):
        raise ArgumentError(f"transposed must be true or false, not {shown(transposed)}")
    if transposed and len(shape) != 2:
        raise ArgumentError(f"a parameter of shape {shape} can't be transposed")
    factor = _number("factor", entry.get("factor", 1.0))
    return ParameterSource(str(entry["tensor"]), transposed, factor)


def _number(what: str, value: Any) -> float:
    if not is_finite(value, -_LARGEST, _LARGEST):
        raise ArgumentError(f"{what} must be a finite number, not {shown(value)}")
    return float(value)


def _long_axes(shape: Shape) -> list[int]:
    return [axis for axis in shape if axis != 1]
