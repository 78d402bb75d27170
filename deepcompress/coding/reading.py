"""An entry of a file -> its tensor, whole or some of its rows; what isn't valid is refused."""

import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes, native
from ..container.groups import GroupsHead
from ..container.header import TensorEntry
from ..container.planes import PlanesHead
from ..container.reader import Head, Reader
from ..container.records import PLANES, Coding, PlaneCoding
from ..container.references import DeltaHead, TiedHead
from ..container.shared_weights import SharedHead
from ..errors import ArgumentError, FormatError
from ..locks import ForkSafeLock
from ..native.planes import StoredPlanes
from ..packed.grouped import GroupedTensor
from ..packed.tensor import CompressedTensor
from ..tensors import Survivors
from . import decoder, delta, grouped
from . import planes as plane_coding
from .delta import DeltaCoding
from .grouped import GroupedCoding
from .memory import (
    OVERHEAD_BYTES,
    decoding_bytes,
    delta_bytes,
    grouped_bytes,
    planes_bytes,
    raw_bytes,
    stored_planes_bytes,
)

Tensor = CompressedTensor | GroupedTensor | npt.NDArray[Any]
How = Coding | PlaneCoding | DeltaCoding | GroupedCoding  # how a tensor is written, unless raw

# Limits without max_bytes: a small file can't take much memory, a large one as much as it needs.
LEAST_LIMIT = 1 << 30
LIMIT_PER_BYTE = 1 << 18


class TensorReader:
    """Decodes the tensors of a file that is open.

    Parameters
    ----------
    reader : Reader
        Of the file's records and sections.
    what : str
        The file's name, for messages.
    max_bytes : int or None
        The most memory that decoding one tensor may take; None for the limits of this module.
    base : mapping of str to array_like, or None
        The base model, where the file was made with one.
    """

    def __init__(
        self, reader: Reader, what: str, max_bytes: int | None, base: Mapping[str, Any] | None
    ) -> None:
        self.reader = reader
        self._what = what
        self._max_bytes = max_bytes
        self._base = base
        self._base_lock = ForkSafeLock()

    def entry(self, name: str) -> TensorEntry:
        """Return the entry of a tensor, or of the one that it is tied to."""
        entry = self.reader.entries[name]
        with self._named(entry):
            return self.reader.target(entry)

    def planes_at_once(
        self, entries: Sequence[TensorEntry]
    ) -> dict[str, tuple[Tensor, How | None]]:
        """Return those tensors in planes that C decodes, as `read` does.

        The others are left to `read_by_parts`, which tells what is wrong with them if anything is.
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
        data = self.reader.data(entry)
        if not data:
            return None
        planes = plane_coding.stored(entry, data, self.reader.version)
        try:
            entry.dtype.numpy()
            self._check_memory(entry, stored_planes_bytes(planes))
        except ArgumentError:
            return None
        return planes

    def read(self, entry: TensorEntry) -> tuple[Tensor, How | None]:
        """Return a tensor, and the coding in which it is stored; None if it is raw.

        The entry is one that `entry` gives.
        """
        if (known := self.planes_at_once([entry]).get(entry.name)) is not None:
            return known
        return self.read_by_parts(entry)

    def read_by_parts(self, entry: TensorEntry) -> tuple[Tensor, How | None]:
        """Return what `read` does, with an error for what isn't valid."""
        with self._named(entry):
            head = self.reader.head(entry)
            self.check_whole(entry, head)
            if isinstance(head, DeltaHead):
                base = self._base_tensor(entry, head)
                record = self.reader.delta(entry, head)
                words = delta.decode(record, delta.words_of(base, entry.dtype))
                return _array(entry, words, entry.shape), _how(head, base)
            if head is None:
                return entry.dtype.array(self.reader.raw(entry)).reshape(entry.shape), None
            if isinstance(head, PlanesHead):
                entry.dtype.numpy()  # before anything is decoded
                words = plane_coding.decode(self.reader.planes(entry, head))
                return _array(entry, words, entry.shape), head.coding
            if isinstance(head, GroupsHead):
                tensor = grouped.decode(self.reader.grouped(entry, head))
                return tensor, grouped_coding(head)
            assert isinstance(head, SharedHead)
            return decoder.decode(self.reader.shared(entry, head)), head.coding

    def _base_tensor(self, entry: TensorEntry, head: DeltaHead) -> npt.NDArray[Any]:
        """Return the base's tensor, or raise ArgumentError unless it is the very one."""
        if self._base is None:
            raise ArgumentError("it is stored as the difference to a base model: give that as base")
        if entry.name not in self._base:
            raise ArgumentError("it is stored as the difference to a base, which has none of it")
        with self._base_lock:
            array: npt.NDArray[Any] = self._base[entry.name]
        own = f"the base's is {array.dtype} of shape {array.shape}"
        if dtypes.of(array.dtype) != entry.dtype or array.shape != entry.shape:
            raise ArgumentError(f"{own}, it is {entry.dtype} of shape {entry.shape}")
        if delta.digest(array, entry.dtype) != head.digest:
            raise ArgumentError("the base's has other elements than the one it was stored against")
        return array

    def rows(self, entry: TensorEntry, start: int, stop: int) -> Tensor:
        """Return slices `start` up to `stop` of a tensor's first axis; read nothing else."""
        with self._named(entry):
            start, stop = _checked_rows(entry.shape, start, stop)
            shape = (stop - start, *entry.shape[1:])
            cols = math.prod(entry.shape[1:])
            begin, end = start * cols, stop * cols
            head = self.reader.head(entry)
            if head is None:
                self._check_memory(entry, raw_bytes(entry, end - begin))
                return entry.dtype.array(self.reader.raw(entry, begin, end)).reshape(shape)
            if isinstance(head, DeltaHead):  # of which the base is there as a whole
                whole = self.read(entry)[0]
                assert isinstance(whole, np.ndarray)
                return whole[start:stop].copy()
            if isinstance(head, GroupsHead):
                whole = self.read(entry)[0]
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
                decoded = plane_coding.decode(self.reader.planes(entry, head, first, last), first)
                start_byte = (begin * words - (first << block_bits)) * entry.dtype.word_bytes
                own_bytes = (end - begin) * entry.dtype.itemsize
                return _array(entry, decoded[start_byte : start_byte + own_bytes].copy(), shape)
            self._check_memory(entry, decoding_bytes(head, entry.shape, first, last))
            record = self.reader.shared(entry, head, first, last)
            weights = decoder.decode_survivors(record, first)
            inside = slice(*np.searchsorted(weights.positions, [begin, end]).tolist())
            own, labels = weights.positions[inside] - begin, weights.labels[inside]
            part = Survivors(shape, record.codebook, own, labels, record.dtype)
            return decoder.from_part(record, part)

    def check_whole(self, entry: TensorEntry, head: Head | None) -> None:
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


def grouped_coding(head: GroupsHead) -> GroupedCoding:
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
