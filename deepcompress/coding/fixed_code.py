"""Symbols of a fixed width: the coder that needs no table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..bits import packing
from ..bits.outcomes import Outcome, outcome_of
from ..tensors import MAX_BITS, Int64Array, UInt8Array
from .code import Code, Stream


@dataclass(frozen=True)
class FixedCode(Code):
    """Symbols of `width` bits, 1 to 8; those that are read may lie beyond the alphabet."""

    width: int
    has_table: ClassVar[bool] = False

    @classmethod
    def make(cls, counts: Int64Array, width: int) -> "FixedCode":
        """See `Code`."""
        return cls(width)

    @classmethod
    def read(cls, table: bytes, alphabet: int, width: int) -> tuple["FixedCode", int]:
        """See `Code`."""
        return cls(width), 0

    def table(self) -> bytes:
        """Return nothing."""
        return b""

    def encode(self, symbols: UInt8Array) -> bytes:
        """See `Code`."""
        if self.width == MAX_BITS:
            return symbols.tobytes()
        return packing.pack(symbols, self.width).tobytes()

    def sizes(
        self, counts: Int64Array, streams: Callable[[], Sequence[UInt8Array]]
    ) -> Sequence[int]:
        """See `Code`."""
        return [packing.packed_size(self.width, count) for count in counts.sum(axis=1).tolist()]

    def symbol_bits(self, alphabet: int) -> list[float]:
        """See `Code`."""
        return [self.width] * alphabet

    @classmethod
    def decoder_bytes(cls, stream_bytes: int) -> int:
        """Return the size of a byte for each bit, twice, and of the stream."""
        return 17 * stream_bytes

    @classmethod
    def decode_streams(
        cls, codes: Sequence["FixedCode"], streams: Sequence[Stream]
    ) -> list[Outcome]:
        """See `Code`."""
        return [
            outcome_of(_unpacked, np.frombuffer(data, np.uint8), codes[code].width, count)
            for data, code, count in streams
        ]


def _unpacked(packed: UInt8Array, width: int, count: int) -> UInt8Array:
    """Return symbols; those of a byte are what is in the file, without a copy."""
    if width < MAX_BITS:
        return packing.unpack(packed, width, count)
    packing.check_packed(packed, width, count)
    return packed
