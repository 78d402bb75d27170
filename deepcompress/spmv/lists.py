"""The layout of lists: columns and weights as they are, for sparse matrices that a cache holds.

`spmv.lanes` introduces layouts. Lanes take a fifth of the bytes of CSR or less, and some
instructions to unpack an entry; lists take 7 bytes for an entry, where CSR has 8, and next to none.
A part is a row.

- A row's survivors, in order of columns, are taken by eight; the last eight are filled up with
  column 0 and the weight 0, label 0.
- Eight entries are their columns, 16-bit integers, and then their weights, float32: 48 bytes.
- The data are these of all rows, little-endian, and then a byte for the label of each entry, in the
  same order.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import layout as native_layout
from ..structs import Layout, Stream
from ..tensors import Int64Array, UInt8Array
from . import plain
from .lanes import SLACK

EIGHT = 8
READ_BYTES = 2 + 4  # of an entry, for a product with a vector
ENTRY_BYTES = READ_BYTES + 1
EIGHT_BYTES = EIGHT * READ_BYTES
MAX_COLS = 2**16


def arrange(w: Stream, survivors: npt.NDArray[np.uint32]) -> Layout:
    """Build the layout from the number of survivors of each row; there are `MAX_COLS` columns."""
    eights = -(-survivors.astype(np.int64) // EIGHT)
    ends = np.concatenate([[0], np.cumsum(eights)])
    starts = (EIGHT_BYTES * ends).astype(np.uint64)
    data = np.zeros(ENTRY_BYTES * EIGHT * int(ends[-1]) + SLACK, np.uint8)
    layout = Layout("lists", w.rows, w.cols, w.codebook, 0, 8, data, starts, np.zeros(0, np.uint32))
    (native_layout.fill_lists if native.active() else _fill)(w, layout)
    for array in (data, starts, layout.order):
        array.flags.writeable = False
    return layout


def entries(layout: Layout) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each survivor."""
    columns, _, labels = _views(layout)
    eights = (np.diff(layout.starts.astype(np.int64)) // EIGHT_BYTES).astype(np.int64)
    rows = np.repeat(np.arange(layout.rows), EIGHT * eights)
    survive = np.flatnonzero(labels)
    positions = rows[survive] * layout.cols + columns.reshape(-1)[survive]
    return positions, labels[survive]


def _views(
    layout: Layout,
) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.float32], UInt8Array]:
    """Return columns and weights, of shape (eights, 8), and labels, in the memory of the data."""
    end = int(layout.starts[-1])
    eights = layout.data[:end].reshape(-1, EIGHT_BYTES)
    columns, weights = eights[:, : 2 * EIGHT], eights[:, 2 * EIGHT :]
    return columns.view("<u2"), weights.view("<f4"), layout.data[end:-SLACK]


def _fill(w: Stream, layout: Layout) -> None:
    """Write columns, weights and labels to the data of `layout`."""
    positions, survivors = plain.survivors(w)
    row, col = np.divmod(positions, max(w.cols, 1))
    columns, weights, labels = _views(layout)
    before = np.arange(len(row)) - np.searchsorted(row, row)  # survivors of the same row
    places = layout.starts[row].astype(np.int64) // EIGHT_BYTES * EIGHT + before
    columns[places // EIGHT, places % EIGHT] = col
    weights[places // EIGHT, places % EIGHT] = w.codebook[survivors]
    labels[places] = survivors
