"""The width of gaps with which a stream takes the least memory."""

from collections.abc import Sequence

from .. import relindex
from ..tensors import MAX_BITS, Int64Array


def narrowest_gap_bits(positions: Int64Array, label_bits: int) -> int:
    """Return the gap width with the fewest bits in memory, labels of fillers included."""
    fillers = [0, *relindex.filler_counts(positions).tolist()]
    return cheapest_gap_bits(len(positions), fillers, label_bits)


def cheapest_gap_bits(survivors: int, fillers: Sequence[int], label_bits: int) -> int:
    """Return the same from the number of fillers that gaps of each width need."""

    def bits(gap_bits: int) -> int:
        return (survivors + fillers[gap_bits]) * (label_bits + gap_bits)

    return min(range(1, MAX_BITS + 1), key=bits)
