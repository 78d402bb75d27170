"""The gateway to ``csrc/spconv``; it expects arguments as `native.layout`."""

import numpy as np

from ..structs import ColumnBlocks, Geometry
from ..tensors import Float32Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib, threads
from .layout import blocks_struct

PRODUCTS_PER_THREAD = 1 << 21  # of numbers, below which waking it costs more than it saves


def convolve(
    blocks: ColumnBlocks,
    geometry: Geometry,
    x: Float32Array,
    bias: Float32Array | None,
    relu: bool,
    y: Float32Array,
) -> None:
    """Call dc_convolve."""
    isa, struct = _choice().isa, blocks_struct(blocks)
    shares = _shares(blocks, geometry)
    scratch = np.empty(shares * _lib().dc_convolve_scratch(struct), np.uint8)
    images = _ffi().new("struct dc_geometry *", vars(geometry))
    added = _ffi().NULL if bias is None else _floats(bias)
    operands = _floats(x), added, relu, _floats(y), shares, _bytes(scratch)
    _check(_lib().dc_convolve(isa, struct, images, *operands), isa)


def _shares(blocks: ColumnBlocks, geometry: Geometry) -> int:
    """Return how many threads a convolution is worth, of those there are."""
    places = geometry.out_height * geometry.out_width * geometry.batch
    worth = blocks.entries * places // PRODUCTS_PER_THREAD
    return min(threads(), worth) if worth > 1 else 1
