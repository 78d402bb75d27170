"""HDF5 files, such as Keras's ``.h5`` and ``.weights.h5``: numeric datasets are the tensors.

A tensor's name is its dataset's path without the first ``/``. Groups, attributes, links within the
file, text, and how datasets are stored (chunks, compression) are kept as `hdf5_tree` says, so that
the file that is written again has all of them. Elements of bfloat16 and float8, which HDF5 lacks,
are opaque ones with an attribute ``dtype``, as Keras has it.
"""

import importlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from .. import dtypes
from ..container.records import MAX_RANK
from ..dtypes import ElementType
from ..errors import ArgumentError, DataError, DeepCompressError, FormatError, OutputError
from ..files.atomic import write_parts
from . import hdf5_tree, layouts
from .source import Array, Format, Source
from .spool import NotingFile, pieces, temporary

OPTIMIZERS = ("optimizer", "optimizer_weights")  # groups that Keras has for an optimizer's state
_EXPANSION = 1032  # bytes from one, at most, that HDF5's common filters give
_FREE_BYTES = 1 << 24  # that a dataset may have without any in the file: HDF5 fills it up


class Hdf5File(Source):
    """The numeric datasets of an open file.

    Parameters
    ----------
    file : h5py.File
    what : str
        Its name, for messages.
    suffix : str
        Of the format whose writer takes the ``"origin"``.
    config : bytes or None
        Keras's description of the model, by default what the file has of it.

    Raises
    ------
    FormatError
        If it isn't whole.
    ArgumentError
        If it holds what can't be kept, naming it.
    """

    keeps_names = True  # as the rest of the file has them, too

    def __init__(
        self, file: Any, what: str, suffix: str = ".h5", config: bytes | str | None = None
    ) -> None:
        self._file, self._what, self._suffix = file, what, suffix
        self._types: dict[str, ElementType] = {}
        self.shapes = {}
        with _as_ours(what):
            if config is None:
                config = file.attrs.get("model_config")
            self._classes = layouts.classes(config)
            self._tree = hdf5_tree.encoded(file, self._add)
        self._layouts = layouts.found(self.shapes, self._classes, self._layer_names())

    def _add(self, name: str, dataset: Any) -> bool:
        """Take a dataset if it is numeric; tell whether it is."""
        element_type = element_type_of(dataset)
        if element_type is None:
            return False
        if len(dataset.shape) > MAX_RANK:
            raise ArgumentError(f"dataset {name!r} has {len(dataset.shape)} axes")
        self._types[name], self.shapes[name] = element_type, tuple(dataset.shape)
        return True

    def _layer_names(self) -> dict[str, str]:
        """Return the names that Keras gives to the layers of groups, by the groups' paths."""
        names = {}
        for group in {name.rpartition("/")[0] for name in self.shapes}:
            name = self._file[group].attrs.get("name") if group else None
            if isinstance(name, str):
                names[group] = name
        return names

    @property
    def metadata(self) -> dict[str, Any]:
        """All of the file but the tensors, and layouts of those whose layers are known."""
        origin: dict[str, Any] = {"format": self._suffix, "tree": self._tree}
        if self._layouts:
            origin["layouts"] = self._layouts
        return {"origin": origin}

    @property
    def exact(self) -> Collection[str]:
        """What is in the groups of an optimizer."""
        return [name for name in self.shapes if name.partition("/")[0] in OPTIMIZERS]

    def __getitem__(self, name: str) -> Array:
        element_type = self._types[name]
        with _as_ours(f"{self._what}: dataset {name!r}"):
            dataset = self._file[name]
            size, stored = dataset.nbytes, dataset.id.get_storage_size()
            if size > _FREE_BYTES + _EXPANSION * stored:
                raise FormatError(f"{stored} bytes can't hold {size}")
            elements = np.asarray(dataset[()])
            if element_type.name in dtypes.NUMPY_LACKS:
                elements = np.ascontiguousarray(elements).reshape(-1).view(element_type.bits)
                return element_type.array(elements).reshape(dataset.shape)
            return elements.astype(element_type.numpy(), copy=False)


def element_type_of(dataset: Any) -> ElementType | None:
    """Return the type of a dataset's elements, None if they aren't numbers."""
    dtype = dataset.dtype
    if dataset.shape is None:
        return None
    if dtype.kind == "V" and dtype.fields is None:
        name = dataset.attrs.get("dtype")
        is_known = isinstance(name, str) and name in dtypes.NUMPY_LACKS
        if is_known and ElementType(name).itemsize == dtype.itemsize:
            return ElementType(name)
        return None
    return dtypes.of(dtype.newbyteorder("=")) if dtype.metadata is None else None


