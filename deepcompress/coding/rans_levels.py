"""Coarse probabilities for rANS: from counts to levels, frequencies and bytes.

``docs/format.md``, "rANS", specifies levels and frequencies. There are two kinds of these: shares
of ``2**14`` for the one state of `rans`, and of ``2**12`` for those of `rans_states`. Here is how
an encoder picks the levels, which a reader needn't know.

A level that fits its count less well costs payload, but may save bits of the
table: a table of 255 levels is of the size of what it describes where symbols are
few. `levels` finds the best compromise for a given scale of the weights
by dynamic programming along the table (Viterbi), and tries a few scales.
Everything is computed in integers, so that a histogram gets the same levels everywhere.
"""

from functools import cache, lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bits.alphabet import check_counts
from ..bits.tokens import TableKind, decode_deltas, encode_deltas, run_bits, step_bits
from ..errors import ArgumentError
from ..tensors import Int64Array, UInt8Array, UInt16Array

PROBABILITY_BITS = 14  # of one state
SHARE_BITS = 12  # of several
MAX_LEVEL = 31

_KIND = TableKind("level", MAX_LEVEL, first_previous=24)

_ONE_BIT = 1 << 12  # costs are multiples of 1/4096 bit
_ONE_NAT = 5909  # 1 / ln 2 bits
_LARGEST_COST_BITS = (PROBABILITY_BITS * _ONE_BIT).bit_length()

_COUNT_BITS = 30  # of the largest count, with which costs stay within 63 bits
# Ideal weights of the largest count: steps within an octave, up to level 31, so that
# of a symbol of less than 2**-14 the weight can be so low, too.
_SCALES = np.array([16, 18, 20, 22, 24, 13, 14, 15]) << 12


def weights(levels: UInt8Array) -> Int64Array:
    """Return what each level stands for, 0 for level 0.

    Examples
    --------
    >>> weights(np.arange(8, dtype=np.uint8)).tolist()
    [0, 3, 4, 6, 8, 12, 16, 24]
    """
    exact = levels.astype(np.int64)
    return np.where(exact > 0, (2 + (exact & 1)) << (exact >> 1), 0)


def frequencies(levels: npt.ArrayLike, bits: int = PROBABILITY_BITS) -> UInt16Array:
    """Return the share of each symbol in 2**bits.

    Parameters
    ----------
    levels : array_like of shape (A,), uint8
        Each ``<= 31``; 0 for a symbol that doesn't occur.
    bits : {14, 12}

    Returns
    -------
    ndarray of shape (A,), uint16
        Their sum is ``2**bits``, or 0 if there is no symbol. Of a symbol that has a
        level, at least 1.

    Raises
    ------
    ArgumentError
        If `levels` isn't a one-dimensional uint8 array of at most 256 values.
    FormatError
        If a level exceeds 31.

    Examples
    --------
    >>> frequencies(np.array([24, 0, 22, 20], np.uint8)).tolist()
    [9362, 0, 4681, 2341]
    >>> frequencies(np.array([24, 0, 22, 20], np.uint8), 12).tolist()
    [2340, 0, 1170, 586]
    """
    levels = _KIND.check(levels, "levels")
    used = levels > 0
    shares = np.zeros(len(levels), np.uint16)
    if used.any():
        shares[used] = _shares(levels[np.newaxis, used], bits)[0]
    return shares


