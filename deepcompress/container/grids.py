"""Codebooks that are multiples of a step, of which a file only holds the step."""

import numpy as np

from ..tensors import Float32Array

GRID_BYTES = 5  # Below_Count and Step


def grid_of(codebook: Float32Array) -> tuple[np.float32, int] | None:
    """Return the step of a codebook, and how many centroids are below 0; None if it is no grid.

    Parameters
    ----------
    codebook : ndarray of shape (K,), float32
        Label 0 is 0.

    Examples
    --------
    >>> grid_of(np.array([0, -0.5, 0.5, 1], np.float32))
    (np.float32(0.5), 1)
    >>> grid_of(np.array([0, -0.5, 0.5, 1.5], np.float32))
    """
    below = int(np.count_nonzero(codebook[1:] < 0))
    if len(codebook) < 2:
        return None
    step = codebook[below + 1] if below + 1 < len(codebook) else -codebook[below]
    if not (step > 0 and np.isfinite(step)):
        return None
    is_grid = np.array_equal(grid_codebook(step, below, len(codebook) - 1), codebook)
    return (step, below) if is_grid else None


def grid_codebook(step: np.float32, below: int, count: int) -> Float32Array:
    """Return the codebook (count + 1,) of a step: 0, ``-below * step``, ..., without another 0."""
    # > Centroid i is the float32 that is nearest to Step * r, the product of the numbers, where r
    # > is i - 1 - Below_Count for the first Below_Count centroids, and i - Below_Count for others.
    places = np.arange(count + 1) - below - (np.arange(count + 1) <= below)
    places[0] = 0
    with np.errstate(over="ignore", invalid="ignore"):  # that of infinity has NaN
        return (places * np.float64(step)).astype(np.float32)
