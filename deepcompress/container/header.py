"""The header of a ``.dcnn`` file: its tensors, and where their data are.

Parsing takes memory and time in proportion to the file's size.
"""

import math
import zlib
from dataclasses import dataclass
from typing import Any

from ..dtypes import FLOAT32, NUMPY_LACKS, TYPES, ElementType
from ..errors import ChecksumError, FormatError, TruncatedError, VersionError
from ..files import strict_json
from .cursor import Cursor, common_bytes
from .records import (
    CONTEXT,
    CRC,
    DELTA,
    ENCODINGS,
    GROUPED,
    MAGIC,
    MAX_COMMON_BYTES,
    MAX_NAME_BYTES,
    MAX_RANK,
    PLANES,
    PREFIX,
    RAW,
    SHARED,
    TIED,
    VERSION,
    WIDE_DTYPE,
    Section,
)
from .sizes import raw_chunk_count, raw_size

# The version that brought an encoding.
NEWER = {PLANES: 2, TIED: 3, DELTA: 3, CONTEXT: 3, GROUPED: 3}


@dataclass(frozen=True)
class TensorEntry:
    """The fields of a ``Tensor_Header``, and where the tensor's data are.

    Attributes
    ----------
    name : str
    encoding : int
        Index into `container.ENCODINGS`.
    dtype : ElementType
    shape : tuple of int
    data_bytes : int
        Size of all chunks and their CRCs.
    offset : int
        Where the data begin in the file.
    header : bytes
        The ``Tensor_Header`` itself.
    """

    name: str
    encoding: int
    dtype: ElementType
    shape: tuple[int, ...]
    data_bytes: int
    offset: int
    header: bytes

    def raw_parts(self) -> list[tuple[str, int]]:
        """Return the uses of a raw tensor's data, with bytes; vectors are taken for biases."""
        checksums = CRC.size * raw_chunk_count(math.prod(self.shape) * self.dtype.itemsize)
        elements = "biases" if len(self.shape) <= 1 else "raw"
        return [(elements, self.data_bytes - checksums), ("checksums", checksums)]


def check_prefix(cursor: Cursor) -> None:
    """Raise unless the file begins with the magic number and a version that can be read."""
    magic = bytes(cursor.data[: len(MAGIC)])
    if magic != MAGIC:
        if magic and MAGIC.startswith(magic):
            raise TruncatedError(f"{cursor.what}: only {len(magic)} bytes of a .dcnn file are left")
        raise FormatError(f"{cursor.what}: not a .dcnn file: it begins {magic.hex(' ') or 'empty'}")
    # > A reader refuses a Format_Version that it doesn't know.
    if len(cursor.data) > len(MAGIC) and cursor.data[len(MAGIC)] > VERSION:
        raise VersionError(
            f"{cursor.what}: format version {cursor.data[len(MAGIC)]} is newer than {VERSION}, "
            "the newest that this deepcompress reads"
        )
    if len(cursor.data) > len(MAGIC) and cursor.data[len(MAGIC)] < 1:
        raise FormatError(f"{cursor.what}: there is no format version 0")


def parse_header(start: Cursor) -> tuple[dict[str, TensorEntry], dict[str, Any], list[Section]]:
    """Check and read the bytes before the first tensor's data; leave `start` there."""
    _, version, header_bytes = PREFIX.unpack(start.take(PREFIX.size, "prefix"))
    cursor = Cursor(start.take(header_bytes, "header"), start.what, base=PREFIX.size)
    (header_crc,) = CRC.unpack(start.take(CRC.size, "checksum of the header"))
    # > Header_CRC covers every byte before it, from Magic_Number to the end of Header.
    if zlib.crc32(start.data[: PREFIX.size + header_bytes]) != header_crc:
        raise ChecksumError(f"{start.what}: checksum of the header doesn't match")
    # > Metadata is a JSON object in UTF-8, without a byte order mark. It has no NaN, no Infinity
    # > and no number beyond the range of float64.
    metadata_bytes = cursor.varint("size of the metadata")
    text = cursor.take(metadata_bytes, "metadata")
    try:
        metadata = strict_json.parse(str(text, "utf-8"))
    except ValueError as error:
        raise cursor.error(f"metadata isn't JSON in UTF-8: {error}") from None
    if not isinstance(metadata, dict):
        raise cursor.error("metadata isn't a JSON object")
    sections = [Section("", "metadata", cursor.offset)]
    tensor_count = cursor.varint("number of tensors")
    sections.append(Section("", "header", PREFIX.size + cursor.offset - sections[0].size_bytes))
    sections.append(Section("", "checksums", CRC.size))
    entries: dict[str, TensorEntry] = {}
    previous = b""
    offset = start.offset
    for _ in range(tensor_count):  # ends by itself where the header does
        entry, previous = parse_tensor_header(cursor, previous, offset, version)
        if entry.name in entries:
            raise cursor.error(f"two tensors are named {entry.name!r}")
        entries[entry.name] = entry
        sections.append(Section(entry.name, "header", len(entry.header)))
        offset += entry.data_bytes
    cursor.end()
    return entries, metadata, sections


