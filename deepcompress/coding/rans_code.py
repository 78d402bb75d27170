"""The range coders of `coding.rans` and `coding.rans_states` as coders."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ..bits.outcomes import Outcome
from ..tensors import Int64Array, UInt8Array
from . import rans, rans_levels, rans_states
from .code import Code, Stream


@dataclass(frozen=True)
class RansCode(Code):
    """Probabilities for rANS; `levels` of shape (A,), uint8, stand for them.

    Streams have several states that take turns.
    """

    levels: UInt8Array
    bits: ClassVar[int] = rans_levels.SHARE_BITS

    @classmethod
    def make(cls, counts: Int64Array, width: int) -> "RansCode":
        """See `Code`."""
        return cls(rans_levels.levels(counts, cls.bits))

    @classmethod
    def read(cls, table: bytes, alphabet: int, width: int) -> tuple["RansCode", int]:
        """See `Code`."""
        levels, size = rans_levels.decode_levels(table, alphabet)
        return cls(levels), size

    def table(self) -> bytes:
        """See `Code`."""
        return rans_levels.encode_levels(self.levels)

    def encode(self, symbols: UInt8Array) -> bytes:
        """Return symbols as bytes; none if there are none, whatever the levels are."""
        return rans_states.encode(symbols, self.levels) if symbols.size else b""

    def sizes(
        self, counts: Int64Array, streams: Callable[[], Sequence[UInt8Array]]
    ) -> Sequence[int]:
        """Return how many bytes streams take, which depends on the order of their symbols."""
        return [self.size_bytes(stream) for stream in streams()]

    @classmethod
    def least_bits(cls, symbols: int, entropy_bits: float) -> float:
        """Return a bound from below: symbols may take fractions of a bit, rounded by the state."""
        return 0.99 * entropy_bits

    def symbol_bits(self, alphabet: int) -> list[float]:
        """Return ``-log2`` of each symbol's probability, to three digits."""
        frequencies = rans_levels.frequencies(self.levels, self.bits).tolist()
        return [round(self.bits - math.log2(one), 3) if one else 0 for one in frequencies]

    @classmethod
    def decoder_bytes(cls, stream_bytes: int) -> int:
        """Return the size of a list of all slots, and of their numbers."""
        return 3 << 17

    @classmethod
    def decode_streams(
        cls, codes: Sequence["RansCode"], streams: Sequence[Stream]
    ) -> list[Outcome]:
        """See `Code`."""
        return rans_states.decode_streams([code.levels for code in codes], streams)


@dataclass(frozen=True)
class OneStateCode(RansCode):
    """The same with one state, as older readers know it."""

    bits: ClassVar[int] = rans_levels.PROBABILITY_BITS

    def encode(self, symbols: UInt8Array) -> bytes:
        """Return symbols as bytes; none if there are none, whatever the levels are."""
        return rans.encode(symbols, self.levels) if symbols.size else b""

    @classmethod
    def decode_streams(
        cls, codes: Sequence["RansCode"], streams: Sequence[Stream]
    ) -> list[Outcome]:
        """See `Code`."""
        return rans.decode_streams([code.levels for code in codes], streams)
