"""The bytes of a ``.dcnn`` file -> records, by the specification in `container`.

The one line of defence of the container: whatever breaks a rule that can be
checked without decoding a stream is refused here, and every size is compared
with what is left of the file before anything is allocated for it.
"""

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import ChecksumError, FormatError
from .cursor import Cursor
from .header import TensorEntry, check_length, check_prefix, parse_header
from .records import CRC, RAW, RAW_CHUNK_BYTES, Record, Section, SharedRecord
from .shared_weights import SharedHead, parse_block, parse_head
from .sizes import block_count, chunk_crc_start


@dataclass(frozen=True)
class Contents:
    """What a file holds: records by name, metadata, and what each byte is for."""

    records: dict[str, Record]
    metadata: dict[str, Any]
    sections: list[Section]


class Reader:
    """Gives the tensors of a file one by one, and parts of them, touching nothing else.

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
        In the order of the file.

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
        check_length(len(self.view), start.offset, list(self.entries.values()), what)

    def shared_head(self, entry: TensorEntry) -> SharedHead:
        """Return the checked head of a tensor of shared weights."""
        head = parse_head(self._cursor(entry), entry.shape, entry.encoding)
        end = head.spans[-1][1] + CRC.size
        if end != entry.data_bytes:
            raise self._error(entry, f"data of {entry.data_bytes} bytes, its chunks take {end}")
        self._chunk(entry, 0, 0, head.bytes if len(head.spans) > 1 else head.spans[0][1])
        return head

    def shared(
        self, entry: TensorEntry, head: SharedHead, first: int = 0, stop: int | None = None
    ) -> SharedRecord:
        """Return a tensor of shared weights, with its blocks from `first` up to `stop`."""
        blocks = []
        for index in range(first, len(head.spans) if stop is None else stop):
            begin, end = head.spans[index]
            if len(head.spans) > 1:
                self._chunk(entry, index + 1, begin, end)
            blocks.append(parse_block(self._data(entry)[begin:end], head, index))
        return head.record(entry.shape, tuple(blocks))

    def raw(self, entry: TensorEntry, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return the elements `start` up to `stop` of a raw tensor, flat, in native byte order.

        Nothing is allocated but the array. Of the chunks, those are read in which the
        elements are; that of a tensor without any is read too.
        """
        size = math.prod(entry.shape)
        item = entry.dtype.itemsize
        begin, end = start * item, (size if stop is None else stop) * item
        array = np.empty(end // item - start, entry.dtype)
        out = array.view(np.uint8)
        chunks = range(begin // RAW_CHUNK_BYTES, -(-end // RAW_CHUNK_BYTES))
        for index in chunks if begin < end else range(0 if size else 1):
            at = index * RAW_CHUNK_BYTES
            offset = at + index * CRC.size
            length = min(RAW_CHUNK_BYTES, size * item - at)
            chunk = self._chunk(entry, index, offset, offset + length)
            part = np.frombuffer(chunk, np.uint8)[max(begin - at, 0) : end - at]
            if entry.dtype == np.bool_ and part.max(initial=0) > 1:
                raise self._error(entry, "an element of a bool tensor is neither 0 nor 1")
            out[max(at - begin, 0) :][: len(part)] = part
        return array.astype(entry.dtype.newbyteorder("="), copy=False)

    def close(self) -> None:
        """Let go of the file's bytes; nothing can be read any more."""
        self.view.release()

    def contents(
        self, check: Callable[[TensorEntry, SharedHead | None], None] | None = None
    ) -> Contents:
        """Return everything, and what each byte is for.

        `check` is called for each tensor before its data are read; the head of a raw one is None.
        """
        contents = Contents({}, self.metadata, list(self._sections))
        for name, entry in self.entries.items():
            head = None if entry.encoding == RAW else self.shared_head(entry)
            if check is not None:
                check(entry, head)
            if head is None:
                contents.records[name] = self.raw(entry).reshape(entry.shape)
                chunks = block_count(math.prod(entry.shape) * entry.dtype.itemsize, 20)
                part = "biases" if len(entry.shape) <= 1 else "raw"
                parts = [(part, entry.data_bytes - CRC.size * chunks)]
                parts += [("checksums", CRC.size * chunks)]
            else:
                contents.records[name] = self.shared(entry, head)
                parts = head.parts(entry.encoding)
            contents.sections.extend(Section(name, *part) for part in parts)
        return contents

    def _data(self, entry: TensorEntry) -> memoryview:
        return self.view[entry.offset : entry.offset + entry.data_bytes]

    def _cursor(self, entry: TensorEntry) -> Cursor:
        return Cursor(self._data(entry), f"{self.what}: tensor {entry.name!r}", base=entry.offset)

    def _error(self, entry: TensorEntry, problem: str) -> FormatError:
        return self._cursor(entry).error(problem)

    def _chunk(self, entry: TensorEntry, index: int, begin: int, end: int) -> memoryview:
        """Return the bytes of a chunk, after a look at its checksum."""
        data = self._data(entry)
        (stored,) = CRC.unpack(data[end : end + CRC.size])
        if zlib.crc32(data[begin:end], chunk_crc_start(entry.record, index)) != stored:
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
        A whole file. Nothing of it is referenced by the result.
    what : str
        The file's name, for messages.

    Returns
    -------
    Contents
        The sections' sizes sum to ``len(data)``.

    Raises
    ------
    FormatError
        As `Reader`.
    """
    return Reader(data, what).contents()
