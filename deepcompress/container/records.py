r"""The ``.dcnn`` file. This docstring is the format's specification, version 1.

`container.writer` turns records into bytes, `container.reader` goes the way back.

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
- version: 1. A reader refuses one that it doesn't know. Every change of the bytes that
  are written for the same tensors is a new version; each version stays readable.
- CRC: of all bytes before it, from the magic to the end of the header.
- The file ends with the last tensor; anything after it is an error.

Header::

    varint m        size of the metadata
    m bytes         metadata: a JSON object in UTF-8, without a byte order mark (its meaning
                    is the application's; of a key that occurs twice, the last counts)
    varint T        number of tensors
    T records       one per tensor, in the order of the tensors

Record::

    varint          p, how many bytes the name has in common with the start of the name
                    before it: as many as there are, but at most 255; 0 for the first
    varint          how many bytes of the name follow
    bytes           the name from its byte p on; it has 1 to 65535 bytes, is UTF-8, and
                    unlike all the others (byte by byte, without normalization)
    1 byte          bits 0-3: dtype of the elements; bits 4-7: encoding
    1 byte          rank, 0 to 32
    rank varints    the shape; the product of the axes that aren't 0, for a raw tensor times
                    the bytes of an element, is below 2**63
    varint          size of the tensor's data: all its chunks and their CRCs

dtypes: 0 bool (a byte, 0 or 1), 1 int8, 2 int16, 3 int32, 4 int64, 5 uint8, 6 uint16,
7 uint32, 8 uint64, 9 float16, 10 float32, 11 float64, 12 complex64, 13 complex128.

Encodings: 0 raw, 1 relative, 2 dense, 3 bitmask. But for raw, the dtype is float32.

Tensor: one or more *chunks*, each followed by the 4 bytes of its CRC. That of chunk 0 is
``CRC(chunk, CRC(record))``, that of chunk i > 0 is
``CRC(chunk, CRC(varint i, CRC(record)))``: what was moved to another place doesn't pass.

Raw: the elements in row-major order, exactly as they are, in chunks of 2**20 bytes, of
which the last may have fewer. Only a tensor without elements has an empty chunk.

The other encodings hold *shared weights*: each element is 0 or one of k centroids. The
elements, in row-major order, are cut into B = max(1, ceil(elements / 2**e)) blocks of
2**e elements, of which the last may have fewer, and each block stands for itself. With
B = 1 there is one chunk, the head followed by the block; otherwise the head is chunk 0
and block i is chunk i + 1.

Head::

    1 byte          bits 0-3: coder of the labels; bits 4-7: coder of the positions,
                    0 where the encoding is dense
    1 byte          e, 0 to 62
    1 byte          width of a gap, 1 to 8; only where the encoding is relative
    varint          k, the number of centroids, 0 to 255
    varint          size of the labels' table     } each only where the
    varint          size of the positions' table  } coder isn't 0
    per block:
      varint        S, its entries; not where the encoding is dense
      varint        bytes of its labels           } each only where the
      varint        bytes of its positions        } coder isn't 0
    4 k bytes       float32 centroids, finite, of the labels 1 … k
    bytes           table of the labels, table of the positions

Block: the coded labels, then the coded positions.

========  ======================  ==================  ===============================
encoding  labels: symbols, width  alphabet            positions: symbols, width
========  ======================  ==================  ===============================
relative  S labels, w(k)          0 … k               S gaps, the head's width
dense     a label per element     0 … k               none
bitmask   S labels less 1,        0 … k-1             ceil(elements of the block / 8)
          w(k-1)                                      bytes of the mask, 8
========  ======================  ==================  ===============================

``w(n)`` is the number of binary digits of n, at least 1. The alphabet of the gaps is
0 … 2**width - 1, that of the mask's bytes 0 … 255.

Label 0 is the weight 0, label i the i-th centroid.

- Relative: entry j of a block lies ``gap + 1`` elements after entry j-1, the first
  ``gap`` after the block's beginning; none lies outside the block. Label 0 marks a
  filler, needed where more zeros lie between two weights than a gap can say (see
  `relindex`). What no entry names is 0.
- Dense: every element has a label.
- Bitmask: bit ``i % 8`` of byte ``i // 8`` of the mask is 1 where element i of the block
  has an entry; S bits are. What has none is 0. The bits beyond the last element are 0.
  With k = 0, S is 0.

Coders: 0 fixed width, 1 Huffman, 2 rANS. A stream whose coder isn't 0 has at most 64
symbols to a byte (so that a reader's work is bounded by the size of the file).

Bits: within every stream and table, bit i is bit ``i % 8`` of byte ``i // 8``. The bits
of the last byte that aren't used are 0, and no byte follows.

Fixed width b: ``ceil(S * b / 8)`` bytes, no table; symbol j is the number in bits
``j*b … j*b + b-1``, lowest first. It belongs to the alphabet.

Huffman: the code is canonical. Codes are numbered in the order of their lengths and,
among those of one length, of their symbols: the first is 0, the next is the previous
plus 1, shifted left by the growth of the length. Lengths are 1 to 12, 0 for a symbol
that doesn't occur; the code is complete (the sum of 2**-length is 1), but for a lone
symbol, which has length 1, and for no symbols at all. A code is written from its
highest bit to its lowest.

Table of a Huffman code: the lengths, tokens for one symbol of the alphabet after the
other (``previous`` is the last length that wasn't 0, and 4 at first)::

    0           the length is previous
    1 0 s       it is previous + 1 (s = 0) or previous - 1 (s = 1)
    1 1 1 s u   it is previous + (2 + j) or previous - (2 + j); u is j ones and a 0
    1 1 0 g     a run of n symbols that don't occur, as long as it can be; g is the Elias
                gamma code of n: w - 1 zeros, then the w binary digits of n from the highest

There are tokens for the whole alphabet even where no symbol occurs; only an empty alphabet
has an empty table. No token leads to 0 or above the highest value.

rANS (``//`` and ``%`` are quotient and remainder; ``<<`` and ``>>`` bind weaker than
``+``): each symbol of the alphabet has a level, 0 if it doesn't occur, else 1 to 31. A level
l stands for the weight ``W = (2 + l % 2) << (l // 2)``. With n symbols that have a level and
T the sum of their weights, the frequency of each is ``f = 1 + (W * (2**14 - n)) // T``; what
is left to 2**14 is added to that of the first symbol among those of the largest weight. The
*start* of a symbol is the sum of the frequencies of all smaller symbols.

A stream of no symbols has no bytes. Any other begins with the initial state x, 4 bytes, with
``2**23 <= x < 2**31``. For each symbol: ``slot = x % 2**14``; the symbol is the one with
``start <= slot < start + f``; x becomes ``f * (x >> 14) + slot - start``, and then, while
``x < 2**23``, ``(x << 8) + the next byte``. After the last symbol x is exactly 2**23, and
no byte is left.

Table of rANS levels: as that of the lengths, but the values are levels, at most 31, and
``previous`` is 24 at first.

What a reader refuses
---------------------
Whatever breaks a rule above; every count and size is compared with what is left of the file
before anything is allocated for it. In particular: another magic or an unknown version; a
CRC that doesn't match; bytes missing or left over, of the file, the header, a tensor, a
chunk, a table or a stream; a varint longer than needed; metadata that isn't an object, or
has NaN, Infinity or a number beyond float64's range; names that are empty, not UTF-8, twice
the same, or share more bytes with the one before than they say; unknown dtypes, encodings and
coders; bools other than 0 and 1; centroids that aren't finite; lengths or levels that no code
has; symbols outside their alphabet; entries outside their block; a mask with another number of
bits than S; unused bits that aren't 0; more than 64 symbols to a byte.

What isn't refused, though our writer doesn't do it: fillers where none is needed, centroids
that no label names or that occur twice, codes of symbols that occur nowhere, blocks of
another size, a coder that isn't the cheapest, centroids that are 0 or -0.0. (What no entry
names is 0.0 all the same.)

A reader may decline what is too large for it, though the file isn't at fault: a tensor that
its memory can't hold densely, metadata nested too deeply or with numbers of too many digits.

What the checksums cover: that of the header every byte before it; those of the chunks every
other byte. A reader that wants a part of a tensor reads the header, chunk 0 of the tensor,
and the chunks of the blocks in which the part lies.

Worked example
--------------
``{"w": float32 [[0, 1.5, 0], [0, 0, -2]], "b": float32 [0.5]}``, relative with 2-bit
gaps, both streams at fixed width, without metadata (``{}``)::

    89 44 43 4E 4E 0D 0A 1A    magic
    01                         version
    13 00 00 00                the header has 19 bytes
    02 7B 7D                   metadata: {}
    02                         two tensors
    00 01 77  1A 02  02 03     "w": relative, float32, rank 2, shape 2 x 3
    13                         its data has 19 bytes
    00 01 62  0A 01  01        "b": raw, float32, rank 1, shape 1
    08                         its data has 8 bytes
    F2 C9 5B F1                CRC of all so far
    00                         w: both streams at fixed width
    14                         blocks of 2**20 elements
    02                         gaps of 2 bits
    02                         two centroids
    02                         block 0: two entries
    00 00 00 C0  00 00 C0 3F   -2.0, 1.5
    06                         labels 2, 1
    0D                         gaps 1, 3: elements 1 and 5
    E1 22 FD 68                CRC of the chunk, from that of w's record
    00 00 00 3F                b: 0.5
    D5 D1 2D 8C                CRC
"""

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array

