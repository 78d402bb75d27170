"""The surviving weights of a matrix, whatever form it is held in."""

import numpy as np

from ..structs import Form, Layout, Stream
from ..tensors import Float32Array, Int64Array, UInt8Array
from . import column_blocks, plain
from .choose import ENTRIES


def survivors(form: Form) -> tuple[Int64Array, UInt8Array]:
    """Return position (in row-major order, ascending) and label of each surviving weight."""
    if isinstance(form, Layout):
        return ENTRIES[form.kind](form)
    return plain.survivors(form) if isinstance(form, Stream) else column_blocks.entries(form)


def coordinates(form: Form) -> tuple[Int64Array, Int64Array, Float32Array]:
    """Return row, column and value of each surviving weight, in row-major order."""
    positions, labels = survivors(form)
    row, col = np.divmod(positions, max(form.cols, 1))
    return row, col, form.codebook[labels]
