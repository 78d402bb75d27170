"""A bound on the memory that decoding a tensor takes, from its head alone.

It is generous, and counts NumPy's arrays and Python's objects:

- In C, a symbol is there three times at most: decoded, as a block's, and in the mask that is made
  of it; an entry of the result has a byte of its label and one of its gap.
- By way of positions, which NumPy's twins and readers of parts go, an entry has eight numbers of
  8 bytes at most: its position in the block and in the tensor, the run of zeros before it, its
  place in the stream, and two steps on the way to each of the last two. A filler has no position
  until the stream is checked, which takes five.
"""

import math
from collections.abc import Sequence

from .. import native
from ..bits.packing import fixed_width
from ..container.groups import GroupsHead
from ..container.header import TensorEntry
from ..container.planes import PlanesHead
from ..container.records import BITMASK, CONTEXT, RELATIVE, SYMBOLS_PER_BYTE
from ..container.references import DeltaHead
from ..container.shared_weights import BlockSize, SharedHead
from ..container.sizes import block_size, stream_symbols
from ..native import planes as native_planes
from ..native.planes import StoredPlanes
from ..tensors import FIXED_WIDTH, MAX_BITS
from .coders import CODES
from .decoder import BLOCKS_AT_ONCE, HELD_BYTES
from .planes import STREAMS_AT_ONCE

OVERHEAD_BYTES = 1 << 15
BLOCK_BYTES = 1 << 11  # Python's objects for a block
SYMBOL_BYTES, RESULT_BYTES = 3, 2  # in C
ENTRY_BYTES, FILLER_BYTES = 8 * 8, 5 * 8  # by way of positions
MOST_BYTES = 1 << 62
PLANE_COPIES = 4  # one for the NumPy twin, which rotates words apart from splitting them
DELTA_COPIES = 6  # the base's elements and words, and three steps of adding the differences
ELEMENT_BYTES = 3  # of a mask, bit by bit
# Of contexts: counters and weights, and for each column its counter, as words or as Python's own.
CONTEXT_BYTES, COLUMN_BYTES = (1 << 18, 1 << 21), (4, 40)


def raw_bytes(entry: TensorEntry, elements: int) -> int:
    """Return how much memory reading so many elements of a raw tensor takes at most."""
    return elements * entry.dtype.itemsize + OVERHEAD_BYTES


def planes_bytes(
    head: PlanesHead, entry: TensorEntry, first: int = 0, stop: int | None = None
) -> int:
    """Return how much memory decoding the blocks of a tensor in planes takes at most."""
    words, bits = math.prod(entry.shape) * entry.dtype.words, head.coding.block_bits
    blocks = head.blocks[first:stop]
    sizes = [block_size(words, bits, first + index) for index in range(len(blocks))]
    # The words as they come back; and of those decoded at once, planes, planes again, and words.
    at_once = min(sum(sizes), STREAMS_AT_ONCE * max(sizes, default=0))
    needed = (sum(sizes) + PLANE_COPIES * at_once) * entry.dtype.word_bytes
    needed += OVERHEAD_BYTES + BLOCK_BYTES * len(head.blocks) + sum(map(sum, blocks))
    if not native.active():
        streams = (zip(head.coding.coders, block, strict=True) for block in blocks)
        longest = (CODES[coder].decoder_bytes(size) for block in streams for coder, size in block)
        needed += max(longest, default=0)
    return needed


def stored_planes_bytes(stored: StoredPlanes) -> int:
    """Return how much memory decoding a tensor whose head wasn't read takes in C, at most."""
    words = stored.words
    if words > SYMBOLS_PER_BYTE * len(stored.data):
        return MOST_BYTES  # which isn't valid
    own = words * stored.word_bytes
    return own + native_planes.scratch_bytes(1, own) + OVERHEAD_BYTES


def delta_bytes(
    head: DeltaHead, entry: TensorEntry, first: int = 0, stop: int | None = None
) -> int:
    """Return the same for a difference to a base's tensor, which is there in whole."""
    whole = DELTA_COPIES * math.prod(entry.shape) * entry.dtype.itemsize + OVERHEAD_BYTES
    return whole if head.planes is None else whole + planes_bytes(head.planes, entry, first, stop)


def decoding_bytes(
    head: SharedHead, shape: tuple[int, ...], first: int = 0, stop: int | None = None
) -> int:
    """Return how many bytes decoding shared weights takes at most, the result's included.

    `first` and `stop` are the blocks to be decoded: all of them without `stop`.
    """
    coding, blocks = head.coding, head.blocks[first:stop]
    elements = [
        block_size(math.prod(shape), coding.block_bits, first + i) for i in range(len(blocks))
    ]
    stored = sum(block.count for block in blocks)
    # Of the file's gap width as many fillers as entries, or those of the cheapest width, which
    # takes no more bits than 8-bit gaps and labels; and nowhere is more than one entry.
    reach = _reach(head, blocks, elements)
    wide = stored + (reach >> MAX_BITS)
    symbols = [
        sum(stream_symbols(coding, block.count, size))
        for block, size in zip(blocks, elements, strict=True)
    ]
    streams = [size for block in blocks for size in (block.label_bytes, block.position_bytes)]
    needed = OVERHEAD_BYTES + BLOCK_BYTES * len(head.blocks) + sum(streams)
    if coding.encoding == CONTEXT:
        way = 0 if native.active() else 1
        cols = math.prod(shape[1:]) if math.prod(shape) else 0
        needed += CONTEXT_BYTES[way] + COLUMN_BYTES[way] * cols
    if native.active() and stop is None:
        largest = max(symbols, default=0)
        at_once = min(sum(symbols), max(HELD_BYTES, (BLOCKS_AT_ONCE + 1) * largest))
        if coding.encoding == BITMASK and coding.position_coder == FIXED_WIDTH:
            # Bytes of a mask that are as they stand in the file aren't copied to be decoded.
            needed -= min(sum(block.position_bytes for block in blocks), at_once)
        return needed + SYMBOL_BYTES * at_once + RESULT_BYTES * min(reach, max(2 * stored, wide))
    label_bits = fixed_width(len(head.codebook) - 1)
    narrow = wide * (label_bits + MAX_BITS) // (label_bits + 1)
    fillers = min(reach - stored, max(stored, narrow - stored))
    packing = ENTRY_BYTES * stored + FILLER_BYTES * fillers
    needed += sum(symbols)
    if coding.encoding != RELATIVE:
        needed += ELEMENT_BYTES * max(elements, default=0)
    if native.active():
        return needed + SYMBOL_BYTES * max(symbols, default=0) + packing
    longest = max(streams, default=0)
    coders = coding.label_coder, coding.position_coder
    reading = 2 * 8 * stored + max(CODES[coder].decoder_bytes(longest) for coder in coders)
    return needed + max(reading, packing)


def grouped_bytes(head: GroupsHead, entry: TensorEntry) -> int:
    """Return the same for a tensor of groups, which are decoded one by one."""
    own = sum(decoding_bytes(group.head, group.shape) for group in head.groups)
    return own + entry.data_bytes + OVERHEAD_BYTES


def _reach(head: SharedHead, blocks: Sequence[BlockSize], elements: Sequence[int]) -> int:
    """Return how many elements there are at most up to the last entry; at least all entries."""
    used = [index for index, block in enumerate(blocks) if block.count]
    if not used:
        return 0
    last = elements[used[-1]]
    if head.coding.encoding == RELATIVE:
        last = min(last, blocks[used[-1]].count << head.coding.gap_bits)
    return sum(elements[: used[-1]]) + last
