"""Hugging Face's ``.safetensors`` files: written whole, and read tensor by tensor.

The format (https://huggingface.co/docs/safetensors): 8 bytes with the size of the header, the
header as a JSON object, and the elements of all tensors, little endian and in row-major order.
The header has, by name, ``dtype``, ``shape`` and ``data_offsets`` [begin, end) counted from the
header's end; ``__metadata__`` is a map of strings. The tensors leave no byte of the file out and
share none.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from .. import dtypes
from ..checks import is_whole
from ..container.records import MAX_RANK
from ..dtypes import ElementType
from ..errors import ArgumentError, FormatError, OutputError
from ..files import strict_json
from ..files.atomic import write_parts
from ..files.mapped import MappedFile
from .source import Array, Arrays, Format, Source

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
CODES = {dtype: code for code, dtype in DTYPES.items()}
ONLY_THERE = ("F4", "F6_E2M3", "F6_E3M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ")


class SafetensorsFile(Source):
    """The tensors of a file, in the order of its header.

    Attributes
    ----------
    texts : dict of str to str
        The file's ``__metadata__``; empty if it has none.

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
        self._file = MappedFile(path)
        size = self._file.size
        header_bytes = int.from_bytes(self._file.copy(0, min(8, size)), "little")
        if size < 8 or header_bytes > min(MAX_HEADER_BYTES, size - 8):
            raise FormatError(f"{self._what}: not a whole safetensors file")
        self._start = 8 + header_bytes
        try:
            header = strict_json.parse(self._file.copy(8, header_bytes).tobytes(), unique=True)
        except ValueError as error:
            raise FormatError(f"{self._what}: its header isn't JSON: {error}") from None
        if not isinstance(header, dict):
            raise FormatError(f"{self._what}: its header isn't a JSON object")
        self.texts = header.pop(METADATA, {})
        if not are_texts(self.texts):
            raise FormatError(f"{self._what}: its {METADATA} isn't a mapping of texts")
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
        if dtype in ONLY_THERE:
            raise FormatError(f"{what}: a .dcnn file can't hold its dtype {dtype}")
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

    @property
    def metadata(self) -> dict[str, Any]:
        """The file's ``__metadata__``, if it has one."""
        if not self.texts:
            return {}
        return {"origin": {"format": FORMAT.suffix, "metadata": self.texts}}

    def metadata_below(self, prefix: str) -> dict[str, Any]:
        """Return all of it: it says what wrote the file, and nothing of single tensors."""
        return self.metadata

    def __getitem__(self, name: str) -> Array:
        dtype, begin = self._entries[name]
        shape = self.shapes[name]
        size = math.prod(shape) * DTYPES[dtype].itemsize
        flat = self._file.copy(self._start + begin, size).view(DTYPES[dtype].bits)
        if dtype == "BOOL" and flat.view(np.uint8).max(initial=0) > 1:
            raise FormatError(f"{self._what}: tensor {name!r}: a bool is neither 0 nor 1")
        try:
            return DTYPES[dtype].array(flat).reshape(shape)
        except ArgumentError as error:
            raise ArgumentError(f"{self._what}: tensor {name!r}: {error}") from None


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write a safetensors file.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        The header comes first, and tells the shapes of all. Those of `Arrays` are known; others
        are copied, each before the next is asked for, to a temporary file beside `path`.
    origin : mapping
        ``"metadata"``, if it is there, becomes the file's ``__metadata__``.

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
    if isinstance(arrays, Arrays):
        head = header_of(arrays, list(arrays.types), texts_of(origin))
        return write_parts(path, elements_after(head, arrays, iter(arrays), list(arrays.types)))
    try:
        with tempfile.TemporaryFile(dir=os.path.dirname(os.path.abspath(path))) as elements:
            header = _header_of(texts_of(origin)) | _copied(arrays, elements)
            elements.seek(0)
            return write_parts(path, _parts(header, elements))
    except OutputError:
        raise
    except OSError as error:  # of the temporary file
        raise OutputError(f"{os.fspath(path)}: can't write: {error.strerror or error}") from error


def header_of(arrays: Arrays, names: list[str], texts: dict[str, str]) -> bytes:
    """Return the bytes of a file before the elements of the named arrays.

    Raises
    ------
    ArgumentError
        As `write`.
    """
    header = _header_of(texts)
    end = 0
    for name in names:
        begin, end = end, end + arrays.bytes_of(name)
        header[name] = _entry(name, arrays.types[name], arrays.shapes[name], begin, end)
    return _header_bytes(header)


def elements_after(
    head: bytes, arrays: Arrays, pairs: Iterator[tuple[str, Array]], names: list[str]
) -> Iterator[bytes | memoryview]:
    """Yield a file's header, and the elements of as many of the pairs as there are names."""
    yield head
    for name in names:
        _, array = next(pairs)
        yield dtypes.bits_of(array, arrays.types[name]).view(np.uint8).data
        del array  # before the next is made


def are_texts(value: Any) -> bool:
    """Tell whether a value may be a file's ``__metadata__``."""
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def texts_of(origin: Mapping[str, Any]) -> dict[str, str]:
    """Return the ``__metadata__`` that an origin has; raise ArgumentError if it can't be one."""
    texts = origin.get("metadata", {})
    if not are_texts(texts):
        raise ArgumentError(f"its {METADATA} isn't a mapping of texts")
    return dict(texts)


def _header_of(texts: dict[str, str]) -> dict[str, Any]:
    return {METADATA: texts} if texts else {}


def _entry(
    name: str, dtype: ElementType | None, shape: tuple[int, ...], begin: int, end: int
) -> dict[str, Any]:
    """Return what a header says of a tensor."""
    if dtype not in CODES:
        raise ArgumentError(f"{name[:40]!r}: a safetensors file has no dtype {dtype}")
    if name == METADATA:
        raise ArgumentError(f"no name for a tensor in a safetensors file: {name!r}")
    return {"dtype": CODES[dtype], "shape": list(shape), "data_offsets": [begin, end]}


def _copied(arrays: Iterable[tuple[str, Array]], elements: IO[bytes]) -> dict[str, Any]:
    """Copy the elements of all arrays to a file; return the header."""
    header: dict[str, Any] = {}
    for name, array in arrays:
        dtype, begin = dtypes.of(array.dtype), elements.tell()
        if dtype is None:
            raise ArgumentError(f"{name[:40]!r}: a safetensors file has no dtype {array.dtype}")
        end = begin + array.nbytes
        header[name] = _entry(name, dtype, array.shape, begin, end)
        elements.write(dtypes.bits_of(array, dtype).view(np.uint8).data)
    return header


def _header_bytes(header: dict[str, Any]) -> bytes:
    """Return a header with its size before it; elements begin at a multiple of 8."""
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise ArgumentError(f"a tensor's name can't be written as UTF-8: {error}") from None
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _parts(header: dict[str, Any], elements: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file."""
    yield _header_bytes(header)
    while piece := elements.read(COPY_BYTES):
        yield piece


FORMAT = Format(
    "a .safetensors",
    ".safetensors",
    lambda path: nullcontext(SafetensorsFile(path)),
    write=write,
)