MAGIC = b"\x89DCNN\r\n\x1a"
VERSION = 1
PREFIX = struct.Struct("<8sBI")
CRC = struct.Struct("<I")
RAW, RELATIVE, DENSE, BITMASK = range(4)
ENCODINGS = ("raw", "relative", "dense", "bitmask")
CODERS = ("fixed", "huffman", "rans")
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
MAX_COMMON_BYTES = 255  # of a name and the one before: so the header bounds all names
MAX_CENTROIDS = 255
MAX_BLOCK_BITS = 62
RAW_CHUNK_BYTES = 1 << 20
SYMBOLS_PER_BYTE = 64  # of a stream that isn't at fixed width, at most


@dataclass(frozen=True)
class Coding:
    """How a tensor of shared weights is written.

    Attributes
    ----------
    encoding : int
        `RELATIVE`, `DENSE` or `BITMASK`.
    label_coder, position_coder : int
        Indices into `CODERS`; the latter is 0 for a dense tensor.
    gap_bits : int
        Width of a gap, 1 to 8, for a relative tensor; else 0.
    block_bits : int
        e: log2 of the elements of a block, 0 to 62.
    """

    encoding: int
    label_coder: int = 0
    position_coder: int = 0
    gap_bits: int = 0
    block_bits: int = 20


@dataclass(frozen=True)
class Block:
    """A block's streams as a file holds them; `count` are its entries S."""

    count: int
    labels: bytes
    positions: bytes


@dataclass(frozen=True)
class SharedRecord:
    """A tensor of shared weights as a file holds it.

    Attributes
    ----------
    shape : tuple of int
    codebook : ndarray of shape (K,), float32
        ``codebook[0] == 0.0`` is not stored; K = k + 1.
    coding : Coding
    label_table, position_table : bytes
        Empty where the coder has none.
    blocks : tuple of Block
        All of them, or those that were asked for.
    """

    shape: tuple[int, ...]
    codebook: Float32Array
    coding: Coding
    label_table: bytes
    position_table: bytes
    blocks: tuple[Block, ...]


Record = SharedRecord | npt.NDArray[Any]


@dataclass(frozen=True)
class Section:
    """A run of bytes of a file: which tensor's ("" for the file's own) and what they hold."""

    tensor: str
    part: str
    size_bytes: int
