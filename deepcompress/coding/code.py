"""The protocol of coders, which turn the symbols of one alphabet into bytes.

A coder is a subclass in a module of its own, with an entry in `coding.coders`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from ..bits.outcomes import Outcome
from ..tensors import Int64Array, UInt8Array

# Its bytes, the index of its code, and how many symbols it has.
Stream = tuple[bytes | memoryview, int, int]


class Code(ABC):
    """A code for the symbols of one alphabet, which has A of them.

    Attributes
    ----------
    has_table : bool
        Whether a file has a table of the code, and says how many bytes each stream takes. All
        but fixed width have it.
    """

    has_table: ClassVar[bool] = True

    @classmethod
    @abstractmethod
    def make(cls, counts: Int64Array, width: int) -> "Code":
        """Return the best code for symbols with these counts, shape (A,), of `width` bits each."""

    @classmethod
    @abstractmethod
    def read(cls, table: bytes, alphabet: int, width: int) -> tuple["Code", int]:
        """Return the code of a table and the table's bytes; FormatError if it isn't valid."""

    @abstractmethod
    def table(self) -> bytes:
        """Return the table that a reader needs."""

    @abstractmethod
    def encode(self, symbols: UInt8Array) -> bytes:
        """Return symbols as bytes, none if there are none."""

    @abstractmethod
    def sizes(
        self, counts: Int64Array, streams: Callable[[], Sequence[UInt8Array]]
    ) -> Sequence[int]:
        """Return how many bytes each of B streams takes, from its counts of shape (B, A).

        `streams` makes them. It is called only where counts don't suffice, as it takes long.
        """

    @classmethod
    def least_bits(cls, symbols: int, entropy_bits: float) -> float:
        """Return a bound from below of the bits of so many symbols: a bit for each of them."""
        return max(symbols, 0.9999 * entropy_bits)  # of which a sum may be rounded

    def size_bytes(self, symbols: UInt8Array) -> int:
        """Return how many bytes symbols take."""
        return len(self.encode(symbols))

    @abstractmethod
    def symbol_bits(self, alphabet: int) -> list[float]:
        """Return the bits of each symbol, 0 for one that has no code."""

    @classmethod
    @abstractmethod
    def decoder_bytes(cls, stream_bytes: int) -> int:
        """Return the most memory that the reference decoder takes for a stream, besides symbols."""

    @classmethod
    @abstractmethod
    def decode_streams(cls, codes: Sequence[Any], streams: Sequence[Stream]) -> list[Outcome]:
        """Return the symbols of each stream, or why it has none, for one or two codes."""
