"""The gateway to the C kernels that join decoded blocks; `gateway` has their rules."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..structs import GapBlock, MaskBlock
from ..tensors import UInt8Array
from .gateway import _bytes, _ffi, _lib


def count_bits(data: UInt8Array) -> int:
    """Call dc_count_bits."""
    return int(_lib().dc_count_bits(_bytes(data), len(data)))


def dense_mask(all_labels: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """Call dc_dense_mask; return the mask, and the labels less 1."""
    elements = len(all_labels)
    mask, less_one = np.empty((elements + 7) // 8, np.uint8), np.empty(elements, np.uint8)
    count = _lib().dc_dense_mask(_bytes(all_labels), elements, _bytes(mask), _bytes(less_one))
    return mask, less_one[:count]


def survey(block: GapBlock | MaskBlock, zeros: int) -> tuple[int, tuple[int, ...], int]:
    """Call dc_survey or dc_mask_survey.

    Return survivors, fillers for each width of gaps, and zeros at the end.
    """
    fillers, since = _ffi().new("int64_t[9]"), _ffi().new("uint64_t *", zeros)
    if isinstance(block, MaskBlock):
        survivors = _lib().dc_mask_survey(_bytes(block.mask), block.elements, since, fillers)
    else:
        survivors = _lib().dc_survey(_struct(block), 1, since, fillers)
    return int(survivors), tuple(fillers), int(since[0])


def join(
    blocks: Iterable[GapBlock | MaskBlock],
    widths: tuple[int, int],
    room: int,
    labels: UInt8Array,
    gaps: UInt8Array,
) -> int | None:
    """Call dc_join or dc_mask_join for consecutive blocks; write packed labels and gaps.

    Return the entries of the stream; None if there is no room for them, which masks always have.
    """
    lib, stream = _lib(), _ffi().new("struct dc_stream *")
    zeros, survivors = _ffi().new("uint64_t *"), _ffi().new("int64_t *")
    stream.labels, stream.gaps = _bytes(labels), _bytes(gaps)
    for block in blocks:
        if isinstance(block, MaskBlock):
            arrays = _bytes(block.mask), _bytes(block.less_one)
            lib.dc_mask_join(*arrays, block.elements, *widths, stream)
            continue
        struct = _struct(block)
        room -= lib.dc_count_fillers(struct, 1, widths[1], zeros, survivors) + survivors[0]
        if room < 0:
            return None
        lib.dc_join(struct, 1, *widths, stream)
    return int(stream.entries)


def _struct(block: GapBlock) -> Any:
    """Return a struct dc_block; the caller keeps the block's arrays alive."""
    arrays = _bytes(block.labels), _bytes(block.gaps)
    return _ffi().new("struct dc_block *", (*arrays, len(block.labels), block.elements))
