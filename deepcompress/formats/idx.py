"""Reads IDX, the file format of MNIST.

Format notes (http://yann.lecun.com/exdb/mnist):

- two zero bytes, a dtype code (0x08: unsigned byte, the only one MNIST uses),
  the rank, then one big-endian uint32 per axis, then the elements in row-major
  order and nothing after them; an empty axis is refused;
- a gzip-compressed file is detected by its first bytes, never by its name; offsets
  in messages count uncompressed bytes;
- no memory is allocated for a declared size: bytes are read piece by piece, and at
  most one more than the header declares.
"""

import gzip
import math
import os
import struct
import zlib
from typing import BinaryIO

import numpy as np

from ..errors import DataError
from ..tensors import UInt8Array

_PIECE_BYTES = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> UInt8Array:
    """Read one IDX file of unsigned bytes, plain or gzip-compressed.

    Returns
    -------
    ndarray of rank 1 to 3, uint8
        Shaped as the header declares.

    Raises
    ------
    DataError
        If the file can't be read, isn't IDX, or is shorter or longer than its
        header declares; with the file's name and the offset in bytes.
    """
    try:
        with open(path, "rb") as file:
            is_compressed = file.peek(2).startswith(b"\x1f\x8b")
            stream = gzip.GzipFile(fileobj=file) if is_compressed else file
            return _read_idx(stream)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as reason:
        where = f"{path}: after offset {stream.tell()}"
        raise DataError(f"{where}: corrupt gzip data: {reason}") from reason
    except OSError as reason:
        raise DataError(f"{path}: can't read it: {reason.strerror or reason}") from reason


def _read_idx(stream: BinaryIO | gzip.GzipFile) -> UInt8Array:
    """Parse one IDX file; errors tell the offset."""
    magic = _read(stream, 0, 4, "within the magic number")
    zeros, dtype_code, rank = struct.unpack(">HBB", magic)
    if zeros != 0:
        raise DataError(f"offset 0: not an IDX file, begins with {magic.hex(' ')}")
    if dtype_code != 0x08:
        raise DataError(f"offset 2: dtype code {dtype_code:#04x}, only 0x08 (unsigned byte)")
    if not 1 <= rank <= 3:
        raise DataError(f"offset 3: rank {rank}, only 1 … 3")
    sizes = _read(stream, 4, 4 * rank, f"within the sizes of {rank} axes")
    shape = struct.unpack(f">{rank}I", sizes)
    if 0 in shape:
        raise DataError(f"offset {4 + 4 * shape.index(0)}: an axis of size 0 in {shape}")
    start, declared = 4 + len(sizes), math.prod(shape)
    end = f"after {{}} of the {declared} elements that its header declares"
    elements = _read(stream, start, declared, end)
    if stream.read(1):
        raise DataError(f"offset {start + declared}: more bytes than its header declares")
    return np.frombuffer(elements, np.uint8).reshape(shape)


def _read(stream: BinaryIO | gzip.GzipFile, offset: int, size: int, end: str) -> bytearray:
    """Read bytes; memory follows those that are there. `end` says where too few of them end."""
    data = bytearray()
    while piece := stream.read(min(size - len(data), _PIECE_BYTES)):
        data += piece
    if len(data) < size:
        raise DataError(f"offset {offset + len(data)}: ends {end.format(len(data))}")
    return data
