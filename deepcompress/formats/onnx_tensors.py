"""The elements of ONNX's tensors: within the model, or in files beside it.

A ``TensorProto`` (https://onnx.ai/onnx/repo-docs/IR.html) has its elements as ``raw_data``, little
endian, or in a field of a wider type, or, as ``external_data``, says in which file they are,
from which ``offset``, and of what ``length``.
"""

import math
import os
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..container.records import MAX_RANK
from ..dtypes import ElementType
from ..errors import DataError, FormatError
from ..files.mapped import MappedFile
from .source import Array

# ``TensorProto.DataType``, as far as a .dcnn file has it.
NUMBERS = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "uint16": 4,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
    "uint32": 12,
    "uint64": 13,
    "complex64": 14,
    "complex128": 15,
    "bfloat16": 16,
    "float8_e4m3fn": 17,
    "float8_e5m2": 19,
}
DTYPES = {number: ElementType(name) for name, number in NUMBERS.items()}
EXTERNAL = 1  # ``TensorProto.DataLocation``
FIELDS = {
    "float_data": "<f4",
    "double_data": "<f8",
    "int32_data": "<i4",
    "int64_data": "<i8",
    "uint64_data": "<u8",
}
IN_FIELD = {
    **dict.fromkeys(["float32", "complex64"], "float_data"),
    **dict.fromkeys(["float64", "complex128"], "double_data"),
    **dict.fromkeys(["uint32", "uint64"], "uint64_data"),
    "int64": "int64_data",
}


def shape_of(tensor: Any, what: str) -> tuple[int, ...]:
    """Return a tensor's shape; raise FormatError if no array has it."""
    shape = tuple(tensor.dims)
    too_large = math.prod(filter(None, shape)) >= 1 << 59
    if len(shape) > MAX_RANK or min(shape, default=0) < 0 or too_large:
        raise FormatError(f"{what}: no array has the shape {str(list(shape))[:80]}")
    return shape


def reader(tensor: Any, folder: Path, what: str) -> Callable[[], Array]:
    """Take the elements out of a tensor; return what gives them, in the dtype of arrays.

    tensor: a TensorProto whose ``data_type`` is one of `DTYPES`; folder: the model's; what: the
    file and the tensor, for messages.

    Raises
    ------
    DataError, FormatError
        If they aren't all there, or outside the model's folder.
    """
    dtype, shape = DTYPES[tensor.data_type], shape_of(tensor, what)
    count = math.prod(shape)
    if tensor.data_location == EXTERNAL:
        size = count * dtype.itemsize
        file, begin = _external(tensor, size, folder, what)
        bits = partial(_copied, file, begin, size, dtype.bits, what)
    else:
        held = _held(tensor, dtype, count, what)
        bits = partial(np.asarray, held)
    empty(tensor)
    return lambda: _array(bits(), dtype, shape, what)


def hold(tensor: Any, folder: Path, what: str) -> None:
    """Put elements from a file into the tensor itself, as they are; raise as `reader`."""
    if tensor.data_location != EXTERNAL:
        return
    entries = _entries(tensor, what)
    if "length" not in entries:
        raise FormatError(f"{what}: its data don't tell their length")
    size = _number(entries, "length", 0, what)
    file, begin = _external(tensor, size, folder, what)
    raw = _copied(file, begin, size, np.dtype(np.uint8), what).tobytes()
    empty(tensor)
    tensor.ClearField("data_location")
    tensor.raw_data = raw


def _copied(file: Path, begin: int, size: int, dtype: np.dtype[Any], what: str) -> Array:
    mapped = MappedFile(file)
    if begin + size > mapped.size:
        raise FormatError(f"{what}: {file} was cut short since it was opened")
    return mapped.copy(begin, size).view(dtype)


def empty(tensor: Any) -> None:
    """Leave a tensor without elements, and mark it: they are said to be in no file."""
    for field in ("raw_data", "external_data", "string_data", *FIELDS):
        tensor.ClearField(field)
    tensor.data_location = EXTERNAL


