"""Codebooks of which a file holds the step alone: when, how, and what is refused."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.file_parts import take_apart
from support.reference_reader import reader

import deepcompress as dc
from deepcompress import dtypes
from deepcompress.coding import encoder
from deepcompress.container.grids import GRID_BYTES, grid_codebook, grid_of
from deepcompress.container.records import CONTEXT, DENSE, Coding
from deepcompress.errors import FormatError
from deepcompress.packed.survivors import pack
from deepcompress.pipeline import from_bytes
from deepcompress.reports.ledger import account
from deepcompress.tensors import Survivors

CONTEXTS = Coding(CONTEXT, block_bits=62)
HALF = replace(CONTEXTS, half=True)


def tensor(centroids, dtype="float32", seed=0):
    """Return a tensor of 10 x 30 weights with some of the centroids, and zeros."""
    rng = np.random.default_rng(seed)
    codebook = np.concatenate([[0], centroids]).astype(np.float32)
    labels = rng.integers(0, len(codebook), 300).astype(np.uint8)
    positions = np.flatnonzero(labels)
    kind = dtypes.named(np.dtype(dtype))
    return pack(Survivors((10, 30), codebook, positions, labels[positions], kind))


def written(weights, coding=CONTEXTS):
    return dc.CompressedModel({"w": weights}, {}, {"w": coding}).to_bytes()


def steps(below, above, step=0.3):
    """Return centroids as a file's grid has them."""
    return grid_codebook(np.float32(step), below, below + above)[1:]


@given(
    st.floats(2.0**-149, 2.0**120, width=32),
    st.integers(0, 255).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, 255 - n))),
)
def test_a_grid_is_found_as_it_was_made(step, sides):
    below, above = sides
    codebook = grid_codebook(np.float32(step), below, below + above)
    assert codebook[0] == 0
    assert np.array_equal(np.sort(codebook[1:]), codebook[1:])
    assert np.unique(codebook).size == below + above + 1
    found = grid_of(codebook)
    assert found == ((np.float32(step), below) if below + above else None)
    if below + above > 1 and step > 1e-30:
        codebook[-1] = np.nextafter(codebook[-1], np.float32(np.inf))
        again = grid_of(codebook)
        assert again is None or again[0] != np.float32(step)


@pytest.mark.parametrize(
    "codebook", [[0], [0, 0], [0, -0.0], [0, np.nan], [0, np.inf], [0, 2, 1], [0, 1, -1], [0, 1, 1]]
)
def test_no_grids(codebook):
    assert grid_of(np.array(codebook, np.float32)) is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sides", [(2, 3), (0, 9), (7, 0), (100, 155)])
@pytest.mark.parametrize("coding", [CONTEXTS, HALF])
def test_a_file_has_the_step_alone(dtype, sides, coding):
    weights = tensor(steps(*sides), dtype)
    data = written(weights, coding)
    assert data[8] == 4
    back = from_bytes(data)
    assert back.storage["w"].grid
    assert not back.storage["w"].half
    assert back["w"].codebook.tobytes() == weights.codebook.tobytes()
    assert np.array_equal(back["w"].to_dense(), weights.to_dense())
    assert back["w"].to_dense().dtype == dtype
    assert back.to_bytes() == data
    assert np.array_equal(reader.read(data)[0]["w"], weights.to_dense())
    chunk = take_apart(data).chunks[0][0]
    assert chunk[0] & 2
    size = 1 if sum(sides) < 128 else 2  # of Centroid_Count
    assert chunk[1 + size : 1 + size + GRID_BYTES] == struct.pack("<Bf", sides[0], 0.3)
    # Other encodings have all centroids, and the versions that they had.
    dense = written(weights, Coding(DENSE))
    assert dense[8] == (1 if dtype == "float32" else 2)
    assert np.array_equal(from_bytes(dense)["w"].to_dense(), weights.to_dense())


