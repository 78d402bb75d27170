"""Labels along the trellis."""

import numpy as np

from deepcompress import trellis
from deepcompress.packed.stream import matrix_of


def ranks_along(values: np.ndarray, below: int, above: int) -> np.ndarray:
    """Return for each value (R, C) the nearest rank, -below to above, that the trellis allows."""
    ranks = np.arange(-below, above + 1)
    found = np.zeros(values.shape, np.int64)
    state = np.full(len(values), trellis.START)
    for column in range(values.shape[1]):
        distance = np.abs(values[:, column, None] - ranks)
        distance[(ranks != 0) & ((ranks & 1) != (state & 1)[:, None])] = np.inf
        found[:, column] = ranks[distance.argmin(axis=1)]
        state = trellis.FOLLOWING[state, trellis.numbers(found[:, column]) & 1]
    return found


def labels_along(values: np.ndarray, shape: tuple[int, ...], codebook: np.ndarray) -> np.ndarray:
    """Return labels (size,) of a tensor along the trellis, near values in units of ranks.

    The centroids of the codebook differ, and none but that of label 0 is 0.
    """
    below = int(np.count_nonzero(codebook < 0))
    rows = values.reshape(matrix_of(shape))
    ranks = ranks_along(rows, below, len(codebook) - 1 - below)
    return np.argsort(codebook, kind="stable")[ranks.ravel() + below].astype(np.uint8)
