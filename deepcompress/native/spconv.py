"""The gateway to the C kernels of convolutions; `native` says what all gateways expect."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array, Int64Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib, threads
from .spmv import _keeping, _tensor

if TYPE_CHECKING:
    from ..packed.tensor import CompressedTensor
    from ..spmv.column_blocks import Blocks
    from ..spmv.convolution import Geometry

# Products of numbers that a thread should have, or it isn't worth to wake it up.
PRODUCTS_PER_THREAD = 1 << 21


def count_blocks(w: "CompressedTensor", width: int, counts: npt.NDArray[np.uint16]) -> None:
    """Call dc_blocks_count; `counts` are zeros."""
    _lib().dc_blocks_count(_tensor(w), width, _ffi().from_buffer("uint16_t[]", counts))


def fill_blocks(
    w: "CompressedTensor", width: int, offsets: Int64Array, data: npt.NDArray[np.uint16]
) -> None:
    """Call dc_blocks_fill; `data` are zeros."""
    from_buffer = _ffi().from_buffer
    arguments = from_buffer("int64_t[]", offsets), from_buffer("uint16_t[]", data)
    _lib().dc_blocks_fill(_tensor(w), width, *arguments)


def convolve(
    w: "CompressedTensor",
    blocks: "Blocks",
    geometry: "Geometry",
    x: Float32Array,
    bias: Float32Array | None,
    relu: bool,
    y: Float32Array,
) -> None:
    """Call dc_convolve."""
    isa, struct = _choice().isa, _blocks(w.codebook, blocks)
    shares = _shares(blocks, geometry)
    scratch = np.empty(shares * _lib().dc_convolve_scratch(struct), np.uint8)
    images = _ffi().new("struct dc_images *", _fields(geometry))
    added = _ffi().NULL if bias is None else _floats(bias)
    operands = _floats(x), added, relu, _floats(y), shares, _bytes(scratch)
    _check(_lib().dc_convolve(isa, struct, images, *operands), isa)


def _shares(blocks: "Blocks", geometry: "Geometry") -> int:
    """Return how many threads a convolution is worth, of those there are."""
    places = geometry.out_height * geometry.out_width * geometry.batch
    worth = blocks.entries * places // PRODUCTS_PER_THREAD
    return min(threads(), worth) if worth > 1 else 1


def _fields(geometry: "Geometry") -> dict[str, int]:
    """Return a struct dc_images."""
    names = "channels height width batch kernel stride padding groups out_height out_width"
    return {name: getattr(geometry, name) for name in names.split()}


def _blocks(codebook: Float32Array, blocks: "Blocks") -> Any:
    """Return a struct dc_blocks, made once."""
    struct = blocks.cache.get("struct")
    if struct is None:
        fields = {
            "rows": blocks.rows,
            "cols": blocks.cols,
            "codebook": _floats(codebook),
            "data": _ffi().from_buffer("uint16_t[]", blocks.data),
            "starts": _ffi().from_buffer("uint64_t[]", blocks.starts),
            "block_cols": blocks.block_cols,
        }
        struct = _keeping(_ffi().new("struct dc_blocks *", fields), fields)
        blocks.cache["struct"] = struct
    return struct
