"""y = W x as the paper has it: for each row, the sum of its weights times the x they meet.

This is the definition of every product. It says where the weights of a stream are, and multiplies
them with whatever NumPy has for numbers that aren't finite; `native` has the same loop over packed
bytes as ``dc_spmv_plain``, and faster ones over layouts.
"""

import numpy as np

from .. import native
from ..bits import packing
from ..native import relindex as native_relindex
from ..structs import Stream
from ..tensors import Float32Array, Int64Array, UInt8Array


def survivors(w: Stream) -> tuple[Int64Array, UInt8Array]:
    """Return the position (ascending) and the label of each surviving weight."""
    labels = packing.unpack(w.labels, w.label_bits, w.count)
    gaps = packing.unpack(w.gaps, w.gap_bits, w.count)
    if native.active():
        positions = native_relindex.decode_gaps(gaps, w.rows * w.cols)
    else:
        positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    survives = labels != 0
    return positions[survives], labels[survives]


def in_order(positions: Int64Array, labels: UInt8Array) -> tuple[Int64Array, UInt8Array]:
    """Return those of all entries that survive, by ascending positions."""
    survives = np.flatnonzero(labels)
    order = survives[np.argsort(positions[survives], kind="stable")]
    return positions[order], labels[order]


def multiply(
    shape: tuple[int, int],
    entries: tuple[Int64Array, Int64Array, Float32Array],
    x: Float32Array,
) -> Float32Array:
    """Multiply the weights of each row with the rows of x that their columns name.

    Then give nan to each row that has a zero where x isn't finite. `entries` are row, column and
    value of the weights of a matrix of `shape`, in row-major order.
    """
    row, col, value = entries
    y = np.zeros((shape[0], x.shape[1]), np.float32)
    used, starts, counts = np.unique(row, return_index=True, return_counts=True)
    with np.errstate(over="ignore", invalid="ignore"):  # inf and nan are results like others
        for r, start, count in zip(used, starts, counts, strict=True):
            own = slice(start, start + count)
            y[r] = value[own] @ x[col[own]]
    endless = ~np.isfinite(x)
    for j in np.flatnonzero(endless.any(axis=0)):
        met = np.bincount(row[endless[col, j] & (value != 0)], minlength=shape[0])
        y[met < np.count_nonzero(endless[:, j]), j] = np.nan
    return y
