"""CRC-32, by which a file checks itself."""

import zlib

from .. import native
from ..native import crc as native_crc

LEAST_BYTES = 1 << 12  # fewer aren't worth a call


def crc32(data: bytes | memoryview, start: int = 0) -> int:
    """Return `zlib.crc32`, which defines it.

    Examples
    --------
    >>> hex(crc32(b"123456789"))
    '0xcbf43926'
    """
    if len(data) < LEAST_BYTES or not native.active():
        return zlib.crc32(data, start)
    taken, crc = native_crc.crc32(data, start)
    return zlib.crc32(memoryview(data)[taken:], crc)
