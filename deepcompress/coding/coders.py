"""The coders of a stream behind one interface: fixed width, Huffman, rANS."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import huffman
from ..bits import packing
from ..errors import FormatError
from ..tensors import FIXED_WIDTH, HUFFMAN, RANS, Int64Array, UInt8Array
from . import rans


@dataclass(frozen=True)
class Code:
    """How the symbols of one alphabet become bits.

    Attributes
    ----------
    coder : int
        `FIXED_WIDTH`, `HUFFMAN` or `RANS`.
    width : int
        Of a symbol, where the coder is `FIXED_WIDTH`.
    parameters : ndarray of shape (A,), uint8
        What the table says of each symbol: the length of its Huffman code, or its level
        (see `rans`). Empty at fixed width.
    """

    coder: int
    width: int
    parameters: UInt8Array

    def table(self) -> bytes:
        """Return the table that a reader needs, empty at fixed width."""
        if self.coder == HUFFMAN:
            return huffman.encode_lengths(self.parameters)
        return rans.encode_levels(self.parameters) if self.coder == RANS else b""

    def encode(self, symbols: UInt8Array) -> bytes:
        """Return symbols as bytes."""
        if self.coder == HUFFMAN:
            return huffman.encode(symbols, self.parameters)
        if self.coder == RANS:
            # A block without symbols has no bytes, whatever the others' levels are.
            return rans.encode(symbols, self.parameters) if symbols.size else b""
        return packing.pack(symbols, self.width).tobytes()

    def size_bytes(self, symbols: UInt8Array) -> int:
        """Return how many bytes symbols take."""
        if self.coder == RANS:
            return len(self.encode(symbols))
        return int(self.bits(np.bincount(symbols, minlength=len(self.parameters))) + 7) // 8

    def bits(self, counts: Int64Array) -> Int64Array:
        """Return how many bits symbols take, from counts of shape (…, A) alone; not for rANS."""
        if self.coder == HUFFMAN:
            return np.asarray(counts @ self.parameters.astype(np.int64))
        return np.asarray(self.width * counts.sum(axis=-1))


def decode_streams(
    codes: tuple[Code, Code], streams: Sequence[tuple[bytes, int, int]]
) -> list[UInt8Array | FormatError]:
    """Return of each stream the symbols, or why it has none.

    Parameters
    ----------
    codes : tuple of two Code
    streams : sequence of (data, code, count)
        Each with the index of its code, and how many symbols it holds.

    Returns
    -------
    list of (ndarray of shape (count,), uint8) or FormatError
        At fixed width, symbols beyond the alphabet pass.
    """
    outcomes: dict[int, UInt8Array | FormatError] = {}
    for coder in (FIXED_WIDTH, HUFFMAN, RANS):
        mine = [i for i, (_, code, _) in enumerate(streams) if codes[code].coder == coder]
        together = [streams[i] for i in mine]
        if not mine:
            continue
        if coder == FIXED_WIDTH:
            decoded = [_unpack(data, codes[code].width, count) for data, code, count in together]
        else:
            of_coder = [c.parameters if c.coder == coder else np.zeros(0, np.uint8) for c in codes]
            decode = huffman.decode_streams if coder == HUFFMAN else rans.decode_streams
            decoded = decode(of_coder, together)
        outcomes.update(zip(mine, decoded, strict=True))
    return [outcomes[i] for i in range(len(streams))]


def _unpack(data: bytes, width: int, count: int) -> UInt8Array | FormatError:
    try:
        return packing.unpack(np.frombuffer(data, np.uint8), width, count)
    except FormatError as error:
        return error


def make(coder: int, counts: Int64Array, width: int) -> Code:
    """Return the best code of a coder for symbols with these counts."""
    if coder == HUFFMAN:
        return Code(coder, width, huffman.code_lengths(counts))
    if coder == RANS:
        return Code(coder, width, rans.levels(counts))
    return Code(coder, width, np.zeros(0, np.uint8))


def read(coder: int, table: bytes, alphabet: int, width: int) -> Code:
    """Return the code that a table describes.

    Raises
    ------
    FormatError
        If the table isn't valid, or longer than it says.
    """
    if coder == FIXED_WIDTH:
        return Code(coder, width, np.zeros(0, np.uint8))
    decode_table = huffman.decode_lengths if coder == HUFFMAN else rans.decode_levels
    parameters, size = decode_table(table, alphabet)
    if size != len(table):
        raise FormatError(f"{len(table) - size} bytes too many in a code table")
    return Code(coder, width, parameters)
