"""The layout of lists: columns as they are, for the fastest products of sparse matrices.

`spmv.lanes` introduces layouts. Lanes take a fifth of the bytes of CSR or less, and some
instructions to unpack an entry; lists take about a third of CSR's, and next to none. What limits
a product from lists is how many loads it takes; so weights that are alike share one.

- Columns are cut into *blocks*, as few as possible of at most `BLOCK_COLS` columns, and as wide as
  each other but for the last, so that the elements of x that meet a block stay in the first cache.
- A part is `ROWS` rows; it goes through them block by block. What a row has in a block is a
  *segment*: its survivors there, by label and then by column.
- Of these, each label's first ones are taken by *fours* of the same label, as many as there are,
  and the fours, in order, by fours again: these are *sixteens*, the 16-bit columns of 16 entries
  (in the block) and a byte for the label of each four. Fours left over at the end are none.
- All other survivors of a segment, in the same order, are taken by *eights*: their columns and
  then their weights, float32. The last eight is filled up with column 0, weight 0 and label 0.
- Segments are in the order of blocks, and in a block those with the most sixteens first, then those
  with the most eights, so that processors foresee where they end.
- The data of a part are the *heads* of all segments, also of rows beyond the last: 10 bits for the
  number of sixteens, 10 for that of eights, and the row of the part; then the segments in the same
  order, sixteens before eights; then a byte for the label of each entry of the eights.

All numbers are little-endian, fields from the lowest bit on.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import layout as native_layout
from ..structs import Layout, Stream
from ..tensors import Int64Array, UInt8Array
from . import plain
from .lanes import SLACK

ROWS = 32
BLOCK_COLS = 5120
SIXTEEN, EIGHT = 16, 8
SIXTEEN_BYTES, EIGHT_BYTES = SIXTEEN * 2 + 4, EIGHT * (2 + 4)
HEAD_BYTES = 4


def blocks_of(cols: int) -> tuple[int, int]:
    """Return the number of blocks and their width."""
    blocks = max(1, -(-cols // BLOCK_COLS))
    return blocks, max(1, -(-cols // blocks))


def arrange(
    w: Stream,
    survivors: npt.NDArray[np.uint32],
    limit: int | None = None,
    begins: UInt8Array | None = None,
) -> Layout | None:
    """Build the layout; None if it takes more than `limit` bytes.

    `survivors` are those of each row; `begins` are from `native.layout.row_counts`, if it has been
    called.
    """
    parts, (blocks, _) = -(-w.rows // ROWS), blocks_of(w.cols)
    if limit is not None and parts * blocks * ROWS * HEAD_BYTES > limit:
        return None
    counts = np.zeros((parts, blocks * ROWS), np.uint32)
    if native.active():
        begins = native_layout.row_counts(w)[1] if begins is None else begins
        native_layout.count_lists(w, begins, counts)
    else:
        _count(w, counts)
    heads = _heads(counts.reshape(-1, ROWS)).reshape(counts.shape)
    starts, in_order = _frame(heads)
    if limit is not None and int(starts[-1]) > limit:
        return None
    data = np.zeros(int(starts[-1]) + SLACK, np.uint8)
    at = starts[:-1].astype(np.int64)[:, np.newaxis] + np.arange(HEAD_BYTES * blocks * ROWS)
    data[at] = heads.astype("<u4").view(np.uint8)
    places = np.empty_like(in_order)
    places[_segments(heads)] = in_order
    if begins is not None:
        native_layout.fill_lists(w, begins, places, data)
    else:
        _fill(w, places, data)
    most = np.array([survivors.max(initial=0)], np.uint32)
    for array in (data, starts, most):
        array.flags.writeable = False
    return Layout("lists", w.rows, w.cols, w.codebook, 0, 8, data, starts, most)


def entries(layout: Layout) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each survivor."""
    data, (blocks, width) = layout.data, blocks_of(layout.cols)
    begins = layout.starts[:-1].astype(np.int64)
    heads = data[begins[:, np.newaxis] + np.arange(HEAD_BYTES * blocks * ROWS)].view("<u4")
    sixteens, eights = _counts(heads.reshape(-1))
    at = _frame(heads)[1].astype(np.int64)
    segment = _segments(heads)
    row = segment // (blocks * ROWS) * ROWS + segment % ROWS
    first = row * layout.cols + segment // ROWS % blocks * width  # position of column 0
    begin, of = _items(at[:, 0], sixteens, SIXTEEN_BYTES)
    taken = data[begin[:, np.newaxis] + np.arange(SIXTEEN_BYTES)]
    columns = taken[:, : 2 * SIXTEEN].copy().view("<u2")
    labels = np.repeat(taken[:, 2 * SIXTEEN :], 4, axis=1)
    begin, of_eight = _items(at[:, 0] + SIXTEEN_BYTES * sixteens, eights, EIGHT_BYTES)
    more_columns = data[begin[:, np.newaxis] + np.arange(2 * EIGHT)].view("<u2")
    begin, _ = _items(at[:, 1], eights, EIGHT)
    more_labels = data[begin[:, np.newaxis] + np.arange(EIGHT)]
    positions = first[of][:, np.newaxis] + columns
    more = first[of_eight][:, np.newaxis] + more_columns
    return plain.in_order(
        np.concatenate([positions.reshape(-1), more.reshape(-1)]),
        np.concatenate([labels.reshape(-1), more_labels.reshape(-1)]),
    )