@contextmanager
def _as_ours(what: str) -> Iterator[None]:
    """Turn any error of h5py's into one of ours, and with a name before it."""
    try:
        yield
    except DeepCompressError as error:
        raise type(error)(f"{what}: {error}") from None
    except MemoryError as error:
        raise DataError(f"{what}: can't be held in memory: {error}") from error
    except RecursionError as error:
        raise FormatError(f"{what}: groups are nested too deeply") from error
    except Exception as error:  # h5py raises many kinds for a damaged file
        raise FormatError(f"{what}: not a whole HDF5 file: {str(error)[:200]}") from error


@contextmanager
def opened(
    file: str | IO[bytes], what: str, suffix: str = ".h5", config: bytes | None = None
) -> Iterator[Hdf5File]:
    """Open an HDF5 file by its path, or one that is open; parameters as of `Hdf5File`."""
    h5py: Any = importlib.import_module("h5py")
    if isinstance(file, str):
        try:
            with open(file, "rb"):
                pass
        except OSError as error:
            raise DataError(f"{what}: {error.strerror or error}") from error
    with _as_ours(what):
        made = h5py.File(file, "r")
    try:
        yield Hdf5File(made, what, suffix, config)
    finally:
        made.close()


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write an HDF5 file.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        Each is written before the next is asked for, to a temporary file beside `path`.
    origin : mapping
        As of `Hdf5File`. Without it, there is a dataset for each name, in groups for what is
        before each ``/``.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    ArgumentError
        If a name can't be a path, or the arrays aren't those of the origin.
    OutputError
        As `write_parts`.
    """
    with temporary(path) as file:
        fill(file, arrays, origin, path)
        return write_parts(path, pieces(file))


def fill(
    file: IO[bytes],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any],
    path: str | os.PathLike[str],
) -> None:
    """Write an HDF5 file to one that is open; otherwise as `write`."""
    h5py: Any = importlib.import_module("h5py")
    noting = NotingFile(file)
    try:
        with h5py.File(noting, "w") as made:
            lacking = hdf5_tree.decoded(made, origin["tree"]) if "tree" in origin else None
            for name, array in arrays:
                _write_array(made, name, array, lacking)
            if lacking:
                raise ArgumentError(f"tensor {min(lacking)[:60]!r} is missing")
    except ArgumentError:
        raise
    except FormatError as error:
        raise ArgumentError(f"what was around the tensors isn't valid: {error}") from None
    except Exception as error:  # h5py raises many kinds
        if noting.error is None:
            raise ArgumentError(f"no HDF5 file has that: {str(error)[:200]}") from error
    if noting.error is not None:
        reason = noting.error.strerror or noting.error
        raise OutputError(f"{os.fspath(path)}: can't write: {reason}") from noting.error


def _write_array(made: Any, name: str, array: Array, lacking: set[str] | None) -> None:
    """Write a tensor to its dataset, which is made unless the file is to have given ones."""
    element_type = dtypes.of(array.dtype)
    if element_type is None:
        raise ArgumentError(f"{name[:60]!r}: no HDF5 file has dtype {array.dtype}")
    if lacking is not None and name not in lacking:
        raise ArgumentError(f"{name[:60]!r}: the file that it came from has no such tensor")
    elements: Array = array
    if element_type.name in dtypes.NUMPY_LACKS:
        elements = dtypes.bits_of(array, element_type).view(f"V{element_type.itemsize}")
        elements = elements.reshape(array.shape)
    if lacking is None:
        if not all(part not in ("", ".") and "\0" not in part for part in name.split("/")):
            raise ArgumentError(f"no name for a dataset: {name[:60]!r}")
        dataset = made.create_dataset(name, array.shape, elements.dtype)
        if element_type.name in dtypes.NUMPY_LACKS:
            dataset.attrs["dtype"] = element_type.name
    else:
        lacking.discard(name)
        dataset = made[name]
        if dataset.shape != array.shape or element_type_of(dataset) != element_type:
            raise ArgumentError(
                f"{name[:60]!r}: {array.dtype} of shape {array.shape}, not the "
                f"{dataset.dtype} of shape {dataset.shape} that it was"
            )
    if array.size:
        dataset[...] = elements


@contextmanager
def _open(path: str) -> Iterator[Source]:
    with opened(path, path) as source:
        yield source


FORMAT = Format(
    "an HDF5 .h5",
    ".h5",
    _open,
    (b"\x89HDF\r\n\x1a\n",),
    also=(".hdf5",),
    write=write,
    requires="keras",
    module="h5py",
)
