"""How large the parts of a tensor of shared weights are, as `container` specifies them."""

from .container import BITMASK, DENSE, RELATIVE, Coding


def block_count(size: int, block_bits: int) -> int:
    """Return B, into how many blocks a tensor of `size` elements is cut."""
    return max(1, -(-size >> block_bits))


def block_size(size: int, block_bits: int, block: int) -> int:
    """Return how many elements a block of such a tensor has."""
    return min(size - (block << block_bits), 1 << block_bits)


def fixed_width(largest: int) -> int:
    """Return w(n), the width of symbols up to `largest`."""
    return max(1, largest.bit_length())


def stream_bits(coding: Coding, k: int) -> tuple[int, int]:
    """Return the widths of labels and positions; 0 where there are no positions."""
    label = fixed_width(max(k - 1, 0)) if coding.encoding == BITMASK else fixed_width(k)
    return label, {RELATIVE: coding.gap_bits, DENSE: 0, BITMASK: 8}[coding.encoding]


def stream_symbols(coding: Coding, count: int, elements: int) -> tuple[int, int]:
    """Return how many labels and positions a block of S = `count` entries has."""
    positions = {RELATIVE: count, DENSE: 0, BITMASK: (elements + 7) // 8}[coding.encoding]
    return (elements if coding.encoding == DENSE else count), positions
