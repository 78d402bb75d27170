"""The survivors of a tensor, packed for products, and back."""

from collections.abc import Sequence

from .. import relindex
from ..bits.packing import fixed_width
from ..tensors import MAX_BITS, Int64Array, SharedWeights, Survivors
from .tensor import CompressedTensor


def pack(weights: Survivors, gap_bits: int | None = None) -> CompressedTensor:
    """Pack weights with fillers where they are needed; gaps have `narrowest_gap_bits` by default.

    Errors are those of `relindex.encode` and `CompressedTensor`.
    """
    label_bits = fixed_width(len(weights.codebook) - 1)
    gap_bits = gap_bits or narrowest_gap_bits(weights.positions, label_bits)
    shared = SharedWeights(weights.codebook, weights.labels, label_bits)
    gaps = relindex.encode(weights.positions, weights.size, gap_bits)
    return CompressedTensor.from_parts(weights.shape, shared, gaps).of_type(weights.element_type)


def unpack(tensor: CompressedTensor) -> Survivors:
    """Return the weights of a packed tensor that aren't 0."""
    return Survivors(tensor.shape, tensor.codebook, *tensor.survivors(), tensor.element_type)


def narrowest_gap_bits(positions: Int64Array, label_bits: int) -> int:
    """Return the gap width with the fewest bits in memory, labels of fillers included."""
    fillers = [0, *relindex.filler_counts(positions).tolist()]
    return cheapest_gap_bits(len(positions), fillers, label_bits)


def cheapest_gap_bits(survivors: int, fillers: Sequence[int], label_bits: int) -> int:
    """Return the same from the number of fillers that gaps of each width need."""

    def bits(gap_bits: int) -> int:
        return (survivors + fillers[gap_bits]) * (label_bits + gap_bits)

    return min(range(1, MAX_BITS + 1), key=bits)
