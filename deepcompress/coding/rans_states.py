"""Stage 3: symbols as bytes, by rANS with several states that take turns.

Deviation: as `rans`, which has one state. Its steps wait for each other; those of several states,
each of which has every N-th symbol, don't (Giesen 2014, "Interleaved entropy coders",
arXiv:1402.3392). So processors overlap them, and vectors hold eight of them.

Each state stays within 31 bits and moves 16 bits at once, so that one word at most is read for a
symbol. Frequencies are shares of ``2**12``: decoding looks each symbol up in a table of as many
entries, which is to stay in the processor's first cache.

``docs/format.md`` specifies frequencies and streams, `rans_levels` what they are made of.
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
from .rans import starts_of, without_reading
from .rans_levels import SHARE_BITS, frequencies

MOST_STATES = 32
SYMBOLS_BITS = 12  # of several states, each has 2**12 symbols at least
_LOWEST_STATE = 1 << 15
_STATE_BYTES, _WORD_BYTES = 4, 2
# A state of at least this times f has to give off a word before a symbol of frequency f.
_ROOM = (_LOWEST_STATE >> SHARE_BITS) << 16


def states_of(count: int) -> int:
    """Return how many states a stream of so many symbols has: 1, 2, 4, 8, 16 or 32.

    Examples
    --------
    >>> [states_of(count) for count in (0, 8191, 8192, 100000, 131072, 10**9)]
    [1, 1, 2, 16, 32, 32]
    """
    # > N is the largest power of two for which N * 2**12 <= S, but at least 1 and at most 32.
    return min(max(1 << (count >> SYMBOLS_BITS).bit_length() >> 1, 1), MOST_STATES)


def encode(symbols: npt.ArrayLike, levels: npt.ArrayLike) -> bytes:
    """Write symbols as `rans.encode`, which has the same parameters and errors.

    Examples
    --------
    >>> encode(np.array([2, 0, 1], np.uint8), np.array([24, 22, 22], np.uint8)).hex()
    '004c1000'
    """
    symbols = as_uint8(symbols, "symbols")
    shares = frequencies(levels, SHARE_BITS)
    if (missing := first_beyond(symbols, shares > 0)) is not None:
        raise ArgumentError(f"symbol {missing} occurs, but has no level")
    if not symbols.size:
        if shares.any():
            raise ArgumentError("there are no symbols, but a symbol has a level")
        return b""
    if native.active():
        return native_rans.encode_states(symbols, shares, SYMBOLS_BITS).tobytes()
    return _encode(symbols, shares)


def decode(payload: Payload, levels: npt.ArrayLike, count: int) -> UInt8Array:
    """Read ``count`` symbols as `rans.decode`, which has the same parameters and errors.

    Examples
    --------
    >>> decode(bytes.fromhex("004c1000"), np.array([24, 22, 22], np.uint8), 3).tolist()
    [2, 0, 1]
    """
    shares = frequencies(levels, SHARE_BITS)
    as_count(count)
    if not count and shares.any():
        raise FormatError("no symbols are declared, but a symbol has a level")
    return symbols_of(*decode_streams([levels], [(payload, 0, count)]))


def decode_streams(
    codes: Sequence[npt.ArrayLike],
    streams: Sequence[tuple[Payload, int, int]],
) -> list[Outcome]:
    """Read several streams as `rans.decode_streams`."""
    shares = [frequencies(levels, SHARE_BITS) for levels in codes]
    return outcomes_of(shares, streams, without_reading, _decode_in_c, _decode)


def _decode_in_c(
    codes: Sequence[UInt16Array], streams: Sequence[tuple[UInt8Array, int, int]]
) -> list[Outcome]:
    return native_rans.decode_states(codes, streams, SYMBOLS_BITS)


def _encode(symbols: UInt8Array, shares: UInt16Array) -> bytes:
    """Write symbols, at least one; arguments validated by `encode`."""
    frequency, start = shares.tolist(), starts_of(shares)
    number = states_of(len(symbols))
    states = [_LOWEST_STATE] * number
    backwards = bytearray()
    for i in range(len(symbols) - 1, -1, -1):
        symbol, state = int(symbols[i]), states[i % number]
        f = frequency[symbol]
        if state >= _ROOM * f:
            backwards += (state & 0xFFFF).to_bytes(_WORD_BYTES, "big")
            state >>= 16
        states[i % number] = (state // f << SHARE_BITS) + state % f + start[symbol]
    for state in reversed(states):
        backwards += state.to_bytes(_STATE_BYTES, "big")
    return bytes(reversed(backwards))


def _decode(data: UInt8Array, shares: UInt16Array, count: int) -> UInt8Array:
    """Read symbols, at least one; arguments validated by `decode`."""
    frequency, start = shares.tolist(), starts_of(shares)
    symbol_of = np.repeat(np.arange(len(shares)), shares).tolist()  # by slot
    symbols, stream, number = bytearray(count), data.tobytes(), states_of(count)
    place = _STATE_BYTES * number
    if len(stream) < place:
        raise TruncatedError("the coded bits end before the last symbol (symbol 0)")
    states = np.frombuffer(stream[:place], "<u4").tolist()
    for i, state in enumerate(states):
        if not _LOWEST_STATE <= state < _LOWEST_STATE << 16:
            text = f"the first state of the coder is out of range (byte {_STATE_BYTES * i})"
            raise FormatError(text)
    for i in range(count):
        state = states[i % number]
        slot = state % (1 << SHARE_BITS)
        symbols[i] = symbol = symbol_of[slot]
        state = frequency[symbol] * (state >> SHARE_BITS) + slot - start[symbol]
        if state < _LOWEST_STATE:
            word = stream[place : place + _WORD_BYTES]
            if len(word) < _WORD_BYTES:
                raise TruncatedError(f"the coded bits end before the last symbol (symbol {i})")
            state = state << 16 | int.from_bytes(word, "little")
            place += _WORD_BYTES
        states[i % number] = state
    if place < len(stream):
        raise FormatError(f"bytes follow the last symbol (byte {place})")
    if any(state != _LOWEST_STATE for state in states):
        raise FormatError(f"the last state of the coder isn't the lowest (byte {place})")
    return np.frombuffer(symbols, np.uint8)
