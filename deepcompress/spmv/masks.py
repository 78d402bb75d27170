"""The layout of masks, for matrices that are less sparse, where registers spread bytes by a mask.

`spmv.lanes` introduces layouts. A part is a row.

- A mask stands for 64 columns: bit p is set if there is a survivor in column
  ``p % 4 * 16 + p // 4`` of them; masks beyond the last column are 0 there.
- The data are all masks, row by row, as little-endian 64-bit integers, and then a byte for the
  label of each survivor, in the order of the bits.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import layout as native_layout
from ..structs import Layout, Stream
from ..tensors import Int64Array, UInt8Array
from . import plain
from .lanes import SLACK

COLS = 64  # of a mask
_BIT_OF_COLUMN = np.arange(COLS) % 16 * 4 + np.arange(COLS) // 16


def arrange(
    w: Stream, survivors: npt.NDArray[np.uint32], limit: int | None = None
) -> Layout | None:
    """Build the layout from the survivors of each row; None if its data exceed `limit` bytes."""
    begin = 8 * w.rows * _masks_of_row(w.cols)
    starts = (begin + np.concatenate([[0], np.cumsum(survivors, dtype=np.int64)])).astype(np.uint64)
    if limit is not None and int(starts[-1]) > limit:
        return None
    data, order = np.zeros(int(starts[-1]) + SLACK, np.uint8), np.zeros(0, np.uint32)
    layout = Layout("masks", w.rows, w.cols, w.codebook, 0, 8, data, starts, order)
    (native_layout.fill_masks if native.active() else _fill)(w, layout)
    for array in (data, starts, order):
        array.flags.writeable = False
    return layout


def entries(layout: Layout) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each survivor."""
    begin, masks = int(layout.starts[0]), _masks_of_row(layout.cols)
    bits = np.unpackbits(layout.data[:begin], bitorder="little")
    spread = np.zeros(layout.rows * masks * COLS, np.uint8)
    spread[bits != 0] = layout.data[begin:-SLACK]
    spread = spread.reshape(-1, COLS)[:, _BIT_OF_COLUMN]
    dense = spread.reshape(layout.rows, masks * COLS)[:, : layout.cols].reshape(-1)
    positions = np.flatnonzero(dense)
    return positions, dense[positions]


def _masks_of_row(cols: int) -> int:
    return -(-cols // COLS)


def _fill(w: Stream, layout: Layout) -> None:
    """Write masks and labels to the data of `layout`."""
    positions, labels = plain.survivors(w)
    row, col = np.divmod(positions, max(w.cols, 1))
    bit = col // COLS * COLS + _BIT_OF_COLUMN[col % COLS]
    spread = np.zeros((w.rows, _masks_of_row(w.cols) * COLS), np.uint8)
    spread[row, bit] = labels
    begin = int(layout.starts[0])
    layout.data[:begin] = np.packbits(spread != 0, axis=1, bitorder="little").reshape(-1)
    layout.data[begin:-SLACK] = spread[spread != 0]
