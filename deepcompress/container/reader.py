"""The bytes of a ``.dcnn`` file -> records, as ``docs/format.md`` specifies.

This is the container's one line of defence. It refuses every file that breaks a rule which can be
checked without decoding a stream, and compares every size with the bytes that are left of the file
before it allocates anything.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ChecksumError, FormatError
from . import groups, planes, references
from .checksum import crc32
from .cursor import Cursor
from .groups import GroupsHead
from .header import TensorEntry, check_length, check_prefix, parse_header
from .planes import PlanesHead
from .records import (
    CRC,
    DELTA,
    GROUPED,
    MAGIC,
    PLANES,
    RAW,
    RAW_CHUNK_BYTES,
    TIED,
    DeltaRecord,
    GroupedRecord,
    PlanesRecord,
    Record,
    Section,
    SharedRecord,
    TiedRecord,
)
from .references import DeltaHead, TiedHead
from .shared_weights import SharedHead, parse_block, parse_head
from .sizes import chunk_crc_start

BlocksHead = SharedHead | PlanesHead | DeltaHead | GroupsHead  # of a tensor that has blocks
Head = BlocksHead | TiedHead


@dataclass(frozen=True)
class Contents:
    """A file's records by name, its metadata, and the use of each of its bytes.

    The record of a raw tensor is an array of its elements' bits (see `dtypes`).
    """

    records: dict[str, Record]
    metadata: dict[str, Any]
    sections: list[Section]


class Reader:
    """Reads single tensors of a file, and parts of them, touching no other bytes.

    Parameters
    ----------
    data : bytes-like
        A whole file; may be a memory map. The header is read and checked at once.
    what : str
        The file's name, for messages.

    Attributes
    ----------
    metadata : dict
    entries : dict of str to TensorEntry
        Their order is that of the file.

    Raises
    ------
    TruncatedError
        If the file is shorter than it declares; the message says by how much and
        which tensors are whole.
    ChecksumError
        If a checksum doesn't match, naming the tensor.
    VersionError
        If the file was written by a newer version.
    FormatError
        If any other rule of the format is broken.
    """

    def __init__(self, data: bytes | memoryview, what: str = "file") -> None:
        self.view = memoryview(data).cast("B")
        self.what = what
        start = Cursor(self.view, what)
        check_prefix(start)
        self.entries, self.metadata, self._sections = parse_header(start)
        self._in_order = list(self.entries.values())
        self._numbers = {name: number for number, name in enumerate(self.entries)}
        check_length(len(self.view), start.offset, self._in_order, what)

    @property
    def version(self) -> int:
        """``Format_Version``."""
        return self.view[len(MAGIC)]

    def shared_head(self, entry: TensorEntry) -> SharedHead:
        """Return the checked head of a tensor of shared weights."""
        kind = entry.shape, entry.encoding, entry.dtype
        head = parse_head(self._cursor(entry), *kind, self.version)
        self._check_head(entry, head)
        return head

    def planes_head(self, entry: TensorEntry) -> PlanesHead:
        """Return the checked head of a tensor in planes."""
        head = planes.parse_head(self._cursor(entry), entry.shape, entry.dtype, self.version)
        self._check_head(entry, head)
        return head

    def delta_head(self, entry: TensorEntry) -> DeltaHead:
        """Return the checked head of a tensor that is the difference to a base's."""
        head = references.parse_delta(self._cursor(entry), entry.shape, entry.dtype)
        self._check_head(entry, head)
        return head

    def groups_head(self, entry: TensorEntry) -> GroupsHead:
        """Return the checked heads of a grouped tensor, all of whose data are read."""
        head = groups.parse_groups_head(self._cursor(entry), entry.shape)
        self._check_head(entry, head)
        found, start = [], 0
        for _, data in self._blocks(entry, head, 0, None):
            rows = min(head.group_rows, entry.shape[0] - start)
            cursor = Cursor(data, f"{self.what}: tensor {entry.name!r}", base=entry.offset)
            found.append(groups.parse_group(cursor, (rows, *entry.shape[1:]), entry.dtype))
            start += rows
        return replace(head, groups=tuple(found))

    def grouped(self, entry: TensorEntry, head: GroupsHead) -> GroupedRecord:
        """Return a grouped tensor."""
        data = [block for _, block in self._blocks(entry, head, 0, None)]
        return head.record(entry.shape, entry.dtype, data)

    def tied_head(self, entry: TensorEntry) -> TiedHead:
        """Return the checked data of a tied tensor."""
        head = references.parse_tied(self._cursor(entry))
        self._check_head(entry, head)
        # > Tensor_Index is the number, from 0, of a tensor before this one. It has the same Dtype
        # > and shape, and isn't tied itself.
        if head.index >= self._numbers[entry.name]:
            raise self._error(entry, f"tied to tensor {head.index}, which isn't before it")
        other = self._in_order[head.index]
        if other.encoding == TIED or (other.dtype, other.shape) != (entry.dtype, entry.shape):
            raise self._error(entry, f"can't be tied to {other.name!r}")
        return head

    def target(self, entry: TensorEntry) -> TensorEntry:
        """Return the entry of the tensor that one is tied to; without a tie, its own."""
        return self._in_order[self.tied_head(entry).index] if entry.encoding == TIED else entry

    def head(self, entry: TensorEntry) -> Head | None:
        """Return the checked head of a tensor, None for a raw one."""
        if entry.encoding == RAW:
            return None
        if entry.encoding == TIED:
            return self.tied_head(entry)
        if entry.encoding == DELTA:
            return self.delta_head(entry)
        if entry.encoding == GROUPED:
            return self.groups_head(entry)
        return self.planes_head(entry) if entry.encoding == PLANES else self.shared_head(entry)

    def _check_head(self, entry: TensorEntry, head: Head) -> None:
        """Compare the size of a tensor's data with that of its chunks, and check the head's CRC."""
        # > size of the tensor's data: all its chunks and their CRCs
        end = head.spans[-1][1] + CRC.size
        if end != entry.data_bytes:
            raise self._error(entry, f"data of {entry.data_bytes} bytes, its chunks take {end}")
        # > If Block_Count is 1, there is one chunk: the head followed by the block. Otherwise the
        # > head is chunk 0 and block i is chunk i + 1.
        self._chunk(entry, 0, 0, head.bytes if len(head.spans) > 1 else head.spans[0][1])

    def shared(
        self, entry: TensorEntry, head: SharedHead, first: int = 0, stop: int | None = None
    ) -> SharedRecord:
        """Return a tensor of shared weights with its blocks from `first` up to `stop`."""
        blocks = self._blocks(entry, head, first, stop)
        return head.record(
            entry.shape, tuple(parse_block(data, head, index) for index, data in blocks)
        )

    def planes(
        self, entry: TensorEntry, head: PlanesHead, first: int = 0, stop: int | None = None
    ) -> PlanesRecord:
        """Return a tensor in planes with its blocks from `first` up to `stop`."""
        blocks = self._blocks(entry, head, first, stop)
        return head.record(
            entry.shape,
            entry.dtype,
            tuple(planes.parse_block(data, head, index) for index, data in blocks),
        )

    def delta(
        self, entry: TensorEntry, head: DeltaHead, first: int = 0, stop: int | None = None
    ) -> DeltaRecord:
        """Return a difference with its blocks from `first` up to `stop`."""
        blocks = () if head.planes is None else self._blocks(entry, head, first, stop)
        parse = planes.parse_block
        return head.record(
            entry.shape,
            entry.dtype,
            tuple(parse(data, head.planes, index) for index, data in blocks if head.planes),
        )

    def _blocks(
        self, entry: TensorEntry, head: BlocksHead, first: int, stop: int | None
    ) -> Iterator[tuple[int, memoryview]]:
        """Yield the index and the checked bytes of each block from `first` up to `stop`."""
        for index in range(first, len(head.spans) if stop is None else stop):
            begin, end = head.spans[index]
            if len(head.spans) > 1:
                self._chunk(entry, index + 1, begin, end)
            yield index, self.data(entry)[begin:end]

    def raw(self, entry: TensorEntry, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return the elements `start` up to `stop` of a raw tensor, flat, as their bits.

        Those of a dtype that NumPy has are in native byte order. Only the array is allocated, and
        only the chunks that hold the elements are read.
        The empty chunk of a tensor without elements is read too.
        """
        size = math.prod(entry.shape)
        item = entry.dtype.itemsize
        begin, end = start * item, (size if stop is None else stop) * item
        array = np.empty(end // item - start, entry.dtype.bits)
        out = array.view(np.uint8)
        # > They are cut into chunks of 2**20 bytes, of which the last may have fewer. Only a tensor
        # > without elements has an empty chunk.
        chunks = range(begin // RAW_CHUNK_BYTES, -(-end // RAW_CHUNK_BYTES))
        for index in chunks if begin < end else range(0 if size else 1):
            at = index * RAW_CHUNK_BYTES
            offset = at + index * CRC.size
            length = min(RAW_CHUNK_BYTES, size * item - at)
            chunk = self._chunk(entry, index, offset, offset + length)
            part = np.frombuffer(chunk, np.uint8)[max(begin - at, 0) : end - at]
            # > A bool is a byte, 0 or 1.
            if entry.dtype.kind == "b" and part.max(initial=0) > 1:
                raise self._error(entry, "an element of a bool tensor is neither 0 nor 1")
            out[max(at - begin, 0) :][: len(part)] = part
        return array.astype(array.dtype.newbyteorder("="), copy=False)

    def close(self) -> None:
        """Release the file's bytes, after which nothing can be read."""
        self.view.release()

    def contents(self, check: Callable[[TensorEntry, Head | None], None] | None = None) -> Contents:
        """Return everything, and what each byte is for.

        `check` is called for each tensor before its data are read; the head of a raw one is None.
        """
        contents = Contents({}, self.metadata, list(self._sections))
        for name, entry in self.entries.items():
            head = self.head(entry)
            if check is not None:
                check(entry, head)
            if head is None:
                contents.records[name] = self.raw(entry).reshape(entry.shape)
                parts = entry.raw_parts()
            elif isinstance(head, PlanesHead):
                contents.records[name] = self.planes(entry, head)
                parts = head.parts(len(entry.shape))
            elif isinstance(head, DeltaHead):
                contents.records[name] = self.delta(entry, head)
                parts = head.parts(len(entry.shape))
            elif isinstance(head, GroupsHead):
                contents.records[name] = self.grouped(entry, head)
                parts = head.parts()
            elif isinstance(head, TiedHead):
                contents.records[name] = TiedRecord(entry.shape, entry.dtype, head.index)
                parts = head.parts()
            else:
                contents.records[name] = self.shared(entry, head)
                parts = head.parts(entry.encoding)
            contents.sections.extend(Section(name, *part) for part in parts)
        return contents

    def data(self, entry: TensorEntry) -> memoryview:
        """Return a tensor's data as they are in the file: all chunks and their CRCs."""
        return self.view[entry.offset : entry.offset + entry.data_bytes]

    def _cursor(self, entry: TensorEntry) -> Cursor:
        return Cursor(self.data(entry), f"{self.what}: tensor {entry.name!r}", base=entry.offset)

    def _error(self, entry: TensorEntry, problem: str) -> FormatError:
        return self._cursor(entry).error(problem)

    def _chunk(self, entry: TensorEntry, index: int, begin: int, end: int) -> memoryview:
        """Return the bytes of a chunk after checking its ``Chunk_CRC``."""
        data = self.data(entry)
        (stored,) = CRC.unpack(data[end : end + CRC.size])
        if crc32(data[begin:end], chunk_crc_start(entry.header, index)) != stored:
            raise ChecksumError(
                f"{self.what}: checksum of tensor {entry.name!r} doesn't match (chunk {index} "
                f"at offset {entry.offset + begin})"
            )
        return data[begin:end]


def parse(data: bytes | memoryview, what: str = "file") -> Contents:
    """Read the bytes of a file, checking every rule that needs no decoding.

    Parameters
    ----------
    data : bytes-like
        A whole file. The result doesn't refer to it.
    what : str
        The file's name, for messages.

    Returns
    -------
    Contents
        The sizes of its sections sum to ``len(data)``.

    Raises
    ------
    FormatError
        As `Reader`.
    """
    return Reader(data, what).contents()
