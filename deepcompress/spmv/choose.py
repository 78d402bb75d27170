"""Which layouts there are, and which one a matrix gets when it is first multiplied, if any.

Layouts are chosen for speed. All but lists take a fifth of the bytes of CSR or less, which has 8
bytes for a survivor: its value and its column. Lists, the fastest for sparse matrices, take from
three bytes, where many weights of a row are alike, to seven.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits.packing import fixed_width
from ..native import layout as native_layout
from ..structs import Layout, Stream
from ..tensors import MAX_BITS
from . import lanes, lists, masks, tiles

# What finds the survivors in a layout of each kind.
ENTRIES = {
    "lanes": lanes.entries,
    "masks": masks.entries,
    "tiles": tiles.entries,
    "lists": lists.entries,
}
PREFER = ("auto", "speed", "memory")

MAX_MASK_CENTROIDS = 32  # as many as two registers hold
MIN_TILE_ENTRIES = 18  # of a row in a tile, or tiles take more than a fifth of CSR's bytes
MAX_TILE_COLS = 2**20  # so that 32 bits count the bytes of 256 rows
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
CSR_BYTES = 8  # of a survivor
# Of 32 MiB, 4 MiB, from which lists are read in less time than lanes are unpacked, at any size.
CACHE_SHARE = 8
OWN_BYTES = 2**19  # of lists that stay in a cache while other products run
MIN_SEGMENT = 8  # survivors of a row in a block of lists


def build(
    w: Stream,
    dense: str,
    cached: str = "lanes",
    prefer: str = "auto",
    among_others: bool = False,
) -> Layout | None:
    """Rearrange a matrix.

    Parameters
    ----------
    w : Stream
    dense : str
        The kind that may be chosen besides lanes, for a matrix that isn't very sparse.
    cached : str
        The kind that may be chosen in place of lanes, for a sparse one.
    prefer : str
        ``"speed"`` takes lists wherever they may be, ``"memory"`` nowhere; ``"auto"`` if they take
        half of CSR's bytes or a `CACHE_SHARE`-th of the largest cache, or less.
    among_others : bool
        Whether other products, such as those of a network's other layers, use the cache in
        between: then `OWN_BYTES` stand for that share of it.

    Returns
    -------
    Layout or None
        None if the stream is better left as it is: where columns or rows exceed 32 bits, or
        the layout would take more than twice the bytes of the stream and 4 KiB, as it may for
        a few rows or for many empty ones; lists, which take more, where lanes would not.
    """
    limit = 2 * w.nbytes + 4096
    if max(w.rows, w.cols) >= 2**31 or 4 * w.rows > limit:
        return None
    counts, begins = native_layout.row_counts(w) if native.active() else (lanes.row_counts(w), None)
    survivors, centroids = counts[0], len(w.codebook)
    if dense == "tiles" and suits_tiles(survivors, w.cols, centroids):
        layout = tiles.arrange(w, begins)
        if 5 * layout.nbytes <= 8 * int(survivors.sum(dtype=np.int64)):
            return layout
    if dense == "masks" and suits_masks(survivors, w.cols, centroids):
        built = masks.arrange(w, survivors, limit)
    else:
        gap_bits = best_width(counts, centroids)
        is_small = lanes.size(counts[gap_bits], gap_bits, centroids) <= limit
        if cached == "lists" and is_small and suits_lists(survivors, w.cols):
            most = list_bytes(int(survivors.sum(dtype=np.int64)), prefer, among_others)
            if (listed := lists.arrange(w, survivors, most, begins)) is not None:
                return listed
        built = lanes.arrange(w, gap_bits, counts[gap_bits], limit, begins)
    return None if built is None or built.nbytes > limit else built


@cache
def cache_bytes() -> int:
    """Return the bytes of the largest cache, as Linux tells them; elsewhere a few MiB."""
    sizes = [2**23]
    try:
        found = [path.read_text() for path in CACHES.glob("index*/size")]
        sizes = [int(m[1]) << 10 for text in found if (m := re.fullmatch(r"(\d+)K\s*", text))]
    except OSError:
        pass
    return max(sizes, default=2**23)


def suits_lists(survivors: npt.NDArray[np.uint32], cols: int) -> bool:
    """Tell whether rows are long enough for lists, in which blocks of each row have heads."""
    blocks, _ = lists.blocks_of(cols)
    return int(survivors.sum(dtype=np.int64)) >= MIN_SEGMENT * len(survivors) * blocks


def list_bytes(survivors: int, prefer: str, among_others: bool) -> int | None:
    """Return how many bytes lists may take; None for any number."""
    cached = OWN_BYTES if among_others else cache_bytes() // CACHE_SHARE
    auto = max(CSR_BYTES * survivors // 2, cached)
    return {"memory": -1, "auto": auto, "speed": None}[prefer]


def suits_tiles(survivors: npt.NDArray[np.uint32], cols: int, centroids: int) -> bool:
    """Tell whether tiles are worth a trial, from the survivors of each row and the columns."""
    rows, count = len(survivors), -(-cols // tiles.tile_cols(fixed_width(centroids - 1)))
    enough = int(survivors.sum(dtype=np.int64)) >= MIN_TILE_ENTRIES * rows * count
    return enough and rows >= tiles.ROWS and 0 < cols < MAX_TILE_COLS


def suits_masks(survivors: npt.NDArray[np.uint32], cols: int, centroids: int) -> bool:
    """Tell whether masks take a fifth of CSR's bytes or less.

    Where a share d of the elements survives, a survivor takes ``1 + 1 / (8 * d)`` bytes: its
    label, and bits of masks. From ``d = 5/24`` on these are at most 8/5, a fifth of CSR's 8.
    """
    count = int(survivors.sum(dtype=np.int64))
    return centroids <= MAX_MASK_CENTROIDS and count > 0 and 24 * count >= 5 * len(survivors) * cols


def best_width(counts: npt.NDArray[np.uint32], centroids: int) -> int:
    """Return the width of differences in lanes, by the counts from `lanes.row_counts`.

    A product takes about as long as there are quads. So the width is that of the fewest quads among
    those that take at most 19/18 of the least bytes. For the paper's Table 8 that means, at 9 % of
    the weights, 6 bits instead of 5: 5 % fewer quads for 4 % more bytes. At 4 % it means 7 instead
    of 6: 7 % for 1 %. The next width would save 1 % of the quads at most, for 8 % more bytes.
    """
    label_bits = fixed_width(centroids - 1)
    widths = range(1, MAX_BITS + 1)
    quads = {bits: int(lanes.group_quads(np.sort(counts[bits])[::-1]).sum()) for bits in widths}
    sizes = {bits: quads[bits] * (bits + label_bits) for bits in widths}
    small = [bits for bits in widths if 18 * sizes[bits] <= 19 * min(sizes.values())]
    return min(small, key=lambda bits: (quads[bits], bits))
