"""NumPy's npz files: written as the same bytes at any time and on any system, read with care.

`numpy.load` trusts what it reads: it allocates what a header declares, and what it
raises for a damaged archive is anyone's. `NpzFile` compares every declared size with what
is there, takes arrays of numbers only, and raises nothing but errors of ours.
"""

import ast
import contextlib
import io
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ..container.records import MAX_RANK
from ..errors import ArgumentError, DataError, FormatError

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold
_UNIX = 3  # the system that a zip file says it is from
_MAX_NAME_BYTES = 65535
_NPY_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000  # NumPy's own limit: Python's parser isn't safe with a longer one
_EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # bytes from one, at most
_READ_BYTES = 1 << 20


def npz_bytes(arrays: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Return an npz file, not compressed, as bytes; ``numpy.load`` reads it.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        Of any dtype but object, by the names that the file's keys shall have.

    Returns
    -------
    bytes

    Raises
    ------
    ArgumentError
        If a name can't be one in a zip file.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            if entry.filename != f"{name}.npy" or len(entry.filename.encode()) > _MAX_NAME_BYTES:
                raise ArgumentError(f"no name for an array in an npz file: {name[:40]!r}")
            entry.create_system = _UNIX
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(entry, content.getbuffer())
    return stream.getvalue()


def read_npz(
    path: str | os.PathLike[str], max_bytes: int | None = None
) -> dict[str, npt.NDArray[Any]]:
    """Read all arrays of an npz file, as `open_npz` does.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most that the arrays may take together.

    Returns
    -------
    dict of str to ndarray

    Raises
    ------
    DataError, FormatError
        As `NpzFile`.
    """
    with open_npz(path, max_bytes) as file:
        return dict(file)


@contextmanager
def open_npz(path: str | os.PathLike[str], max_bytes: int | None = None) -> Iterator["NpzFile"]:
    """Open an npz file of which single arrays are read; parameters and errors as `NpzFile`."""
    what = os.fspath(path)
    with contextlib.ExitStack() as stack:
        with _as_ours(str(what)):
            stream = stack.enter_context(open(path, "rb"))
            archive = stack.enter_context(zipfile.ZipFile(stream))
        yield NpzFile(archive, os.fstat(stream.fileno()).st_size, str(what), max_bytes)


class NpzFile(Mapping[str, npt.NDArray[Any]]):
    """The arrays of an npz file, each read when it is asked for; nothing in it is trusted.

    Parameters
    ----------
    archive : ZipFile
    archive_bytes : int
        Its size.
    what : str
        Its name, for messages.
    max_bytes : int, optional
        The most that the arrays may take together, by what the file declares.

    Attributes
    ----------
    shapes : dict of str to tuple of int

    Raises
    ------
    DataError
        If the file can't be read, or takes more memory than `max_bytes` or than there is.
    FormatError
        If it isn't a zip file of nothing but arrays of numbers, a size isn't what another
        one says, or (when an array is read) a checksum doesn't match.
    """

    def __init__(
        self, archive: zipfile.ZipFile, archive_bytes: int, what: str, max_bytes: int | None
    ) -> None:
        self._archive, self._what = archive, what
        self._members: dict[str, tuple[zipfile.ZipInfo, _Header]] = {}
        members = archive.infolist()
        if sum(member.compress_size for member in members) > archive_bytes:
            raise FormatError(f"{what}: its members declare more bytes than the file has")
        declared = sum(member.file_size for member in members)
        if max_bytes is not None and declared > max_bytes:
            raise DataError(
                f"{what}: its arrays take {declared:,} bytes, max_bytes is {max_bytes:,}"
            )
        for member in members:
            name = member.filename.removesuffix(".npy")
            with _as_ours(f"{what}: member {member.filename!r}"):
                if name == member.filename:
                    raise FormatError("isn't an array (.npy)")
                if name in self._members:
                    raise FormatError("is there twice")
                _check_sizes(member)
                with archive.open(member) as stream:
                    self._members[name] = member, _read_header(stream, member.file_size)
        self.shapes = {name: header.shape for name, (_, header) in self._members.items()}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        member, header = self._members[name]
        with _as_ours(f"{self._what}: member {member.filename!r}"):
            array = np.empty(math.prod(header.shape), header.dtype)
            data = array.view(np.uint8).data
            with self._archive.open(member) as stream:
                stream.read(header.size)
                for start in range(0, len(data), _READ_BYTES):
                    part = stream.read(min(_READ_BYTES, len(data) - start))
                    data[start : start + len(part)] = part
                    if len(part) < min(_READ_BYTES, len(data) - start):
                        raise FormatError("ends before its declared size")
            if header.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
                raise FormatError("an element of a bool array is neither 0 nor 1")
            array = array.reshape(header.shape, order="F" if header.fortran_order else "C")
            return array.astype(array.dtype.newbyteorder("="), copy=False)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)


