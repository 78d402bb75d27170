"""The canonical Huffman code of `huffman` as a coder."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .. import huffman
from ..bits.outcomes import Outcome
from ..tensors import Int64Array, UInt8Array
from .code import Code, Stream


@dataclass(frozen=True)
class HuffmanCode(Code):
    """A Huffman code; `lengths` of shape (A,), uint8, are those of its codewords."""

    lengths: UInt8Array

    @classmethod
    def make(cls, counts: Int64Array, width: int) -> "HuffmanCode":
        """See `Code`."""
        return cls(huffman.code_lengths(counts))

    @classmethod
    def read(cls, table: bytes, alphabet: int, width: int) -> tuple["HuffmanCode", int]:
        """See `Code`."""
        lengths, size = huffman.decode_lengths(table, alphabet)
        return cls(lengths), size

    def table(self) -> bytes:
        """See `Code`."""
        return huffman.encode_lengths(self.lengths)

    def encode(self, symbols: UInt8Array) -> bytes:
        """See `Code`."""
        return huffman.encode(symbols, self.lengths)

    def sizes(
        self, counts: Int64Array, streams: Callable[[], Sequence[UInt8Array]]
    ) -> Sequence[int]:
        """See `Code`."""
        bits = counts @ self.lengths.astype(np.int64)
        sizes: list[int] = ((bits + 7) // 8).tolist()
        return sizes

    def symbol_bits(self, alphabet: int) -> list[float]:
        """See `Code`."""
        return list(map(int, self.lengths))

    @classmethod
    def decoder_bytes(cls, stream_bytes: int) -> int:
        """Return the size of a list of all bits, of the bits as bytes, and of the stream."""
        return 74 * stream_bytes

    @classmethod
    def decode_streams(
        cls, codes: Sequence["HuffmanCode"], streams: Sequence[Stream]
    ) -> list[Outcome]:
        """See `Code`."""
        return huffman.decode_streams([code.lengths for code in codes], streams)
