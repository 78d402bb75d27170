"""Prefix codes: from counts to lengths, by Huffman's algorithm and by package-merge, to codes.

`unlimited_lengths` is Huffman's own construction, to be read first. Files use `code_lengths`, whose
codes have at most 12 bits: ``docs/format.md``, "Huffman", says why, and how ties are decided.
"""

import heapq

import numpy as np
import numpy.typing as npt

from .. import native
from ..bits.alphabet import check_counts
from ..bits.tokens import TableKind
from ..errors import ArgumentError, FormatError
from ..native import huffman as native_huffman
from ..tensors import UInt8Array, UInt16Array

MAX_CODE_BITS = 12
TABLE_KIND = TableKind("code length", MAX_CODE_BITS, first_previous=4)


def unlimited_lengths(counts: npt.ArrayLike) -> UInt8Array:
    """Find the lengths of an optimal prefix code, by Huffman's own construction (1952).

    The two rarest groups of symbols are joined to one until a single group is left. Each time,
    the codes of all symbols in them grow by a bit.

    Parameters
    ----------
    counts : array_like of shape (A,), integer
        How often each symbol occurs, ``A <= 256``.

    Returns
    -------
    ndarray of shape (A,), uint8
        0 for a symbol that doesn't occur, 1 for one that occurs alone.

    Raises
    ------
    ArgumentError
        As `code_lengths`.

    Examples
    --------
    >>> unlimited_lengths([50, 0, 20, 20, 10]).tolist()
    [1, 0, 3, 2, 3]
    """
    counts = check_counts(counts)
    lengths = np.zeros(len(counts), np.uint8)
    groups = [(int(counts[symbol]), [int(symbol)]) for symbol in np.flatnonzero(counts)]
    if len(groups) == 1:
        lengths[groups[0][1]] = 1
    heapq.heapify(groups)
    while len(groups) > 1:
        (rarest, symbols), (next_rarest, others) = heapq.heappop(groups), heapq.heappop(groups)
        lengths[symbols + others] += 1
        heapq.heappush(groups, (rarest + next_rarest, symbols + others))
    return lengths


def code_lengths(counts: npt.ArrayLike, max_bits: int = MAX_CODE_BITS) -> UInt8Array:
    """Find the lengths of an optimal prefix code of limited length, by package-merge.

    Deviation: the paper doesn't limit the length. Where no code of `unlimited_lengths` is
    too long, both codes take the same number of bits.

    Parameters
    ----------
    counts : array_like of shape (A,), integer
        How often each symbol occurs, ``A <= 256``.
    max_bits : int, default 12
        Longest code allowed, 1 to 12.

    Returns
    -------
    ndarray of shape (A,), uint8
        0 for a symbol that doesn't occur.

    Raises
    ------
    ArgumentError
        If `counts` isn't a one-dimensional array of at most 256 integers from 0 to
        ``2**51 - 1``, or more than ``2**max_bits`` symbols occur.

    Notes
    -----
    Package-merge (Larmore & Hirschberg 1990) takes ``O(A * max_bits)`` steps after sorting the
    counts. Among symbols of equal count, a smaller symbol never has the longer code.

    Examples
    --------
    >>> code_lengths([50, 0, 20, 20, 10]).tolist()
    [1, 0, 2, 3, 3]
    """
    counts = check_counts(counts)
    if not 1 <= max_bits <= MAX_CODE_BITS:
        raise ArgumentError(f"max_bits must be from 1 to {MAX_CODE_BITS}, got {max_bits}")
    lengths = np.zeros(len(counts), np.uint8)
    used = np.flatnonzero(counts)
    if used.size > 2**max_bits:
        raise ArgumentError(f"{used.size} symbols can't have distinct codes of {max_bits} bits")
    if native.active():
        lengths = native_huffman.code_lengths(counts, max_bits)
    elif used.size == 1:
        lengths[used] = 1
    elif used.size:
        rarest_first = used[np.lexsort((-used, counts[used]))]
        lengths[rarest_first] = _package_merge(counts[rarest_first], max_bits)
    return lengths


def canonical_codes(lengths: npt.ArrayLike) -> UInt16Array:
    """Assign the canonical code of each symbol, most significant bit first.

    Parameters
    ----------
    lengths : array_like of shape (A,), uint8
        Code lengths, 0 to 12, of a complete code (or of a single symbol, or none).

    Returns
    -------
    ndarray of shape (A,), uint16
        The code is the low ``lengths[symbol]`` bits; 0 for unused symbols.

    Raises
    ------
    FormatError
        If no complete prefix code has these lengths.

    Examples
    --------
    >>> [f"{code:b}" for code in canonical_codes(np.array([1, 3, 2, 3], np.uint8))]
    ['0', '110', '10', '111']
    """
    lengths = check_lengths(lengths)
    # > Codes are numbered in the order of their lengths and, among those of one length, of their
    # > symbols: the first is 0, the next is the previous plus 1, shifted left by the growth of the
    # > length.
    codes = np.zeros(len(lengths), np.uint16)
    code = 0
    for length in range(1, MAX_CODE_BITS + 1):
        symbols = np.flatnonzero(lengths == length)
        codes[symbols] = code + np.arange(symbols.size)
        code = (code + symbols.size) << 1
    return codes


def check_lengths(lengths: npt.ArrayLike) -> UInt8Array:
    """Return code lengths as an array, or raise `FormatError` unless a code has them."""
    lengths = TABLE_KIND.check(lengths, "lengths")
    # > The code is complete, that is the sum of 2**-length over the symbols with a code is one.
    # > There are two exceptions: a lone symbol has length 1, and there may be no symbol at all.
    used = lengths[lengths > 0].astype(np.int64)
    kraft, whole = int((1 << (MAX_CODE_BITS - used)).sum()), 1 << MAX_CODE_BITS
    if kraft > whole:
        raise FormatError("code lengths are over-subscribed: no prefix code has them")
    if kraft < whole and used.size and used.tolist() != [1]:
        raise FormatError("code lengths are incomplete: some bit patterns have no symbol")
    return lengths


def _package_merge(weights: npt.NDArray[np.int64], max_bits: int) -> UInt8Array:
    """Return optimal lengths for ascending weights, two at least.

    Level by level, the cheapest items are paired into packages and merged with
    the weights themselves. Buying the ``2n - 2`` cheapest items of the last level
    is optimal; each purchase of a weight adds a bit to its code. It is enough to
    remember for each level which of its items are weights.
    """
    n = len(weights)
    packages = np.zeros(0, np.int64)
    levels = []
    for _ in range(max_bits):
        items = np.concatenate([weights, packages])
        cheapest_first = np.argsort(items, kind="stable")  # a weight before an equal package
        levels.append(cheapest_first < n)
        items = items[cheapest_first]
        pairs = len(items) // 2
        packages = items[: 2 * pairs].reshape(pairs, 2).sum(axis=1)
    lengths = np.zeros(n, np.uint8)
    take = 2 * n - 2
    for is_weight in reversed(levels):
        bought = int(np.count_nonzero(is_weight[:take]))
        lengths[:bought] += 1
        take = 2 * (take - bought)
    return lengths
