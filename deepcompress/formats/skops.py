"""Estimators of scikit-learn's with a multi-layer perceptron, in skops's ``.skops`` files.

Such a file is a zip file of ``schema.json``, which describes nested objects, and of ``.npy`` files
for their arrays. Arrays of numbers with an axis are the tensors, named by where the schema has
them: ``coefs_.0``, or ``steps.1.1.coefs_.0`` in a pipeline. Only weights and biases may change;
everything else is kept as it is. Nothing is loaded: whoever loads the file that is written decides
what to trust. One that holds types which skops doesn't trust is refused all the same, as no
perceptron of scikit-learn's has any but its optimizer.
"""

import importlib
import io
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np

from ..errors import ArgumentError, DataError, DeepCompressError, FormatError, shown
from ..files import strict_json
from . import npz, zips
from .source import Array, Format, Source

SCHEMA = "schema.json"
ESTIMATORS = ("MLPClassifier", "MLPRegressor")
WEIGHTS = ("coefs_", "intercepts_")
# What skops doesn't trust although every fitted perceptron has one of them.
OPTIMIZERS = tuple(
    f"sklearn.neural_network._stochastic_optimizers.{name}Optimizer" for name in ("Adam", "SGD")
)
_KINDS = npz.NUMBERS + "SUmM"


def tells(members: Collection[str]) -> bool:
    """Tell by its members whether a zip file is one of skops's."""
    return SCHEMA in members


class SkopsFile(Source):
    """The arrays of an estimator.

    Parameters
    ----------
    archive : ZipFile
    archive_bytes : int
        Its size.
    what : str
        Its name, for messages.

    Raises
    ------
    FormatError
        If it isn't whole, or has no multi-layer perceptron.
    """

    keeps_names = True  # as the rest of the file has them, too

    def __init__(self, archive: zipfile.ZipFile, archive_bytes: int, what: str) -> None:
        self._archive, self._what = archive, what
        names = {name for name in archive.namelist() if name.endswith(".npy")}
        self._arrays = npz.NpzFile(archive, archive_bytes, what, None, _KINDS, names)
        try:
            self._schema = strict_json.parse(archive.read(SCHEMA))
            self._places, self._weights = _places(self._schema, names)
        except ValueError as error:
            raise FormatError(f"{what}: {SCHEMA}: {error}") from None
        except RecursionError:
            raise FormatError(f"{what}: {SCHEMA} is nested too deeply") from None
        if not self._weights:
            kinds = " nor ".join(ESTIMATORS)
            raise FormatError(f"{what}: holds neither a fitted {kinds} of scikit-learn's")
        self._places = {
            name: member
            for name, member in self._places.items()
            if self._arrays.dtype(member).kind in npz.NUMBERS and self._arrays.shapes[member]
        }
        self.shapes = {name: self._arrays.shapes[key] for name, key in self._places.items()}

    @property
    def metadata(self) -> dict[str, Any]:
        """All members but the tensors', as texts, and which member each tensor is."""
        tensors = {
            name: {
                "member": member,
                "dtype": self._arrays.dtype(member).str,
                "fortran": self._arrays.fortran_order(member),
            }
            for name, member in self._places.items()
        }
        taken = {f"{member}.npy" for member in self._places.values()}
        members = {
            name: zips.to_text(self._archive.read(name))
            for name in self._archive.namelist()
            if name not in taken
        }
        return {"origin": {"format": FORMAT.suffix, "members": members, "tensors": tensors}}

    @property
    def exact(self) -> Collection[str]:
        """Everything but weights and biases."""
        return [name for name in self.shapes if name not in self._weights]

    def __getitem__(self, name: str) -> Array:
        return self._arrays[self._places[name]]


def _places(schema: Any, members: Collection[str]) -> tuple[dict[str, str], set[str]]:
    """Return the members of arrays by their names, and the names of a perceptron's weights."""
    places: dict[str, str] = {}
    weights: set[str] = set()
    taken: set[str] = set()

    def visit(node: Any, name: str, is_weight: bool) -> None:
        if not isinstance(node, dict):
            return
        kind, content, member = (node.get(key) for key in ("__class__", "content", "file"))
        if isinstance(member, str) and member.endswith(".npy") and member not in taken:
            if member not in members:
                raise ValueError(f"names {shown(member)}, which isn't there")
            if name in places:
                raise ValueError(f"two arrays have the name {shown(name)}")
            places[name or "array"] = member.removesuffix(".npy")
            taken.add(member)
            if is_weight:
                weights.add(name)
        is_estimator = node.get("__loader__") == "ObjectNode" and kind in ESTIMATORS
        if isinstance(content, dict) and "__loader__" in content:  # an object's attributes
            inner = content.get("content")
            for key, value in inner.items() if isinstance(inner, dict) else ():
                visit(value, _below(name, key), is_estimator and key in WEIGHTS)
            return
        items = content.items() if isinstance(content, dict) else enumerate(_list(content))
        for key, value in items:
            visit(value, _below(name, key), is_weight)

    visit(schema, "", False)
    return places, weights


