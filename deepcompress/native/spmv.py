"""The gateway to ``csrc/spmv``; it expects arguments as `native.layout`."""

from typing import Any

import numpy as np

from ..structs import Layout, Stream
from ..tensors import Float32Array
from .gateway import _bytes, _check, _choice, _floats, _isas, _lib, _text
from .layout import layout_struct, tensor_struct
from .pool import team

NS_PER_BYTE = 0.45  # of a layout and a vector; sixteen columns take as long as four vectors


def kernels(isa: str | None) -> dict[str, str]:
    """Call dc_kernel_name: whose kernels each product takes, given the instruction set in use.

    That is ``spmv`` for vectors, ``spmm`` for matrices, ``conv`` for convolutions. None stands
    for the reference backend.
    """
    if isa is None:
        return dict.fromkeys(("spmv", "spmm", "conv"), "numpy")
    lib = _lib()
    products = {
        "spmv": lib.DC_VECTOR_PRODUCT,
        "spmm": lib.DC_MATRIX_PRODUCT,
        "conv": lib.DC_CONVOLUTION,
    }
    return {name: _text(lib.dc_kernel_name(of, _isas()[isa])) for name, of in products.items()}


def all_finite(x: Float32Array) -> bool:
    """Call dc_all_finite."""
    return bool(_lib().dc_all_finite(_floats(x), x.size))


def matvec(layout: Layout, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmv_shared."""
    isa = _choice().isa
    arguments = layout_struct(layout), _floats(x), _floats(y)
    workers, _ = _team_for(layout, 1)
    _check(_lib().dc_spmv_shared(isa, *arguments, workers), isa)


def matmat(layout: Layout, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmm_shared."""
    isa, n = _choice().isa, x.shape[1]
    struct, (workers, threads) = layout_struct(layout), _team_for(layout, 4 * -(-n // 16))
    scratch = np.empty(threads * _lib().dc_spmm_scratch(isa, struct), np.uint8)
    arguments = struct, _floats(x), n, _floats(y), n, n
    _check(_lib().dc_spmm_shared(isa, *arguments, workers, _bytes(scratch)), isa)


def matvec_plain(w: Stream, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmv_plain."""
    _lib().dc_spmv_plain(tensor_struct(w), _floats(x), _floats(y))


def matmat_plain(w: Stream, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmm_plain."""
    n = x.shape[1]
    _lib().dc_spmm_plain(tensor_struct(w), _floats(x), n, _floats(y), n, n)


def _team_for(layout: Layout, vectors: int) -> tuple[Any, int]:
    """Return the team that a product with that many vectors is worth, and its threads."""
    return team(layout.work_bytes * vectors * NS_PER_BYTE, layout.parts)
