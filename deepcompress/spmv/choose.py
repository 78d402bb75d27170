"""Which layout a matrix gets when it is first multiplied, if any."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .. import native
from ..native import spmv as native_spmv
from ..tensors import MAX_BITS
from .lanes import MASKS, Layout, arrange, group_blocks, label_width, row_counts
from .tiles import ROWS, TILES, tile_cols

if TYPE_CHECKING:
    from ..packed.tensor import CompressedTensor

MAX_MASK_CENTROIDS = 32  # as many as two registers hold
MIN_TILE_ENTRIES = 18  # of a row in a tile, or tiles take more than a fifth of CSR's bytes
MAX_TILE_COLS = 2**20  # so that 32 bits count the bytes of 256 rows


def build(w: "CompressedTensor", *, masks: bool, tiles: bool = False) -> Layout | None:
    """Rearrange a tensor of rank 2 or more.

    Parameters
    ----------
    w : CompressedTensor
    masks, tiles : bool
        Whether masks, and tiles, may be chosen.

    Returns
    -------
    Layout or None
        None if the stream is better left as it is: where columns or rows exceed 32 bits, or
        the layout would take more than twice the bytes of the stream and 4 KiB, as it may for
        a few rows or for many empty ones.
    """
    limit = 2 * (w.labels_packed.nbytes + w.gaps_packed.nbytes) + 4096
    if max(w.rows, w.cols) >= 2**31 or 4 * w.rows > limit:
        return None
    counts, begins = native_spmv.layout_counts(w) if native.active() else (row_counts(w), None)
    if tiles and suits_tiles(counts[0], w.cols, len(w.codebook)):
        layout = arrange(w, TILES, counts[0], limit, begins)
        if layout and 5 * layout.nbytes <= 8 * int(counts[0].sum(dtype=np.int64)):
            return layout
    gap_bits = choose(counts, w.cols, len(w.codebook), masks=masks)
    layout = arrange(w, gap_bits, counts[gap_bits], limit, begins)
    return None if layout is None or layout.nbytes > limit else layout


def suits_tiles(survivors: npt.NDArray[np.uint32], cols: int, centroids: int) -> bool:
    """Tell whether tiles are worth a trial, from the survivors of each row and the columns."""
    rows, tiles = len(survivors), -(-cols // tile_cols(label_width(centroids)))
    enough = int(survivors.sum(dtype=np.int64)) >= MIN_TILE_ENTRIES * rows * tiles
    return enough and rows >= ROWS and 0 < cols < MAX_TILE_COLS


def choose(counts: npt.NDArray[np.uint32], cols: int, centroids: int, *, masks: bool) -> int:
    """Return the width of gaps in lanes, or `MASKS`.

    Of the widths that take at most 19/18 of the best one's bytes, that of the fewest
    blocks is the fastest.

    Parameters
    ----------
    counts : ndarray of shape (9, rows), uint32
        From `row_counts`.
    cols, centroids : int
    masks : bool
        Whether masks may be chosen.
    """
    survivors, size = int(counts[0].sum(dtype=np.int64)), counts.shape[1] * cols
    if masks and centroids <= MAX_MASK_CENTROIDS and survivors and 24 * survivors >= 5 * size:
        return MASKS
    label_bits = label_width(centroids)
    widths = range(1, MAX_BITS + 1)
    blocks = {bits: int(group_blocks(np.sort(counts[bits])[::-1]).sum()) for bits in widths}
    sizes = {bits: blocks[bits] * (bits + label_bits) for bits in widths}
    small = [bits for bits in widths if 18 * sizes[bits] <= 19 * min(sizes.values())]
    return min(small, key=lambda bits: (blocks[bits], bits))
