"""Shrinkable generators of what the stages exchange, built from small integers."""

from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
from hypothesis.extra import numpy as hnp

from deepcompress import relindex
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.tensors import SharedWeights


def packed(bits):
    """Bits in the order in which they are written, spaces aside, as bytes."""
    bits = [int(bit) for bit in bits.replace(" ", "")]
    return np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()


widths = st.integers(1, 8)


def symbols(max_symbol=255, max_size=300):
    """Arrays of uint8, short enough to shrink and long enough for whole blocks and tails."""
    return hnp.arrays(np.uint8, st.integers(0, max_size), elements=st.integers(0, max_symbol))


@st.composite
def packable(draw):
    """A width and values that fit it."""
    bits = draw(widths)
    return bits, draw(symbols(2**bits - 1))


class Sparse(NamedTuple):
    """Positions of survivors in a tensor of `size` elements."""

    positions: np.ndarray
    size: int


@st.composite
def sparse(draw):
    """Positions from gaps of all magnitudes, with zeros after the last one or without."""
    gaps = st.integers(0, 20) | st.integers(0, 2000)
    runs = np.array(draw(st.lists(gaps, max_size=60)), np.int64)
    positions = np.cumsum(runs + 1) - 1
    end = int(positions[-1]) + 1 if positions.size else 0
    return Sparse(positions, end + draw(gaps))


@st.composite
def counts(draw, max_alphabet=256):
    """Counts of symbols: few or many, equal or of very different magnitudes."""
    magnitude = draw(st.sampled_from([1, 3, 1000, 2**40]))
    return np.array(
        draw(st.lists(st.integers(0, magnitude), max_size=max_alphabet)), dtype=np.int64
    )


def rans_payloads(max_size=40):
    """Bytes, most of which begin with a state that a coder may leave."""
    states = st.integers(2**23, 2**31 - 1).map(lambda state: state.to_bytes(4, "little"))
    rest = st.binary(max_size=max_size)
    return rest | st.tuples(states, rest).map(b"".join)


class Compressed(NamedTuple):
    """A compressed tensor and the dense one that it stands for."""

    packed: CompressedTensor
    dense: np.ndarray


@st.composite
def compressed(draw, min_rank=0, max_rank=4):
    """Tensors of any rank and density, centroids and widths."""
    shape = draw(hnp.array_shapes(min_dims=min_rank, max_dims=max_rank, min_side=0, max_side=13))
    size = int(np.prod(shape))
    bits, gap_bits = draw(widths), draw(widths)
    centroids = draw(
        st.lists(st.integers(-1000, 1000).filter(bool), max_size=2**bits - 1, unique=True)
    )
    codebook = np.array([0, *sorted(centroids)], np.float32) / 64
    density = draw(st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0])) if centroids else 0.0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    positions = np.flatnonzero(rng.random(size) < density)
    labels = rng.integers(1, max(len(codebook), 2), positions.size).astype(np.uint8)
    dense = np.zeros(size, np.float32)
    dense[positions] = codebook[labels]
    packed = CompressedTensor.from_parts(
        shape, SharedWeights(codebook, labels, bits), relindex.encode(positions, size, gap_bits)
    )
    return Compressed(packed, dense.reshape(shape))
