"""A tensor that isn't shared -> its record in planes, and back, without loss.

Byte p of every word makes plane p. The sign of a float is moved to its low end first, so that the
exponent of a float32 or bfloat16 is a byte of its own: it has few values, which take few bits.
Planes whose bytes are near random, such as those of mantissas, are left as they are.
"""

import math
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes, native
from ..bits.alphabet import histogram
from ..container.records import CODERS, CRC, PlaneCoding, PlanesRecord
from ..container.sizes import block_count, block_size, raw_size
from ..container.writer import planes_head
from ..dtypes import ElementType
from ..errors import ArgumentError, FormatError
from ..native import planes as native_planes
from ..tensors import FIXED_WIDTH, UInt8Array
from . import coders
from .encoder import encode_streams
from .prices import stream_price

STREAMS_AT_ONCE = 16  # as many as the decoder takes side by side
LEAST_GAIN = 50  # a tensor is coded if it shrinks by this part, a plane by
LEAST_GAIN_BYTES = 64  # so many at least
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


def merge(planes: UInt8Array, rotate: bool) -> UInt8Array:
    """Return the bytes of the words whose planes these are; `split` goes the way there."""
    if native.active():
        return native_planes.merge(planes, rotate)
    word_bytes = len(planes)
    words = np.ascontiguousarray(planes.T).reshape(-1)
    if rotate:
        values = words.view(f"<u{word_bytes}")
        last = values.dtype.type(8 * word_bytes - 1)
        words = (values >> values.dtype.type(1) | values << last).view(np.uint8)
    return words


def choose(array: npt.NDArray[Any], coder: str) -> PlaneCoding | None:
    """Return how to store an array in planes, None where it is better stored raw.

    Parameters
    ----------
    array : ndarray
        Of one of `dtypes.NAMES`.
    coder : {"fixed", "huffman", "rans"}
        The strongest coder of a plane; each takes the one with the fewest bytes up to it.
    """
    dtype = dtypes.of(array.dtype)
    strongest = CODERS.index(coder)
    if dtype is None or strongest == FIXED_WIDTH or array.nbytes <= LEAST_GAIN_BYTES:
        return None
    if dtype == dtypes.FLOAT32 and array.nbytes < LEAST_FLOAT32_BYTES:
        return None
    coding = PlaneCoding((FIXED_WIDTH,) * dtype.word_bytes)
    blocks = _split_blocks(array, dtype, coding.block_bits)
    chosen, tables, sizes = [], [], []
    for plane in range(dtype.word_bytes):
        streams = [block[plane] for block in blocks]
        counts = np.array([histogram(stream) for stream in streams])
        price = stream_price(counts, 8, strongest, partial(list, streams))
        whole = sum(map(len, streams))
        if price.size_bytes + max(whole // LEAST_GAIN, 1) > whole:
            price = stream_price(counts, 8, FIXED_WIDTH, list)
        chosen.append(price.coder)
        tables.append(price.table_bytes)
        sizes.append(price.block_bytes)
    coding = PlaneCoding(tuple(chosen), coding.block_bits)
    by_block = list(zip(*sizes, strict=True))
    size = len(planes_head(coding, tables, by_block)) + sum(tables) + sum(map(sum, by_block))
    size += CRC.size * (1 if len(blocks) == 1 else len(blocks) + 1)
    raw = raw_size(array.nbytes)
    return coding if size + max(raw // LEAST_GAIN, LEAST_GAIN_BYTES) <= raw else None


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
    blocks = _split_blocks(array, dtype, coding.block_bits)
    chosen, tables, coded = [], [], []
    for plane, coder in enumerate(coding.coders):
        own = encode_streams(coder, [block[plane] for block in blocks], 256, 8)
        chosen.append(own[0])
        tables.append(own[1])
        coded.append(own[2])
    coding = PlaneCoding(tuple(chosen), coding.block_bits)
    return PlanesRecord(array.shape, dtype, coding, tuple(tables), tuple(zip(*coded, strict=True)))


def _split_blocks(array: npt.NDArray[Any], dtype: ElementType, bits: int) -> list[UInt8Array]:
    """Return the planes of each block of an array."""
    words = dtypes.bits_of(array, dtype).view(np.uint8)
    width, count = dtype.word_bytes, array.size * dtype.words
    starts = (block << bits for block in range(block_count(count, bits)))
    return [
        split(words[start * width : (start + (1 << bits)) * width], width, dtype.kind in "fc")
        for start in starts
    ]


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
            planes = np.empty((dtype.word_bytes, size), np.uint8)
            for plane, outcomes in enumerate(by_plane):
                outcome = outcomes[index]
                if isinstance(outcome, FormatError):
                    raise outcome
                planes[plane] = outcome
            # > A bool is a byte, 0 or 1.
            if dtype.kind == "b" and planes.max(initial=0) > 1:
                raise FormatError("an element of a bool tensor is neither 0 nor 1")
            merged = merge(planes, dtype.kind in "fc")
            out[at : at + len(merged)] = merged
            at += len(merged)
    return out
