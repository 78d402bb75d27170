"""The gateway to ``csrc/spconv``; it expects arguments as `native.layout`."""

from typing import Any

import numpy as np

from ..structs import ColumnBlocks, Geometry
from ..tensors import Float32Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib
from .layout import blocks_struct
from .pool import MOST_WORKERS, team

NS_PER_PRODUCT = 0.06  # of numbers


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
    workers, threads = _team_for(blocks, geometry)
    scratch = np.empty(threads * _lib().dc_convolve_scratch(struct), np.uint8)
    images = _ffi().new("struct dc_geometry *", vars(geometry))
    added = _ffi().NULL if bias is None else _floats(bias)
    operands = _floats(x), added, relu, _floats(y), workers, _bytes(scratch)
    _check(_lib().dc_convolve(isa, struct, images, *operands), isa)


def _team_for(blocks: ColumnBlocks, geometry: Geometry) -> tuple[Any, int]:
    """Return the team that a convolution is worth, and its threads."""
    places = geometry.out_height * geometry.out_width * geometry.batch
    return team(blocks.entries * places * NS_PER_PRODUCT, MOST_WORKERS)
