"""The bytes of a ``.dcnn`` file -> records, by the specification in `container`.

The one line of defence of the container: whatever breaks a rule that can be
checked without decoding a stream is refused here, and every size is compared
with what is left of the file before anything is allocated for it.
"""

import json
import math
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .container import (
    CRC,
    DTYPES,
    FLOAT32,
    MAGIC,
    MAX_NAME_BYTES,
    MAX_RANK,
    PREFIX,
    RAW,
    SHARED,
    VERSION,
    Contents,
    Record,
    Section,
    SharedRecord,
)
from .cursor import Cursor
from .errors import ChecksumError, FormatError, TruncatedError, VersionError
from .tensors import HUFFMAN, CodedStream


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
    view = memoryview(data).cast("B")
    start = Cursor(view, what)
    _check_prefix(start)
    heads, metadata, sections = _parse_header(start)
    _check_length(view, start.offset, heads, what)
    records: dict[str, Record] = {}
    for head in heads:
        payload = start.take(head.payload_bytes, f"tensor {head.name!r}")
        (stored,) = CRC.unpack(start.take(CRC.size, f"checksum of tensor {head.name!r}"))
        if zlib.crc32(payload, zlib.crc32(head.record)) != stored:
            raise ChecksumError(f"{what}: checksum of tensor {head.name!r} doesn't match")
        here = f"{what}: tensor {head.name!r}"
        cursor = Cursor(payload, here, base=start.offset - CRC.size - head.payload_bytes)
        if head.encoding == RAW:
            records[head.name] = _parse_raw(cursor, head)
            part = "biases" if len(head.shape) <= 1 else "raw"
            sections.append(Section(head.name, part, len(payload)))
        else:
            records[head.name] = _parse_shared(cursor, head, sections)
        sections.append(Section(head.name, "checksums", CRC.size))
    start.end()
    return Contents(records, metadata, sections)


@dataclass(frozen=True)
class _Head:
    """A record of the header; `record` are its bytes."""

    name: str
    encoding: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    payload_bytes: int
    record: bytes


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


def _parse_header(start: Cursor) -> tuple[list[_Head], dict[str, Any], list[Section]]:
    """Check and read all before the first payload; leave `start` there."""
    _, _, header_bytes = PREFIX.unpack(start.take(PREFIX.size, "prefix"))
    cursor = Cursor(start.take(header_bytes, "header"), start.what, base=PREFIX.size)
    (stored,) = CRC.unpack(start.take(CRC.size, "checksum of the header"))
    if zlib.crc32(start.data[: PREFIX.size + header_bytes]) != stored:
        raise ChecksumError(f"{start.what}: checksum of the header doesn't match")
    text = cursor.take(cursor.varint("size of the metadata"), "metadata")
    try:
        metadata = json.loads(str(text, "utf-8"), parse_constant=_no_json)
    except (ValueError, RecursionError) as error:
        raise cursor.error(f"metadata isn't JSON in UTF-8: {error}") from None
    if not isinstance(metadata, dict):
        raise cursor.error("metadata isn't a JSON object")
    sections = [Section("", "metadata", cursor.offset)]
    count = cursor.varint("number of tensors")
    sections.append(Section("", "header", PREFIX.size + cursor.offset - sections[0].size_bytes))
    sections.append(Section("", "checksums", CRC.size))
    heads: list[_Head] = []
    names: set[str] = set()
    for _ in range(count):  # ends by itself where the header does
        heads.append(_parse_head(cursor))
        if heads[-1].name in names:
            raise cursor.error(f"two tensors are named {heads[-1].name!r}")
        names.add(heads[-1].name)
        sections.append(Section(heads[-1].name, "header", len(heads[-1].record)))
    cursor.end()
    return heads, metadata, sections


def _no_json(constant: str) -> None:
    """Refuse NaN and infinities, which Python's parser would take."""
    raise ValueError(f"{constant} has no JSON form")


