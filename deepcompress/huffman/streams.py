"""Stage 3: symbols as bits, by canonical Huffman codes of limited length.

Han et al. 2016, §4: "A Huffman code is an optimal prefix code commonly used for
lossless data compression […]. It uses variable-length codewords to encode source
symbols. […] More common symbols are represented with fewer bits."

The road from symbols to bits is ``counts -> code_lengths -> canonical_codes ->
encode``; a reader needs the lengths only. `decode` follows the decoder of
Mark Adler's puff, which is the shortest complete description of a canonical code.
``docs/format.md``, "Huffman", specifies the code and its streams.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits.alphabet import check_counts, first_beyond
from ..bits.outcomes import Outcome, Payload, outcomes_of, symbols_of
from ..checks import as_count, as_uint8
from ..errors import ArgumentError, FormatError, TruncatedError
from ..native import huffman as native_huffman
from ..tensors import UInt8Array
from .codes import MAX_CODE_BITS, canonical_codes, check_lengths


def encode(symbols: npt.ArrayLike, lengths: npt.ArrayLike) -> bytes:
    """Write symbols with the canonical code of the given lengths.

    Parameters
    ----------
    symbols : array_like of shape (count,), dtype uint8
    lengths : array_like of shape (A,), uint8
        Code length of each symbol of the alphabet.

    Returns
    -------
    bytes
        ``ceil(encoded_bits(bincount(symbols), lengths) / 8)`` of them.

    Raises
    ------
    ArgumentError
        If `symbols` isn't a one-dimensional uint8 array, or a symbol that
        occurs has no code.
    FormatError
        If no complete prefix code has these lengths.

    Examples
    --------
    >>> encode(np.array([2, 0, 1], np.uint8), np.array([1, 2, 2], np.uint8)).hex()
    '0b'
    """
    symbols = as_uint8(symbols, "symbols")
    lengths = check_lengths(lengths)
    if (missing := first_beyond(symbols, lengths > 0)) is not None:
        raise ArgumentError(f"symbol {missing} occurs, but has no code")
    if native.active():
        longest = int(lengths.max(initial=0))
        return native_huffman.encode(symbols, lengths, (longest * len(symbols) + 7) // 8).tobytes()
    return _encode(symbols, lengths).tobytes()


def decode(payload: Payload, lengths: npt.ArrayLike, count: int) -> UInt8Array:
    """Read ``count`` symbols; the payload must end with the last of them.

    Parameters
    ----------
    payload : bytes, memoryview or ndarray of uint8
    lengths : array_like of shape (A,), uint8
        Code length of each symbol of the alphabet.
    count : int
        Number of symbols, ``>= 0``.

    Returns
    -------
    ndarray of shape (count,), uint8

    Raises
    ------
    ArgumentError
        If `count` is negative, or an array has the wrong dtype or shape.
    TruncatedError
        If the payload ends before the last symbol.
    FormatError
        If no complete prefix code has these lengths, a bit pattern has no
        symbol, a padding bit is set, or bytes follow the last symbol.

    Examples
    --------
    >>> decode(bytes.fromhex("0b"), np.array([1, 2, 2], np.uint8), 3).tolist()
    [2, 0, 1]
    """
    return symbols_of(*decode_streams([lengths], [(payload, 0, count)]))


def decode_streams(
    codes: Sequence[npt.ArrayLike],
    streams: Sequence[tuple[Payload, int, int]],
) -> list[Outcome]:
    """Read several streams, which is faster than one after the other.

    Parameters
    ----------
    codes : sequence of one or two array_like of uint8
        Code lengths as for `decode`.
    streams : sequence of (payload, code, count)
        As for `decode`, each with the index of its code.

    Returns
    -------
    list of (ndarray of shape (count,), uint8) or FormatError
        The symbols of each stream, or the error that `decode` raises.

    Raises
    ------
    ArgumentError, FormatError
        As `decode`, for errors that no single stream causes.
    """
    checked = [check_lengths(lengths) for lengths in codes]
    return outcomes_of(checked, streams, _refusal, native_huffman.decode, _decode)


def encoded_bits(counts: npt.ArrayLike, lengths: npt.ArrayLike) -> int:
    """Return the number of bits that symbols with these counts take, without padding and table.

    Raises
    ------
    ArgumentError
        If the shapes differ, a count is out of range (see `code_lengths`), or a symbol
        that occurs has no code.

    Examples
    --------
    >>> encoded_bits([50, 0, 20, 20, 10], [1, 0, 2, 3, 3])
    180
    """
    counts = check_counts(counts)
    lengths = np.asarray(lengths)
    if lengths.shape != counts.shape:
        raise ArgumentError(f"{counts.shape} counts for {lengths.shape} code lengths")
    if (missing := np.flatnonzero((counts > 0) & (lengths == 0))).size:
        raise ArgumentError(f"symbol {missing[0]} occurs, but has no code")
    return int(counts @ lengths.astype(np.int64))


def _encode(symbols: UInt8Array, lengths: UInt8Array) -> UInt8Array:
    """Write the codes bit by bit, all symbols at once; arguments validated by `encode`."""
    # > A code is written from its highest bit to its lowest, into bits of the stream that ascend.
    codes = canonical_codes(lengths)[symbols]
    widths = lengths[symbols]
    ends = np.cumsum(widths, dtype=np.int64)
    bits = np.zeros(ends[-1] if ends.size else 0, np.uint8)
    for place in range(MAX_CODE_BITS):  # the bit of weight 2**place in its code
        reach = widths > place
        bits[ends[reach] - 1 - place] = (codes[reach] >> place) & 1
    return np.packbits(bits, bitorder="little")


def _refusal(data: UInt8Array, is_empty: bool, count: int) -> FormatError | None:
    """Return the error of a stream that can't be right, whatever its bits are."""
    as_count(count)
    if count and is_empty:
        return FormatError(f"{count} symbols are declared, but the code is empty")
    if count > 8 * len(data):  # a symbol takes at least one bit; also bounds what we allocate
        return TruncatedError(f"{len(data)} bytes can't hold {count} symbols")
    return None


def _decode(data: UInt8Array, lengths: UInt8Array, count: int) -> UInt8Array:
    """Read symbols one bit at a time; arguments validated by `decode`.

    Codes of one length are consecutive integers. ``first`` is the first code of
    the current length, ``index`` the place of its symbol in canonical order.
    """
    by_length = np.bincount(lengths, minlength=MAX_CODE_BITS + 1).tolist()
    in_code_order = np.argsort(lengths, kind="stable")[by_length[0] :].tolist()
    longest = int(lengths.max(initial=0))
    bits = np.unpackbits(data, bitorder="little").tolist()
    symbols = bytearray(count)
    place = 0
    try:
        for i in range(count):
            code = first = index = 0
            for length in range(1, longest + 1):
                code |= bits[place]
                place += 1
                if code - first < by_length[length]:
                    symbols[i] = in_code_order[index + code - first]
                    break
                index += by_length[length]
                first = (first + by_length[length]) << 1
                code <<= 1
            else:
                raise FormatError(f"a bit pattern has no symbol (symbol {i})")
    except IndexError:
        raise TruncatedError(f"the coded bits end before the last symbol (symbol {i})") from None
    # > The unused bits of the last byte are 0, and no byte follows.
    end = (place + 7) // 8
    if end < len(data):
        raise FormatError(f"bytes follow the last symbol (byte {end})")
    if any(bits[place:]):
        raise FormatError(f"padding bits after the last symbol aren't zero (byte {end - 1})")
    return np.frombuffer(symbols, np.uint8)
