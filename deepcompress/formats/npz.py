"""NumPy's npz files: written as the same bytes at any time and on any system, read with care.

`numpy.load` trusts the file: it allocates the sizes that a header declares, and raises anything
for a damaged archive. `NpzFile` compares every declared size with the bytes that are there, takes
arrays of numbers only, and raises nothing but errors of ours.
"""

import io
import math
import os
import zipfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from ..container.records import MAX_RANK
from ..errors import ArgumentError, DataError, FormatError
from ..files.atomic import write_parts
from . import pickles
from .source import Array, Source

_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold
_UNIX = 3  # the system that a zip file says it is from
_MAX_NAME_BYTES = 65535
_LONGEST_HEADER = 10_000  # NumPy's own limit: Python's parser isn't safe with a longer one
NUMBERS = "biufc"  # NumPy's letters of the kinds of dtypes
_EXPANSION = {zipfile.ZIP_STORED: 1, zipfile.ZIP_DEFLATED: 1032}  # bytes from one, at most
_READ_BYTES = 1 << 20


def write(
    path: str | os.PathLike[str],
    arrays: Iterable[tuple[str, Array]],
    origin: Mapping[str, Any] = MappingProxyType({}),
) -> int:
    """Write an npz file, not compressed; ``numpy.load`` reads it.

    Parameters
    ----------
    path : path-like
    arrays : iterable of (str, ndarray)
        Names, which become the file's keys, and arrays of any dtype but object. Each is written
        before the next is asked for.
    origin : mapping
        Not used: an npz file has arrays alone.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    ArgumentError
        If a name can't be one in a zip file.
    OutputError
        As `write_parts`.
    """
    return write_parts(path, npz_parts(arrays))


def npz_parts(arrays: Iterable[tuple[str, Array]], kinds: str = NUMBERS) -> Iterator[bytes]:
    """Yield the bytes of an npz file member by member, and its directory; errors as `write`.

    `kinds` are those of dtypes that are taken.
    """
    end = _End()
    with zipfile.ZipFile(end, "w") as archive:
        for name, array in arrays:
            entry = zipfile.ZipInfo(f"{name}.npy", _DATE)
            if entry.filename != f"{name}.npy" or len(entry.filename.encode()) > _MAX_NAME_BYTES:
                raise ArgumentError(f"no name for an array in an npz file: {name[:40]!r}")
            entry.create_system = _UNIX
            if array.dtype.kind not in kinds:
                raise ArgumentError(f"{name[:40]!r}: an npz file has no dtype {array.dtype.name}")
            content = io.BytesIO()
            np.lib.format.write_array(content, array, allow_pickle=False)
            archive.writestr(entry, content.getbuffer())
            yield end.take()
    yield end.take()


class _End(io.BytesIO):
    """A file whose start, up to the last `take`, is no longer in memory."""

    _begin = 0

    def tell(self) -> int:
        return self._begin + super().tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._begin + super().seek(offset - self._begin, whence)

    def take(self) -> bytes:
        """Return all bytes from the last such call on, and forget them."""
        taken = self.getvalue()
        self._begin += len(taken)
        super().seek(0)
        super().truncate()
        return taken


@contextmanager
def open_npz(
    path: str | os.PathLike[str], max_bytes: int | None = None, kinds: str = NUMBERS
) -> Iterator["NpzFile"]:
    """Open an npz file of which single arrays are read; parameters and errors as `NpzFile`."""
    what = os.fspath(path)
    with ExitStack() as stack:
        with _as_ours(str(what)):
            stream = stack.enter_context(open(path, "rb"))
            archive = stack.enter_context(zipfile.ZipFile(stream))
        yield NpzFile(archive, os.fstat(stream.fileno()).st_size, str(what), max_bytes, kinds)


