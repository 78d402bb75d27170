"""How a matrix lies in memory for products: the stream of gaps and labels, rearranged.

A layout is built from a packed tensor when it is first multiplied, and never written to a
file. It comes in three forms, each made of parts that products take one after the other.

**Lanes**, for sparse matrices. Rows are sorted by their number of entries, the longest
first, and 16 of them side by side are a *group*, with a row in each *lane*. Rows of one
group thus have nearly the same length, and a register has an element of each.

- The entries of a row are its survivors in order of columns. A *difference* is an entry's
  column minus that of the entry before it, or minus 0 for the first: ``0 <= d < 2**gap_bits``.
  Before an entry for which that doesn't suffice there are *fillers*, of the largest
  difference and label 0, as few as possible.
- Four entries of each lane, 4 steps, are a *block*: the differences of lane 0, those of lane 1
  and so on, packed as `bits.packing` does it in ``8 * gap_bits`` bytes, then the labels likewise
  in ``8 * label_bits``. A group has as many blocks as its longest row needs; rows are
  *padded* with differences and labels of 0, which stay in the last column.
- A filler or padding multiplies an element of x by the weight 0.

**Masks**, for matrices in which at least 5 of 24 weights survive, where the processor spreads
bytes by a mask. A part is a row.

- A mask stands for 64 columns: bit p is set if there is a survivor in column
  ``p % 4 * 16 + p // 4`` of them; masks beyond the last column are 0 there.
- The data are all masks, row by row, as little-endian 64-bit integers, and then a byte for the
  label of each survivor, in the order of the bits.

**Tiles**, for such matrices on other processors: `spmv.tiles` defines them.

All end with 64 zero bytes, so that kernels may load whole registers.
"""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits import packing
from ..native import spmv as native_spmv
from ..tensors import MAX_BITS, Int64Array, UInt8Array
from . import tiles
from .tiles import TILES, Tiles

if TYPE_CHECKING:
    from ..packed.tensor import CompressedTensor

LANES, STEPS, MASK_COLS = 16, 4, 64
SLACK = 64
MASKS = 0  # in place of the width of gaps
_BLOCK = LANES * STEPS
_BIT_OF_COLUMN = np.arange(MASK_COLS) % 16 * 4 + np.arange(MASK_COLS) // 16


@dataclass(frozen=True, eq=False)
class Layout:
    """A matrix in lanes, masks or tiles.

    Attributes
    ----------
    rows, cols : int
        Below 2**31.
    gap_bits, label_bits : int
        Widths in lanes, 1 to 8; `MASKS` and 8 for masks, `TILES` and 1 to 8 for tiles.
    data : ndarray of uint8
    starts : ndarray of shape (parts + 1,), uint64
        Where in `data` each part begins (its labels, for masks), and the last one ends.
    order : ndarray of uint32
        The row in each lane, shape (rows,); else empty.
    cache : dict
        For `native.spmv`, what it made of this.
    """

    rows: int
    cols: int
    gap_bits: int
    label_bits: int
    data: UInt8Array
    starts: npt.NDArray[np.uint64]
    order: npt.NDArray[np.uint32]
    cache: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def parts(self) -> int:
        """Number of groups in lanes, of rows for masks, of 256 rows each for tiles."""
        return len(self.starts) - 1

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.data.nbytes + self.starts.nbytes + self.order.nbytes


def label_width(centroids: int) -> int:
    """Return the bits that the labels of a codebook take."""
    return max(1, (centroids - 1).bit_length())


