"""The largest magnitudes of a tensor, found a part at a time: for `prune`, which checks all.

No copy of the tensor is made, whatever its size.
"""

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .tensors import BoolArray

Floats = npt.NDArray[np.floating]

CHUNK_ELEMENTS = 1 << 17  # at a time, so that they stay in the cache and take no memory
SAMPLE_ELEMENTS = 1 << 16


def magnitudes(values: Floats, mask: BoolArray | None) -> Iterator[tuple[slice, Floats]]:
    """Yield abs(values), 0 outside the mask, a part of the flattened tensor at a time."""
    flat = values.reshape(-1)
    survives = None if mask is None else mask.reshape(-1)
    for start in range(0, flat.size, CHUNK_ELEMENTS):
        part = slice(start, min(start + CHUNK_ELEMENTS, flat.size))
        magnitude = np.abs(flat[part])
        if survives is not None:
            magnitude *= survives[part]
        yield part, magnitude


def largest(values: Floats, mask: BoolArray | None, keep: int) -> BoolArray:
    """Mark the `keep` largest non-zero magnitudes, flattened; lower positions win ties."""
    survivors = np.zeros(values.size, np.bool_)
    if keep == 0:
        return survivors
    threshold = _nth_largest(values, mask, keep)
    tied = [np.zeros(0, np.int64)]
    for part, magnitude in magnitudes(values, mask):
        np.greater(magnitude, threshold, out=survivors[part])
        tied.append(np.flatnonzero(magnitude == threshold) + part.start)
    if threshold > 0:
        survivors[np.concatenate(tied)[: keep - np.count_nonzero(survivors)]] = True
    return survivors


def _nth_largest(values: Floats, mask: BoolArray | None, n: int) -> np.floating:
    """Return the n-th largest magnitude, n > 0.

    A sample guesses a magnitude that most others are below, so that only those from it on,
    few where few shall survive, are gathered; if the guess was too high, all of them are.
    """
    stride = max(1, values.size // SAMPLE_ELEMENTS)
    sample = np.abs(values.reshape(-1)[::stride])
    expected = sample.size * n / values.size
    rank = int(expected + 6 * math.sqrt(expected) + 6)  # few samples of this many have fewer
    guess = np.partition(sample, -rank)[-rank] if rank < sample.size else sample.dtype.type(0)
    for lowest in (guess, sample.dtype.type(0)):
        parts = [one[one >= lowest] for _, one in magnitudes(values, mask)]
        if sum(map(len, parts)) >= n:
            break
    candidates = np.concatenate(parts)
    del parts
    candidates.partition(candidates.size - n)
    nth: np.floating = candidates[candidates.size - n]
    return nth