def levels(counts: npt.ArrayLike, bits: int = PROBABILITY_BITS) -> UInt8Array:
    """Choose the level of each symbol, for few bytes of table and payload together.

    Parameters
    ----------
    counts : array_like of shape (A,), integer
        How often each symbol occurs, ``A <= 256``.
    bits : {14, 12}
        Those of `frequencies`.

    Returns
    -------
    ndarray of shape (A,), uint8
        0 for a symbol that doesn't occur, else 1 to 31.

    Raises
    ------
    ArgumentError
        If `counts` isn't a one-dimensional array of at most 256 integers from 0
        to ``2**51 - 1``.

    Examples
    --------
    >>> levels([4000, 0, 2000, 1000, 1]).tolist()
    [24, 0, 22, 20, 4]
    """
    counts = check_counts(counts)
    chosen = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if used.size:
        candidates = np.array([_centred(row) for row in _compromises(counts[used].tobytes())])
        payload = _payload_bytes(counts[used], _shares(candidates, bits), bits)
        steps = candidates.astype(np.int64)
        steps[:, 1:] -= candidates[:, :-1]
        steps[:, 0] -= _KIND.first_previous
        table = (step_bits(steps).sum(axis=1) + run_bits(used, len(counts)) + 7) // 8
        chosen[used] = candidates[np.argmin(payload + table)]  # the first one of equals
    return chosen


def estimated_bytes(counts: npt.ArrayLike, levels: npt.ArrayLike) -> int:
    """Return about how many bytes symbols with these counts take, without the table.

    The true size depends on the order of the symbols; it differs by at most one byte
    and 0.006 bits per symbol.

    Raises
    ------
    ArgumentError
        If the shapes differ, or a symbol that occurs has no level.
    FormatError
        If a level exceeds 31.

    Examples
    --------
    >>> estimated_bytes([4000, 0, 2000, 1000], np.array([24, 0, 22, 20], np.uint8))
    1210
    """
    counts = check_counts(counts)
    shares = frequencies(levels)
    if shares.shape != counts.shape:
        raise ArgumentError(f"{counts.shape} counts for {shares.shape} levels")
    check_coverage(counts, shares)
    used = counts > 0
    if not used.any():
        return 0
    return int(_payload_bytes(counts[used], shares[np.newaxis, used], PROBABILITY_BITS)[0])


def encode_levels(levels: npt.ArrayLike) -> bytes:
    """Write a table of levels.

    Parameters
    ----------
    levels : array_like of shape (A,), uint8
        Each ``<= 31``; 0 for a symbol that doesn't occur.

    Returns
    -------
    bytes

    Raises
    ------
    ArgumentError, FormatError
        As `frequencies`.

    Examples
    --------
    >>> encode_levels(np.array([24, 0, 22, 20], np.uint8)).hex()
    'f63d'
    """
    return encode_deltas(_KIND.check(levels, "levels"), _KIND)


def decode_levels(data: bytes, alphabet: int) -> tuple[UInt8Array, int]:
    """Read a table of levels from the start of `data`; return it, and how many bytes it takes.

    `huffman.decode_lengths` has the same parameters, and raises the same errors.

    Examples
    --------
    >>> decode_levels(bytes.fromhex("f63d"), 4)
    (array([24,  0, 22, 20], dtype=uint8), 2)
    """
    return decode_deltas(data, alphabet, _KIND)


def check_coverage(counts: Int64Array, frequencies: UInt16Array) -> None:
    """Raise `ArgumentError` unless each symbol that occurs has a level; shapes are equal."""
    if (missing := np.flatnonzero((counts > 0) & (frequencies == 0))).size:
        raise ArgumentError(f"symbol {missing[0]} occurs, but has no level")


def _shares(levels: UInt8Array, bits: int) -> Int64Array:
    """Return the frequencies of symbols that all have a level, for each row of (rows, n)."""
    weight = weights(levels)
    total, number = 1 << bits, levels.shape[1]
    if bits == SHARE_BITS:
        # > what a weight has beyond a share of 1 is E = max(0, W * 2**12 - T). The start of the
        # > symbol that has i others of a level before it is i + (2**12 - n) * E_Before // E_Sum
        beyond = np.maximum(weight * total - weight.sum(axis=1, keepdims=True), 0)
        sums = beyond.cumsum(axis=1)
        ends = np.arange(1, number + 1) + sums * (total - number) // sums[:, -1:]
        even: Int64Array = ends.copy()
        even[:, 1:] -= ends[:, :-1]
        return even
    spare = total - number  # every symbol has 1 already
    shares: Int64Array = 1 + weight * spare // weight.sum(axis=1, keepdims=True)
    rows = np.arange(len(levels))
    shares[rows, weight.argmax(axis=1)] += total - shares.sum(axis=1)  # the first of the largest
    return shares


