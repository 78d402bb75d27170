"""Cases for products.c: layouts and vectors, and the product that they have by definition."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.layouts import LANES, LISTS, MASKS, Plan, laid_out
from test_spmv import EPS, draw_x, each_kind, random_tensor

from deepcompress import native
from deepcompress.spmv.choose import ENTRIES


def cases() -> Iterator[tuple[tuple[int, int], float, Plan, int, int]]:
    """Yield shape, density, layout, bits of labels and number of columns."""
    for plan, bits in each_kind():
        for shape in [(17, 333), (1, 130), (33, 1), (5, 700)]:
            yield shape, 0.2, plan, bits, 1
            yield shape, 0.2, plan, bits, 5
    for bits in range(1, 9):  # several blocks, with and without what is taken by fours
        yield (35, 11000), 0.03, LISTS, bits, 1
    # Several tiles, and each number of registers and of columns in the last one.
    for plan in (MASKS, LANES[3], LISTS):
        for n in [*range(2, 70), 128, 130, 1024]:
            yield (40, 1100 if n < 200 else 300), 0.15, plan, 5, n


def write(path: Path, order: str) -> None:
    """Write all cases to a file, in the byte order ``"<"`` or ``">"``."""
    with path.open("wb") as file, native.use("reference"):
        for shape, density, plan, bits, n in cases():
            w = random_tensor(shape, density, bits)
            layout = laid_out(w.packed, plan).layout()
            x = draw_x(n, shape[1], n)
            matrix = w.dense.astype(np.float64)
            terms = np.count_nonzero(matrix, axis=1)[:, np.newaxis]
            y = matrix @ x
            bounds = (terms + 1) * EPS * (np.abs(matrix) @ np.abs(x.astype(np.float64)))
            kind = list(ENTRIES).index(layout.kind)  # in the order of C's enum, as a test says
            widths = kind, layout.gap_bits, layout.label_bits, len(layout.data)
            counts = layout.parts, len(layout.order)
            head = *shape, n, len(w.packed.codebook), *widths, *counts
            file.write(struct.pack(f"{order}10q", *head))
            memory = (w.packed.codebook, layout.data, layout.starts, layout.order, x, y, bounds)
            for array in memory:
                file.write(array.astype(array.dtype.newbyteorder(order)).tobytes())
