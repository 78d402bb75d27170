"""What a price is made of: symbols counted from survivors, as if they had been written."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.strategies import sparse

from deepcompress.coding import counts
from deepcompress.coding.counts import SymbolCounter, count_symbols
from deepcompress.coding.symbols import block_symbols
from deepcompress.container.records import BITMASK, DENSE, RELATIVE, Coding
from deepcompress.tensors import Survivors

CODINGS = [
    *((RELATIVE, gap_bits) for gap_bits in range(1, 9)),
    (DENSE, 0),
    (BITMASK, 0),
]


def check(positions, size, k, block_bits, seed=0):
    labels = np.random.default_rng(seed).integers(1, k + 1, len(positions)).astype(np.uint8)
    codebook = np.arange(k + 1, dtype=np.float32)
    weights = Survivors((size,), codebook, positions, labels)
    counter = SymbolCounter(weights, block_bits)
    for encoding, gap_bits in CODINGS:
        coding = Coding(encoding, gap_bits=gap_bits, block_bits=block_bits)
        defined = count_symbols(list(block_symbols(weights, coding)), coding, k)
        found = counter.count(coding)
        for field in ("entries", "labels", "positions"):
            np.testing.assert_array_equal(getattr(found, field), getattr(defined, field))


@given(sparse(), st.integers(1, 255), st.integers(2, 13), st.integers(0, 9))
def test_counted_as_they_would_be_written(tensor, k, block_bits, seed):
    check(tensor.positions, tensor.size, k, block_bits, seed)


@given(sparse(), st.integers(1, 255), st.integers(2, 13), st.integers(1, 9))
def test_counted_in_chunks(tensor, k, block_bits, chunk):
    with mock.patch.object(counts, "CHUNK_SURVIVORS", chunk):
        check(tensor.positions, tensor.size, k, block_bits)


@pytest.mark.parametrize("block_bits", [0, 1, 3, 20, 62])
@pytest.mark.parametrize(
    ("positions", "size"),
    [
        ([], 0),  # no elements: one block without any
        ([], 20),
        ([0], 1),
        ([19], 20),  # a block's last element; all blocks before it are empty
        ([7, 8], 16),  # neighbours in two bytes of a mask, or in two blocks
        (range(20), 20),
        ([5, 300, 900], 1000),  # runs beyond 8 bits
    ],
)
def test_nooks(positions, size, block_bits):
    check(np.array(positions, np.int64), size, 3, block_bits)
    if len(positions) == 0:
        check(np.array(positions, np.int64), size, 0, block_bits)