def _payload_bytes(counts: Int64Array, shares: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Return `estimated_bytes` for each row of shares (rows, n), for positive counts (n,)."""
    costs = bits * _ONE_BIT - _log2_of_shares()[shares]
    if counts.max() >> (63 - 8 - _LARGEST_COST_BITS):
        counts = counts.astype(object)  # a sum may exceed 63 bits
    sizes: npt.NDArray[Any] = 4 + (costs @ counts) // (8 * _ONE_BIT)
    return sizes


@lru_cache(maxsize=32)  # as streams of several gap widths often have the same counts
def _compromises(counts_bytes: bytes) -> UInt8Array:
    """Return the cheapest levels for each scale, of shape (scales, n), for positive counts.

    If symbols with counts c have weights W of sum T, the payload has
    ``sum(c * log2(T / W))`` bits. With T near ``S = sum(ideal weights)``, that is at most
    ``sum(-c * log2(W) + sum(c) * W / (S * ln 2))`` plus a constant, in which each symbol
    has a term of its own. The table adds a cost for each pair of neighbours.
    """
    counts = np.frombuffer(counts_bytes, np.int64)
    scaled = np.maximum(counts >> max(int(counts.max()).bit_length() - _COUNT_BITS, 0), 1)
    every = np.arange(1, MAX_LEVEL + 1, dtype=np.uint8)
    weight = weights(every)
    gain = _log2(weight)
    burden = scaled.max() * _ONE_NAT * weight // _SCALES[:, np.newaxis]
    steps = step_bits(np.subtract.outer(every.astype(np.int64), every)) * _ONE_BIT
    costs = [burden - scaled[0] * gain]
    for own in burden - scaled[1:, np.newaxis, np.newaxis] * gain:
        paths = costs[-1].T[:, :, np.newaxis] + steps[:, np.newaxis]  # (from, scales, to)
        costs.append(paths.min(axis=0) + own)
    index = costs[-1].argmin(axis=1)
    chosen = [index]
    for cost in costs[-2::-1]:  # back along the cheapest path alone
        index = (cost + steps[index]).argmin(axis=1)
        chosen.append(index)
    cheapest: UInt8Array = every[np.stack(chosen[::-1], axis=1)]
    return cheapest


def _centred(levels: UInt8Array) -> UInt8Array:
    """Shift levels by an even number, so that a table begins near its first previous.

    Two levels are a factor of two, so that frequencies stay as they are.
    """
    lowest, highest, first = int(levels.min()), int(levels.max()), int(levels[0])
    shifts = range(-((lowest - 1) // 2 * 2), MAX_LEVEL - highest + 1, 2)
    shift = min(shifts, key=lambda shift: abs(first + shift - _KIND.first_previous))
    return (levels.astype(np.int64) + shift).astype(np.uint8)


@cache
def _log2_of_shares() -> Int64Array:
    """Return the logarithm of each share there can be, as `_log2`; that of 0 means nothing."""
    return _log2(np.maximum(np.arange((1 << PROBABILITY_BITS) + 1), 1))


def _log2(values: Int64Array) -> Int64Array:
    """Return ``floor(log2(values) * 4096)`` for values from 1 to 2**31 - 1.

    Squaring a number doubles its logarithm, the whole part of which is the next binary digit.
    """
    log = np.searchsorted(1 << np.arange(1, 31), values, side="right").astype(np.int64)
    mantissa = values << (30 - log)  # in [1, 2) with 30 digits after the point
    for _ in range(_ONE_BIT.bit_length() - 1):
        mantissa = mantissa * mantissa >> 30
        carry = mantissa >> 31
        mantissa >>= carry
        log = log << 1 | carry
    return log
