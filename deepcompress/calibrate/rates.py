"""What a label will cost: the bits that the coder behind will charge for it."""

from collections.abc import Callable

import numpy as np

from ..tensors import Float64Array, Int64Array, UInt8Array

AT_ONCE = 1 << 20

# From how often each label occurs, (K,), to the bits of one more of each, (K,).
Rates = Callable[[Int64Array], Float64Array]


def counts_of(labels: UInt8Array, count: int) -> Int64Array:
    """Return how often each of `count` labels occurs, (K,); eight bytes a label are too many."""
    flat, found = labels.ravel(), np.zeros(count, np.int64)
    for start in range(0, flat.size, AT_ONCE):
        found += np.bincount(flat[start : start + AT_ONCE], minlength=count)
    return found


def entropy_rates(counts: Int64Array) -> Float64Array:
    """Return -log2 of each label's share, as a coder of order 0 charges.

    With a label for each weight, zeros too, positions need no price of their own: a zero costs
    -log2 of the density's complement. What doesn't occur is taken to occur half a time.

    Parameters
    ----------
    counts : ndarray of shape (K,), int64

    Returns
    -------
    ndarray of shape (K,), float64
        Bits.

    Examples
    --------
    >>> entropy_rates(np.array([4, 2, 2])).tolist()
    [1.0, 2.0, 2.0]
    """
    occurring = np.maximum(counts, 0.5)
    return np.asarray(np.log2(occurring.sum() / occurring))