def arrange(
    w: "CompressedTensor",
    gap_bits: int,
    counts: npt.NDArray[np.uint32],
    limit: int | None = None,
    begins: UInt8Array | None = None,
) -> Layout | None:
    """Build the layout of the given kind.

    Parameters
    ----------
    w : CompressedTensor
    gap_bits : int
        Width of gaps in lanes, or `MASKS` or `TILES`.
    counts : ndarray of shape (rows,), uint32
        The row for that width from `row_counts`; for tiles, not used.
    limit : int, optional
        Return None if `data` would take more bytes; tiles are made all the same.
    begins : ndarray of uint8, optional
        From `native.spmv.layout_counts`, if it has been called.
    """
    if gap_bits == TILES:
        label_bits = label_width(len(w.codebook))
        laid, none = tiles.arrange(w, label_bits, begins), np.zeros(0, np.uint32)
        return Layout(w.rows, w.cols, TILES, label_bits, laid.data, laid.starts, none)
    if gap_bits == MASKS:
        label_bits, order = 8, np.zeros(0, np.uint32)
        begin = 8 * w.rows * mask_count(w.cols)
        sizes = counts.astype(np.uint64)
    else:
        label_bits = label_width(len(w.codebook))
        order = np.argsort(-counts.astype(np.int64), kind="stable").astype(np.uint32)
        begin = 0
        sizes = (group_blocks(counts[order]) * (8 * (gap_bits + label_bits))).astype(np.uint64)
    starts = np.zeros(len(sizes) + 1, np.uint64)
    np.cumsum(sizes, out=starts[1:])
    starts += np.uint64(begin)
    if limit is not None and int(starts[-1]) > limit:
        return None
    data = np.zeros(int(starts[-1]) + SLACK, np.uint8)
    layout = Layout(w.rows, w.cols, gap_bits, label_bits, data, starts, order)
    if native.active():
        begins = native_spmv.layout_counts(w)[1] if begins is None else begins
        native_spmv.fill_layout(w, layout, begins)
    elif gap_bits == MASKS:
        _fill_masks(w, layout)
    else:
        _fill_lanes(w, layout)
    for array in (data, starts, order):
        array.flags.writeable = False
    return layout


def row_counts(w: "CompressedTensor") -> npt.NDArray[np.uint32]:
    """Count the entries of each row, fillers included.

    Returns
    -------
    ndarray of shape (9, rows), uint32
        For each width of gaps; without fillers for width 0.
    """
    row, difference, _ = _differences(w)
    counts = np.zeros((MAX_BITS + 1, w.rows), np.uint32)
    for bits in range(MAX_BITS + 1):
        fillers = _fillers(difference, bits) if bits else 0 * difference
        np.add.at(counts[bits], row, (fillers + 1).astype(np.uint32))
    return counts