class NpzFile(Source):
    """The arrays of an npz file, none of whose bytes is trusted.

    Parameters
    ----------
    archive : ZipFile
    archive_bytes : int
        Its size.
    what : str
        Its name, for messages.
    max_bytes : int, optional
        The most that the arrays may take together, as the file declares.
    kinds : str
        NumPy's letters of the kinds of dtypes that are taken.
    names : collection of str, optional
        The members that are arrays; by default all are.

    Raises
    ------
    DataError
        If the file can't be read, or takes more memory than `max_bytes` or than there is.
    FormatError
        If it isn't a zip file of nothing but arrays of numbers, sizes contradict each other,
        or (when an array is read) a checksum doesn't match.
    """

    def __init__(
        self,
        archive: zipfile.ZipFile,
        archive_bytes: int,
        what: str,
        max_bytes: int | None,
        kinds: str = NUMBERS,
        names: Collection[str] | None = None,
    ) -> None:
        self._archive, self._what = archive, what
        self._members: dict[str, tuple[zipfile.ZipInfo, _Header]] = {}
        members = [one for one in archive.infolist() if names is None or one.filename in names]
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
                    self._members[name] = member, _read_header(stream, member.file_size, kinds)
        self.shapes = {name: header.shape for name, (_, header) in self._members.items()}

    def dtype(self, name: str) -> np.dtype[Any]:
        """Return the dtype of an array in the file, with its byte order."""
        return self._members[name][1].dtype

    def fortran_order(self, name: str) -> bool:
        """Tell whether the first axis of an array in the file runs fastest."""
        return self._members[name][1].fortran_order

    def __getitem__(self, name: str) -> Array:
        member, header = self._members[name]
        with _as_ours(f"{self._what}: member {member.filename!r}"):
            array = np.empty(math.prod(header.shape), header.dtype)
            data = array.view(np.uint8).data
            with self._archive.open(member) as stream:
                stream.read(header.size)
                for start in range(0, len(data), _READ_BYTES):
                    size = min(_READ_BYTES, len(data) - start)
                    part = stream.read(size)
                    if len(part) < size:
                        raise FormatError("ends before its declared size")
                    data[start : start + size] = part
            if header.dtype == np.bool_ and array.view(np.uint8).max(initial=0) > 1:
                raise FormatError("an element of a bool array is neither 0 nor 1")
            array = array.reshape(header.shape, order="F" if header.fortran_order else "C")
            return array.astype(array.dtype.newbyteorder("="), copy=False)


@dataclass(frozen=True)
class _Header:
    """The kind of an array's elements, and the bytes before them."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool
    size: int


@contextmanager
def _as_ours(what: str) -> Iterator[None]:
    """Turn any error in reading into one of ours, and with a name before it.

    `zipfile` has no closed list of errors for a damaged archive: besides BadZipFile there
    are at least NotImplementedError, RuntimeError, EOFError, ValueError, struct.error and
    zlib.error.
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


def _read_header(stream: IO[bytes], member_bytes: int, kinds: str) -> _Header:
    """Read and check the bytes before the elements, which `numpy.lib.format` describes."""
    try:
        version = np.lib.format.read_magic(stream)
    except ValueError:
        raise FormatError("isn't an array: it doesn't begin as one") from None
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise FormatError(f"version {version[0]} of NumPy's format isn't known")
    # A header of version 3 is one of 2 in UTF-8, which for numbers is the same text.
    is_first = version == (1, 0)
    read = np.lib.format.read_array_header_1_0 if is_first else np.lib.format.read_array_header_2_0
    shape, fortran_order, dtype = read(stream, max_header_size=_LONGEST_HEADER)
    if dtype.kind == "O":
        raise FormatError(pickles.OBJECTS)
    if dtype.kind not in kinds:
        raise FormatError(f"its elements aren't numbers, their dtype is {str(dtype)[:40]!r}")
    if (
        len(shape) > MAX_RANK
        or any(type(axis) is not int or axis < 0 for axis in shape)
        or math.prod(filter(None, shape)) >= 1 << 63
    ):
        raise FormatError(f"no array has the shape {str(shape)[:80]}")
    size = stream.tell()
    if math.prod(shape) * dtype.itemsize != member_bytes - size:
        raise FormatError(
            f"{member_bytes - size} bytes of elements for {dtype} of shape {shape}: it needs "
            f"{math.prod(shape) * dtype.itemsize}"
        )
    return _Header(dtype, shape, fortran_order, size)
