"""The dtypes of a file's elements by their numbers there, and what NumPy lacks of three of them.

NumPy doesn't know bfloat16, float8_e4m3fn and float8_e5m2. Their elements are unsigned integers
of the same bits here; `ml_dtypes`, an optional package, has dtypes for them. Floats and integers
may be shared: their centroids are float32 in memory, and values of the dtype.
"""

import contextlib
import importlib
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import ArgumentError

Float32Array = npt.NDArray[np.float32]

NAMES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
    *("bfloat16", "float8_e4m3fn", "float8_e5m2"),
)
EXTRA = "ml_dtypes"
NUMPY_LACKS = {"bfloat16": "uint16", "float8_e4m3fn": "uint8", "float8_e5m2": "uint8"}
EXPONENT_BITS = {"bfloat16": 8, "float8_e4m3fn": 4, "float8_e5m2": 5}


@dataclass(frozen=True)
class ElementType:
    """A dtype of a file's elements.

    Attributes
    ----------
    name : str
        One of `NAMES`, whose index is its number in a file.
    """

    name: str

    def __str__(self) -> str:
        return self.name

    @cached_property
    def number(self) -> int:
        """``Dtype`` in a file."""
        return NAMES.index(self.name)

    @cached_property
    def bits(self) -> np.dtype[Any]:
        """The dtype of elements as they are read, little endian: NumPy's own, or of integers."""
        dtype: np.dtype[Any] = np.dtype(NUMPY_LACKS.get(self.name, self.name)).newbyteorder("<")
        return dtype

    @cached_property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return self.bits.itemsize

    @cached_property
    def kind(self) -> str:
        """NumPy's letter of the kind: one of ``biufc``."""
        return "f" if self.name in NUMPY_LACKS else self.bits.kind

    @cached_property
    def words(self) -> int:
        """Words of an element: a complex number has two."""
        return 2 if self.kind == "c" else 1

    @cached_property
    def word_bytes(self) -> int:
        """Bytes of a word."""
        return self.itemsize // self.words

    @cached_property
    def is_shareable(self) -> bool:
        """Whether a tensor of it may have shared weights."""
        return self.kind in "iuf"

    @cached_property
    def centroid_bits(self) -> np.dtype[Any]:
        """The dtype of centroids in a file, little endian."""
        # > A centroid is an element of Dtype where that has fewer than 4 bytes, else a float32.
        return self.bits if self.itemsize < 4 else np.dtype("<f4")

    def numpy(self) -> np.dtype[Any]:
        """Return the dtype of arrays, or raise ArgumentError where `EXTRA` isn't installed."""
        if self.name not in NUMPY_LACKS:
            return np.dtype(self.name)
        try:
            dtype: np.dtype[Any] = np.dtype(getattr(importlib.import_module(EXTRA), self.name))
            return dtype
        except ImportError:
            raise ArgumentError(
                f"arrays of {self.name} need {EXTRA}, an extra of deepcompress-nn"
            ) from None

    def array(self, elements: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return elements, given as their bits, in the dtype of arrays; raise as `numpy`."""
        dtype = self.numpy()
        if self.name in NUMPY_LACKS:
            return elements.astype(elements.dtype.newbyteorder("="), copy=False).view(dtype)
        return elements.astype(dtype, copy=False)

    def widened(self, elements: npt.NDArray[Any]) -> Float32Array:
        """Return elements of a shareable type, given as their bits, as float32."""
        if self.name == "bfloat16":
            values: Float32Array = (elements.astype(np.uint32) << 16).view(np.float32)
            return values
        if self.name in NUMPY_LACKS:
            values = _float8_values(self.name)[elements]
            return values
        return elements.astype(np.float32)

    def narrowed(self, values: Float32Array) -> npt.NDArray[Any]:
        """Return the bits of the centroids that are nearest to finite values, ties to even.

        Raises
        ------
        ArgumentError
            If a value is beyond the dtype's range.
        """
        if self.name == "float32":
            return values.astype(self.bits, copy=False)
        if self.name == "bfloat16":
            wide = values.view(np.uint32)
            bits = ((wide + 0x7FFF + (wide >> 16 & 1)) >> 16).astype("<u2")
            finite = np.isfinite(self.widened(bits))
        elif self.name in NUMPY_LACKS:
            bits, finite = _nearest_float8(self.name, values)
        elif self.kind == "f":
            with np.errstate(over="ignore"):
                bits = values.astype(self.centroid_bits)
            finite = np.isfinite(bits)
        else:
            rounded = np.rint(values).astype(np.float64)
            least, beyond = _range_of(self.bits)
            finite = (least <= rounded) & (rounded < beyond)
            bits = np.where(finite, rounded, 0).astype(self.centroid_bits)
        if not finite.all():
            raise ArgumentError(f"{values[~finite][0]} is beyond the range of {self.name}")
        return bits

    def rounded(self, values: Float32Array) -> Float32Array:
        """Return finite values rounded to the dtype, as float32; raise as `narrowed`."""
        if self.name in ("float32", "float64"):
            return values
        bits = self.narrowed(values)
        return self.widened(bits) if bits.dtype == self.bits else bits.astype(np.float32)


TYPES = tuple(ElementType(name) for name in NAMES)
FLOAT16, FLOAT32 = (TYPES[NAMES.index(name)] for name in ("float16", "float32"))


def named(dtype: ElementType | npt.DTypeLike) -> ElementType:
    """Return the type of a dtype, or of its name; raise ArgumentError if a file can't have it."""
    if isinstance(dtype, ElementType):
        return dtype
    found = ElementType(dtype) if isinstance(dtype, str) and dtype in NAMES else None
    if found is None:
        # Of what is no dtype; NumPy reads a text with a comma as fields, in part as Python.
        with contextlib.suppress(TypeError, ValueError, SyntaxError):
            found = of(np.dtype(dtype))
    if found is None:
        raise ArgumentError(f"dtype {dtype} can't be stored; can: {', '.join(NAMES)}")
    return found


@cache
def of(dtype: np.dtype[Any]) -> ElementType | None:
    """Return the type of a dtype of arrays, None if a file can't have it."""
    is_known = dtype.kind in "biufc" or dtype.name in NUMPY_LACKS
    return TYPES[NAMES.index(dtype.name)] if is_known and dtype.name in NAMES else None


def bits_of(array: npt.NDArray[Any], element_type: ElementType) -> npt.NDArray[Any]:
    """Return the elements of an array of the type as their bits, flat, contiguous."""
    flat = np.ascontiguousarray(array).reshape(-1)
    if element_type.name in NUMPY_LACKS:
        return flat.view(element_type.bits)
    return flat.astype(element_type.bits, copy=False)


def as_float32(array: npt.NDArray[Any]) -> Float32Array:
    """Return an array of floats of any type as float32; one beyond its range is an infinity."""
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def from_torch(values: Any) -> npt.NDArray[Any] | None:
    """Return a tensor of PyTorch as an array of its dtype, None for anything else.

    Raises
    ------
    ArgumentError
        As `ElementType.numpy`.
    """
    torch = sys.modules.get(type(values).__module__.partition(".")[0])
    if torch is None or not all(hasattr(values, name) for name in ("detach", "cpu", "numpy")):
        return None
    tensor = values.detach().cpu()
    name = str(tensor.dtype).rpartition(".")[2]
    if name not in NUMPY_LACKS:
        return np.asarray(tensor.numpy())
    element_type = ElementType(name)
    signed = NUMPY_LACKS[name].replace("uint16", "int16")  # the integers that all versions have
    bits = tensor.contiguous().view(getattr(torch, signed)).numpy()
    return element_type.array(bits.view(element_type.bits))


def _range_of(dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return the least integer of a dtype, and the first one beyond its largest."""
    bits = 8 * dtype.itemsize
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1)) if dtype.kind == "i" else (0.0, 2.0**bits)


@cache
def _float8_values(name: str) -> Float32Array:
    """Return the value of each byte, NaN for those that are none, infinities where there are."""
    exponent_bits = EXPONENT_BITS[name]
    mantissa_bits = 7 - exponent_bits
    byte = np.arange(256)
    exponent = byte >> mantissa_bits & ((1 << exponent_bits) - 1)
    mantissa = byte & ((1 << mantissa_bits) - 1)
    bias = (1 << (exponent_bits - 1)) - 1
    whole = mantissa + np.where(exponent > 0, 1 << mantissa_bits, 0)
    size = whole * 2.0 ** (np.maximum(exponent, 1) - bias - mantissa_bits)
    if name == "float8_e5m2":
        size[exponent == 31] = np.inf
        size[(exponent == 31) & (mantissa > 0)] = np.nan
    else:
        size[(byte & 127) == 127] = np.nan
    values: Float32Array = np.where(byte >= 128, -size, size).astype(np.float32)
    return values


def _nearest_float8(
    name: str, values: Float32Array
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Return the nearest byte of each value, ties to even, and whether it is in range."""
    positive = _float8_values(name)[:128]
    known = positive[np.isfinite(positive)].astype(np.float64)  # ascending, by their bytes
    size = np.abs(values).astype(np.float64)
    above = np.clip(np.searchsorted(known, size), 1, len(known) - 1)
    low, high = size - known[above - 1], known[above] - size
    takes_low = (low < high) | ((low == high) & (above % 2 == 1))  # the even byte of the two
    bits = np.where(takes_low, above - 1, above).astype(np.uint8)
    step = known[-1] - known[-2]
    half = np.float64(0.5) * step
    # As elsewhere in IEEE arithmetic: half a step beyond the largest is already out of range.
    in_range = size < known[-1] + half if len(known) % 2 == 0 else size <= known[-1] + half
    return bits | np.where(np.signbit(values), np.uint8(128), np.uint8(0)), in_range