def entries(layout: Layout) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each survivor."""
    if layout.gap_bits == MASKS:
        return _mask_entries(layout)
    if layout.gap_bits == TILES:
        laid = Tiles(layout.data, layout.starts)
        return tiles.entries(laid, layout.rows, layout.cols, layout.label_bits)
    blocks = np.diff(layout.starts).astype(np.int64) // (8 * (layout.gap_bits + layout.label_bits))
    packed = layout.data[:-SLACK].reshape(-1, 8 * (layout.gap_bits + layout.label_bits))
    total = len(packed) * _BLOCK
    of_gaps, of_labels = packed[:, : 8 * layout.gap_bits], packed[:, 8 * layout.gap_bits :]
    slots = _slots(blocks)
    difference = np.zeros(total, np.int64)
    difference[slots] = packing.unpack(of_gaps.reshape(-1), layout.gap_bits, total)
    labels = np.zeros(total, np.uint8)
    labels[slots] = packing.unpack(of_labels.reshape(-1), layout.label_bits, total)
    lengths = np.repeat(STEPS * blocks, LANES)  # of each lane
    col = np.cumsum(difference)
    ends = np.cumsum(lengths)
    before = np.concatenate([[0], col])[ends - lengths]  # the sum before each lane
    rows = np.zeros(len(lengths), np.int64)
    rows[: layout.rows] = layout.order
    positions = np.repeat(rows * layout.cols - before, lengths) + col
    survives = labels != 0
    positions, labels = positions[survives], labels[survives]
    in_order = np.argsort(positions, kind="stable")
    return positions[in_order], labels[in_order]


def mask_count(cols: int) -> int:
    """Return the number of masks to a row."""
    return -(-cols // MASK_COLS)


def group_blocks(descending: npt.NDArray[np.uint32]) -> Int64Array:
    """Return the blocks of each group from the entries of each lane."""
    longest: Int64Array = descending[::LANES].astype(np.int64)
    blocks: Int64Array = (longest + STEPS - 1) // STEPS
    return blocks


def _differences(w: "CompressedTensor") -> tuple[Int64Array, Int64Array, UInt8Array]:
    """Return row, difference and label of each survivor in row-major order."""
    labels = w.labels()
    survives = labels != 0
    row, col = np.divmod(w.positions()[survives], max(w.cols, 1))
    difference = col.copy()
    same_row = row[1:] == row[:-1]
    difference[1:][same_row] -= col[:-1][same_row]
    return row, difference, labels[survives]


def _fillers(difference: Int64Array, gap_bits: int) -> Int64Array:
    """Return the number of fillers before each entry."""
    largest = 2**gap_bits - 1
    fillers: Int64Array = np.maximum(difference - 1, 0) // largest
    return fillers


def _slots(blocks: Int64Array) -> Int64Array:
    """Return, for each entry in order of the data, its place if lanes were stored whole.

    That is, group after group, and lane after lane in each.
    """
    group = np.repeat(np.arange(len(blocks)), blocks)
    first = np.cumsum(blocks) - blocks
    block = np.arange(len(group)) - first[group]
    lane_length = STEPS * blocks[group]
    lanes, steps = np.arange(LANES)[:, np.newaxis], np.arange(STEPS)
    base = (first[group] * _BLOCK + block * STEPS)[:, np.newaxis, np.newaxis]
    places: Int64Array = base + lanes * lane_length[:, np.newaxis, np.newaxis] + steps
    return places.reshape(-1)


def _fill_lanes(w: "CompressedTensor", layout: Layout) -> None:
    """Write the data of lanes: whole lanes at first, then in order of the data."""
    gap_bits, label_bits = layout.gap_bits, layout.label_bits
    row, difference, label = _differences(w)
    fillers = _fillers(difference, gap_bits)
    width = 8 * (gap_bits + label_bits)
    blocks = np.diff(layout.starts).astype(np.int64) // width
    lengths = np.repeat(STEPS * blocks, LANES)
    lane_starts = np.cumsum(lengths) - lengths
    places = np.zeros(layout.rows, np.int64)
    places[layout.order] = np.arange(layout.rows)
    # Where each survivor lies: after all entries of its row up to it, fillers included.
    ends = np.cumsum(fillers + 1)
    row_first = np.searchsorted(row, row)
    step = ends - 1 - np.concatenate([[0], ends])[row_first]
    at = lane_starts[places[row]] + step
    total = int(blocks.sum()) * _BLOCK
    gap_of, label_of = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    gap_of[_before(at, fillers)] = 2**gap_bits - 1
    gap_of[at] = difference - fillers * (2**gap_bits - 1)
    label_of[at] = label
    slots = _slots(blocks)
    packed = layout.data[:-SLACK].reshape(-1, width)
    packed[:, : 8 * gap_bits] = packing.pack(gap_of[slots], gap_bits).reshape(-1, 8 * gap_bits)
    packed[:, 8 * gap_bits :] = packing.pack(label_of[slots], label_bits).reshape(
        -1, 8 * label_bits
    )


def _before(at: Int64Array, counts: Int64Array) -> Int64Array:
    """Return the `counts` indices before each of `at`."""
    steps = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    before: Int64Array = np.repeat(at - counts, counts) + steps
    return before


def _fill_masks(w: "CompressedTensor", layout: Layout) -> None:
    labels, positions = w.labels(), w.positions()
    survives = labels != 0
    row, col = np.divmod(positions[survives], max(w.cols, 1))
    bit = col // MASK_COLS * MASK_COLS + _BIT_OF_COLUMN[col % MASK_COLS]
    spread = np.zeros((w.rows, mask_count(w.cols) * MASK_COLS), np.uint8)
    spread[row, bit] = labels[survives]
    begin = int(layout.starts[0])
    layout.data[:begin] = np.packbits(spread != 0, axis=1, bitorder="little").reshape(-1)
    layout.data[begin:-SLACK] = spread[spread != 0]


def _mask_entries(layout: Layout) -> tuple[Int64Array, UInt8Array]:
    begin, masks = int(layout.starts[0]), mask_count(layout.cols)
    bits = np.unpackbits(layout.data[:begin], bitorder="little")
    spread = np.zeros(layout.rows * masks * MASK_COLS, np.uint8)
    spread[bits != 0] = layout.data[begin:-SLACK]
    spread = spread.reshape(-1, MASK_COLS)[:, _BIT_OF_COLUMN]
    dense = spread.reshape(layout.rows, masks * MASK_COLS)[:, : layout.cols].reshape(-1)
    positions = np.flatnonzero(dense)
    return positions, dense[positions]