def _heads(counts: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """Return the heads of each block, in order, from sixteens and 2**16 times eights by row."""
    both = (counts & 0xFFFF).astype(np.int64) << 10 | counts >> 16
    row = np.argsort(-both, axis=1, kind="stable")
    both = np.take_along_axis(both, row, axis=1)
    return (both >> 10 | (both & 1023) << 10 | row << 20).astype(np.uint32)


def _counts(heads: npt.NDArray[np.uint32]) -> tuple[Int64Array, Int64Array]:
    """Return the sixteens and the eights of segments."""
    return (heads & 1023).astype(np.int64), (heads >> 10 & 1023).astype(np.int64)


def _segments(heads: npt.NDArray[np.uint32]) -> Int64Array:
    """Return of each head the number of its segment, if those of a block were in order of rows."""
    index = np.arange(heads.size)
    return index - index % ROWS + (heads.reshape(-1) >> 20)


def _items(begins: Int64Array, counts: Int64Array, size: int) -> tuple[Int64Array, Int64Array]:
    """Return where each of the items begins that lie one behind the other, and whose it is."""
    of = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts, dtype=np.int64)
    index = np.arange(len(of)) - (ends - counts)[of]
    return begins[of] + size * index, of


def _frame(
    heads: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Return starts of parts, and for each head where the segment and its eights' labels begin."""
    sixteens, eights = _counts(heads)
    sizes = SIXTEEN_BYTES * sixteens + EIGHT_BYTES * eights
    head, labels = HEAD_BYTES * heads.shape[1], EIGHT * eights
    own = sizes.sum(axis=1)
    starts = np.concatenate([[0], np.cumsum(head + own + labels.sum(axis=1))])
    begin = starts[:-1, np.newaxis] + head
    places = np.empty((*heads.shape, 2), np.uint64)
    places[:, :, 0] = begin + np.cumsum(sizes, axis=1) - sizes
    places[:, :, 1] = begin + own[:, np.newaxis] + np.cumsum(labels, axis=1) - labels
    return starts.astype(np.uint64), places.reshape(-1, 2)


class _Sorted(NamedTuple):
    """The survivors in the order of segments, and in each by label and then by column."""

    segment: Int64Array
    col: Int64Array
    label: UInt8Array
    place: Int64Array  # among the sixteens of the segment, or -1 - place among its eights


def _sort(w: Stream) -> _Sorted:
    """Return the survivors and their places."""
    positions, labels = plain.survivors(w)
    row, col = np.divmod(positions, max(w.cols, 1))
    blocks, width = blocks_of(w.cols)
    block, col = np.divmod(col, width)
    segment = (row // ROWS * blocks + block) * ROWS + row % ROWS
    order = np.lexsort((col, labels, segment))
    segment, col, label = segment[order], col[order], labels[order]
    index = np.arange(len(segment))
    run = _first(segment * 256 + label)  # where the label of each begins
    of_run = np.bincount(run, minlength=len(run))[run] // 4 * 4  # entries of its fours
    begin = _first(segment)
    in_fours = np.concatenate([[0], np.cumsum(index - run < of_run)])
    before = in_fours[index] - in_fours[begin]  # those in fours before it in its segment
    last = np.searchsorted(segment, segment, side="right")
    taken = (in_fours[last] - in_fours[begin]) // SIXTEEN * SIXTEEN
    is_taken = (index - run < of_run) & (before < taken)
    rest = np.concatenate([[0], np.cumsum(~is_taken)])
    return _Sorted(segment, col, label, np.where(is_taken, before, rest[begin] - rest[index] - 1))


def _first(keys: Int64Array) -> Int64Array:
    """Return, for each of ascending keys, the index of the first that is the same."""
    first: Int64Array = np.searchsorted(keys, keys)
    return first


def _count(w: Stream, counts: npt.NDArray[np.uint32]) -> None:
    """Write the heads."""
    s = _sort(w)
    in_sixteens = np.bincount(s.segment[s.place >= 0], minlength=counts.size)
    in_eights = np.bincount(s.segment[s.place < 0], minlength=counts.size)
    counts.reshape(-1)[:] = in_sixteens // SIXTEEN | -(-in_eights // EIGHT) << 16


def _fill(w: Stream, places: npt.NDArray[np.uint64], data: UInt8Array) -> None:
    """Write the segments, and the labels of the eights, to the data."""
    s = _sort(w)
    segment_at, labels_at = places.astype(np.int64)[s.segment].T
    columns = s.col.astype("<u2")[:, np.newaxis].view(np.uint8)
    has = s.place >= 0
    k = s.place[has]
    begin = segment_at[has] + k // SIXTEEN * SIXTEEN_BYTES
    data[(begin + 2 * (k % SIXTEEN))[:, np.newaxis] + np.arange(2)] = columns[has]
    data[begin + 2 * SIXTEEN + k % SIXTEEN // 4] = s.label[has]
    sixteens = np.bincount(s.segment[has], minlength=len(places)) // SIXTEEN
    k = -1 - s.place[~has]
    begin = segment_at[~has] + SIXTEEN_BYTES * sixteens[s.segment[~has]]
    begin += k // EIGHT * EIGHT_BYTES
    weights = w.codebook[s.label[~has]].astype("<f4")[:, np.newaxis].view(np.uint8)
    data[(begin + 2 * (k % EIGHT))[:, np.newaxis] + np.arange(2)] = columns[~has]
    data[(begin + 2 * EIGHT + 4 * (k % EIGHT))[:, np.newaxis] + np.arange(4)] = weights
    data[labels_at[~has] + k] = s.label[~has]
