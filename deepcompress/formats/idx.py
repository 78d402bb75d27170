"""Reads IDX, the file format of MNIST.

Format notes (http://yann.lecun.com/exdb/mnist):

- two zero bytes, a dtype code (0x08: unsigned byte, the only one MNIST uses),
  the rank, then one big-endian uint32 per axis, then the elements in row-major
  order and nothing after them; an empty axis is refused;
- a gzip-compressed file is told by its first bytes, never by its name; offsets
  in messages count uncompressed bytes;
- nothing is allocated on a header's word: bytes are read piece by piece, and at
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

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 0x08
_MAX_RANK = 3
_PIECE_BYTES = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> UInt8Array:
    """Read one IDX file of unsigned bytes, plain or gzip-compressed.

    Parameters
    ----------
    path : path

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
            compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
            file.seek(0)
            if not compressed:
                return _read_idx(file, path)
            with gzip.open(file) as stream:
                return _read_idx(stream, path)
    except OSError as reason:
        raise DataError(f"{path}: can't read it: {reason.strerror or reason}") from reason


def _read_idx(stream: BinaryIO | gzip.GzipFile, path: str | os.PathLike[str]) -> UInt8Array:
    """Parse one IDX file; `path` is for messages."""
    magic = _read(stream, path, 0, 4)
    if len(magic) < 4:
        raise DataError(f"{path}: offset {len(magic)}: ends within the magic number")
    zeros, dtype_code, rank = struct.unpack(">HBB", magic)
    if zeros != 0:
        raise DataError(f"{path}: offset 0: not an IDX file, begins with {magic.hex(' ')}")
    if dtype_code != _UNSIGNED_BYTE:
        raise DataError(
            f"{path}: offset 2: dtype code {dtype_code:#04x}, only 0x08 (unsigned byte)"
        )
    if not 1 <= rank <= _MAX_RANK:
        raise DataError(f"{path}: offset 3: rank {rank}, only 1 … {_MAX_RANK}")
    sizes = _read(stream, path, 4, 4 * rank)
    if len(sizes) < 4 * rank:
        raise DataError(f"{path}: offset {4 + len(sizes)}: ends within the sizes of {rank} axes")
    shape = struct.unpack(f">{rank}I", sizes)
    if 0 in shape:
        raise DataError(f"{path}: offset {4 + 4 * shape.index(0)}: an axis of size 0 in {shape}")
    start, declared = 4 + 4 * rank, math.prod(shape)
    elements = _read(stream, path, start, declared + 1)
    if len(elements) < declared:
        raise DataError(
            f"{path}: offset {start + len(elements)}: ends after {len(elements)} "
            f"of the {declared} elements that its header declares"
        )
    if len(elements) > declared:
        raise DataError(f"{path}: offset {start + declared}: more bytes than its header declares")
    return np.frombuffer(elements, np.uint8).reshape(shape)


def _read(
    stream: BinaryIO | gzip.GzipFile, path: str | os.PathLike[str], offset: int, most: int
) -> bytearray:
    """Read up to `most` bytes; memory follows what is really there, not what was declared."""
    data = bytearray()
    try:
        while len(data) < most and (piece := stream.read(min(most - len(data), _PIECE_BYTES))):
            data += piece
    except (gzip.BadGzipFile, EOFError, zlib.error) as reason:
        raise DataError(
            f"{path}: after offset {offset + len(data)}: corrupt gzip data: {reason}"
        ) from reason
    return data
