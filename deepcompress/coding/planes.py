"""A tensor that isn't shared -> its record in planes, and back, without loss.

Byte p of every word makes plane p. The sign of a float is moved to its low end first, so that the
exponent of a float32 or bfloat16 is a byte of its own: it has few values, which take few bits.
Planes whose bytes are near random, such as those of mantissas, are left as they are.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes, native
from ..bits.alphabet import histogram
from ..container.header import TensorEntry
from ..container.records import CODERS, CRC, UNROTATED, PlaneCoding, PlanesRecord, PlannedPlanes
from ..container.sizes import block_count, block_size, raw_size
from ..container.writer import planes_head
from ..dtypes import ElementType
from ..errors import ArgumentError, FormatError
from ..native import planes as native_planes
from ..native.planes import StoredPlanes
from ..tensors import FIXED_WIDTH, Int64Array, UInt8Array
from . import coders
from .encoder import encode_streams
from .prices import stream_price

HUFFMAN = CODERS.index("huffman")
STREAMS_AT_ONCE = 16  # as many as the decoder takes side by side
LEAST_GAIN = 50  # a tensor is coded if it shrinks by this part, a plane by
LEAST_GAIN_BYTES = 64  # so many at least
NO_COUNTS = np.zeros(256, np.int64)
# A float32 of fewer bytes stays raw: biases, so that files of networks stay those of version 1.
LEAST_FLOAT32_BYTES = 1 << 16


def split(words: UInt8Array, word_bytes: int, rotate: bool) -> UInt8Array:
    """Return the planes of words, which are given as their bytes, little endian.

    Parameters
    ----------
    words : ndarray of shape (n * word_bytes,), uint8
    word_bytes : int
        1, 2, 4 or 8.
    rotate : bool
        Whether words are floats, whose sign goes to the low end.

    Returns
    -------
    ndarray of shape (word_bytes, n), uint8

    Examples
    --------
    >>> split(np.array([-1.0], "<f4").view(np.uint8), 4, True).tolist()
    [[1], [0], [0], [127]]
    """
    if native.active():
        return native_planes.split(words, word_bytes, rotate)
    if rotate:
        # > A word of a float is rotated left by one bit, so that its sign becomes the lowest bit.
        values = words.view(f"<u{word_bytes}")
        last = values.dtype.type(8 * word_bytes - 1)
        words = (values << values.dtype.type(1) | values >> last).view(np.uint8)
    return np.ascontiguousarray(words.reshape(-1, word_bytes).T)


def merge(planes: Sequence[UInt8Array], rotate: bool, words: UInt8Array) -> None:
    """Write the bytes of the words whose planes these are; `split` goes the way there.

    Parameters
    ----------
    planes : sequence of ndarray of shape (n,), uint8
    rotate : bool
    words : ndarray of shape (n * word_bytes,), uint8
    """
    if native.active():
        native_planes.merge(planes, rotate, words)
        return
    word_bytes = len(planes)
    words.reshape(-1, word_bytes)[:] = np.stack(planes, axis=1)
    if rotate:
        values = words.view(f"<u{word_bytes}")
        last = values.dtype.type(8 * word_bytes - 1)
        values[:] = values >> values.dtype.type(1) | values << last


@dataclass(frozen=True)
class _Split:
    """The planes of each block of an array."""

    array: npt.NDArray[Any]
    dtype: ElementType
    blocks: list[UInt8Array]
    _counts: dict[int, Int64Array] = field(default_factory=dict)

    def streams(self, plane: int) -> list[UInt8Array]:
        """Return the part of a plane that each block has."""
        return [block[plane] for block in self.blocks]

    def counts(self, plane: int) -> Int64Array:
        """Return how often each byte occurs in each block's part, counted once."""
        if plane not in self._counts:
            self._counts[plane] = np.array(list(map(histogram, self.streams(plane))))
        return self._counts[plane]


def choose(array: npt.NDArray[Any], coder: str, *, small: bool = False) -> PlaneCoding | None:
    """Return how to store an array in planes, None where it is better stored raw.

    Parameters
    ----------
    array : ndarray
        Of one of `dtypes.NAMES`.
    coder : {"fixed", "huffman", "rans"}
        The strongest coder of a plane; each takes the one with the fewest bytes up to it.
    small : bool
        Whether to store small float32 arrays so, too.
    """
    return priced(array, coder, small=small)[0]


def priced(
    array: npt.NDArray[Any], coder: str, *, small: bool = False
) -> tuple[PlaneCoding | None, int]:
    """Return what `choose` does, and ``Data_Bytes`` of the array stored so."""
    dtype = _worth_splitting(array, coder, small)
    if dtype is None:
        return None, raw_size(array.nbytes)
    if _is_in_c(coder):
        codes = _codes(array, dtype)
        table_bytes = list(map(len, codes.tables))
        return _priced(array, dtype, codes.coders, table_bytes, codes.block_bytes)
    return _choose(_split_as_written(array, dtype), coder)


