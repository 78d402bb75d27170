"""A ``.dcnn`` file of which single tensors, or some of their rows, are read."""

import math
import mmap
import operator
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from . import native
from .checks import as_count
from .coding import decoder
from .coding import planes as plane_coding
from .coding.memory import decoding_bytes, planes_bytes, raw_bytes
from .container.header import TensorEntry
from .container.planes import PlanesHead
from .container.reader import Contents, Head, Reader
from .container.records import Coding, PlaneCoding
from .errors import ArgumentError, DataError, FormatError, shown
from .packed.tensor import CompressedTensor
from .tensors import Survivors

Tensor = CompressedTensor | npt.NDArray[Any]

NO_WAIT = getattr(os, "O_NONBLOCK", 0)
# Limits without max_bytes: a small file can't take much memory, a large one as much as it needs.
LEAST_LIMIT = 1 << 30
LIMIT_PER_BYTE = 1 << 18
THREAD_BYTES = 1 << 15  # of a tensor in the file; less is decoded sooner than a thread starts


class ModelFile(Mapping[str, Tensor]):
    """A mapping of names to tensors, each decoded when it is asked for.

    Parameters
    ----------
    data : bytes-like
        A whole file, such as a memory map.
    what : str
        Its name, for messages.
    max_bytes : int, optional
        The most memory that decoding one tensor may take, by a bound (see `coding.memory`)
        that is known before any is allocated. By default, it is 1 GiB or 256 KiB
        for each byte that the tensor has in the file, whichever is more.

    Attributes
    ----------
    metadata : dict

    Raises
    ------
    FormatError
        If the header isn't valid or the file isn't whole; the tensors are checked when
        they are read.
    """

    def __init__(
        self, data: bytes | memoryview, what: str = "file", max_bytes: int | None = None
    ) -> None:
        if max_bytes is not None:
            as_count(max_bytes, "max_bytes")
        if not isinstance(data, (bytes, bytearray, memoryview, mmap.mmap)):
            raise ArgumentError(f"{what}: bytes are needed, not {shown(data)}")
        self._open_reader: Reader | None = Reader(data, what)
        self._what = what
        self._max_bytes = max_bytes
        self.metadata = self._open_reader.metadata

    def __getitem__(self, name: str) -> Tensor:
        return self._read(name)[0]

    def __contains__(self, name: object) -> bool:
        return name in self._reader.entries  # a Mapping's own would decode the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.entries)

    def __len__(self) -> int:
        return len(self._reader.entries)

    def read(self) -> dict[str, tuple[Tensor, Coding | PlaneCoding | None]]:
        """Return all tensors, each with its `coding`; several threads may decode them.

        Raises
        ------
        FormatError, ArgumentError
            As reading the tensors one by one; of several errors, that of the first tensor.
        """
        sizes = {name: entry.data_bytes for name, entry in self._reader.entries.items()}
        large = sum(size >= THREAD_BYTES for size in sizes.values())
        threads = min(native.threads(), large)
        if threads < 2:
            return {name: self._read(name) for name in sizes}
        with ThreadPoolExecutor(threads) as pool:
            # The largest first, so that no thread is left alone with one at the end.
            order = sorted(sizes, key=lambda name: -sizes[name])
            started = {name: pool.submit(self._read, name) for name in order}
            return {name: started[name].result() for name in sizes}

    def _read(self, name: str) -> tuple[Tensor, Coding | PlaneCoding | None]:
        """Return a tensor, and the coding in which it is stored; None if it is raw."""
        entry = self._reader.entries[name]
        with self._named(entry):
            head = self._reader.head(entry)
            self._check_whole(entry, head)
            if head is None:
                return entry.dtype.array(self._reader.raw(entry)).reshape(entry.shape), None
            if isinstance(head, PlanesHead):
                entry.dtype.numpy()  # before anything is decoded
                words = plane_coding.decode(self._reader.planes(entry, head))
                return _array(entry, words, entry.shape), head.coding
            return decoder.decode(self._reader.shared(entry, head)), head.coding

    def contents(self) -> Contents:
        """Return records and sections of the whole file, with nothing decoded.

        Raises
        ------
        FormatError, ArgumentError
            As reading the tensors, but for what decoding alone would find.
        """
        return self._reader.contents(self._check_whole)

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """The tensors' entries in the header, in the order of the file."""
        return self._reader.entries

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors' shapes, from the header alone."""
        return {name: entry.shape for name, entry in self._reader.entries.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, from the header alone."""
        return self._reader.entries[name].shape

    def coding(self, name: str) -> Coding | PlaneCoding | None:
        """Return how a tensor is written, None for a raw one."""
        head = self._reader.head(self._reader.entries[name])
        return None if head is None else head.coding

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Read slices `start` up to `stop` of a tensor's first axis, and nothing else.

        Parameters
        ----------
        name : str
        start, stop : int
            ``0 <= start <= stop <= shape[0]``

        Returns
        -------
        CompressedTensor or ndarray, of shape (stop - start, …)

        Raises
        ------
        ArgumentError
            If the tensor has no such rows.
        FormatError
            If the tensor's head isn't valid, or the blocks (of a raw tensor, the chunks) in
            which the rows lie. Nothing else is read.
        """
        entry = self._reader.entries[name]
        with self._named(entry):
            start, stop = _checked_rows(entry.shape, start, stop)
            shape = (stop - start, *entry.shape[1:])
            cols = math.prod(entry.shape[1:])
            begin, end = start * cols, stop * cols
            head = self._reader.head(entry)
            if head is None:
                self._check_memory(entry, raw_bytes(entry, end - begin))
                return entry.dtype.array(self._reader.raw(entry, begin, end)).reshape(shape)
            block_bits, is_planes = head.coding.block_bits, isinstance(head, PlanesHead)
            words = entry.dtype.words if is_planes else 1
            first = begin * words >> block_bits
            last = ((end * words - 1) >> block_bits) + 1 if begin < end else first
            if isinstance(head, PlanesHead):
                entry.dtype.numpy()
                self._check_memory(entry, planes_bytes(head, entry, first, last))
                decoded = plane_coding.decode(self._reader.planes(entry, head, first, last), first)
                start_byte = (begin * words - (first << block_bits)) * entry.dtype.word_bytes
                own_bytes = (end - begin) * entry.dtype.itemsize
                return _array(entry, decoded[start_byte : start_byte + own_bytes].copy(), shape)
            self._check_memory(entry, decoding_bytes(head, entry.shape, first, last))
            record = self._reader.shared(entry, head, first, last)
            weights = decoder.decode_survivors(record, first)
            inside = slice(*np.searchsorted(weights.positions, [begin, end]).tolist())
            own, labels = weights.positions[inside] - begin, weights.labels[inside]
            part = Survivors(shape, record.codebook, own, labels, record.dtype)
            return decoder.from_part(record, part)

    def close(self) -> None:
        """Let go of the bytes; to read from them is an ArgumentError from now on."""
        if self._open_reader is not None:
            self._open_reader.close()
            self._open_reader = None

    @property
    def _reader(self) -> Reader:
        if self._open_reader is None:
            raise ArgumentError(f"{self._what}: the file is closed")
        return self._open_reader

    def _check_whole(self, entry: TensorEntry, head: Head | None) -> None:
        """Raise unless all of a tensor may be decoded; a raw one has no head."""
        with self._named(entry):
            if head is None:
                self._check_memory(entry, raw_bytes(entry, math.prod(entry.shape)))
            elif isinstance(head, PlanesHead):
                self._check_memory(entry, planes_bytes(head, entry))
            else:
                self._check_memory(entry, decoding_bytes(head, entry.shape))

    def _check_memory(self, entry: TensorEntry, needed: int) -> None:
        """Raise ArgumentError if decoding may need more bytes than are allowed."""
        limit = self._max_bytes
        if limit is None:
            limit = max(LEAST_LIMIT, entry.data_bytes * LIMIT_PER_BYTE)
        if needed > limit:
            raise ArgumentError(
                f"decoding it may take {needed:,} bytes, max_bytes is {limit:,}"
                + (" for a tensor of its size in the file" if self._max_bytes is None else "")
            )

    @contextmanager
    def _named(self, entry: TensorEntry) -> Iterator[None]:
        """Put the file's and the tensor's name before a message that lacks them."""
        try:
            yield
        except (FormatError, ArgumentError) as error:
            here = f"{self._what}: tensor {entry.name!r}: "
            if str(error).startswith(f"{self._what}: "):
                raise
            raise type(error)(here + str(error)) from None


def _array(
    entry: TensorEntry, words: npt.NDArray[np.uint8], shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Return elements of a tensor, given as their bytes, as an array."""
    return entry.dtype.array(words.view(entry.dtype.bits)).reshape(shape)


def _checked_rows(shape: tuple[int, ...], start: int, stop: int) -> tuple[int, int]:
    """Return the bounds as Python's integers, whose products don't overflow, or raise."""
    try:
        start, stop = operator.index(start), operator.index(stop)
    except TypeError:
        raise ArgumentError(f"rows must be integers, got {start!r} to {stop!r}") from None
    if not shape or not 0 <= start <= stop <= shape[0]:
        raise ArgumentError(f"shape {shape} has no rows {start} to {stop}")
    return start, stop


@contextmanager
def open_file(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Iterator[ModelFile]:
    """Open a ``.dcnn`` file to read single tensors, or some of their rows.

    The file is mapped, and read only where it is needed. Tensors are copies and outlive
    the file.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most memory that decoding a tensor may take.

    Yields
    ------
    ModelFile

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        As `ModelFile`.

    Notes
    -----
    As with every mapped file, one that is cut short in place while it is open ends the
    process (SIGBUS). `CompressedModel.save` replaces files as a whole, so that an old
    one stays as it is for those that have it open.

    Examples
    --------
    >>> import deepcompress, numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.dcnn")
    >>> _ = deepcompress.compress({"w": np.eye(30)}).save(path)
    >>> with deepcompress.open_file(path) as file:
    ...     file.rows("w", 10, 12).to_dense()[:, 10:12]
    array([[1., 0.],
           [0., 1.]])
    """
    try:
        what = str(os.fspath(path))
    except TypeError as error:
        raise ArgumentError(f"the path of a file: {error}") from None
    try:
        # A pipe would otherwise be waited for; of a regular file the flag means nothing.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAIT)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{what}: it is not a regular file")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b""
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
    with closing(ModelFile(memoryview(mapped), what, max_bytes)) as model:
        yield model
