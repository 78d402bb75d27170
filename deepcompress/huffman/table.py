"""The table of code lengths ahead of Huffman-coded symbols, as bytes.

``docs/format.md``, "Code tables", specifies it.
"""

import numpy.typing as npt

from ..bits.tokens import decode_deltas, encode_deltas
from ..tensors import UInt8Array
from .codes import TABLE_KIND, check_lengths


def encode_lengths(lengths: npt.ArrayLike) -> bytes:
    """Write a table of code lengths.

    Parameters
    ----------
    lengths : array_like of shape (A,), uint8
        Code lengths, as from `code_lengths`.

    Returns
    -------
    bytes

    Raises
    ------
    ArgumentError, FormatError
        As `canonical_codes`.

    Examples
    --------
    >>> import numpy as np
    >>> encode_lengths(np.array([4, 0, 0, 3, 1, 2, 4], np.uint8)).hex()
    'a6be1c'
    """
    return encode_deltas(check_lengths(lengths), TABLE_KIND)


def decode_lengths(data: bytes, alphabet: int) -> tuple[UInt8Array, int]:
    """Read a table of code lengths from the start of `data`.

    Parameters
    ----------
    data : bytes
        May go on after the table.
    alphabet : int
        Number of symbols in the table, 0 to 256.

    Returns
    -------
    lengths : ndarray of shape (alphabet,), uint8
        Those of a complete code, a single symbol, or none.
    consumed : int
        Number of bytes that the table takes.

    Raises
    ------
    ArgumentError
        If `alphabet` is out of range.
    TruncatedError
        If `data` ends within the table.
    FormatError
        If a token isn't what `encode_lengths` writes, or no code has these lengths.

    Examples
    --------
    >>> decode_lengths(bytes.fromhex("a6be1c"), 7)
    (array([4, 0, 0, 3, 1, 2, 4], dtype=uint8), 3)
    """
    lengths, consumed = decode_deltas(data, alphabet, TABLE_KIND)
    return check_lengths(lengths), consumed
