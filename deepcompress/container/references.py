"""Reads the heads of tensors that refer to others: to one before, or to one of a base model."""

import math
from dataclasses import dataclass

from ..dtypes import TYPES, ElementType
from .cursor import Cursor
from .planes import Planes, PlanesHead
from .planes import parse_head as parse_planes
from .records import CRC, DIGEST_BYTES, DeltaRecord


@dataclass(frozen=True)
class TiedHead:
    """The data of a tensor that is another one: ``Tensor_Index``, in so many `bytes`."""

    index: int
    bytes: int

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """There is no block beyond the head."""
        return ((self.bytes, self.bytes),)

    def parts(self) -> list[tuple[str, int]]:
        """Return the uses of the tensor's data, with bytes."""
        return [("header", self.bytes), ("checksums", CRC.size)]


@dataclass(frozen=True)
class DeltaHead:
    """The head of a tensor that is stored as its difference to a base's.

    Attributes
    ----------
    digest : bytes
        ``Base_Digest``.
    planes : PlanesHead or None
        The head of the words' differences; None if there is no difference.
    """

    digest: bytes
    planes: PlanesHead | None

    @property
    def bytes(self) -> int:
        """Size of the head."""
        return self.planes.bytes if self.planes else DIGEST_BYTES + 1

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Begin and end of each block in the tensor's data."""
        return self.planes.spans if self.planes else ((self.bytes, self.bytes),)

    def record(
        self, shape: tuple[int, ...], dtype: ElementType, blocks: tuple[Planes, ...]
    ) -> DeltaRecord:
        """Return the record with the given blocks."""
        words = None
        if self.planes:
            stored = word_type(len(self.planes.coding.coders))
            words = self.planes.record(words_shape(shape, dtype), stored, blocks)
        return DeltaRecord(shape, dtype, self.digest, words)

    def parts(self, rank: int) -> list[tuple[str, int]]:
        """Return the uses of the tensor's data, with bytes; vectors are taken for biases."""
        if self.planes is None:
            return [("header", self.bytes), ("checksums", CRC.size)]
        return self.planes.parts(rank)


def parse_tied(cursor: Cursor) -> TiedHead:
    """Read the data of a tied tensor."""
    index = cursor.varint("number of another tensor")
    return TiedHead(index, cursor.offset)


def parse_delta(cursor: Cursor, shape: tuple[int, ...], dtype: ElementType) -> DeltaHead:
    """Read and check the head of a difference.

    Raises
    ------
    FormatError
        As `planes.parse_head`.
    """
    digest = bytes(cursor.take(DIGEST_BYTES, "digest of the base"))
    stored_bytes = cursor.byte("bytes of a difference")
    # > 0 where there is no difference, else 1, 2, 4 or 8, at most the bytes of a word
    if stored_bytes not in (0, 1, 2, 4, 8) or stored_bytes > dtype.word_bytes:
        raise cursor.error(f"differences of {stored_bytes} bytes between words of {dtype}")
    if not stored_bytes:
        return DeltaHead(digest, None)
    stored = word_type(stored_bytes)
    return DeltaHead(digest, parse_planes(cursor, words_shape(shape, dtype), stored))


def word_type(word_bytes: int) -> ElementType:
    """Return the type of words of so many bytes: unsigned integers."""
    return next(one for one in TYPES if one.name == f"uint{8 * word_bytes}")


def words_shape(shape: tuple[int, ...], dtype: ElementType) -> tuple[int]:
    """Return the shape of a tensor's words."""
    return (math.prod(shape) * dtype.words,)
