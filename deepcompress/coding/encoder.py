"""One tensor of shared weights -> its record in a file: the last stages, entropy coding included.

`coding.decoder` goes the way back.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..bits.alphabet import histogram
from ..container.grids import GRID_BYTES, grid_of
from ..container.records import (
    CONTEXT,
    MAX_BLOCK_BITS,
    SYMBOLS_PER_BYTE,
    Block,
    Coding,
    SharedRecord,
)
from ..container.shared_weights import WIDE_FLOATS
from ..container.sizes import stream_bits
from ..dtypes import ElementType
from ..packed.tensor import CompressedTensor
from ..tensors import HUFFMAN, Float32Array, Int64Array, Survivors, UInt8Array
from . import context
from .coders import CODES
from .symbols import alphabets, block_symbols


def encode(weights: Survivors | CompressedTensor, coding: Coding) -> SharedRecord:
    """Encode a tensor.

    Parameters
    ----------
    weights : Survivors or CompressedTensor
    coding : Coding
        With blocks of a size that leaves only one, a packed tensor whose gaps have the same
        width keeps its fillers as they are; otherwise they are placed anew. Where rANS
        would put more symbols into a byte than a file may, Huffman codes take its place; and
        float32, where float16 hasn't all centroids. Labels that a trellis doesn't allow are
        coded without it, and centroids that are no grid, or not smaller as one, are stored.

    Returns
    -------
    SharedRecord
    """
    if coding.half and not _are_half(weights.codebook):
        coding = replace(coding, half=False)
    k = len(weights.codebook) - 1
    if coding.encoding == CONTEXT:  # which has one block, whatever was asked for
        cheaper = _is_cheaper_as_grid(weights.codebook, weights.element_type, coding.half)
        grid = coding.grid and cheaper
        half = coding.half and not grid
        coding = Coding(CONTEXT, 0, 0, 0, MAX_BLOCK_BITS, half, coding.trellis, grid)
    blocks = list(block_symbols(weights, coding))
    if coding.encoding == CONTEXT:
        (whole,) = blocks
        kind = weights.shape, weights.codebook
        if coding.trellis and context.fitting(whole.labels, *kind) < whole.count:
            coding = replace(coding, trellis=False)
        stream = context.encode(whole.labels, *kind, coding.trellis)
        return SharedRecord(
            weights.shape,
            weights.codebook,
            coding,
            b"",
            b"",
            (Block(whole.count, stream, b""),),
            weights.element_type,
        )
    alphabet, width = alphabets(coding, k), stream_bits(coding, k)
    label_coder, label_table, labels = encode_streams(
        coding.label_coder, [block.labels for block in blocks], alphabet[0], width[0]
    )
    position_coder, position_table, positions = encode_streams(
        coding.position_coder, [block.positions for block in blocks], alphabet[1], max(width[1], 1)
    )
    return SharedRecord(
        weights.shape,
        weights.codebook,
        replace(coding, label_coder=label_coder, position_coder=position_coder),
        label_table,
        position_table,
        tuple(map(Block, (block.count for block in blocks), labels, positions)),
        weights.element_type,
    )


def _is_cheaper_as_grid(codebook: Float32Array, dtype: ElementType, half: bool) -> bool:
    """Tell whether centroids are multiples of a step, which alone takes fewer bytes."""
    if dtype.name not in WIDE_FLOATS or grid_of(codebook) is None:
        return False
    return (len(codebook) - 1) * (2 if half else 4) > GRID_BYTES


def _are_half(codebook: Float32Array) -> bool:
    """Tell whether float16 has all centroids."""
    with np.errstate(over="ignore"):
        return bool((codebook.astype(np.float16) == codebook).all())


def encode_streams(
    coder: int,
    streams: Sequence[UInt8Array],
    alphabet: int,
    width: int,
    counts: Int64Array | None = None,
) -> tuple[int, bytes, list[bytes]]:
    """Return the coder that codes the streams, the table of its code, and the coded streams.

    It is the given one, or Huffman's if that puts too many symbols into a byte. `counts` are
    those of all streams together, where they are known.
    """
    if counts is None:
        counts = np.sum([histogram(stream) for stream in streams], axis=0)
    counts = counts[:alphabet]
    code = CODES[coder].make(counts, width)
    coded = [code.encode(stream) for stream in streams]
    is_bounded = all(
        len(stream) <= SYMBOLS_PER_BYTE * len(data)
        for stream, data in zip(streams, coded, strict=True)
    )
    if code.has_table and not is_bounded:
        return encode_streams(HUFFMAN, streams, alphabet, width, counts)
    return coder, code.table(), coded