def _below(name: str, key: Any) -> str:
    return f"{name}.{key}" if name else str(key)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


@contextmanager
def open_skops(path: str) -> Iterator[Source]:
    """Open a file.

    Raises
    ------
    DataError
        If it can't be read.
    FormatError
        As `SkopsFile`, and if it holds types that skops doesn't trust, naming them.
    """
    try:
        size = os.path.getsize(path)
        archive = zipfile.ZipFile(path)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    except Exception as error:  # zipfile raises many kinds for a damaged archive
        raise FormatError(f"{path}: not a whole .skops file: {error}") from error
    with archive:
        if SCHEMA not in archive.namelist():
            raise FormatError(f"{path}: a .skops file has {SCHEMA}")
        try:
            source = SkopsFile(archive, size, path)
        except DeepCompressError:
            raise
        except Exception as error:
            raise FormatError(f"{path}: not a whole .skops file: {error}") from error
        _refuse_untrusted(path)
        yield source


def _refuse_untrusted(path: str) -> None:
    """Raise FormatError if a file has types that skops doesn't trust."""
    skops: Any = importlib.import_module("skops.io")
    try:
        untrusted = set(skops.get_untrusted_types(file=path)) - set(OPTIMIZERS)
    except Exception as error:  # skops raises many kinds
        raise FormatError(f"{path}: not a whole .skops file: {error}") from error
    if untrusted:
        names = ", ".join(sorted(map(str, untrusted))[:5])
        raise FormatError(
            f"{path}: holds types that skops doesn't trust: {names}; load it where you trust it, "
            "and dump the scikit-learn estimator alone"
        )


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write a ``.skops`` file.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        Each is written before the next is asked for.
    origin : mapping
        As of `SkopsFile`.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    ArgumentError
        If there is no origin, as tensors alone don't make an estimator, or it isn't one of these
        tensors.
    OutputError
        As `zips.write`.
    """
    members, tensors = origin.get("members"), origin.get("tensors")
    if not zips.is_texts(members) or not isinstance(tensors, Mapping):
        raise ArgumentError(
            "it takes an estimator of scikit-learn's, which tensors of another format, or a part "
            "of them, don't have; .npz can hold them"
        )
    texts = [(name, zips.from_text(text)) for name, text in dict(members or {}).items()]
    return zips.write(path, _members(texts, tensors, arrays))


def _members(
    texts: Iterable[tuple[str, bytes]],
    tensors: Mapping[str, Any],
    arrays: Iterable[tuple[str, Array]],
) -> Iterator[tuple[str, Iterable[bytes], int]]:
    """Yield the members of a file: what was kept, then the tensors."""
    lacking = dict(tensors)
    for name, data in texts:
        yield name, [data], len(data)
    for name, array in arrays:
        entry = lacking.pop(name, None)
        if not isinstance(entry, Mapping) or not isinstance(entry.get("member"), str):
            raise ArgumentError(f"{name[:60]!r}: the file that it came from has no such tensor")
        data = _npy_bytes(name, array, entry)
        yield f"{entry['member']}.npy", [data], len(data)
    if lacking:
        raise ArgumentError(f"tensor {min(lacking)[:60]!r} is missing")


def _npy_bytes(name: str, array: Array, entry: Mapping[str, Any]) -> bytes:
    """Return an array's ``.npy`` file, in the byte order and the order of axes that it had."""
    dtype = next(
        (
            one
            for one in (array.dtype, array.dtype.newbyteorder(">"))
            if one.str == entry.get("dtype")
        ),
        None,
    )
    if dtype is None:
        was = str(entry.get("dtype"))[:20]
        raise ArgumentError(f"{name[:60]!r}: {array.dtype.str}, not the {was} that it was")
    order: Any = "F" if entry.get("fortran") is True else "C"
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asarray(array, dtype, order=order), allow_pickle=False)
    return content.getvalue()


FORMAT = Format(
    "a scikit-learn .skops",
    ".skops",
    open_skops,
    (b"PK\3\4",),
    tells=tells,
    write=write,
    requires="skops",
)
