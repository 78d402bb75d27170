"""A tensor of few values as shared weights, where that is without loss."""

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..container.records import MAX_CENTROIDS
from ..tensors import Survivors

FIRST_SAMPLE, SAMPLE = 512, 4096  # elements that are looked at before all are


def shared(array: npt.NDArray[Any]) -> Survivors | None:
    """Return a tensor as shared weights that give it back bit for bit; None if none do.

    Parameters
    ----------
    array : ndarray
        Of one of `dtypes.NAMES`. At most 255 of its values may differ from each other and from 0,
        each of them a float32. NaN, infinities and -0.0, which have no label, have to be kept
        otherwise, like bools and complex numbers.

    Examples
    --------
    >>> few = shared(np.array([[0, 7], [7, -1]], np.int64))
    >>> few.codebook.tolist(), few.positions.tolist(), few.labels.tolist()
    ([0.0, -1.0, 7.0], [1, 2, 3], [2, 2, 1])
    >>> shared(np.array([1.0, -0.0])) is None
    True
    """
    element_type = dtypes.of(array.dtype)
    if element_type is None or not element_type.is_shareable:
        return None
    bits = dtypes.bits_of(array, element_type)
    bits = bits.view(f"<u{element_type.itemsize}")
    patterns = None
    for sample in (FIRST_SAMPLE, SAMPLE, len(bits)):
        patterns = _distinct(bits[:: max(1, len(bits) // max(sample, 1))])
        if patterns is None:
            return None
    assert patterns is not None
    patterns = patterns[patterns != 0]  # that of 0.0 has label 0
    codebook_bytes = len(patterns) * element_type.centroid_bits.itemsize
    if len(patterns) > MAX_CENTROIDS or codebook_bytes >= max(array.nbytes, 1):
        return None
    values = element_type.array(patterns.view(element_type.bits))
    if element_type.kind == "f":
        floats = dtypes.as_float32(values)
        exact = np.isfinite(floats) & (floats != 0) & (floats.astype(values.dtype) == values)
    else:
        floats = values.astype(np.float32)
        # Of 2**63 and the like, NumPy's cast back would be undefined; 2**24 is safe and enough.
        exact = np.abs(values.astype(np.float64)) <= 1 << 24
    if not exact.all():
        return None
    order = np.argsort(floats)
    label_of = np.empty(len(patterns), np.uint8)
    label_of[order] = np.arange(1, len(patterns) + 1)
    positions = np.flatnonzero(bits)
    labels = label_of[np.searchsorted(patterns, bits[positions])]
    codebook = np.concatenate([np.zeros(1, np.float32), floats[order]])
    return Survivors(array.shape, codebook, positions, labels, element_type)


def least_bytes(weights: Survivors) -> float:
    """Return a bound from below of the bytes of shared weights in a file.

    There are the centroids, and a label of each weight that isn't 0: none of our encodings has a
    code of labels that depends on others but contexts, and these are taken only if asked for.
    """
    counts = np.bincount(weights.labels)
    counts = counts[counts > 0]
    bits = float((counts * np.log2(counts.sum() / counts)).sum())
    centroids = (len(weights.codebook) - 1) * weights.element_type.centroid_bits.itemsize
    return centroids + 0.9999 * bits / 8


def _distinct(bits: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    """Return the patterns that occur, ascending; None if there are too many."""
    ordered = np.sort(bits)
    is_first = np.ones(len(ordered), bool)
    np.not_equal(ordered[1:], ordered[:-1], out=is_first[1:])
    patterns: npt.NDArray[Any] = ordered[is_first]
    return patterns if len(patterns) <= MAX_CENTROIDS + 1 else None
