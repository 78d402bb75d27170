"""Hugging Face's ``.safetensors`` files: written whole, or mapped and read as they are used.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the size of the header, the
header as a JSON object, and the elements of all tensors, little endian and in row-major order.
The header has, by name, ``dtype``, ``shape`` and ``data_offsets`` [begin, end) counted from the
header's end; ``__metadata__`` is a map of strings. The tensors leave no byte of the file out and
share none.
"""

import json
import math
import mmap
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from typing import IO, Any

import numpy as np

from .. import dtypes
from ..checks import is_whole
from ..container.records import MAX_RANK
from ..dtypes import ElementType
from ..errors import ArgumentError, DataError, FormatError, OutputError
from ..files import strict_json
from ..files.atomic import write_parts
from .source import Array, Format, Source

_MOST = 2**63 - 1
MAX_HEADER_BYTES = 100_000_000  # the limit of the format's own library
METADATA = "__metadata__"
COPY_BYTES = 1 << 20
DTYPES = {
    "BOOL": ElementType("bool"),
    **{
        f"{letter}{bits}": ElementType(f"{name}{bits}")
        for letter, name in (("I", "int"), ("U", "uint"))
        for bits in (8, 16, 32, 64)
    },
    **{f"F{bits}": ElementType(f"float{bits}") for bits in (16, 32, 64)},
    "BF16": ElementType("bfloat16"),
    "F8_E4M3": ElementType("float8_e4m3fn"),
    "F8_E5M2": ElementType("float8_e5m2"),
    "C64": ElementType("complex64"),
}


class SafetensorsFile(Source):
    """The tensors of a file, in the order of its header.

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it breaks a rule of the format, or has a dtype that a ``.dcnn`` file hasn't.
    ArgumentError
        When an array is read whose dtype needs ml_dtypes, if that isn't installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._what = os.fspath(path)
        try:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                self._data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise DataError(f"{self._what}: {reason}") from error
        header_bytes = int.from_bytes(self._data[:8], "little")
        if size < 8 or header_bytes > min(MAX_HEADER_BYTES, size - 8):
            raise FormatError(f"{self._what}: not a whole safetensors file")
        self._start = 8 + header_bytes
        try:
            header = strict_json.parse(self._data[8 : self._start])
        except ValueError as error:
            raise FormatError(f"{self._what}: its header isn't JSON: {error}") from None
        if not isinstance(header, dict):
            raise FormatError(f"{self._what}: its header isn't a JSON object")
        header.pop(METADATA, None)
        self._entries: dict[str, tuple[str, int]] = {}
        self.shapes = {}
        spans = [self._add(name, entry) for name, entry in header.items()]
        end = 0
        for begin, stop in sorted(spans):
            if begin != end:
                raise FormatError(f"{self._what}: tensors overlap or leave bytes out at {end}")
            end = stop
        if self._start + end != size:
            raise FormatError(
                f"{self._what}: {size} bytes, its header declares {self._start + end}"
            )

    def _add(self, name: str, entry: Any) -> tuple[int, int]:
        """Check and take a tensor's entry; return where its elements are."""
        what = f"{self._what}: tensor {name!r}"
        if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
            raise FormatError(f"{what}: its entry doesn't say dtype, shape and data_offsets")
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise FormatError(f"{what}: dtype {str(dtype)[:40]!r} isn't one of {', '.join(DTYPES)}")
        for numbers, most in ((shape, MAX_RANK), (offsets, 2)):
            are_whole = isinstance(numbers, list) and all(is_whole(n, 0, _MOST) for n in numbers)
            if not are_whole or len(numbers) > most:
                raise FormatError(f"{what}: {str(numbers)[:80]} is no shape and no offsets")
        size = math.prod(shape) * DTYPES[dtype].itemsize
        if len(offsets) != 2 or offsets[1] - offsets[0] != size:
            raise FormatError(f"{what}: data_offsets {offsets} for {dtype} of shape {shape}")
        self.shapes[name] = tuple(shape)
        self._entries[name] = dtype, offsets[0]
        return offsets[0], offsets[1]

    def __getitem__(self, name: str) -> Array:
        dtype, begin = self._entries[name]
        shape = self.shapes[name]
        flat = np.zeros(0, DTYPES[dtype].bits)
        if size := math.prod(shape):
            flat = np.frombuffer(self._data, flat.dtype, size, self._start + begin)
        if dtype == "BOOL" and flat.view(np.uint8).max(initial=0) > 1:
            raise FormatError(f"{self._what}: tensor {name!r}: a bool is neither 0 nor 1")
        try:
            return DTYPES[dtype].array(flat).reshape(shape)
        except ArgumentError as error:
            raise ArgumentError(f"{self._what}: tensor {name!r}: {error}") from None


def write(path: str | os.PathLike[str], arrays: Iterable[tuple[str, Array]]) -> int:
    """Write a safetensors file.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        Each is copied to a temporary file beside `path` before the next is asked for, as the
        header comes first and tells the shapes of all.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    ArgumentError
        If the format has no such name or dtype.
    OutputError
        As `write_parts`.
    """
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(path))) as elements:
            header = _copied(arrays, elements)
            elements.seek(0)
            return write_parts(path, _parts(header, elements))
    except OutputError:
        raise
    except OSError as error:  # of the temporary file
        raise OutputError(f"{os.fspath(path)}: can't write: {error.strerror or error}") from error


def _copied(arrays: Iterable[tuple[str, Array]], elements: IO[bytes]) -> dict[str, Any]:
    """Copy the elements of all arrays to a file; return the header."""
    codes = {element_type: code for code, element_type in DTYPES.items()}
    header: dict[str, Any] = {}
    for name, array in arrays:
        element_type = dtypes.of(array.dtype)
        if element_type not in codes:
            raise ArgumentError(f"{name[:40]!r}: a safetensors file has no dtype {array.dtype}")
        if name == METADATA:
            raise ArgumentError(f"no name for a tensor in a safetensors file: {name!r}")
        begin = elements.tell()
        little = array.dtype.newbyteorder("<") if array.dtype.kind in "iufc" else array.dtype
        elements.write(np.ascontiguousarray(array, little).tobytes())
        header[name] = {
            "dtype": codes[element_type],
            "shape": list(array.shape),
            "data_offsets": [begin, elements.tell()],
        }
    return header


def _parts(header: dict[str, Any], elements: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file; elements begin at a multiple of 8."""
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"a tensor's name can't be written as UTF-8: {error}") from None
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little")
    yield text
    while piece := elements.read(COPY_BYTES):
        yield piece


FORMAT = Format(
    "a .safetensors",
    ".safetensors",
    lambda path: nullcontext(SafetensorsFile(path)),
    write=write,
)
