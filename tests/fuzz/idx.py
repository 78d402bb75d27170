"""IDX files, plain and compressed by gzip."""

import gzip
import struct
import zlib
from random import Random

from deepcompress.formats.idx import read_idx

from .limits import limited, outcome, require, scratch_path

_path = scratch_path()


def test_one_input(data: bytes) -> None:
    _path.write_bytes(data)
    with limited("reading", 1 << 24):  # deflate makes a KB of a MB at most
        array, _ = outcome(lambda: read_idx(_path))
    if array is None:
        return
    written = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()
    plain = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    require(written == plain, "the bytes that were read don't come back")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: object) -> bytes:
    """Change what is compressed, too."""
    if data.startswith(b"\x1f\x8b") and random.random() < 0.7:
        try:
            plain = gzip.decompress(data)
        except (OSError, EOFError, zlib.error):
            plain = data
        return gzip.compress(mutate_bytes(plain[:max_size], max_size), mtime=0)[:max_size]
    return mutate_bytes(data, max_size)