def _parse_head(cursor: Cursor) -> _Head:
    start = cursor.offset
    size = cursor.varint("size of a name")
    if not 0 < size <= MAX_NAME_BYTES:
        raise cursor.error(f"a name can't have {size} bytes")
    try:
        name = str(cursor.take(size, "name"), "utf-8")
    except UnicodeDecodeError:
        raise cursor.error("a name isn't UTF-8") from None
    encoding, dtype, rank = cursor.take(3, f"record of tensor {name!r}")
    if encoding not in (RAW, SHARED):
        raise cursor.error(f"tensor {name!r}: unknown encoding {encoding}")
    if dtype >= len(DTYPES) or (encoding == SHARED and dtype != FLOAT32):
        raise cursor.error(f"tensor {name!r}: dtype {dtype} can't have encoding {encoding}")
    if rank > MAX_RANK:
        raise cursor.error(f"tensor {name!r}: rank {rank} is above {MAX_RANK}")
    shape = tuple(cursor.varint(f"shape of tensor {name!r}") for _ in range(rank))
    if math.prod(axis for axis in shape if axis) >= 1 << 63:
        raise cursor.error(f"tensor {name!r}: shape {shape} has 2**63 elements or more")
    payload_bytes = cursor.varint(f"payload size of tensor {name!r}")
    record = bytes(cursor.data[start : cursor.offset])
    return _Head(name, encoding, DTYPES[dtype], shape, payload_bytes, record)


def _check_length(view: memoryview, offset: int, heads: list[_Head], what: str) -> None:
    """Compare the file's length with the payloads declared, before any is touched."""
    ends = []
    end = offset
    for head in heads:
        end += head.payload_bytes + CRC.size
        ends.append(end)
    if len(view) < end:
        whole = [head.name for head, end in zip(heads, ends, strict=True) if end <= len(view)]
        raise TruncatedError(
            f"{what}: {end - len(view)} of {end} bytes are missing; "
            f"{len(whole)} of {len(heads)} tensors are whole"
            + (f": {', '.join(whole)}" if 0 < len(whole) <= 20 else "")
        )
    if len(view) > end:
        raise FormatError(f"{what}: {len(view) - end} bytes follow the last tensor (offset {end})")


def _parse_raw(cursor: Cursor, head: _Head) -> npt.NDArray[Any]:
    size_bytes = math.prod(head.shape) * head.dtype.itemsize
    if head.payload_bytes != size_bytes:
        raise cursor.error(f"{head.payload_bytes} bytes for a raw tensor of {size_bytes}")
    data = cursor.take(size_bytes, "elements")
    if head.dtype == np.bool_ and np.frombuffer(data, np.uint8).max(initial=0) > 1:
        raise cursor.error("an element of a bool tensor is neither 0 nor 1")
    array = np.frombuffer(data, head.dtype).reshape(head.shape)
    return array.astype(head.dtype.newbyteorder("="))


def _parse_shared(cursor: Cursor, head: _Head, sections: list[Section]) -> SharedRecord:
    widths, coders = cursor.take(2, "widths and coders")
    if widths & 0x88:
        raise cursor.error(f"reserved bits of the widths are set: {widths:#04x}")
    bits = (widths & 7) + 1, (widths >> 4) + 1
    if coders & 0x0F > HUFFMAN or coders >> 4 > HUFFMAN:
        raise cursor.error(f"unknown coder in {coders:#04x}")
    k = cursor.varint("number of centroids")
    if k >= 1 << bits[0]:
        raise cursor.error(f"{k} centroids don't fit labels of {bits[0]} bits")
    count = cursor.varint("number of stored entries")
    if count > math.prod(head.shape):
        raise cursor.error(f"{count} stored entries in a tensor of {math.prod(head.shape)}")
    sizes = []
    for coder, width in zip((coders & 0x0F, coders >> 4), bits, strict=True):
        if coder == HUFFMAN:
            sizes.append((cursor.varint("size of a table"), cursor.varint("size of a stream")))
            if count > 8 * sizes[-1][1]:
                raise cursor.error(f"{count} symbols in a stream of {sizes[-1][1]} bytes")
        else:
            sizes.append((0, (count * width + 7) // 8))
    sections.append(Section(head.name, "header", cursor.offset))
    codebook = np.zeros(k + 1, np.float32)
    codebook[1:] = np.frombuffer(cursor.take(4 * k, "codebook"), "<f4")
    if not np.isfinite(codebook).all():
        raise cursor.error("a centroid isn't finite")
    sections.append(Section(head.name, "codebooks", 4 * k))
    streams = []
    for coder, part, (table, stream) in zip(
        (coders & 0x0F, coders >> 4), ("labels", "gaps"), sizes, strict=True
    ):
        coded = CodedStream(
            coder,
            bytes(cursor.take(table, f"code table of the {part}")),
            bytes(cursor.take(stream, part)),
        )
        streams.append(coded)
        if table:
            sections.append(Section(head.name, "code tables", table))
        sections.append(Section(head.name, part, stream))
    cursor.end()
    return SharedRecord(head.shape, codebook, *bits, count, *streams)