def encode_if_smaller(
    array: npt.NDArray[Any], coder: str, *, small: bool = False
) -> PlanesRecord | PlannedPlanes | None:
    """Return what `encode` makes of an array with what `choose` chooses, None where it is None.

    C writes the bytes only when the file's are asked for: until then the array must not change.
    """
    dtype = _worth_splitting(array, coder, small)
    if dtype is None:
        return None
    if _is_in_c(coder):
        codes = _codes(array, dtype)
        table_bytes = list(map(len, codes.tables))
        coding, size = _priced(array, dtype, codes.coders, table_bytes, codes.block_bytes)
        if coding is None:
            return None
        head = planes_head(coding, table_bytes, codes.block_bytes) + b"".join(codes.tables)
        return PlannedPlanes(array.shape, dtype, coding, size, partial(codes.write, head))
    split = _split_as_written(array, dtype)
    coding, _ = _choose(split, coder)
    return None if coding is None else _encode(split, coding)


def _is_in_c(coder: str) -> bool:
    """Tell whether C chooses among the coders up to this one: rANS has to be tried."""
    return coder == CODERS[HUFFMAN] and native.active()


def _codes(array: npt.NDArray[Any], dtype: ElementType) -> native_planes.PlaneCodes:
    words = dtypes.bits_of(array, dtype).view(np.uint8)
    bits = PlaneCoding(()).block_bits
    return native_planes.PlaneCodes(words, dtype.word_bytes, _turns(dtype), bits, LEAST_GAIN)


def encode(array: npt.NDArray[Any], coding: PlaneCoding) -> PlanesRecord:
    """Encode an array in planes.

    Where rANS would put more symbols into a byte than a file may, Huffman codes take its place.

    Raises
    ------
    ArgumentError
        If the dtype has no place in the format, or not as many planes as `coding`.
    """
    dtype = dtypes.of(array.dtype)
    if dtype is None or len(coding.coders) != dtype.word_bytes:
        raise ArgumentError(f"{array.dtype} isn't stored in {len(coding.coders)} planes")
    rotate = dtype.kind in "fc" and not coding.unrotated
    return _encode(_split(array, dtype, coding.block_bits, rotate), coding)


def _worth_splitting(array: npt.NDArray[Any], coder: str, small: bool) -> ElementType | None:
    """Return the dtype of an array, None for one that is stored raw whatever its planes are."""
    dtype = dtypes.of(array.dtype)
    if dtype is None or coder == CODERS[FIXED_WIDTH] or array.nbytes <= LEAST_GAIN_BYTES:
        return None
    if dtype == dtypes.FLOAT32 and array.nbytes < LEAST_FLOAT32_BYTES and not small:
        return None
    return dtype


def _split_as_written(array: npt.NDArray[Any], dtype: ElementType) -> _Split:
    return _split(array, dtype, PlaneCoding(()).block_bits, _turns(dtype))


def _turns(dtype: ElementType) -> bool:
    """Tell whether our writer rotates words."""
    return dtype.kind in "fc" and not _stays(dtype)


def _stays(dtype: ElementType) -> bool:
    """Tell whether the signs of floats stay where they are.

    A float16 has five bits of exponent, and its high byte one more of the mantissa if the sign is
    moved: one that is nearly random, as the sign is, but takes part in more symbols. That cost
    0.1 % of three networks' weights.
    """
    return dtype.name == "float16"


