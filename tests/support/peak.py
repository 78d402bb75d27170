"""The memory and the work that a call takes, and models to decode."""

import sys
import tracemalloc
from collections.abc import Callable

import numpy as np

import deepcompress as dc
from deepcompress.container.records import Coding
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.tensors import Survivors


def peak_of(call: Callable[[], object]) -> int:
    """Return the most bytes that a call had allocated at once, its result included.

    The least of several calls: what Python allocates for itself now and then, as for a
    dictionary that grows, isn't theirs.
    """
    return min(_peak_of(call) for _ in range(3))


def _peak_of(call: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak


def calls_of(call: Callable[[], object]) -> int:
    """Return how many functions a call enters and leaves, those in C included."""
    count = 0

    def note(*_: object) -> None:
        nonlocal count
        count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return count


def model(size: int, density: float, k: int, how: Coding, seed: int = 0) -> dc.CompressedModel:
    """Return a matrix of ten columns, or as many elements in one row."""
    rng = np.random.default_rng(seed)
    positions = np.flatnonzero(rng.random(size) < density)
    uneven = rng.integers(0, k, positions.size) * rng.random(positions.size)
    labels = (1 + uneven.astype(np.int64)).astype(np.uint8)
    shape = (size // 10, 10) if size % 10 == 0 else (1, size)
    codebook = np.arange(k + 1, dtype=np.float32)
    tensor = pack_weights(Survivors(shape, codebook, positions, labels), how.gap_bits or 4)
    return dc.CompressedModel({"w": tensor}, {}, {"w": how})
