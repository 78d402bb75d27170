"""The bytes of a ``.dcnn`` file -> records, by the specification in `container`.

The one line of defence of the container: whatever breaks a rule that can be
checked without decoding a stream is refused here, and every size is compared
with what is left of the file before anything is allocated for it.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from . import strict_json
from .container import (
    CRC,
    DTYPES,
    ENCODINGS,
    FLOAT32,
    MAGIC,
    MAX_NAME_BYTES,
    MAX_RANK,
    PREFIX,
    RAW,
    RAW_CHUNK_BYTES,
    VERSION,
    Contents,
    Section,
    SharedRecord,
)
from .container_layout import block_count
from .container_shared import SharedHead, parse_block, parse_head
from .container_writer import chunk_crc_start
from .cursor import Cursor, common_bytes
from .errors import ChecksumError, FormatError, TruncatedError, VersionError


@dataclass(frozen=True)
class TensorEntry:
    """What the header says of a tensor, and where its data is.

    Attributes
    ----------
    name : str
    encoding : int
        Index into `container.ENCODINGS`.
    dtype : dtype
    shape : tuple of int
    data_bytes : int
        Of its chunks and their CRCs.
    offset : int
        Of its data in the file.
    record : bytes
        The record itself.
    """

    name: str
    encoding: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    data_bytes: int
    offset: int
    record: bytes


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
        _check_prefix(start)
        self.entries, self.metadata, self._sections = _parse_header(start)
        _check_length(self.view, start.offset, list(self.entries.values()), what)

    def shared_head(self, entry: TensorEntry) -> SharedHead:
        """Return the checked head of a tensor of shared weights."""
        head = parse_head(self._cursor(entry), entry.shape, entry.encoding)
        end = head.spans[-1][1] + CRC.size
        if end != entry.data_bytes:
            raise self._error(entry, f"data of {entry.data_bytes} bytes, its chunks take {end}")
        self._chunk(entry, 0, 0, head.bytes if len(head.spans) > 1 else head.spans[0][1])
        return head

    def shared(self, name: str, first: int = 0, stop: int | None = None) -> SharedRecord:
        """Return a tensor of shared weights, with its blocks from `first` up to `stop`."""
        entry = self.entries[name]
        head = self.shared_head(entry)
        blocks = []
        for index in range(first, len(head.spans) if stop is None else stop):
            begin, end = head.spans[index]
            if len(head.spans) > 1:
                self._chunk(entry, index + 1, begin, end)
            blocks.append(parse_block(self._data(entry)[begin:end], head, index))
        return head.record(entry.shape, tuple(blocks))

    def raw(self, name: str, start: int = 0, stop: int | None = None) -> npt.NDArray[Any]:
        """Return the elements `start` up to `stop` of a raw tensor, flat, in native byte order."""
        entry = self.entries[name]
        size = math.prod(entry.shape)
        item = entry.dtype.itemsize
        count = max(1, -(-size * item // RAW_CHUNK_BYTES))
        if entry.data_bytes != size * item + CRC.size * count:
            raise self._error(entry, f"data of {entry.data_bytes} bytes for {size} x {entry.dtype}")
        begin, end = start * item, (size if stop is None else stop) * item
        first, last = begin // RAW_CHUNK_BYTES, max(begin, end - 1) // RAW_CHUNK_BYTES
        chunks = []
        for index in range(first, min(last, count - 1) + 1):
            at = index * (RAW_CHUNK_BYTES + CRC.size)
            length = min(RAW_CHUNK_BYTES, size * item - index * RAW_CHUNK_BYTES)
            chunks.append(self._chunk(entry, index, at, at + length))
        data = b"".join(chunks)[begin - first * RAW_CHUNK_BYTES :][: end - begin]
        if entry.dtype == np.bool_ and np.frombuffer(data, np.uint8).max(initial=0) > 1:
            raise self._error(entry, "an element of a bool tensor is neither 0 nor 1")
        return np.frombuffer(data, entry.dtype).astype(entry.dtype.newbyteorder("="))

    def contents(self) -> Contents:
        """Return everything, and what each byte is for."""
        contents = Contents({}, self.metadata, list(self._sections))
        for name, entry in self.entries.items():
            if entry.encoding == RAW:
                contents.records[name] = self.raw(name).reshape(entry.shape)
                chunks = block_count(math.prod(entry.shape) * entry.dtype.itemsize, 20)
                part = "biases" if len(entry.shape) <= 1 else "raw"
                parts = [(part, entry.data_bytes - CRC.size * chunks)]
                parts += [("checksums", CRC.size * chunks)]
            else:
                contents.records[name] = self.shared(name)
                parts = self.shared_head(entry).parts(entry.encoding)
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


def _check_prefix(cursor: Cursor) -> None:
    magic = bytes(cursor.data[: len(MAGIC)])
    if magic != MAGIC:
        if magic and MAGIC.startswith(magic):
            raise TruncatedError(f"{cursor.what}: only {len(magic)} bytes of a .dcnn file are left")
        raise FormatError(f"{cursor.what}: not a .dcnn file: it begins {magic.hex(' ') or 'empty'}")
    if len(cursor.data) > len(MAGIC) and cursor.data[len(MAGIC)] > VERSION:
        raise VersionError(
            f"{cursor.what}: format version {cursor.data[len(MAGIC)]} is newer than {VERSION}, "
            "the newest that this deepcompress reads"
        )
    if len(cursor.data) > len(MAGIC) and cursor.data[len(MAGIC)] < 1:
        raise FormatError(f"{cursor.what}: there is no format version 0")


def _parse_header(start: Cursor) -> tuple[dict[str, TensorEntry], dict[str, Any], list[Section]]:
    """Check and read all before the first tensor's data; leave `start` there."""
    _, _, header_bytes = PREFIX.unpack(start.take(PREFIX.size, "prefix"))
    cursor = Cursor(start.take(header_bytes, "header"), start.what, base=PREFIX.size)
    (stored,) = CRC.unpack(start.take(CRC.size, "checksum of the header"))
    if zlib.crc32(start.data[: PREFIX.size + header_bytes]) != stored:
        raise ChecksumError(f"{start.what}: checksum of the header doesn't match")
    text = cursor.take(cursor.varint("size of the metadata"), "metadata")
    try:
        metadata = strict_json.parse(str(text, "utf-8"))
    except ValueError as error:
        raise cursor.error(f"metadata isn't JSON in UTF-8: {error}") from None
    if not isinstance(metadata, dict):
        raise cursor.error("metadata isn't a JSON object")
    sections = [Section("", "metadata", cursor.offset)]
    count = cursor.varint("number of tensors")
    sections.append(Section("", "header", PREFIX.size + cursor.offset - sections[0].size_bytes))
    sections.append(Section("", "checksums", CRC.size))
    entries: dict[str, TensorEntry] = {}
    previous = b""
    offset = start.offset
    for _ in range(count):  # ends by itself where the header does
        entry, previous = _parse_record(cursor, previous, offset)
        if entry.name in entries:
            raise cursor.error(f"two tensors are named {entry.name!r}")
        entries[entry.name] = entry
        sections.append(Section(entry.name, "header", len(entry.record)))
        offset += entry.data_bytes
    cursor.end()
    return entries, metadata, sections


