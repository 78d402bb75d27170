"""Pieces of a file, of which some are written where they are to be."""

import numpy as np
import pytest

import deepcompress as dc
from deepcompress import native
from deepcompress.coding import planes
from deepcompress.container.records import PlaneCoding, PlannedPlanes
from deepcompress.container.writer import pack, tensor_part
from deepcompress.model_file import ModelFile
from deepcompress.native import pages

BACKENDS = ["reference", *(["native"] if native.info()["compiler"] else [])]
needs_c = pytest.mark.skipif(len(BACKENDS) < 2, reason="there is no C extension")
SIZES = {"raw": 5, "large": 1_400_000, "raw, too": 7, "small": 20_000}
BLOCK = 1 << PlaneCoding(()).block_bits


def normal(count: int) -> np.ndarray:
    return np.random.default_rng(count).normal(size=count).astype(np.float32)


def test_a_file_in_large_pages_is_the_same() -> None:
    """Planes, which C writes to their places, among raw tensors."""
    tensors = {name: normal(count) for name, count in SIZES.items()}
    written = []
    for backend in BACKENDS:
        with native.use(backend):
            written.append(dc.compress(tensors, dc.preset("lossless")).to_bytes())
            back = ModelFile(written[-1])
            assert all(back[name].tobytes() == array.tobytes() for name, array in tensors.items())
    assert len(written[0]) > pages.LEAST_BYTES
    assert written[0] == written[-1]


@needs_c
@pytest.mark.parametrize("count", [BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK])
def test_what_is_written_later_is_what_the_file_has(count: int) -> None:
    array = normal(count)
    with native.use("native"):
        record = planes.encode_if_smaller(array, "huffman", small=True)
        assert isinstance(record, PlannedPlanes)
        part = tensor_part("w", "", record)
        data = b"".join(part.written())
        whole = pack({"w": record})
    assert len(data) == sum(map(len, part.data)) == record.data_bytes
    assert whole.endswith(data)
    with native.use("reference"):
        assert whole == pack({"w": planes.encode_if_smaller(array, "huffman", small=True)})


@needs_c
@pytest.mark.parametrize("begin", [0, 1, 4095, 4096])
def test_large_pages_leave_memory_as_it_is(begin: int) -> None:
    memory = bytearray(range(256)) * (pages.LEAST_BYTES // 256 + 32)
    before = bytes(memory)
    with native.use("native"):
        pages.want_large(memoryview(memory)[begin:])
        pages.want_large(memoryview(memory)[begin : begin + 5])
    assert memory == before
