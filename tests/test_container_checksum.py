"""The checksum is zlib's, whatever the size, the alignment and the start."""

import zlib

import numpy as np
import pytest

from deepcompress import native
from deepcompress.container.checksum import LEAST_BYTES, crc32

DATA = np.random.default_rng(0).integers(0, 256, 3 * LEAST_BYTES, dtype=np.uint8).tobytes()
BACKENDS = ["reference", *(["native"] if native.info()["compiler"] else [])]


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_zlibs(backend: str) -> None:
    view = memoryview(DATA)
    with native.use(backend):
        for size in [0, 1, *range(LEAST_BYTES - 2, LEAST_BYTES + 130), 2 * LEAST_BYTES]:
            for begin in (0, 1, 7):
                for start in (0, 1, 0xFFFFFFFF, 0x12345678):
                    piece = view[begin : begin + size]
                    assert crc32(piece, start) == zlib.crc32(piece, start)


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_bit_counts(backend: str) -> None:
    data = bytearray(DATA[: LEAST_BYTES + 21])
    with native.use(backend):
        seen = {crc32(bytes(data))}
        for bit in range(0, 8 * len(data), 97):
            data[bit // 8] ^= 1 << bit % 8
            seen.add(crc32(bytes(data)))
            data[bit // 8] ^= 1 << bit % 8
    assert len(seen) == 1 + len(range(0, 8 * len(data), 97))