def _parse_record(cursor: Cursor, previous: bytes, offset: int) -> tuple[TensorEntry, bytes]:
    """Return an entry and its name's bytes."""
    start = cursor.offset
    common = cursor.varint("common bytes of a name")
    size = cursor.varint("size of a name")
    if common > len(previous) or not 0 < common + size <= MAX_NAME_BYTES:
        raise cursor.error(f"a name can't have {common} bytes of the one before and {size} others")
    encoded = previous[:common] + bytes(cursor.take(size, "name"))
    if common_bytes(previous, encoded) != common:
        raise cursor.error("a name has more in common with the one before than is said")
    try:
        name = str(encoded, "utf-8")
    except UnicodeDecodeError:
        raise cursor.error("a name isn't UTF-8") from None
    form, rank = cursor.take(2, f"record of tensor {name!r}")
    encoding, dtype = form >> 4, form & 15
    if encoding >= len(ENCODINGS):
        raise cursor.error(f"tensor {name!r}: unknown encoding {encoding}")
    if dtype >= len(DTYPES) or (encoding != RAW and dtype != FLOAT32):
        raise cursor.error(f"tensor {name!r}: dtype {dtype} can't be {ENCODINGS[encoding]}")
    if rank > MAX_RANK:
        raise cursor.error(f"tensor {name!r}: rank {rank} is above {MAX_RANK}")
    shape = tuple(cursor.varint(f"shape of tensor {name!r}") for _ in range(rank))
    product = math.prod(axis for axis in shape if axis)
    if product >= 1 << 63:
        raise cursor.error(f"tensor {name!r}: shape {shape} has 2**63 elements or more")
    if encoding == RAW and product * DTYPES[dtype].itemsize >= 1 << 63:  # more than NumPy can hold
        raise cursor.error(f"tensor {name!r}: shape {shape} has 2**63 bytes or more")
    data_bytes = cursor.varint(f"data size of tensor {name!r}")
    record = bytes(cursor.data[start : cursor.offset])
    return TensorEntry(name, encoding, DTYPES[dtype], shape, data_bytes, offset, record), encoded


def _check_length(view: memoryview, end: int, entries: list[TensorEntry], what: str) -> None:
    """Compare the file's length with the data declared, before any is touched."""
    end = entries[-1].offset + entries[-1].data_bytes if entries else end
    if len(view) < end:
        whole = [entry.name for entry in entries if entry.offset + entry.data_bytes <= len(view)]
        raise TruncatedError(
            f"{what}: {end - len(view)} of {end} bytes are missing; "
            f"{len(whole)} of {len(entries)} tensors are whole"
            + (f": {', '.join(whole)}" if 0 < len(whole) <= 20 else "")
        )
    if len(view) > end:
        raise FormatError(f"{what}: {len(view) - end} bytes follow the last tensor (offset {end})")
