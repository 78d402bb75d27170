r"""Records -> the bytes of a ``.dcnn`` file. This docstring is the format's specification.

`container_reader` goes the way back.

All integers are little endian. A *varint* is an unsigned integer below 2**63 in
groups of seven bits, the lowest first, the high bit of a byte set where another
byte follows; it is written in the fewest bytes. CRC means CRC-32 as in zlib and
PNG (polynomial 0xEDB88320); ``CRC(bytes, start)`` continues from ``start``.

File::

    0        8        9         13              13+n      17+n
    +--------+--------+---------+---------------+---------+-----------+-----+-----------+
    | magic  |version | n = size| header        | CRC     | tensor 0  |  …  | tensor T-1|
    | 8 bytes| 1 byte | 4 bytes | n bytes       | 4 bytes |           |     |           |
    +--------+--------+---------+---------------+---------+-----------+-----+-----------+

- magic: ``89 44 43 4E 4E 0D 0A 1A``, that is ``\x89DCNN\r\n\x1a``: the first byte
  shows a transfer that clears the eighth bit, the end one that changes line ends.
- version: 1. A reader refuses a newer one. Every change of the bytes that are
  written for the same tensors is a new version; each version stays readable.
- CRC: of all bytes before it, from the magic to the end of the header.
- The file ends with the last tensor; anything after it is an error.

Header::

    varint m        size of the metadata
    m bytes         metadata: a JSON object in UTF-8 (its meaning is the application's)
    varint T        number of tensors
    T records       one per tensor, in the order of the payloads

Record::

    varint          size of the name, 1 to 65535
    bytes           the name in UTF-8, unlike all the others
    1 byte          encoding: 0 raw, 1 shared
    1 byte          dtype of the elements, see below; float32 where the encoding is 1
    1 byte          rank, 0 to 32
    rank varints    the shape; the product of the axes that aren't 0 is below 2**63
    varint          size of the payload

dtypes: 0 bool (a byte, 0 or 1), 1 int8, 2 int16, 3 int32, 4 int64, 5 uint8, 6 uint16,
7 uint32, 8 uint64, 9 float16, 10 float32, 11 float64, 12 complex64, 13 complex128.

Tensor: its payload, then 4 bytes ``CRC(payload, CRC(record, 0))``: a payload that
was moved to another tensor doesn't pass.

Payload of a raw tensor: its elements in row-major order, exactly as they are.

Payload of a shared tensor::

    1 byte          bits 0-2: width of a label - 1; bits 4-6: width of a gap - 1; others 0
    1 byte          bits 0-3: coder of the labels; bits 4-7: coder of the gaps
                    (0 fixed width, 1 Huffman)
    varint          k, centroids that follow; k < 2**(width of a label)
    varint          S, stored entries; at most the number of elements
    for labels, then gaps, only where the coder is 1:
      varint        size of the code table
      varint        size of the coded stream
    4 k bytes       float32 centroids, finite, of the labels 1 … k
    bytes           table of the labels, coded labels, table of the gaps, coded gaps

A stream of fixed width has no table, and ``ceil(S * width / 8)`` bytes.

Bits: within every stream, bit i is bit ``i % 8`` of byte ``i // 8``. At fixed width b,
symbol j is the number in bits ``j*b … j*b + b-1``, lowest first. The bits of the last
byte that aren't used are 0.

Huffman: the code is canonical. Codes are numbered in the order of their lengths and,
among those of one length, of their symbols: the first is 0, the next is the previous
plus 1, shifted left by the growth of the length. Lengths are 1 to 12, 0 for a symbol
that doesn't occur; the code is complete (the sum of 2**-length is 1), but for a lone
symbol, which has length 1, and for S = 0, where there is none. A code is written from
its highest bit to its lowest. The labels' alphabet is 0 … k, the gaps' is
0 … 2**width - 1.

Table of code lengths, tokens for one symbol after the other (``previous`` is the last
length that wasn't 0, and 4 at first)::

    0           the length is previous
    1 0 s       it is previous + 1 (s = 0) or previous - 1 (s = 1)
    1 1 1 s u   it is previous + (2 + k) or previous - (2 + k); u is k ones and a 0
    1 1 0 g     a run of n symbols that don't occur, as long as it can be; g is the Elias
                gamma code of n: w - 1 zeros, then the w binary digits of n from the highest

Entries: entry j lies ``gap + 1`` positions after entry j-1 in the flattened (row-major)
tensor, the first ``gap`` positions after the beginning; no entry lies outside. Its weight
is that of its label: label 0 is the weight 0 (a filler, needed where more zeros lie
between two weights than a gap can say), label i the i-th centroid. All else is 0.

Reading: every count and size is compared with what is left of the file before anything
is allocated for it. A reader refuses whatever breaks a rule above.

Worked example
--------------
``{"w": float32 [[0, 1.5, 0], [0, 0, -2]], "b": float32 [0.5]}`` with 2-bit labels and
2-bit gaps, both at fixed width, without metadata (``{}``)::

    89 44 43 4E 4E 0D 0A 1A    magic
    01                         version
    13 00 00 00                the header has 19 bytes
    02 7B 7D                   metadata: {}
    02                         two tensors
    01 77  01 0A 02  02 03     "w": shared, float32, rank 2, shape 2 x 3
    0E                         its payload has 14 bytes
    01 62  00 0A 01  01        "b": raw, float32, rank 1, shape 1
    04                         its payload has 4 bytes
    F0 9E E9 69                CRC of all so far
    11                         w: labels and gaps of 2 bits
    00                         both at fixed width
    02 02                      two centroids, two stored entries
    00 00 00 C0  00 00 C0 3F   -2.0, 1.5
    06                         labels 2, 1
    0D                         gaps 1, 3: positions 1 and 5
    13 AC 6C 01                CRC of the payload, from that of w's record
    00 00 00 3F                b: 0.5
    45 F5 16 C0                CRC
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .cursor import varint
from .errors import ArgumentError
from .tensors import HUFFMAN, CodedStream, Float32Array

MAGIC = b"\x89DCNN\r\n\x1a"
VERSION = 1
PREFIX = struct.Struct("<8sBI")
CRC = struct.Struct("<I")
RAW, SHARED = 0, 1
DTYPES = tuple(
    np.dtype(name).newbyteorder("<")
    for name in (
        *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
        *("float16", "float32", "float64", "complex64", "complex128"),
    )
)
FLOAT32 = DTYPES.index(np.dtype("<f4"))
MAX_RANK = 32
MAX_NAME_BYTES = 65535


@dataclass(frozen=True)
class SharedRecord:
    """A tensor of shared weights as a file holds it.

    Attributes
    ----------
    shape : tuple of int
    codebook : ndarray of shape (K,), float32
        ``codebook[0] == 0.0`` is not stored.
    label_bits, gap_bits : int
        Widths, 1 to 8.
    count : int
        Stored entries S, fillers included.
    labels, gaps : CodedStream
        S symbols each.
    """

    shape: tuple[int, ...]
    codebook: Float32Array
    label_bits: int
    gap_bits: int
    count: int
    labels: CodedStream
    gaps: CodedStream


Record = SharedRecord | npt.NDArray[Any]


@dataclass(frozen=True)
class Section:
    """A run of bytes of a file: which tensor's ("" for the file's own) and what they hold."""

    tensor: str
    part: str
    size_bytes: int


@dataclass(frozen=True)
class Contents:
    """What a file holds: records by name, metadata, and what each byte is for."""

    records: dict[str, Record]
    metadata: dict[str, Any]
    sections: list[Section]


def pack(records: Mapping[str, Record], metadata: Mapping[str, Any] | None = None) -> bytes:
    """Write tensors as one file.

    Parameters
    ----------
    records : mapping of str to SharedRecord or ndarray
        An ndarray is stored raw; its dtype is one of the list above, in any byte order.
    metadata : mapping, optional
        Stored as canonical JSON (keys sorted, no spaces).

    Returns
    -------
    bytes
        The same for the same records, on every machine.

    Raises
    ------
    ArgumentError
        If a name, shape or dtype has no place in the format, or the metadata isn't JSON.
    """
    try:
        text = json.dumps(
            dict(metadata or {}), sort_keys=True, separators=(",", ":"), allow_nan=False
        ).encode()
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"metadata can't be written as JSON: {error}") from None
    heads, payloads = [], []
    for name, record in records.items():
        if isinstance(record, SharedRecord):
            payload = _shared_payload(record)
        else:
            payload = _raw_bytes(name, record)
        heads.append(_head(name, record, len(payload)))
        payloads.append(payload)
    header = varint(len(text)) + text + varint(len(heads)) + b"".join(heads)
    if len(header) >= 1 << 32:
        raise ArgumentError(f"the header would take {len(header)} bytes, 4 GiB are too many")
    start = PREFIX.pack(MAGIC, VERSION, len(header)) + header
    tensors = [
        payload + CRC.pack(zlib.crc32(payload, zlib.crc32(head)))
        for head, payload in zip(heads, payloads, strict=True)
    ]
    return start + CRC.pack(zlib.crc32(start)) + b"".join(tensors)


def _head(name: str, record: Record, payload_bytes: int) -> bytes:
    encoded = name.encode()
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        raise ArgumentError(f"a tensor's name must have 1 to {MAX_NAME_BYTES} bytes: {name[:40]!r}")
    if len(record.shape) > MAX_RANK:
        raise ArgumentError(f"tensor {name!r}: rank {len(record.shape)} is above {MAX_RANK}")
    shared = isinstance(record, SharedRecord)
    dtype = FLOAT32 if isinstance(record, SharedRecord) else DTYPES.index(_stored_dtype(record))
    return b"".join(
        [
            varint(len(encoded)),
            encoded,
            bytes([SHARED if shared else RAW, dtype, len(record.shape)]),
            *map(varint, record.shape),
            varint(payload_bytes),
        ]
    )


def _stored_dtype(array: npt.NDArray[Any]) -> np.dtype[Any]:
    return array.dtype.newbyteorder("<")


def _raw_bytes(name: str, array: npt.NDArray[Any]) -> bytes:
    if _stored_dtype(array) not in DTYPES:
        names = ", ".join(dtype.name for dtype in DTYPES)
        raise ArgumentError(f"tensor {name!r}: dtype {array.dtype} can't be stored; can: {names}")
    return array.astype(_stored_dtype(array), copy=False).tobytes()


def _shared_payload(record: SharedRecord) -> bytes:
    streams = (record.labels, record.gaps)
    return b"".join(
        [
            bytes([record.label_bits - 1 | record.gap_bits - 1 << 4]),
            bytes([record.labels.coder | record.gaps.coder << 4]),
            varint(len(record.codebook) - 1),
            varint(record.count),
            *(
                varint(len(stream.table)) + varint(len(stream.payload))
                for stream in streams
                if stream.coder == HUFFMAN
            ),
            record.codebook[1:].astype("<f4").tobytes(),
            *(stream.table + stream.payload for stream in streams),
        ]
    )
