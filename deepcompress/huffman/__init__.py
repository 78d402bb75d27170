"""Stage 3: symbols <-> bits, by a canonical Huffman code (Han et al. 2016, section 4)."""

from ..bits.alphabet import MAX_ALPHABET
from .codes import MAX_CODE_BITS, canonical_codes, code_lengths, unlimited_lengths
from .streams import decode, decode_streams, encode, encoded_bits
from .table import decode_lengths, encode_lengths

__all__ = [
    "MAX_ALPHABET",
    "MAX_CODE_BITS",
    "canonical_codes",
    "code_lengths",
    "decode",
    "decode_lengths",
    "decode_streams",
    "encode",
    "encode_lengths",
    "encoded_bits",
    "unlimited_lengths",
]
