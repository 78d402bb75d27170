"""Codebooks that are multiples of a step: as small as they can be, and the same to the last bit."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.file_parts import take_apart
from support.reference_reader import reader
from support.spec import spec_example

import deepcompress as dc
from deepcompress import dtypes
from deepcompress.coding.prices import Choice
from deepcompress.container.grids import GRID_BYTES, grid_codebook, grid_of
from deepcompress.container.records import CONTEXT, MAX_BLOCK_BITS, Coding
from deepcompress.errors import FormatError
from deepcompress.packed.survivors import pack
from deepcompress.pipeline import from_bytes
from deepcompress.reports.ledger import account
from deepcompress.tensors import Survivors

GRID = Coding(CONTEXT, block_bits=MAX_BLOCK_BITS, grid=True)


def model_of(codebook: np.ndarray, coding: Coding, dtype: str = "float32") -> dc.CompressedModel:
    labels = (np.arange(60) % len(codebook)).astype(np.uint8)
    positions = np.flatnonzero(labels)
    element_type = dtypes.named(np.dtype(dtype))
    weights = Survivors((6, 10), codebook, positions, labels[labels > 0], element_type)
    return dc.CompressedModel({"w": pack(weights)}, {}, {"w": coding})


@given(st.integers(0, 255), st.integers(0, 255), st.floats(2**-140, 2**100, width=32))
def test_a_step_gives_the_codebook_back(below, above, step):
    count = min(below + above, 255)
    below = min(below, count)
    codebook = grid_codebook(np.float32(step), below, count)
    assert len(codebook) == count + 1
    assert np.array_equal(
        codebook[1 : below + 1], -grid_codebook(np.float32(step), 0, below)[:0:-1]
    )
    assert grid_of(codebook) == ((step, below) if count else None)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("below", "count"), [(0, 2), (2, 2), (7, 15), (127, 255), (0, 255)])
def test_files(dtype, below, count):
    codebook = grid_codebook(np.float32(0.1), below, count)
    data = model_of(codebook, GRID, dtype).to_bytes()
    assert data[8] == 4
    back = from_bytes(data)
    assert back.storage == {"w": GRID}
    assert back["w"].codebook.tobytes() == codebook.tobytes()
    assert back.to_bytes() == data
    assert np.array_equal(reader.read(data)[0]["w"], back["w"].to_dense())
    stored = model_of(codebook, replace(GRID, grid=False), dtype).to_bytes()
    assert stored[8] == 3
    sizes = [dc.ModelFile(file).entries["w"].data_bytes for file in (data, stored)]
    assert sizes[0] == sizes[1] - 4 * count + 5
    assert from_bytes(stored).to_bytes() == stored


@pytest.mark.parametrize("half", [False, True])
def test_what_is_no_grid_or_not_smaller_is_stored(half):
    for codebook in ([0, -2, -1, 1, 2.5], [0, 2, 4, 1], [0, 1, 1], [0, 1], [0]):
        coding = replace(GRID, half=half)
        data = model_of(np.float32(codebook), coding).to_bytes()
        assert data[8] == 3
        assert from_bytes(data).storage == {"w": replace(coding, grid=False)}
    grid = grid_codebook(np.float32(0.5), 3, 6)
    data = model_of(grid, replace(GRID, half=half)).to_bytes()
    assert from_bytes(data).storage == {"w": GRID}  # 5 bytes for 12 or 24
    halves = model_of(grid, Choice(encoding="context", half=half)).to_bytes()
    assert from_bytes(halves).storage == {"w": GRID}
    assert not from_bytes(model_of(grid, GRID, "float16").to_bytes()).storage["w"].grid


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("0a 02 01 0000803f", "float16 and multiples"),
        ("02 02 03 0000803f", "3 centroids below 0, of 2"),
        ("02 00 00 0000803f", "0 centroids below 0, of 0"),
        ("02 02 01 00000000", "a step of 0.0"),
        ("02 02 01 000080bf", "a step of -1.0"),
        ("02 02 01 0000c07f", "a step of nan"),
        ("02 02 01 0000807f", "a step of inf"),
        ("02 02 00 ffff7f7f", "a step of 3.4"),
    ],
)
def test_grids_that_are_refused(head, words):
    parts = take_apart(model_of(grid_codebook(np.float32(1), 1, 2), GRID).to_bytes())
    assert parts.chunks[0][0][:7] == bytes.fromhex("02 02 01 0000803f")
    parts.chunks[0][0] = bytes.fromhex(head) + parts.chunks[0][0][7:]
    with pytest.raises(FormatError, match=words):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match=r"centroid|step|coder"):
        reader.read(parts.to_bytes())


def test_it_is_of_version_4_and_of_wide_floats():
    parts = take_apart(model_of(grid_codebook(np.float32(1), 1, 2), GRID).to_bytes())
    parts.version = 3
    with pytest.raises(FormatError, match="unknown coder in 0x02"):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match="before version 4"):
        reader.read(parts.to_bytes())
    parts = take_apart(model_of(np.float32([0, -1, 1, 2]), GRID, "float16").to_bytes())
    parts.chunks[0][0] = bytes([2]) + parts.chunks[0][0][1:]
    parts.version = 4
    with pytest.raises(FormatError, match="unknown coder in 0x02"):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match="another dtype"):
        reader.read(parts.to_bytes())


def test_the_size_that_is_told_is_that_of_the_file():
    for above, size in ((9, GRID_BYTES), (1, 4)):
        data = model_of(grid_codebook(np.float32(0.3), 0, above), GRID).to_bytes()
        told = account(data, "w").sections
        (codebook,) = [one.size_bytes for one in told if one.part == "codebooks"]
        assert codebook == size
        assert sum(one.size_bytes for one in told) == len(data)


def test_the_example_of_the_document_is_what_we_write_and_read():
    data = spec_example("### Version 4")
    back = from_bytes(data)
    assert back["w"].to_dense().tolist() == [[1, 0, 0.5], [0, 1, 0]]
    assert back["w"].codebook.tolist() == [0, -0.5, 0.5, 1]
    assert back.storage == {"w": replace(GRID, trellis=True)}
    assert back.to_bytes() == data
    assert reader.read(data)[0]["w"].tolist() == [[1, 0, 0.5], [0, 1, 0]]