def is_empty(tensor: Any) -> bool:
    """Tell whether a tensor is one that `empty` left so."""
    return bool(tensor.data_location == EXTERNAL) and not tensor.external_data


def file_of(tensor: Any, folder: Path, what: str) -> Path:
    """Return the file of external data; raise FormatError if it isn't below the folder."""
    location = _entries(tensor, what).get("location", "")
    parts = Path(location).parts
    path = folder / location
    try:
        is_within = path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError, RuntimeError):  # as of a name with "\0", or links in a circle
        is_within = False
    if not location or os.path.isabs(location) or ".." in parts or not is_within:
        raise FormatError(f"{what}: its data lie outside of the model's folder: {location[:200]!r}")
    return path


def _external(tensor: Any, size: int, folder: Path, what: str) -> tuple[Path, int]:
    """Return the file of a tensor's elements, which has them, and where they begin."""
    path = file_of(tensor, folder, what)
    entries = _entries(tensor, what)
    begin, length = (
        _number(entries, key, default, what) for key, default in (("offset", 0), ("length", size))
    )
    if length != size:
        raise FormatError(f"{what}: {length} bytes of data, and it needs {size}")
    try:
        status = os.stat(path)
    except OSError as error:
        raise DataError(f"{what}: its data: {path}: {error.strerror or error}") from error
    if not stat.S_ISREG(status.st_mode) or begin + size > status.st_size:
        there = f"{path} has {status.st_size} bytes" if begin + size else f"{path} is no file"
        raise FormatError(f"{what}: its data end at {begin + size}, and {there}")
    return path, begin


def _entries(tensor: Any, what: str) -> dict[str, str]:
    """Return what is said of external data."""
    entries = {one.key: one.value for one in tensor.external_data}
    if not all(isinstance(text, str) for pair in entries.items() for text in pair):
        raise FormatError(f"{what}: what it says of its data isn't UTF-8")  # then they are bytes
    return entries


def _number(entries: dict[str, str], key: str, default: int, what: str) -> int:
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise FormatError(f"{what}: its data have the {key} {text[:40]!r}")
    return int(text)


def _held(tensor: Any, dtype: ElementType, count: int, what: str) -> Array:
    """Return elements that are in the tensor itself, as their bits, flat."""
    if tensor.HasField("raw_data"):
        raw = tensor.raw_data
        if len(raw) != count * dtype.itemsize or any(len(getattr(tensor, f)) for f in FIELDS):
            raise FormatError(f"{what}: {len(raw)} bytes for {count} elements of {dtype}")
        return np.frombuffer(raw, dtype.bits)
    field = IN_FIELD.get(dtype.name, "int32_data")
    values = np.array(getattr(tensor, field), FIELDS[field])
    if len(values) != count * dtype.words or any(
        len(getattr(tensor, other)) for other in FIELDS if other != field
    ):
        raise FormatError(f"{what}: {len(values)} numbers for {count} elements of {dtype}")
    if dtype.kind == "c":
        return values.view(dtype.bits)
    # Floats of fewer bits are in integers as their bits.
    are_bits = field == "int32_data" and dtype.kind == "f"
    cast = values.astype(f"<u{dtype.itemsize}" if are_bits else dtype.bits)
    if not np.array_equal(cast.astype(values.dtype), values, equal_nan=values.dtype.kind == "f"):
        raise FormatError(f"{what}: a number in {field} that {dtype} hasn't")
    return cast.view(dtype.bits)


def _array(bits: Array, dtype: ElementType, shape: tuple[int, ...], what: str) -> Array:
    """Return elements, given as their bits, as an array."""
    if dtype.kind == "b" and bits.view(np.uint8).max(initial=0) > 1:
        raise FormatError(f"{what}: a bool is neither 0 nor 1")
    return dtype.array(bits).reshape(shape)