def _choose(split: _Split, coder: str) -> tuple[PlaneCoding | None, int]:
    strongest = CODERS.index(coder)
    chosen, tables, sizes = [], [], []
    for plane in range(split.dtype.word_bytes):
        streams, counts = split.streams(plane), split.counts(plane)
        whole = sum(map(len, streams))
        gain = max(whole // LEAST_GAIN, 1)
        tried = strongest if _least_bytes(counts) + gain <= whole else FIXED_WIDTH
        price = stream_price(counts, 8, tried, partial(list, streams))
        if price.size_bytes + gain > whole:
            price = stream_price(counts, 8, FIXED_WIDTH, list)
        chosen.append(price.coder)
        tables.append(price.table_bytes)
        sizes.append(price.block_bytes)
    by_block = list(zip(*sizes, strict=True))
    return _priced(split.array, split.dtype, tuple(chosen), tables, by_block)


def _priced(
    array: npt.NDArray[Any],
    dtype: ElementType,
    chosen: tuple[int, ...],
    table_bytes: Sequence[int],
    by_block: Sequence[Sequence[int]],
) -> tuple[PlaneCoding | None, int]:
    """Return the coding of planes and its bytes, or none and those of a raw tensor."""
    coding = PlaneCoding(chosen, unrotated=_stays(dtype))
    size = len(planes_head(coding, table_bytes, by_block))
    size += sum(table_bytes) + sum(map(sum, by_block))
    size += CRC.size * (1 if len(by_block) == 1 else len(by_block) + 1)
    raw = raw_size(array.nbytes)
    is_smaller = size + max(raw // LEAST_GAIN, LEAST_GAIN_BYTES) <= raw
    return (coding, size) if is_smaller else (None, raw)


def _least_bytes(counts: Int64Array) -> float:
    """Return the bytes that no code falls below, so that noise needn't be priced: its entropy."""
    total = counts.sum(axis=0)
    total = total[total > 0]
    return float((total * np.log2(total.sum() / total)).sum()) / 8


def _encode(split: _Split, coding: PlaneCoding) -> PlanesRecord:
    chosen, tables, coded = [], [], []
    for plane, coder in enumerate(coding.coders):
        streams = split.streams(plane)
        # A plane at fixed width is as it is: there is nothing to count.
        counts = split.counts(plane).sum(axis=0) if coder != FIXED_WIDTH else NO_COUNTS
        own = encode_streams(coder, streams, 256, 8, counts)
        chosen.append(own[0])
        tables.append(own[1])
        coded.append(own[2])
    coding = replace(coding, coders=tuple(chosen))
    blocks = tuple(zip(*coded, strict=True))
    return PlanesRecord(split.array.shape, split.dtype, coding, tuple(tables), blocks)


def _split(array: npt.NDArray[Any], dtype: ElementType, bits: int, rotate: bool) -> _Split:
    words = dtypes.bits_of(array, dtype).view(np.uint8)
    width, count = dtype.word_bytes, array.size * dtype.words
    starts = (block << bits for block in range(block_count(count, bits)))
    blocks = [
        split(words[start * width : (start + (1 << bits)) * width], width, rotate)
        for start in starts
    ]
    return _Split(array, dtype, blocks)


def stored(entry: TensorEntry, data: memoryview, version: int) -> StoredPlanes:
    """Return a tensor in planes as a file of a version has it, for `decode_stored`."""
    dtype = entry.dtype
    is_float = dtype.kind in "fc"
    return StoredPlanes(
        data,
        zlib.crc32(entry.header),
        dtype.word_bytes,
        math.prod(entry.shape) * dtype.words,
        is_float,
        is_float and version > 2,
        dtype.kind == "b",
    )


def decode_stored(tensors: Sequence[StoredPlanes]) -> list[UInt8Array | None]:
    """Return the bytes of the words of tensors; None for one that C can't tell, valid or not.

    For those it tells, they are what `decode` makes of the record that `container` reads.
    """
    return native_planes.decode(tensors)


def coding_of(tensor: StoredPlanes) -> PlaneCoding:
    """Return the coding of a tensor that was decoded."""
    first, coders = tensor.data[0], tuple(tensor.data[1 : 1 + tensor.word_bytes])
    unrotated = tensor.may_stay and bool(first & UNROTATED)
    return PlaneCoding(coders, first % UNROTATED, unrotated)


def decode(record: PlanesRecord, first: int = 0) -> npt.NDArray[Any]:
    """Decode the blocks of a record, of which the first is the tensor's block `first`.

    Returns
    -------
    ndarray of shape (n,)
        The words of the blocks, as bits; those of complex numbers are elements by pairs.

    Raises
    ------
    FormatError
        If a table or a stream isn't valid, or an element of a bool tensor is neither 0 nor 1.
    """
    dtype, bits = record.dtype, record.coding.block_bits
    rotate = dtype.kind in "fc" and not record.coding.unrotated
    words = math.prod(record.shape) * dtype.words
    sizes = [block_size(words, bits, first + index) for index in range(len(record.blocks))]
    codes = [
        coders.read(coder, table, 256, 8)
        for coder, table in zip(record.coding.coders, record.tables, strict=True)
    ]
    out = np.empty(sum(sizes) * dtype.word_bytes, np.uint8)
    at = 0
    for begin in range(0, len(sizes), STREAMS_AT_ONCE):
        group = sizes[begin : begin + STREAMS_AT_ONCE]
        by_plane = []
        for plane, code in enumerate(codes):
            streams = [
                (record.blocks[begin + index][plane], 0, size) for index, size in enumerate(group)
            ]
            by_plane.append(coders.decode_streams([code], streams))
        for index, size in enumerate(group):
            planes = []
            for outcomes in by_plane:
                if isinstance(outcome := outcomes[index], FormatError):
                    raise outcome
                planes.append(outcome)
            # > A bool is a byte, 0 or 1.
            if dtype.kind == "b" and planes[0].max(initial=0) > 1:
                raise FormatError("an element of a bool tensor is neither 0 nor 1")
            end = at + size * dtype.word_bytes
            merge(planes, rotate, out[at:end])
            at = end
    return out
