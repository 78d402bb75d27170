"""Stage 3: symbols as bytes, by a range asymmetric numeral system (rANS).

Deviation: the paper has Huffman coding only. A Huffman code spends a whole number of bits
on each symbol, this one fractions of them, so that the symbols take what their entropy says
(Duda 2013, "Asymmetric numeral systems: entropy coding combining speed of Huffman coding
with compression rate of arithmetic coding", arXiv:1311.2540, §2.3).

The road from symbols to bytes is ``counts -> levels -> frequencies -> encode``; a reader
needs the levels only. The whole message is one integer, the *state*. To encode a symbol
of probability p makes it about 1/p times as large; decoding undoes that, in reverse
order. Bytes move between the state and the payload so that it stays within 31 bits.

``docs/format.md`` specifies levels, frequencies, streams and the table of levels.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits.alphabet import first_beyond
from ..bits.outcomes import Outcome, Payload, outcomes_of, symbols_of
from ..checks import as_count, as_uint8
from ..errors import ArgumentError, FormatError, TruncatedError
from ..native import rans as native_rans
from ..tensors import UInt8Array, UInt16Array
from .rans_levels import PROBABILITY_BITS, frequencies

_LOWEST_STATE = 1 << 23
_STATE_BYTES = 4
# A state of at least this times f has to give off a byte before a symbol of frequency f.
_ROOM = (_LOWEST_STATE >> PROBABILITY_BITS) << 8


def encode(symbols: npt.ArrayLike, levels: npt.ArrayLike) -> bytes:
    """Write symbols with the probabilities that levels stand for.

    Parameters
    ----------
    symbols : array_like of shape (count,), dtype uint8
    levels : array_like of shape (A,), uint8
        Level of each symbol of the alphabet, 0 to 31. All 0 if there is no symbol.

    Returns
    -------
    bytes
        About ``estimated_bytes(bincount(symbols), levels)`` of them.

    Raises
    ------
    ArgumentError
        If `symbols` isn't a one-dimensional uint8 array, a symbol that occurs
        has no level, or there are levels but no symbols.
    FormatError
        If a level exceeds 31.

    Examples
    --------
    >>> encode(np.array([2, 0, 1], np.uint8), np.array([24, 22, 22], np.uint8)).hex()
    '00300110'
    """
    symbols = as_uint8(symbols, "symbols")
    shares = frequencies(levels)
    if (missing := first_beyond(symbols, shares > 0)) is not None:
        raise ArgumentError(f"symbol {missing} occurs, but has no level")
    if not symbols.size:
        if shares.any():
            raise ArgumentError("there are no symbols, but a symbol has a level")
        return b""
    if native.active():
        return native_rans.encode(symbols, shares).tobytes()
    return _encode(symbols, shares)


def decode(payload: Payload, levels: npt.ArrayLike, count: int) -> UInt8Array:
    """Read ``count`` symbols as `huffman.decode`, with levels in place of code lengths.

    Nothing in the payload bounds the count, as a symbol may take 0 bits: it is for the caller to
    see that so many bytes can be had.

    Raises
    ------
    ArgumentError, TruncatedError
        As `huffman.decode`.
    FormatError
        If a level exceeds 31, there are symbols but no levels or levels but no
        symbols, the first or the last state is none that `encode` leaves, or bytes
        follow the last symbol.

    Examples
    --------
    >>> decode(bytes.fromhex("00300110"), np.array([24, 22, 22], np.uint8), 3).tolist()
    [2, 0, 1]
    """
    shares = frequencies(levels)
    as_count(count)
    if not count and shares.any():
        raise FormatError("no symbols are declared, but a symbol has a level")
    return symbols_of(*decode_streams([levels], [(payload, 0, count)]))


def decode_streams(
    codes: Sequence[npt.ArrayLike],
    streams: Sequence[tuple[Payload, int, int]],
) -> list[Outcome]:
    """Read several streams as `huffman.decode_streams`, with levels in place of code lengths.

    A stream without symbols is empty, whatever the levels are that it shares with others.
    """
    shares = [frequencies(levels) for levels in codes]
    return outcomes_of(shares, streams, without_reading, native_rans.decode, _decode)


def _encode(symbols: UInt8Array, shares: UInt16Array) -> bytes:
    """Write symbols, at least one; arguments validated by `encode`."""
    frequency = shares.tolist()
    start = starts_of(shares)
    state = _LOWEST_STATE
    backwards = bytearray()
    for symbol in reversed(symbols.tolist()):
        f = frequency[symbol]
        while state >= _ROOM * f:
            backwards.append(state & 0xFF)
            state >>= 8
        state = (state // f << PROBABILITY_BITS) + state % f + start[symbol]
    backwards += state.to_bytes(_STATE_BYTES, "big")
    return bytes(reversed(backwards))


def without_reading(data: UInt8Array, is_empty: bool, count: int) -> Outcome | None:
    """Return the outcome of a stream without symbols, or of one that can't have any."""
    as_count(count)
    if count:
        text = f"{count} symbols are declared, but none has a level"
        return FormatError(text) if is_empty else None
    if data.size:
        return FormatError("bytes follow the last symbol (byte 0)")
    return np.zeros(0, np.uint8)


def _decode(data: UInt8Array, shares: UInt16Array, count: int) -> UInt8Array:
    """Read symbols, at least one; arguments validated by `decode`."""
    frequency = shares.tolist()
    start = starts_of(shares)
    symbol_of = np.repeat(np.arange(len(shares)), shares).tolist()  # by slot
    symbols = bytearray(count)
    stream = data.tobytes()
    if len(stream) < _STATE_BYTES:
        raise TruncatedError("the coded bits end before the last symbol (symbol 0)")
    state = int.from_bytes(stream[:_STATE_BYTES], "little")
    if not _LOWEST_STATE <= state < _LOWEST_STATE << 8:
        raise FormatError("the first state of the coder is out of range (byte 0)")
    place = _STATE_BYTES
    try:
        for i in range(count):
            slot = state % (1 << PROBABILITY_BITS)
            symbols[i] = symbol = symbol_of[slot]
            state = frequency[symbol] * (state >> PROBABILITY_BITS) + slot - start[symbol]
            while state < _LOWEST_STATE:
                state = state << 8 | stream[place]
                place += 1
    except IndexError:
        raise TruncatedError(f"the coded bits end before the last symbol (symbol {i})") from None
    if place < len(stream):
        raise FormatError(f"bytes follow the last symbol (byte {place})")
    if state != _LOWEST_STATE:
        raise FormatError(f"the last state of the coder isn't the lowest (byte {place})")
    return np.frombuffer(symbols, np.uint8)


def starts_of(shares: UInt16Array) -> list[int]:
    """Return the first slot of each symbol."""
    ends: list[int] = np.cumsum(shares, dtype=np.int64).tolist()
    return [0, *ends[:-1]]