@pytest.mark.parametrize(
    ("centroids", "coding", "dtype"),
    [
        (steps(0, 1), CONTEXTS, "float32"),  # 4 bytes, which are fewer
        (steps(1, 1, 0.5), HALF, "float32"),  # 4 bytes as well
        ([-1, 1, 2.5], CONTEXTS, "float32"),
        (steps(4, 4, 0.5), CONTEXTS, "float16"),
        (steps(4, 4, 1), CONTEXTS, "int8"),
    ],
)
def test_others_have_all_centroids(centroids, coding, dtype):
    weights = tensor(centroids, dtype)
    data = written(weights, coding)
    assert data[8] == 3
    assert not from_bytes(data).storage["w"].grid
    assert np.array_equal(from_bytes(data)["w"].to_dense(), weights.to_dense())


def test_the_size_that_is_told_is_that_of_the_file():
    for centroids in (steps(20, 30), steps(0, 1)):
        data = written(tensor(centroids))
        told = account(data, "w").sections
        parts = {one.part: one.size_bytes for one in told if one.tensor == "w"}
        assert parts["codebooks"] == (GRID_BYTES if len(centroids) > 1 else 4)
        assert sum(one.size_bytes for one in told) == len(data)


GRID_AT = 2  # Coder_Descriptor and Centroid_Count come before


def damaged(change):
    """Return a file whose grid, a bytearray of Below_Count and Step, was changed."""
    parts = take_apart(written(tensor(steps(3, 4))))
    chunk = bytearray(parts.chunks[0][0])
    change(chunk)
    parts.chunks[0][0] = bytes(chunk)
    return parts


@pytest.mark.parametrize("step", [0.0, -0.3, np.nan, np.inf, -np.inf, 2.0**127])
def test_steps_that_make_no_grid_are_refused(step):
    data = damaged(lambda chunk: struct.pack_into("<f", chunk, GRID_AT + 1, step)).to_bytes()
    with pytest.raises(FormatError, match=r"a step of .+ for 7 centroids"):
        from_bytes(data)
    with pytest.raises(ValueError, match="a step of"):
        reader.read(data)


@pytest.mark.parametrize(("count", "below"), [(7, 8), (7, 255), (0, 0)])
def test_counts_that_make_no_grid_are_refused(count, below):
    def change(chunk):
        chunk[1], chunk[GRID_AT] = count, below

    with pytest.raises(FormatError, match=f"{below} centroids below 0, of {count}"):
        from_bytes(damaged(change).to_bytes())
    with pytest.raises(ValueError, match=f"{below} centroids below 0, of {count}"):
        reader.read(damaged(change).to_bytes())


def test_a_grid_is_of_version_4_of_wide_floats_and_not_of_float16():
    parts = damaged(lambda chunk: None)
    parts.version = 3
    with pytest.raises(FormatError, match="unknown coder in 0x02"):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match="before version 4"):
        reader.read(parts.to_bytes())
    data = damaged(lambda chunk: chunk.__setitem__(0, 10)).to_bytes()
    with pytest.raises(FormatError, match="float16 and multiples of a step"):
        from_bytes(data)
    with pytest.raises(ValueError, match="unknown coder"):
        reader.read(data)
    parts = take_apart(written(tensor(steps(4, 4, 0.5), "float16")))
    parts.chunks[0][0] = bytes([2]) + parts.chunks[0][0][1:]
    parts.version = 4
    with pytest.raises(FormatError, match="unknown coder in 0x02"):
        from_bytes(parts.to_bytes())
    with pytest.raises(ValueError, match="another dtype"):
        reader.read(parts.to_bytes())


def test_a_codebook_that_is_cut_short_is_refused():
    parts = damaged(lambda chunk: chunk.__delitem__(slice(GRID_AT + 2, None)))
    with pytest.raises(FormatError, match=r"step of the centroids|bytes"):
        from_bytes(parts.to_bytes())


def test_the_encoder_says_whether_it_is_one():
    assert encoder.encode(tensor(steps(3, 4)), HALF).coding == replace(CONTEXTS, grid=True)
    assert encoder.encode(tensor([-1, 1, 2.5]), HALF).coding == HALF
