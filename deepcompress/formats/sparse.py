"""npz files: those of arrays, as `npz` has them, and SciPy's of a sparse matrix (``save_npz``).

A sparse matrix is one tensor here, the dense matrix that it stands for, whose zeros a ``.dcnn``
file leaves out in a way of its own. It is written again in the format that it had: csr, csc, coo,
bsr or dia. Elements that it stores although they are zero are left out then, and duplicates of a
coo matrix are added up.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import numpy as np

from ..checks import is_whole
from ..errors import ArgumentError, DataError, FormatError
from ..files.atomic import write_parts
from . import npz
from .source import Array, Format, Source

NAME = "matrix"  # of the tensor: a file has none
FORMATS = ("csr", "csc", "coo", "bsr", "dia")
_PARTS = {"coo": ("row", "col"), "dia": ("offsets",)}  # the others have indices and indptr
_COMMON = ("format", "shape", "data")
_ARRAY = "_is_array"  # of SciPy's arrays; its matrices lack it
_KINDS = npz.NUMBERS + "S"
_MOST = 2**31


def tells(members: Collection[str]) -> bool:
    """Tell by its members whether a zip file is a sparse matrix of SciPy's."""
    return all(f"{name}.npy" in members for name in _COMMON)


class SparseMatrix(Source):
    """The matrix of a file.

    Parameters
    ----------
    parts : mapping of str to ndarray
        The arrays of an npz file.
    what : str
        Its name, for messages.

    Raises
    ------
    FormatError
        If they don't describe a matrix.
    """

    def __init__(self, parts: Mapping[str, Array], what: str) -> None:
        self._what, self._parts = what, parts
        names = [name for name in parts if name != _ARRAY]
        form, shape = parts["format"], parts["shape"]
        text = form.item() if form.shape == () else None
        self._form = text.decode("latin-1") if isinstance(text, bytes) else ""
        if self._form not in FORMATS:
            raise FormatError(f"{what}: a sparse matrix is one of {', '.join(FORMATS)}")
        if sorted(names) != sorted([*_COMMON, *_parts_of(self._form)]):
            raise FormatError(f"{what}: not the arrays of a {self._form} matrix")
        axes = shape.tolist() if shape.ndim == 1 and shape.dtype.kind in "iu" else []
        if len(axes) != 2 or not all(0 <= axis < _MOST for axis in axes):
            raise FormatError(f"{what}: no matrix has the shape {str(axes)[:40]}")
        self.shapes = {NAME: tuple(axes)}

    @property
    def metadata(self) -> dict[str, Any]:
        """The matrix's format."""
        origin: dict[str, Any] = {"format": FORMAT.suffix, "sparse": self._form}
        if _ARRAY in self._parts:
            origin["array"] = True
        if self._form == "bsr":
            origin["block"] = list(self._parts["data"].shape[1:])
        return {"origin": origin}

    def __getitem__(self, name: str) -> Array:
        parts = {name: self._parts[name] for name in (*_parts_of(self._form), "data")}
        try:
            matrix = _matrix(self._form, parts, self.shapes[NAME], _ARRAY in self._parts)
            return np.asarray(matrix.toarray())
        except MemoryError as error:
            raise DataError(f"{self._what}: too large for the memory: {error}") from error
        except Exception as error:  # SciPy raises many kinds
            raise FormatError(f"{self._what}: no whole {self._form} matrix: {error}") from error


def _parts_of(form: str) -> tuple[str, ...]:
    return _PARTS.get(form, ("indices", "indptr"))


