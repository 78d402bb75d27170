"""Which layouts there are, and which one a matrix gets when it is first multiplied, if any.

Layouts are chosen for speed, as long as they take a fifth of the bytes of CSR or less, which has 8
bytes for a survivor: its value and its column. Lists alone take nearly as many as CSR. They are the
fastest for a matrix that a cache holds from one product to the next, and slower than lanes for one
that comes from memory each time.
"""

import math
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
# Of 32 MiB, 2 MiB: with one product before, lists of 1.5 MB take 0.76 of the time of lanes, those
# of 4 MB 0.93, of 9 MB 1.1; in a loop, 0.65, 0.7 and 0.75.
CACHE_SHARE = 16
OWN_BYTES = 2**19  # of lists that stay in a cache while other products run


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
        The kind that may be chosen in place of lanes, for a sparse one that a cache holds.
    prefer : str
        ``"speed"`` takes every matrix for one that a cache holds, ``"memory"`` none; ``"auto"``
        those whose lists take a `CACHE_SHARE`-th of the largest cache or less.
    among_others : bool
        Whether other products, such as those of a network's other layers, use the cache in
        between: then ``"auto"`` takes those of `OWN_BYTES` or less.

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
        built = lanes.arrange(w, gap_bits, counts[gap_bits], limit, begins)
        is_small = built is not None and built.nbytes <= limit
        if cached == "lists" and is_small and suits_lists(survivors, w.cols, prefer, among_others):
            return lists.arrange(w, survivors)
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


def suits_lists(
    survivors: npt.NDArray[np.uint32], cols: int, prefer: str, among_others: bool
) -> bool:
    """Tell whether lists are wanted, by the bytes that a product with a vector reads of them."""
    auto = OWN_BYTES if among_others else cache_bytes() // CACHE_SHARE
    most = {"memory": -1, "auto": auto, "speed": math.inf}[prefer]
    read = lists.READ_BYTES * int(survivors.sum(dtype=np.int64))
    return cols <= lists.MAX_COLS and read <= most


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
