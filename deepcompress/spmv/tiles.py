"""The layout in tiles, for matrices that are less sparse, on processors without masks.

`spmv.lanes` introduces layouts. A *tile* is a few consecutive columns, 128 for labels of up
to 5 bits and ``2**(12 - label_bits)`` for wider ones. An entry is a survivor's column in its tile
above its label, 12 bits in all: it names one of at most 4096 products of a centroid and an
element of x, which a kernel computes once for all rows. No gaps, no fillers.

A part is 256 rows, the last one fewer. It begins with where each tile begins, as a number of
bytes from the beginning of the part, and where the last one ends: 32-bit integers. A tile is a
sequence of *groups* of 8 rows: the part's 256 rows, whether there are as many or not, in
descending order of their survivors in the tile, and ascending where these are equal, as far as
there is a survivor in a group. A group is

- a byte with the number of entries of its longest row,
- a byte for each row, its number in the part,
- the first entry of each row, then the second, and so on, packed as `bits.packing` does it; rows
  are *padded* with entries 0, which multiply an element of x by the weight 0.

The data end with 64 zero bytes, so that kernels may load whole registers.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits import packing
from ..native import layout as native_layout
from ..structs import Layout, Stream
from ..tensors import Int64Array, UInt8Array
from . import plain
from .lanes import SLACK

ROWS, LANES, ENTRY_BITS = 256, 8, 12
_GROUPS = ROWS // LANES
_HEAD = 1 + LANES
_STEP = LANES * ENTRY_BITS // 8


def tile_cols(label_bits: int) -> int:
    """Return the number of columns of a tile."""
    return int(2 ** min(7, ENTRY_BITS - label_bits))


def arrange(w: Stream, begins: UInt8Array | None = None) -> Layout:
    """Build the layout; `begins` are from `native.layout.row_counts`, if it has been called."""
    label_bits = packing.fixed_width(len(w.codebook) - 1)
    parts, tiles = -(-w.rows // ROWS), -(-w.cols // tile_cols(label_bits))
    counts = np.zeros((parts, tiles, ROWS), np.uint8)
    if native.active():
        begins = native_layout.row_counts(w)[1] if begins is None else begins
        native_layout.count_tiles(w, label_bits, begins, counts)
    else:
        place, _, _ = _survivors(w, label_bits)
        np.add.at(counts.reshape(-1), place, 1)
    data, starts, bits = _frame(counts)
    if begins is not None:
        native_layout.fill_tiles(w, label_bits, begins, bits, data)
    else:
        _fill(w, label_bits, bits, data)
    order = np.zeros(0, np.uint32)
    for array in (data, starts, order):
        array.flags.writeable = False
    widths = 0, label_bits
    return Layout("tiles", w.rows, w.cols, w.codebook, *widths, data, starts, order)


def entries(layout: Layout) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each survivor."""
    data, cols, label_bits = layout.data, layout.cols, layout.label_bits
    width = tile_cols(label_bits)
    tiles = -(-cols // width)
    begins = layout.starts[:-1].astype(np.int64)
    table = data[begins[:, np.newaxis] + np.arange(4 * (tiles + 1))].view("<u4").astype(np.int64)
    table = begins[:, np.newaxis] + table.reshape(len(begins), tiles + 1)
    at, ends = table[:, :-1].reshape(-1), table[:, 1:].reshape(-1)
    tile = np.arange(at.size)
    found = []
    for _ in range(_GROUPS):  # the next group of each tile that has one
        more = at < ends
        at, ends, tile = at[more], ends[more], tile[more]
        steps = data[at].astype(np.int64)
        found.append(np.stack([at, steps, tile]))
        at = at + _HEAD + steps * _STEP
    group, steps, tile = np.concatenate(found, axis=1)
    sizes = LANES * steps
    local = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    group, tile = np.repeat(group, sizes), np.repeat(tile, sizes)
    byte = group + _HEAD + local * ENTRY_BITS // 8
    word = data[byte].astype(np.int64) | data[byte + 1].astype(np.int64) << 8
    entry = word >> local * ENTRY_BITS % 8 & (2**ENTRY_BITS - 1)
    row = tile // max(tiles, 1) * ROWS + data[group + 1 + local % LANES]
    col = tile % max(tiles, 1) * width + (entry >> label_bits)
    label = (entry & (2**label_bits - 1)).astype(np.uint8)
    return plain.in_order(row * cols + col, label)


def _survivors(w: Stream, label_bits: int) -> tuple[Int64Array, Int64Array, UInt8Array]:
    """Return the row of a tile each survivor is in, its column there, and its label."""
    positions, labels = plain.survivors(w)
    row, col = np.divmod(positions, max(w.cols, 1))
    width = tile_cols(label_bits)
    tile = row // ROWS * -(-w.cols // width) + col // width
    return tile * ROWS + row % ROWS, col % width, labels


def _frame(
    counts: UInt8Array,
) -> tuple[UInt8Array, npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return bytes but for the entries, starts of parts, and the bit of each row's first entry."""
    parts, tiles, _ = counts.shape
    order = np.argsort(-counts.astype(np.int16), axis=2, kind="stable")
    steps = np.take_along_axis(counts, order, axis=2)[:, :, ::LANES].astype(np.int64)
    sizes = np.where(steps > 0, _HEAD + steps * _STEP, 0).reshape(parts, tiles * _GROUPS)
    head = 4 * (tiles + 1)
    starts = np.concatenate([[0], np.cumsum(head + sizes.sum(axis=1))]).astype(np.uint64)
    begins = starts[:-1].astype(np.int64)[:, np.newaxis]
    ends = head + np.cumsum(sizes, axis=1)
    group = begins + ends - sizes
    table = np.full((parts, tiles + 1), head, "<u4")
    table[:, 1:] = ends[:, _GROUPS - 1 :: _GROUPS]
    data = np.zeros(int(starts[-1]) + SLACK, np.uint8)
    data[begins + np.arange(head)] = table.view(np.uint8)
    used = sizes > 0
    data[group[used]] = steps.reshape(parts, tiles * _GROUPS)[used]
    rows = order.reshape(parts, tiles * _GROUPS, LANES)
    data[group[used][:, np.newaxis] + 1 + np.arange(LANES)] = rows[used]
    bits = np.zeros(counts.shape, np.uint64)
    lanes = 8 * (group + _HEAD)[:, :, np.newaxis] + ENTRY_BITS * np.arange(LANES)
    np.put_along_axis(bits, order, lanes.reshape(counts.shape).astype(np.uint64), axis=2)
    return data, starts, bits


def _fill(w: Stream, label_bits: int, bits: npt.NDArray[np.uint64], data: UInt8Array) -> None:
    """Write the entries."""
    place, col, label = _survivors(w, label_bits)
    index = np.arange(len(place))
    begins = np.concatenate([[True], place[1:] != place[:-1]])[: len(place)]
    step = index - np.maximum.accumulate(np.where(begins, index, 0))
    bit = bits.reshape(-1)[place].astype(np.int64) + step * LANES * ENTRY_BITS
    entry = (col << label_bits | label) << bit % 8
    np.bitwise_or.at(data, bit // 8, (entry & 255).astype(np.uint8))
    np.bitwise_or.at(data, bit // 8 + 1, (entry >> 8).astype(np.uint8))
