"""The layout in lanes: the stream of gaps and labels rearranged, for sparse matrices.

A layout is built from the stream when a matrix is first multiplied, and never written to a file. It
is made of parts that products take one after the other. Here these are *groups*: rows are sorted
by their number of entries, the longest first, and 16 of them side by side are a group, with a row
in each *lane*. Rows of one group thus have nearly the same length, and a register has an element of
each.

- The entries of a row are its survivors in order of columns. A *difference* is an entry's
  column minus that of the entry before it, or minus 0 for the first: ``0 <= d < 2**gap_bits``.
  Before an entry for which that doesn't suffice there are *fillers*, of the largest
  difference and label 0, as few as possible.
- Four entries of each lane, 4 steps, are a *quad*: the differences of lane 0, those of lane 1
  and so on, packed as `bits.packing` does it in ``8 * gap_bits`` bytes, then the labels likewise
  in ``8 * label_bits``. A group has as many quads as its longest row needs; rows are
  *padded* with differences and labels of 0, which stay in the last column.
- A filler or padding multiplies an element of x by the weight 0.

All layouts end with 64 zero bytes, so that kernels may load whole registers.
"""

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits import packing
from ..native import layout as native_layout
from ..structs import Layout, Stream
from ..tensors import MAX_BITS, Int64Array, UInt8Array
from . import plain

LANES, STEPS = 16, 4
SLACK = 64
_QUAD = LANES * STEPS


def arrange(
    w: Stream,
    gap_bits: int,
    counts: npt.NDArray[np.uint32],
    limit: int | None = None,
    begins: UInt8Array | None = None,
) -> Layout | None:
    """Build the layout with differences of `gap_bits`; None if its data exceed `limit` bytes.

    `counts` are the row for that width from `row_counts`; `begins` are from
    `native.layout.row_counts`, if it has been called.
    """
    label_bits = packing.fixed_width(len(w.codebook) - 1)
    order = np.argsort(-counts.astype(np.int64), kind="stable").astype(np.uint32)
    sizes = group_quads(counts[order]) * _quad_bytes(gap_bits, label_bits)
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.uint64)
    if limit is not None and int(starts[-1]) > limit:
        return None
    data = np.zeros(int(starts[-1]) + SLACK, np.uint8)
    widths = gap_bits, label_bits
    layout = Layout("lanes", w.rows, w.cols, w.codebook, *widths, data, starts, order)
    if native.active():
        begins = native_layout.row_counts(w)[1] if begins is None else begins
        native_layout.fill_lanes(w, layout, begins)
    else:
        _fill(w, layout)
    for array in (data, starts, order):
        array.flags.writeable = False
    return layout


def row_counts(w: Stream) -> npt.NDArray[np.uint32]:
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
    quads = np.diff(layout.starts).astype(np.int64) // (8 * (layout.gap_bits + layout.label_bits))
    packed = layout.data[:-SLACK].reshape(-1, 8 * (layout.gap_bits + layout.label_bits))
    total = len(packed) * _QUAD
    of_gaps, of_labels = packed[:, : 8 * layout.gap_bits], packed[:, 8 * layout.gap_bits :]
    slots = _slots(quads)
    difference = np.zeros(total, np.int64)
    difference[slots] = packing.unpack(of_gaps.reshape(-1), layout.gap_bits, total)
    labels = np.zeros(total, np.uint8)
    labels[slots] = packing.unpack(of_labels.reshape(-1), layout.label_bits, total)
    lengths = np.repeat(STEPS * quads, LANES)  # of each lane
    col = np.cumsum(difference)
    ends = np.cumsum(lengths)
    before = np.concatenate([[0], col])[ends - lengths]  # the sum before each lane
    rows = np.zeros(len(lengths), np.int64)
    rows[: layout.rows] = layout.order
    positions = np.repeat(rows * layout.cols - before, lengths) + col
    return plain.in_order(positions, labels)


def size(counts: npt.NDArray[np.uint32], gap_bits: int, centroids: int) -> int:
    """Return the bytes in memory of the layout, as `Layout.nbytes`, without building it."""
    quads = group_quads(np.sort(counts)[::-1])
    data = int(quads.sum()) * _quad_bytes(gap_bits, packing.fixed_width(centroids - 1))
    return data + SLACK + 8 * (len(quads) + 1) + 4 * len(counts)


def _quad_bytes(gap_bits: int, label_bits: int) -> int:
    return 8 * (gap_bits + label_bits)


def group_quads(descending: npt.NDArray[np.uint32]) -> Int64Array:
    """Return the quads of each group from the entries of each lane."""
    longest: Int64Array = descending[::LANES].astype(np.int64)
    quads: Int64Array = (longest + STEPS - 1) // STEPS
    return quads


def _differences(w: Stream) -> tuple[Int64Array, Int64Array, UInt8Array]:
    """Return row, difference and label of each survivor in row-major order."""
    positions, labels = plain.survivors(w)
    row, col = np.divmod(positions, max(w.cols, 1))
    difference = col.copy()
    same_row = row[1:] == row[:-1]
    difference[1:][same_row] -= col[:-1][same_row]
    return row, difference, labels


def _fillers(difference: Int64Array, gap_bits: int) -> Int64Array:
    """Return the number of fillers before each entry."""
    largest = 2**gap_bits - 1
    fillers: Int64Array = np.maximum(difference - 1, 0) // largest
    return fillers


def _slots(quads: Int64Array) -> Int64Array:
    """Return, for each entry in order of the data, its place if lanes were stored whole.

    That is, group after group, and lane after lane in each.
    """
    group = np.repeat(np.arange(len(quads)), quads)
    first = np.cumsum(quads) - quads
    quad = np.arange(len(group)) - first[group]
    lane_length = STEPS * quads[group]
    lanes, steps = np.arange(LANES)[:, np.newaxis], np.arange(STEPS)
    base = (first[group] * _QUAD + quad * STEPS)[:, np.newaxis, np.newaxis]
    places: Int64Array = base + lanes * lane_length[:, np.newaxis, np.newaxis] + steps
    return places.reshape(-1)


def _fill(w: Stream, layout: Layout) -> None:
    """Write the data of lanes: whole lanes at first, then in order of the data."""
    gap_bits, label_bits = layout.gap_bits, layout.label_bits
    row, difference, label = _differences(w)
    fillers = _fillers(difference, gap_bits)
    width = 8 * (gap_bits + label_bits)
    quads = np.diff(layout.starts).astype(np.int64) // width
    lengths = np.repeat(STEPS * quads, LANES)
    lane_starts = np.cumsum(lengths) - lengths
    places = np.zeros(layout.rows, np.int64)
    places[layout.order] = np.arange(layout.rows)
    # Where each survivor lies: after all entries of its row up to it, fillers included.
    ends = np.cumsum(fillers + 1)
    row_first = np.searchsorted(row, row)
    step = ends - 1 - np.concatenate([[0], ends])[row_first]
    at = lane_starts[places[row]] + step
    total = int(quads.sum()) * _QUAD
    gap_of, label_of = np.zeros(total, np.uint8), np.zeros(total, np.uint8)
    gap_of[_before(at, fillers)] = 2**gap_bits - 1
    gap_of[at] = difference - fillers * (2**gap_bits - 1)
    label_of[at] = label
    slots = _slots(quads)
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
