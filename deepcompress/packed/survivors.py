"""The survivors of a tensor, packed for products, and back."""

from .. import relindex
from ..bits.packing import fixed_width
from ..tensors import SharedWeights, Survivors
from .tensor import CompressedTensor
from .widths import narrowest_gap_bits


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