def _matrix(form: str, parts: Mapping[str, Array], shape: tuple[int, ...], is_array: bool) -> Any:
    """Return SciPy's matrix, whose indices are checked, as its C code trusts them."""
    from scipy import sparse

    made = getattr(sparse, f"{form}_{'array' if is_array else 'matrix'}")
    if parts["data"].ndim != {"bsr": 3, "dia": 2}.get(form, 1):
        raise FormatError(f"data has {parts['data'].ndim} axes")
    for name in _parts_of(form):
        if parts[name].ndim != 1 or parts[name].dtype.kind not in "iu":
            raise FormatError(f"{name} isn't a row of integers")
    if form == "coo":
        for name, axis in zip(("row", "col"), shape, strict=True):
            _check_range(parts[name], axis)
        return made((parts["data"], (parts["row"], parts["col"])), shape=shape)
    if form == "dia":
        if len(parts["offsets"]) != len(parts["data"]):
            raise FormatError("data and offsets differ in length")
        return made((parts["data"], parts["offsets"]), shape=shape)
    indptr, indices, data = parts["indptr"], parts["indices"], parts["data"]
    block = data.shape[1:] or (1, 1)
    if 0 in block or any(axis % size for axis, size in zip(shape, block, strict=True)):
        raise FormatError(f"blocks of {block} don't fill {shape}")
    major, minor = (axis // size for axis, size in zip(shape, block, strict=True))
    if form == "csc":
        major, minor = minor, major
    steps = np.diff(indptr.astype(np.int64))
    if len(indptr) != major + 1 or indptr[0] != 0 or (steps < 0).any():
        raise FormatError("indptr doesn't rise from 0 over all rows")
    if not indptr[-1] == len(indices) == len(data):
        raise FormatError("indptr, indices and data differ in length")
    _check_range(indices, minor)
    return made((data, indices, indptr), shape=shape)


def _check_range(indices: Array, axis: int) -> None:
    if len(indices) and not 0 <= int(indices.min()) <= int(indices.max()) < axis:
        raise FormatError(f"an index isn't below {axis}")


@contextmanager
def open_any(path: str) -> Iterator[Source]:
    """Open an npz file of either kind; errors as `npz.open_npz` and `SparseMatrix`."""
    with npz.open_npz(path, kinds=_KINDS) as file:
        is_sparse = tells([f"{name}.npy" for name in file]) and file["format"].dtype.kind == "S"
        if is_sparse:
            yield SparseMatrix(file, path)
    if not is_sparse:
        with npz.open_npz(path) as file:
            yield file


def write(
    path: str,
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write an npz file, of a sparse matrix if `origin` says so; otherwise as `npz.write`."""
    if "sparse" not in origin:
        return npz.write(path, arrays, origin)
    items = list(arrays)
    if [name for name, _ in items] != [NAME]:
        raise ArgumentError(f"a sparse matrix is one tensor named {NAME!r}")
    return write_parts(path, npz.npz_parts(_stored(items[0][1], origin), _KINDS))


def _stored(dense: Array, origin: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    """Yield the arrays of a file in the order of SciPy's."""
    from scipy import sparse

    form, block = origin["sparse"], origin.get("block")
    is_array = origin.get("array") is True
    if str(form) not in FORMATS or dense.dtype.kind not in npz.NUMBERS or dense.ndim != 2:
        raise ArgumentError(f"no sparse matrix is {str(form)[:20]!r} of {dense.dtype}")
    options: dict[str, Any] = {}
    if form == "bsr":
        sizes = block if isinstance(block, list) and len(block) == 2 else [0, 0]
        if not all(
            is_whole(size, 1) and axis % size == 0
            for size, axis in zip(sizes, dense.shape, strict=True)
        ):
            raise ArgumentError(f"blocks of {str(block)[:40]} don't fill {dense.shape}")
        options["blocksize"] = tuple(sizes)
    try:
        coo = sparse.coo_array(dense)
        matrix = getattr(sparse, f"{form}_{'array' if is_array else 'matrix'}")(coo, **options)
    except Exception as error:  # such as of float16, which SciPy lacks
        raise ArgumentError(f"no {form} matrix: {error}") from error
    for name in _parts_of(form):
        yield name, getattr(matrix, name)
    yield "format", np.array(form.encode())
    yield "shape", np.array(matrix.shape)
    yield "data", matrix.data
    if is_array:
        yield _ARRAY, np.array(True)


FORMAT = Format("an npz", ".npz", open_any, (b"PK\3\4", b"PK\5\6"), tells=tells, write=write)
