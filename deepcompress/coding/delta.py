"""A tensor as its difference to that of a base model, without loss, and back.

Words are subtracted as integers, modulo their range, and small differences of either sign made
small numbers. Of fine-tuned weights this takes fewer bytes than an exclusive or, whose high bits
change with each carry. Words that are equal differ by 0: their planes have few values.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes
from ..container.records import CRC, DIGEST_BYTES, DeltaRecord, PlaneCoding
from ..container.references import word_type
from ..container.sizes import raw_size
from ..dtypes import ElementType
from ..errors import ArgumentError, FormatError
from ..tensors import FIXED_WIDTH, UInt8Array
from . import planes

Words = npt.NDArray[Any]  # unsigned integers


@dataclass(frozen=True, eq=False)
class DeltaCoding:
    """How a tensor is written as its difference to a base's.

    Attributes
    ----------
    base : ndarray
        Of the tensor's shape and dtype.
    planes : PlaneCoding or None
        Of the words' differences; None if there is none.
    """

    base: npt.NDArray[Any]
    planes: PlaneCoding | None


def difference(words: Words, base: Words) -> Words:
    """Return the difference of words, zigzag: 0, -1, 1, -2 … as 0, 1, 2, 3 ….

    Examples
    --------
    >>> difference(np.array([7, 6, 8, 0], np.uint8), np.array([7, 7, 7, 255], np.uint8)).tolist()
    [0, 1, 2, 2]
    """
    # > The difference d of a word and the base's, modulo 2**b for words of b bits, is stored as
    # > 2 * d where d is below 2**(b - 1), else as 2 * (2**b - d) - 1.
    d = words - base
    one, high = d.dtype.type(1), d.dtype.type(8 * d.itemsize - 1)
    stored: Words = (d << one) ^ (np.zeros_like(d) - (d >> high))
    return stored


def restored(stored: Words, base: Words) -> Words:
    """Return the words whose differences are `stored`; `difference` goes the way there."""
    one = stored.dtype.type(1)
    words: Words = base + ((stored >> one) ^ (np.zeros_like(stored) - (stored & one)))
    return words


def words_of(array: npt.NDArray[Any], dtype: ElementType) -> Words:
    """Return the words of an array, flat, in native byte order."""
    bits: Words = dtypes.bits_of(array, dtype).view(word_type(dtype.word_bytes).bits)
    return bits.astype(bits.dtype.newbyteorder("="), copy=False)


def digest(array: npt.NDArray[Any], dtype: ElementType) -> bytes:
    """Return ``Base_Digest`` of a tensor of a base."""
    # > the first 16 bytes of the SHA-256 of the base's elements, as a raw tensor has them
    elements = dtypes.bits_of(array, dtype).view(np.uint8).data
    return hashlib.sha256(elements).digest()[:DIGEST_BYTES]


def choose(
    array: npt.NDArray[Any], base: npt.NDArray[Any], coder: str
) -> tuple[DeltaCoding | None, int]:
    """Return how to store an array as the difference to a base's, and in how many bytes.

    Parameters
    ----------
    array, base : ndarray
        Of one shape and dtype.
    coder : str
        Unless it is ``"fixed"``, rANS is tried, too: symbols take less than a bit where most words
        are the base's.

    Returns
    -------
    coding : DeltaCoding or None
        None where the array itself takes no more bytes.
    size_bytes : int
        ``Data_Bytes``.
    """
    dtype = dtypes.named(array.dtype)
    _, size = planes.priced(array, coder, small=True)
    stored = difference(words_of(array, dtype), words_of(base, dtype))
    how, needed = _choose_planes(stored, coder) if stored.any() else (None, CRC.size)
    needed += DIGEST_BYTES + 1
    return (DeltaCoding(base, how), needed) if needed < size else (None, size)


def _choose_planes(stored: Words, coder: str) -> tuple[PlaneCoding, int]:
    """Return how to store differences, in as few planes as they need, and the bytes of these."""
    words = _narrowed(stored, 1)
    how, size = planes.priced(words, "rans" if coder != "fixed" else coder, small=True)
    if how is None:
        how = PlaneCoding((FIXED_WIDTH,) * words.itemsize)
        size = raw_size(words.nbytes) + words.itemsize + 1 + CRC.size * (len(words) >> 14)
    return how, size


def _narrowed(stored: Words, least_bytes: int) -> Words:
    """Return differences as integers of the fewest bytes that hold them, and of so many."""
    largest = int(stored.max(initial=0))
    widths = (width for width in (1, 2, 4, 8) if width >= least_bytes)
    width = next(width for width in widths if largest < 1 << 8 * width)
    return stored.astype(f"u{width}", copy=False)


def encode(array: npt.NDArray[Any], coding: DeltaCoding) -> DeltaRecord:
    """Encode an array as its difference to a base's.

    Raises
    ------
    ArgumentError
        If it hasn't the shape and the dtype of the base's.
    """
    dtype, base = dtypes.of(array.dtype), coding.base
    if dtype is None or dtypes.of(base.dtype) != dtype or base.shape != array.shape:
        raise ArgumentError(
            f"{array.dtype} of shape {array.shape} has no difference to the base's {base.dtype} "
            f"of shape {base.shape}"
        )
    stored, how, record = difference(words_of(array, dtype), words_of(base, dtype)), None, None
    if coding.planes is not None:
        stored = _narrowed(stored, len(coding.planes.coders))
        how = coding.planes if len(coding.planes.coders) == stored.itemsize else None
    if how is None and stored.any():
        how, _ = _choose_planes(stored, "rans")
        stored = _narrowed(stored, 1)
    if how is not None:
        record = planes.encode(stored, how)
    return DeltaRecord(array.shape, dtype, digest(base, dtype), record)


def decode(record: DeltaRecord, base: Words, first: int = 0) -> UInt8Array:
    """Decode the blocks of a record, of which the first is the tensor's block `first`.

    Parameters
    ----------
    record : DeltaRecord
    base : ndarray of shape (n,), unsigned
        The words of the base's tensor in these blocks.

    Raises
    ------
    FormatError
        As `planes.decode`.
    """
    words = base
    if record.words is not None:
        stored = planes.decode(record.words, first).view(record.words.dtype.bits)
        words = restored(stored.astype(base.dtype, copy=False), base)
    # > A bool is a byte, 0 or 1.
    if record.dtype.kind == "b" and words.max(initial=0) > 1:
        raise FormatError("an element of a bool tensor is neither 0 nor 1")
    own: UInt8Array = words.astype(words.dtype.newbyteorder("<"), copy=False).view(np.uint8)
    return own
