"""Values of HDF5 that aren't tensors, such as attributes, as JSON: text, numbers, nothing.

A form has ``"shape"`` and one of these: ``"text"``, with a flat list of values and ``"encoding"``,
and ``"length"`` where all have the same; ``"numbers"``, their bytes in base64, with ``"dtype"``.
Without ``"shape"`` it is HDF5's value of no elements.
"""

import base64
import contextlib
import importlib
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks import is_whole
from ..errors import ArgumentError, FormatError, shown
from .source import Array

ENCODINGS = ("utf-8", "ascii")
_LIMIT = 1 << 26  # bytes of a value, as HDF5's own limit is far lower


def encoded(values: Any, dtype: np.dtype[Any], shape: tuple[int, ...] | None, what: str) -> Any:
    """Return the form of values as h5py reads them; raise ArgumentError if there is none.

    `shape` is None for HDF5's value of no elements; `what` names the value.
    """
    h5py: Any = importlib.import_module("h5py")
    form: dict[str, Any] = {} if shape is None else {"shape": list(shape)}
    text = h5py.check_string_dtype(dtype)
    if text is not None:
        flat = [] if shape is None else np.asarray(values, object).reshape(-1).tolist()
        form |= {"text": [_as_text(one) for one in flat], "encoding": text.encoding}
        return form if text.length is None else {**form, "length": text.length}
    if dtype.kind not in "biufc" and not (dtype.kind == "V" and dtype.fields is None):
        raise ArgumentError(f"{what} is of a kind that can't be kept: {dtype}")
    if any(check(dtype) is not None for check in (h5py.check_enum_dtype, h5py.check_vlen_dtype)):
        raise ArgumentError(f"{what} is of a kind that can't be kept: {dtype.metadata}")
    data = b"" if shape is None else np.ascontiguousarray(values, dtype).tobytes()
    return {**form, "numbers": base64.b64encode(data).decode(), "dtype": dtype.str}


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def decoded(form: Any) -> tuple[Array | None, Any, tuple[int, ...] | None]:
    """Return values, h5py's dtype and shape of a form; raise FormatError if it isn't valid."""
    if not isinstance(form, Mapping):
        raise FormatError(f"not a value: {shown(form)}")
    shape = form.get("shape")
    if shape is not None:
        if not isinstance(shape, list) or len(shape) > 32 or not all(is_whole(n, 0) for n in shape):
            raise FormatError(f"not a shape: {shown(shape)}")
        shape = tuple(shape)
    count = 0 if shape is None else math.prod(shape)
    if count > _LIMIT:
        raise FormatError(f"too large a value: {shown(shape)}")
    if "text" in form:
        values, dtype = _texts(form)
    else:
        dtype = dtype_of(form.get("dtype"))
        try:
            data = base64.b64decode(form.get("numbers", ""), validate=True)
        except (TypeError, ValueError) as error:
            raise FormatError(f"not base64: {error}") from None
        if len(data) != count * dtype.itemsize:
            raise FormatError(f"{len(data)} bytes for {dtype} of shape {shape}")
        values = np.frombuffer(data, dtype) if data else np.empty(0, dtype)
    if len(values) != count:
        raise FormatError(f"{len(values)} values for the shape {shape}")
    return (None if shape is None else values.reshape(shape)), dtype, shape


def _texts(form: Mapping[str, Any]) -> tuple[Array, Any]:
    """Return the flat values of a text and their dtype."""
    h5py: Any = importlib.import_module("h5py")
    texts, encoding, length = form["text"], form.get("encoding"), form.get("length")
    are_texts = isinstance(texts, list) and all(isinstance(one, str) for one in texts)
    if (
        not are_texts
        or encoding not in ENCODINGS
        or not (length is None or is_whole(length, 1, _LIMIT))
    ):
        raise FormatError(f"not a text: {shown(dict(form))}")
    try:
        values = [one.encode("utf-8", "surrogateescape") for one in texts]
    except UnicodeEncodeError as error:
        raise FormatError(f"not a text: {error}") from None
    if length is None:
        if any(b"\0" in one for one in values):
            raise FormatError("a text of any length has no zero byte")
        flat = np.empty(len(values), object)
        flat[:] = values
        return flat, h5py.string_dtype(encoding)
    if any(len(one) > length for one in values) or length * max(len(values), 1) > _LIMIT:
        raise FormatError(f"a text is longer than {length} bytes")
    return np.array(values, f"S{length}").reshape(-1), h5py.string_dtype(encoding, length)


def dtype_of(text: Any) -> np.dtype[Any]:
    """Return the dtype of numbers or of bytes without a meaning."""
    # NumPy reads more than one dtype's text as a list of fields, in part as Python.
    if isinstance(text, str) and re.fullmatch("[<>|=]?[biufcV][0-9]{1,6}", text):
        with contextlib.suppress(TypeError):  # of a size that the kind doesn't have
            dtype: np.dtype[Any] = np.dtype(text)
            if dtype.itemsize:
                return dtype
    raise FormatError(f"not a dtype: {shown(text)}")
