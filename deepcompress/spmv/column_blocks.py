"""The form in which a weight is held for convolutions: in column blocks.

A convolution gathers elements of its images for some columns of the weight's matrix at a time: a
tile, which stays in a processor's first cache while each row of the weight is multiplied with it.
So the matrix is cut into blocks of `block_cols` columns; the last one may be narrower. The data
hold one block after the other, and each block row after row: the number of the row's survivors in
the block, then for each its column within the block plus 256 times its label. All are 16-bit
integers, which a kernel uses as they are.

`starts` says where in the data each `PART_ROWS` rows of each block begin, so that threads can
begin anywhere, and where the last ones end.

Sixteen bits an entry are about as many as 8-bit labels and gaps with their fillers take at the
densities of convolutions; narrower ones wouldn't pay for the instructions to unpack them.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import layout as native_layout
from ..structs import ColumnBlocks, Stream
from ..tensors import Int64Array, UInt8Array
from . import plain

PART_ROWS = 16
WIDTHS = (64, 128, 256)  # that a block may have


def build(w: Stream) -> ColumnBlocks | None:
    """Rearrange a matrix.

    Returns
    -------
    ColumnBlocks or None
        None if the numbers of survivors alone would take more than four times the bytes of the
        stream and 1 MiB, as they may in a large tensor with few weights.
    """
    width = choose(w.count, w.rows * w.cols)
    blocks = -(-w.cols // width)
    stream_bytes = (w.label_bits + w.gap_bits) * w.count // 8
    if 2 * blocks * w.rows > 4 * stream_bytes + (1 << 20):
        return None
    is_native = native.active()
    counts = np.zeros((blocks, w.rows), np.uint16)
    (native_layout.count_columns if is_native else _count)(w, width, counts)
    offsets = _offsets(counts)
    data = np.zeros(counts.size + int(counts.sum(dtype=np.int64)), np.uint16)
    (native_layout.fill_columns if is_native else _fill)(w, width, offsets, data)
    begins = offsets.reshape(counts.shape)[:, ::PART_ROWS].reshape(-1)
    starts = np.append(begins, len(data)).astype(np.uint64)
    for array in (data, starts):
        array.flags.writeable = False
    return ColumnBlocks(w.rows, w.cols, w.codebook, width, data, starts)


def entries(form: ColumnBlocks) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each survivor."""
    blocks = -(-form.cols // form.block_cols)
    at = form.starts[:-1].reshape(blocks, -(-form.rows // PART_ROWS)).astype(np.int64)
    counts = np.zeros((blocks, form.rows), np.int64)
    for row in range(PART_ROWS):  # of each part at once
        own = at[:, : len(range(row, form.rows, PART_ROWS))]
        counts[:, row::PART_ROWS] = form.data[own]
        own += 1 + counts[:, row::PART_ROWS]
    is_entry = np.ones(len(form.data), bool)
    is_entry[_offsets(counts)] = False
    found = form.data[is_entry]
    place = np.repeat(np.arange(counts.size), counts.reshape(-1))
    blocks_of, rows_of = np.divmod(place, max(form.rows, 1))
    positions = rows_of * form.cols + blocks_of * form.block_cols + (found & 255)
    return plain.in_order(positions, (found >> 8).astype(np.uint8))


def choose(entries: int, size: int) -> int:
    """Return the width of the blocks for so many entries of so many elements.

    A row should have some 16 of them in a block, that beginning and ending it takes little of
    the time; but wide blocks leave the first cache less room for columns of x.
    """
    density = entries / max(size, 1)
    return next((width for width in WIDTHS if density * width >= 12), WIDTHS[-1])


def _offsets(counts: npt.NDArray[Any]) -> Int64Array:
    """Return where the count of each row of each block is."""
    lengths = counts.reshape(-1).astype(np.int64) + 1
    offsets: Int64Array = np.cumsum(lengths) - lengths
    return offsets


def _count(w: Stream, width: int, counts: npt.NDArray[np.uint16]) -> None:
    """Count the survivors of each row in each block."""
    row, col = np.divmod(plain.survivors(w)[0], max(w.cols, 1))
    np.add.at(counts, (col // width, row), np.uint16(1))


def _fill(w: Stream, width: int, offsets: Int64Array, data: npt.NDArray[np.uint16]) -> None:
    """Write counts and entries to `data`."""
    positions, labels = plain.survivors(w)
    row, col = np.divmod(positions, max(w.cols, 1))
    block, in_block = np.divmod(col, width)
    place = block * w.rows + row
    in_order = np.argsort(place, kind="stable")
    place = place[in_order]
    counts = np.bincount(place, minlength=len(offsets))
    data[offsets] = counts
    first = np.cumsum(counts) - counts
    at = offsets[place] + 1 + np.arange(len(place)) - first[place]
    data[at] = (in_block + 256 * labels.astype(np.int64))[in_order]