@dataclass(frozen=True)
class _Header:
    """What precedes an array's elements: what they are, and how many bytes it takes itself."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    size: int


@contextmanager
def _as_ours(what: str) -> Iterator[None]:
    """Raise whatever goes wrong in reading as an error of ours, and with a name before it.

    `zipfile` has no closed list of what it raises for a damaged archive: besides
    BadZipFile there are at least NotImplementedError, RuntimeError, EOFError, ValueError,
    struct.error and zlib.error.
    """
    try:
        yield
    except (DataError, FormatError) as error:
        raise type(error)(f"{what}: {error}") from None
    except MemoryError as error:
        raise DataError(f"{what}: can't be held in memory: {error}") from error
    except OSError as error:
        raise DataError(f"{what}: {error.strerror or error}") from error
    except Exception as error:
        raise FormatError(f"{what}: not a whole npz file: {error}") from error


def _check_sizes(member: zipfile.ZipInfo) -> None:
    """Refuse sizes that the member's bytes in the archive can't have, before any are read."""
    if member.compress_type not in _EXPANSION:
        raise FormatError("isn't stored as NumPy does it: neither plain nor deflated")
    if member.file_size > _EXPANSION[member.compress_type] * member.compress_size:
        raise FormatError(f"{member.compress_size} bytes can't hold {member.file_size}")


def _read_header(stream: IO[bytes], member_bytes: int) -> _Header:
    """Read and check what precedes the elements; `numpy.lib.format` describes it."""
    prefix = stream.read(len(_NPY_MAGIC) + 2)
    if len(prefix) < len(_NPY_MAGIC) + 2 or not prefix.startswith(_NPY_MAGIC):
        raise FormatError("isn't an array: it doesn't begin as one")
    version = prefix[len(_NPY_MAGIC)]
    if version not in (1, 2, 3):
        raise FormatError(f"version {version} of NumPy's format isn't known")
    count = stream.read(2 if version == 1 else 4)
    length = int.from_bytes(count, "little")
    if length > _LONGEST_HEADER:
        raise FormatError(f"a header of {length} bytes")
    text = stream.read(length)
    values = ast.literal_eval(text.decode("utf-8" if version == 3 else "latin1").strip())
    if not isinstance(values, dict) or values.keys() != {"descr", "fortran_order", "shape"}:
        raise FormatError("its header doesn't say dtype, order and shape")
    descr, shape, fortran_order = values["descr"], values["shape"], values["fortran_order"]
    if not isinstance(descr, str) or not re.fullmatch(r"[<>|=]?[biufc][0-9]{1,2}", descr):
        raise FormatError(f"its elements aren't numbers, their dtype is {str(descr)[:40]!r}")
    dtype = np.dtype(descr)
    if (
        not isinstance(shape, tuple)
        or len(shape) > MAX_RANK
        or any(type(axis) is not int or axis < 0 for axis in shape)
        or math.prod(filter(None, shape)) >= 1 << 63
        or not isinstance(fortran_order, bool)
    ):
        raise FormatError(f"no array has the shape {str(shape)[:80]}")
    size = len(prefix) + len(count) + length
    if math.prod(shape) * dtype.itemsize != member_bytes - size:
        raise FormatError(
            f"{member_bytes - size} bytes of elements for {dtype} of shape {shape}: it needs "
            f"{math.prod(shape) * dtype.itemsize}"
        )
    return _Header(dtype, shape, fortran_order, size)
