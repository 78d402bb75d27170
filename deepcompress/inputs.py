"""The tensors that a user hands over -> flat names and plain arrays, with nothing lost in silence.

- Mappings within mappings, such as a training checkpoint, become names joined by ``"."``.
- The elements of a NumPy masked array that its mask hides are zeros.
- ``weight_orig`` and ``weight_mask``, as ``torch.nn.utils.prune`` leaves them for any parameter,
  are the tensor ``weight``.
- What has no place in a file is refused by its name, with what to do about it.
"""

from collections import UserDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from . import dtypes
from .checks import unmasked
from .container.writer import checked_name, stored_dtype
from .errors import ArgumentError, DeepCompressError, shown

Array = npt.NDArray[Any]

SEPARATOR = "."
ORIG, MASK = "_orig", "_mask"
HELD = (dict, MappingProxyType, UserDict)  # to look at a value of theirs is not to load it


class Inputs(Mapping[str, Array]):
    """Tensors by their flat names, each made an array when it is asked for.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Values of a dict may be mappings themselves. What a dict holds is checked here, what
        another mapping would have to load when it is asked for. A source may have an attribute
        ``shapes``, a mapping of its names to shapes.

    Attributes
    ----------
    combined : dict of str to (str, str)
        The tensors made of an original and a mask, with the names of both.
    own_bytes : dict of str to int
        Bytes of each tensor that was read, as it was: a combined one's mask counts.
    shapes : dict of str to tuple of int
        As far as they are known without reading.
    is_held : bool
        Whether the tensors are in memory, so that one can be asked for again.

    Raises
    ------
    ArgumentError
        If a name isn't a string, two names are the same once they are flat, a mapping within a
        mapping is empty, or a value can't be stored, naming it.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        if not hasattr(tensors, "keys") or isinstance(tensors, type):
            raise ArgumentError(f"tensors must be a mapping, not {type(tensors).__name__}")
        self._places: dict[str, tuple[Any, str]] = {}
        self.combined: dict[str, tuple[str, str]] = {}
        self.own_bytes: dict[str, int] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.is_held = isinstance(tensors, HELD)
        try:
            self._take(tensors, "")
        except RecursionError:
            raise ArgumentError("tensors: mappings are nested too deeply") from None
        if not getattr(tensors, "keeps_names", False):
            self._combine()
        parts = {part: name for name, pair in self.combined.items() for part in pair}
        self._names = list(dict.fromkeys(parts.get(name, name) for name in self._places))
        for name in self._names:
            checked_name(name)

    def _take(self, tensors: Mapping[str, Any], prefix: str) -> None:
        """Take the tensors of a mapping, and of those within it."""
        shapes = getattr(tensors, "shapes", None)
        for key in tensors:
            if not isinstance(key, str):
                where = f" (in {prefix.removesuffix(SEPARATOR)!r})" if prefix else ""
                raise ArgumentError(f"a tensor's name must be a string, not {shown(key)}{where}")
            name, container = prefix + key, tensors
            if isinstance(shapes, Mapping) and key in shapes:
                self.shapes[name] = tuple(shapes[key])
            elif isinstance(tensors, HELD):
                value = tensors[key]
                if isinstance(value, Mapping):
                    if not value:
                        raise ArgumentError(f"{name!r} is a mapping without tensors; leave it out")
                    self._take(value, name + SEPARATOR)
                    continue
                if isinstance(value, np.ndarray):
                    _check_storable(name, value)
                elif isinstance(value, np.generic) or not hasattr(value, "__array__"):
                    container = {key: as_array(name, value)}
            if name in self._places:
                raise ArgumentError(
                    f"tensor {name!r}: is there twice, once the names of nested mappings are "
                    f"joined by {SEPARATOR!r}"
                )
            self._places[name] = container, key

    def _combine(self) -> None:
        """Find the pairs of an original and its mask."""
        for mask in self._places:
            name = mask.removesuffix(MASK)
            orig = name + ORIG
            is_named_so = mask != name and name.rpartition(SEPARATOR)[2] and orig in self._places
            if is_named_so and name not in self._places and self._is_pair(orig, mask):
                self.combined[name] = orig, mask
                if orig in self.shapes:
                    self.shapes[name] = self.shapes[orig]

    def _is_pair(self, orig: str, mask: str) -> bool:
        """Tell whether the second tensor is a mask, of zeros and ones, for the first one."""
        if self._shape(orig) != self._shape(mask):
            return False
        values = self._read(mask)
        return bool(((values == 0) | (values == 1)).all())

    def _shape(self, name: str) -> tuple[int, ...]:
        return self.shapes[name] if name in self.shapes else self._read(name).shape

    def __getitem__(self, name: str) -> Array:
        if name not in self.combined:
            array = self._read(name)
            self.own_bytes[name] = array.nbytes
            return array
        array, mask = map(self._read, self.combined[name])
        self.own_bytes[name] = array.nbytes + mask.nbytes
        return np.where(mask != 0, array, array.dtype.type(0))

    def _read(self, name: str) -> Array:
        container, key = self._places[name]
        with _naming(name, "can't be read"):
            values = container[key]
        return as_array(name, values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def flat(tensors: Mapping[str, Any]) -> Inputs:
    """Return tensors by their flat names; what is an `Inputs` already is returned as it is."""
    return tensors if isinstance(tensors, Inputs) else Inputs(tensors)


def as_array(name: str, values: npt.ArrayLike) -> Array:
    """Return a tensor that may be another library's as an array that a file can hold.

    Raises
    ------
    ArgumentError
        If there is none, naming the tensor.
    """
    if type(values) is np.ndarray:
        _check_storable(name, values)
        return values
    if isinstance(values, Mapping):
        raise ArgumentError(f"tensor {name!r}: is a mapping; flatten it, or hand it over in a dict")
    if hasattr(values, "toarray") and not hasattr(values, "__array__"):
        raise ArgumentError(f"tensor {name!r}: is a sparse matrix; give its toarray()")
    with _naming(name, "isn't an array"):
        from_torch = dtypes.from_torch(values)
        array = np.asarray(_filled(values)) if from_torch is None else from_torch
    _check_storable(name, array)
    return array


def _filled(values: Any) -> Any:
    """Return values with zeros where a masked array, or one in a list, hides them."""
    if isinstance(values, (list, tuple)):
        return [_filled(value) for value in values]
    return unmasked(values)


@contextmanager
def _naming(name: str, what: str) -> Iterator[None]:
    """Turn whatever another library raises into an error of ours that names the tensor."""
    try:
        yield
    except DeepCompressError:
        raise
    except Exception as error:
        raise ArgumentError(f"tensor {name!r}: {what}: {error}") from error


def _check_storable(name: str, array: Array) -> None:
    """Raise ArgumentError for an array that has no place in a file; for its dtype with advice."""
    checked_name(name, array.shape)
    try:
        stored_dtype(name, array)
    except ArgumentError as error:
        is_none = array.dtype == object and array.ndim == 0 and array[()] is None
        remedy = {"f": "convert it to float64", "c": "convert it to complex128"}.get(
            array.dtype.kind, "leave it out, or put it into the metadata"
        )
        what = f"tensor {name!r}: is None; " if is_none else f"{error}; "
        raise ArgumentError(what + remedy) from None
