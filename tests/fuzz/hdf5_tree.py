"""What is around the tensors of an HDF5 file, from JSON; available where h5py is."""

import importlib.util
import io
import math
from typing import Any

import numpy as np

from deepcompress.errors import FormatError
from deepcompress.files import strict_json
from deepcompress.formats import hdf5, hdf5_values

from .limits import limited, outcome, require

available = importlib.util.find_spec("h5py") is not None
_LARGEST = 1 << 16


def arrays_of(form: Any, path: str = "") -> Any:
    """Yield names and arrays that fit the tensors of a form, as far as it is one."""
    for item in form.get("group", ()) if isinstance(form, dict) else ():
        if not isinstance(item, list) or len(item) != 2 or not isinstance(item[1], dict):
            raise FormatError("no group")
        name, node = f"{path}/{item[0]}" if path else item[0], item[1]
        if "group" in node:
            yield from arrays_of(node, name)
        elif node.get("tensor") == name:
            dtype = hdf5_values.dtype_of(node.get("dtype"))
            try:
                array = np.zeros(node.get("shape"), dtype.newbyteorder("="))
            except (TypeError, ValueError, MemoryError, OverflowError):
                raise FormatError("no array") from None
            yield name, array


def is_small(value: Any) -> bool:
    """Tell whether no dataset that is declared takes much memory or time."""
    if isinstance(value, list):
        numbers = [n for n in value if isinstance(n, int)]
        return math.prod(numbers) < _LARGEST and all(map(is_small, value))
    return not isinstance(value, dict) or all(map(is_small, value.values()))


def test_one_input(data: bytes) -> None:
    try:
        form = strict_json.parse(data)
        if not is_small(form):
            return
        arrays = list(arrays_of(form))
    except (ValueError, RecursionError):
        return
    file = io.BytesIO()
    with limited("writing", 1 << 25):
        _, refusal = outcome(lambda: hdf5.fill(file, arrays, {"tree": form}, "file"))
    if refusal:
        return
    with hdf5.opened(file, "file") as source:
        require(set(source) >= {name for name, _ in arrays} or links(form), "names differ")
        tree = source.metadata["origin"]["tree"]
        again = io.BytesIO()
        hdf5.fill(again, dict(source).items(), {"tree": tree}, "file")
    with hdf5.opened(again, "file") as source:
        require(source.metadata["origin"]["tree"] == tree, "trees differ")


def links(form: Any) -> bool:
    return "hard" in str(form)