def parse_tensor_header(
    cursor: Cursor, previous: bytes, offset: int, version: int = VERSION
) -> tuple[TensorEntry, bytes]:
    """Return the next entry and the bytes of its name, given those of the `previous` name."""
    start = cursor.offset
    common = cursor.varint("common bytes of a name")
    suffix_bytes = cursor.varint("size of a name")
    previous = previous[:MAX_COMMON_BYTES]
    # > A name has 1 to 65535 bytes and is UTF-8.
    if common > len(previous) or not 0 < common + suffix_bytes <= MAX_NAME_BYTES:
        raise cursor.error(
            f"a name can't have {common} bytes of the one before and {suffix_bytes} others"
        )
    # > A name is the first Common_Bytes bytes of the name before it, followed by Suffix.
    encoded = previous[:common] + bytes(cursor.take(suffix_bytes, "name"))
    # > Common_Bytes is as large as it can be, but at most 255, and 0 for the first name.
    if common_bytes(previous, encoded) != common:
        raise cursor.error("a name has more in common with the one before than is said")
    try:
        name = str(encoded, "utf-8")
    except UnicodeDecodeError:
        raise cursor.error("a name isn't UTF-8") from None
    encoding, dtype = _parse_descriptor(cursor, name, version)
    rank = cursor.byte(f"record of tensor {name!r}")
    if rank > MAX_RANK:
        raise cursor.error(f"tensor {name!r}: rank {rank} is above {MAX_RANK}")
    shape = tuple(cursor.varint(f"shape of tensor {name!r}") for _ in range(rank))
    # > The product of the axes that aren't 0, times the bytes of an element unless weights are
    # > shared, is below 2**63.
    product = math.prod(axis for axis in shape if axis)
    if product >= 1 << 63:
        raise cursor.error(f"tensor {name!r}: shape {shape} has 2**63 elements or more")
    if encoding not in (*SHARED, GROUPED) and product * dtype.itemsize >= 1 << 63:
        raise cursor.error(f"tensor {name!r}: shape {shape} has 2**63 bytes or more")
    data_bytes = cursor.varint(f"data size of tensor {name!r}")
    element_bytes = math.prod(shape) * dtype.itemsize
    if encoding == RAW and data_bytes != raw_size(element_bytes):
        raise cursor.error(
            f"tensor {name!r}: data of {data_bytes} bytes for {math.prod(shape)} x {dtype}"
        )
    header = bytes(cursor.data[start : cursor.offset])
    return TensorEntry(name, encoding, dtype, shape, data_bytes, offset, header), encoded


def _parse_descriptor(cursor: Cursor, name: str, version: int) -> tuple[int, ElementType]:
    """Read encoding and dtype, and compare them with what the version has."""
    encoding, dtype = divmod(cursor.byte(f"record of tensor {name!r}"), 16)
    # > Where the descriptor has 15, Wide_Dtype follows: the dtype, 15 or more.
    if dtype == WIDE_DTYPE and version > 1:
        dtype = cursor.byte(f"dtype of tensor {name!r}")
        if dtype < WIDE_DTYPE:
            raise cursor.error(f"tensor {name!r}: dtype {dtype} takes no byte of its own")
    is_encoding = encoding < len(ENCODINGS) and not ENCODINGS[encoding].isdecimal()
    if not is_encoding or NEWER.get(encoding, 1) > version:
        raise cursor.error(f"tensor {name!r}: unknown encoding {encoding}")
    # > Weights of bool, complex64 and complex128 can't be shared.
    is_known = dtype < len(TYPES) and needed_version(encoding, TYPES[dtype]) <= version
    if not is_known or (encoding in (*SHARED, GROUPED) and not TYPES[dtype].is_shareable):
        raise cursor.error(f"tensor {name!r}: dtype {dtype} can't be {ENCODINGS[encoding]}")
    return encoding, TYPES[dtype]


def needed_version(encoding: int, dtype: ElementType) -> int:
    """Return the lowest version that has a tensor of this kind."""
    # > A file has the lowest version that can hold its tensors.
    is_first = dtype == FLOAT32 if encoding in SHARED else dtype.name not in NUMPY_LACKS
    return max(1 if is_first else 2, NEWER.get(encoding, 1))


def check_length(size: int, end: int, entries: list[TensorEntry], what: str) -> None:
    """Compare the file's length with the data that the header declares, before any is read."""
    # > The file ends with the data of the last tensor.
    end = entries[-1].offset + entries[-1].data_bytes if entries else end
    if size < end:
        whole = [entry.name for entry in entries if entry.offset + entry.data_bytes <= size]
        raise TruncatedError(
            f"{what}: {end - size} of {end} bytes are missing; "
            f"{len(whole)} of {len(entries)} tensors are whole"
            + (f": {', '.join(map(repr, whole))}" if 0 < len(whole) <= 20 else "")
        )
    if size > end:
        raise FormatError(f"{what}: {size - end} bytes follow the last tensor (offset {end})")
