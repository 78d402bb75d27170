"""A ``.dcnn`` file of which single tensors, or some of their rows, are read."""

import math
import mmap
import operator
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from . import dtypes, native
from .checks import as_count
from .coding import decoder, delta, grouped
from .coding import planes as plane_coding
from .coding.delta import DeltaCoding
from .coding.grouped import GroupedCoding
from .coding.memory import (
    OVERHEAD_BYTES,
    decoding_bytes,
    delta_bytes,
    grouped_bytes,
    planes_bytes,
    raw_bytes,
    stored_planes_bytes,
)
from .container.groups import GroupsHead
from .container.header import TensorEntry
from .container.planes import PlanesHead
from .container.reader import Contents, Head, Reader
from .container.records import PLANES, TIED, Coding, PlaneCoding
from .container.references import DeltaHead, TiedHead
from .container.shared_weights import SharedHead
from .errors import ArgumentError, DataError, FormatError, shown
from .files.mapped import release
from .inputs import flat
from .locks import ForkSafeLock
from .native.planes import StoredPlanes
from .packed.grouped import GroupedTensor
from .packed.tensor import CompressedTensor
from .tensors import Survivors

Tensor = CompressedTensor | GroupedTensor | npt.NDArray[Any]
How = Coding | PlaneCoding | DeltaCoding | GroupedCoding  # how a tensor is written, unless raw

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
    base : mapping of str to array_like, optional
        The base model, where the file was made with one (see `pipeline.compress`).

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
        self,
        data: bytes | memoryview,
        what: str = "file",
        max_bytes: int | None = None,
        base: Mapping[str, Any] | None = None,
    ) -> None:
        if max_bytes is not None:
            as_count(max_bytes, "max_bytes")
        if not isinstance(data, (bytes, bytearray, memoryview, mmap.mmap)):
            raise ArgumentError(f"{what}: bytes are needed, not {shown(data)}")
        self._open_reader: Reader | None = Reader(data, what)
        self._what = what
        self._max_bytes = max_bytes
        self._base = None if base is None else flat(base)
        self._base_lock = ForkSafeLock()
        self.metadata = self._open_reader.metadata

    def __getitem__(self, name: str) -> Tensor:
        return self._read(name)[0]

    def __contains__(self, name: object) -> bool:
        return name in self._reader.entries  # a Mapping's own would decode the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.entries)

    def __len__(self) -> int:
        return len(self._reader.entries)

    def read(self) -> dict[str, tuple[Tensor, How | None]]:
        """Return all tensors, each with its `coding`; several threads may decode them.

        Tensors that are tied are one object.

        Raises
        ------
        FormatError, ArgumentError
            As reading the tensors one by one; of several errors, that of the first tensor.
        """
        targets = dict(self._reader.entries)
        for name, entry in targets.items():
            if entry.encoding == TIED:
                with self._named(entry):
                    targets[name] = self._reader.target(entry)
        distinct = {one.name: one for one in targets.values()}
        known = self._planes_at_once(list(distinct.values()))
        sizes = {name: one.data_bytes for name, one in distinct.items() if name not in known}
        large = sum(size >= THREAD_BYTES for size in sizes.values())
        threads = min(native.threads(), large)
        if threads < 2:
            for name in sizes:
                known[name] = self._read_by_parts(distinct[name])
            return {name: known[target.name] for name, target in targets.items()}
        with ThreadPoolExecutor(threads) as pool:
            # The largest first, so that no thread is left alone with one at the end.
            order = sorted(sizes, key=lambda name: -sizes[name])
            started = {name: pool.submit(self._read_by_parts, distinct[name]) for name in order}
            for target in targets.values():  # in the order of which errors are raised
                if target.name in started:
                    known[target.name] = started[target.name].result()
            return {name: known[target.name] for name, target in targets.items()}

    def _planes_at_once(
        self, entries: Sequence[TensorEntry]
    ) -> dict[str, tuple[Tensor, How | None]]:
        """Return those tensors in planes that C decodes, as `_read` does.

        The others are left to `_read_by_parts`, which tells what is wrong with them if anything is.
        """
        stored, own = [], []
        for entry in entries if native.active() else ():
            if entry.encoding == PLANES and (planes := self._stored_planes(entry)) is not None:
                stored.append(planes)
                own.append(entry)
        if not stored:
            return {}
        found: dict[str, tuple[Tensor, How | None]] = {}
        decoded = plane_coding.decode_stored(stored)
        for entry, planes, words in zip(own, stored, decoded, strict=True):
            if words is not None:
                coding = plane_coding.coding_of(planes)
                found[entry.name] = _array(entry, words, entry.shape), coding
        return found

    def _stored_planes(self, entry: TensorEntry) -> StoredPlanes | None:
        """Return what C needs of a tensor; None where it may take more memory than it may."""
        data = self._reader.data(entry)
        if not data:
            return None
        planes = plane_coding.stored(entry, data, self._reader.version)
        try:
            entry.dtype.numpy()
            self._check_memory(entry, stored_planes_bytes(planes))
        except ArgumentError:
            return None
        return planes

    def _read(self, name: str) -> tuple[Tensor, How | None]:
        """Return a tensor, and the coding in which it is stored; None if it is raw."""
        entry = self._entry(name)
        if (known := self._planes_at_once([entry]).get(entry.name)) is not None:
            return known
        return self._read_by_parts(entry)

    def _read_by_parts(self, entry: TensorEntry) -> tuple[Tensor, How | None]:
        """Return what `_read` does, with an error for what isn't valid."""
        with self._named(entry):
            head = self._reader.head(entry)
            self._check_whole(entry, head)
            if isinstance(head, DeltaHead):
                base = self._base_tensor(entry, head)
                record = self._reader.delta(entry, head)
                words = delta.decode(record, delta.words_of(base, entry.dtype))
                return _array(entry, words, entry.shape), _how(head, base)
            if head is None:
                return entry.dtype.array(self._reader.raw(entry)).reshape(entry.shape), None
            if isinstance(head, PlanesHead):
                entry.dtype.numpy()  # before anything is decoded
                words = plane_coding.decode(self._reader.planes(entry, head))
                return _array(entry, words, entry.shape), head.coding
            if isinstance(head, GroupsHead):
                tensor = grouped.decode(self._reader.grouped(entry, head))
                return tensor, _grouped_coding(head)
            assert isinstance(head, SharedHead)
            return decoder.decode(self._reader.shared(entry, head)), head.coding

    def _entry(self, name: str) -> TensorEntry:
        """Return the entry of a tensor, or of the one that it is tied to."""
        entry = self._reader.entries[name]
        with self._named(entry):
            return self._reader.target(entry)

    def _base_tensor(self, entry: TensorEntry, head: DeltaHead) -> npt.NDArray[Any]:
        """Return the base's tensor, or raise ArgumentError unless it is the very one."""
        if self._base is None:
            raise ArgumentError("it is stored as the difference to a base model: give that as base")
        if entry.name not in self._base:
            raise ArgumentError("it is stored as the difference to a base, which has none of it")
        with self._base_lock:
            array = self._base[entry.name]
        own = f"the base's is {array.dtype} of shape {array.shape}"
        if dtypes.of(array.dtype) != entry.dtype or array.shape != entry.shape:
            raise ArgumentError(f"{own}, it is {entry.dtype} of shape {entry.shape}")
        if delta.digest(array, entry.dtype) != head.digest:
            raise ArgumentError("the base's has other elements than the one it was stored against")
        return array

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

    def coding(self, name: str) -> Coding | PlaneCoding | GroupedCoding | None:
        """Return how a tensor, or the one it is tied to, is written.

        It is None for a raw one, and for one that is no different from the base's; else the
        coding of a difference is that of its planes.
        """
        head = self._reader.head(self._entry(name))
        if isinstance(head, DeltaHead):
            head = head.planes
        if isinstance(head, GroupsHead):
            return _grouped_coding(head)
        return None if head is None or isinstance(head, TiedHead) else head.coding

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
        entry = self._entry(name)
        with self._named(entry):
            start, stop = _checked_rows(entry.shape, start, stop)
            shape = (stop - start, *entry.shape[1:])
            cols = math.prod(entry.shape[1:])
            begin, end = start * cols, stop * cols
            head = self._reader.head(entry)
            if head is None:
                self._check_memory(entry, raw_bytes(entry, end - begin))
                return entry.dtype.array(self._reader.raw(entry, begin, end)).reshape(shape)
            if isinstance(head, DeltaHead):  # of which the base is there as a whole
                whole = self._read(name)[0]
                assert isinstance(whole, np.ndarray)
                return whole[start:stop].copy()
            if isinstance(head, GroupsHead):
                whole = self._read(name)[0]
                assert isinstance(whole, GroupedTensor)
                return whole[start:stop]
            assert isinstance(head, SharedHead | PlanesHead)
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

    def release(self, name: str) -> None:
        """Take a tensor's bytes out of memory if the file is mapped; they can be read again."""
        entry = self._reader.entries[name]
        release(self._reader.view.obj, entry.offset, entry.offset + entry.data_bytes)

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
            elif isinstance(head, DeltaHead):
                self._check_memory(entry, delta_bytes(head, entry))
            elif isinstance(head, GroupsHead):
                self._check_memory(entry, grouped_bytes(head, entry))
            elif isinstance(head, TiedHead):
                self._check_memory(entry, OVERHEAD_BYTES)
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


def _grouped_coding(head: GroupsHead) -> GroupedCoding:
    """Return how a grouped tensor is written."""
    return GroupedCoding(tuple(group.head.coding for group in head.groups))


def _how(head: DeltaHead, base: npt.NDArray[Any]) -> DeltaCoding:
    """Return how a difference is written."""
    return DeltaCoding(base, None if head.planes is None else head.planes.coding)


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
def open_file(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    base: Mapping[str, Any] | None = None,
) -> Iterator[ModelFile]:
    """Open a ``.dcnn`` file to read single tensors, or some of their rows.

    The file is mapped, and read only where it is needed. Tensors are copies and outlive
    the file.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most memory that decoding a tensor may take.
    base : mapping of str to array_like, optional
        The base model, where the file was made with one (see `pipeline.compress`). A tensor that
        is stored as the difference to it is an ArgumentError, naming it, without the same base.

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
    with closing(ModelFile(memoryview(mapped), what, max_bytes, base)) as model:
        yield model
