"""How much memory the tensors of a file take while they are decoded, estimated from above.

Numbers of bytes per entry, element and block are those that the stages take at their
peaks, rounded up; tests compare them with what is allocated. They count NumPy's arrays
and Python's objects.
"""

import math
from collections.abc import Sequence

from .. import native
from ..bits.packing import fixed_width
from ..container.header import TensorEntry
from ..container.records import BITMASK, DENSE, RELATIVE
from ..container.shared_weights import BlockSize, SharedHead
from ..container.sizes import block_size, stream_symbols
from ..tensors import HUFFMAN, MAX_BITS, RANS
from .decoder import BLOCKS_AT_ONCE

GROWTH = 8

OVERHEAD_BYTES = 1 << 15
BLOCK_BYTES = 1 << 10  # what is kept of each block, besides its streams
RANS_BYTES = 3 << 17  # the reference decoder's list of all slots
HUFFMAN_BYTES = 74  # the reference decoder's list of bits, for each byte of a stream
ENTRY_BYTES = 54  # positions and labels, and what makes gaps of them
FILLER_BYTES = 36  # gap, label and flag, and their check
PACKED_BYTES = 36  # an entry whose gap is taken as it is, in the reference's check


def raw_bytes(entry: TensorEntry, elements: int) -> int:
    """Return how much memory reading so many elements of a raw tensor takes at most."""
    return elements * entry.dtype.itemsize + OVERHEAD_BYTES


def decoding_bytes(
    head: SharedHead, shape: tuple[int, ...], first: int = 0, stop: int | None = None
) -> int:
    """Return how much memory decoding shared weights takes at most, by their head alone.

    Parameters
    ----------
    head : SharedHead
    shape : tuple of int
    first, stop : int
        The blocks to be decoded; all of them without `stop`.

    Returns
    -------
    int
        Bytes, the result's included.
    """
    coding, is_part = head.coding, stop is not None
    blocks = range(first, len(head.blocks) if stop is None else stop)
    parts = [head.blocks[index] for index in blocks]
    entries = sum(part.count for part in parts)
    streams = sum(part.label_bytes + part.position_bytes for part in parts)
    elements = [block_size(math.prod(shape), coding.block_bits, index) for index in blocks]
    fixed = OVERHEAD_BYTES + BLOCK_BYTES * len(head.blocks) + streams
    fillers = _most_fillers(head, parts, elements)
    if coding.encoding == RELATIVE and len(head.blocks) == 1 and not is_part:
        fillers = 0  # but those that are there
    bits = fixed_width(len(head.codebook) - 1) + (coding.gap_bits or MAX_BITS)
    packed = (entries + fillers) * bits // 8
    packed += packed // GROWTH
    if not native.active() and not is_part:  # a few blocks at a time
        entries = sum(sorted(part.count for part in parts)[-BLOCKS_AT_ONCE - 1 :])
        fillers = min(fillers, _most_fillers_at_once(parts, elements))
    reading, packing = 12 * entries, 0
    if native.active():
        decoded = _decoded_bytes(head, parts, elements)
        if not is_part:
            return fixed + decoded + packed
        reading += decoded
        if coding.encoding != RELATIVE:
            reading += max(elements, default=0)
    else:
        if coding.encoding == BITMASK:
            reading += 4 * max(elements, default=0)
        packing = PACKED_BYTES * entries
        coders = coding.label_coder, coding.position_coder
        longest = max((max(part.label_bytes, part.position_bytes) for part in parts), default=0)
        reading += HUFFMAN_BYTES * longest * (HUFFMAN in coders)
        fixed += RANS_BYTES * (RANS in coders) + packed
    if coding.encoding == RELATIVE and len(head.blocks) == 1 and not is_part:
        return fixed + max(reading, packing)
    return fixed + max(reading, ENTRY_BYTES * entries + FILLER_BYTES * fillers)


def _decoded_bytes(head: SharedHead, parts: Sequence[BlockSize], elements: list[int]) -> int:
    """Return what blocks take in C: as many as are decoded at once, and one from before."""
    sizes = []
    for part, size in zip(parts, elements, strict=True):
        symbols = sum(stream_symbols(head.coding, part.count, size))
        mask = size + (size + 7) // 8 if head.coding.encoding == DENSE else 0
        sizes.append(symbols + mask)
    return sum(sorted(sizes)[-BLOCKS_AT_ONCE - 1 :])


def _most_fillers_at_once(parts: Sequence[BlockSize], elements: list[int]) -> int:
    """Return how many fillers are placed at most for blocks that are decoded at once.

    A filler stands for two elements or more, of these blocks or of those before them whose
    zeros are at the end of the stream so far.
    """
    most = behind = 0
    for at in range(0, len(parts), BLOCKS_AT_ONCE):
        group = slice(at, at + BLOCKS_AT_ONCE)
        most = max(most, behind + sum(elements[group]))
        for part, size in zip(parts[group], elements[group], strict=True):
            behind = size if part.count else behind + size
    return most // 2


def _most_fillers(head: SharedHead, parts: Sequence[BlockSize], elements: list[int]) -> int:
    """Return how many fillers `coding.decoder.decode` places at most.

    As many as there are entries, or those of the cheapest gap width, which are no more
    bits than with gaps of 8 bits; and nowhere is more than one entry.
    """
    coding, sizes = head.coding, list(elements)
    count = sum(part.count for part in parts)
    # Zeros after the last entry take no fillers, and gaps say how far it may be at most.
    while len(sizes) > 1 and not parts[len(sizes) - 1].count:
        sizes.pop()
    if sizes and coding.encoding == RELATIVE:
        sizes[-1] = min(sizes[-1], parts[len(sizes) - 1].count << coding.gap_bits)
    label_bits = fixed_width(len(head.codebook) - 1)
    cheapest = (count + (sum(sizes) >> 8)) * (label_bits + 8) // (label_bits + 1)
    return min(max(count, cheapest), sum(sizes) - count)
