"""The gateway to ``csrc/spmv``; it expects arguments as `native.layout`."""

import numpy as np

from ..structs import Layout, Stream
from ..tensors import Float32Array
from .gateway import _bytes, _check, _choice, _floats, _isas, _lib, _text, threads
from .layout import BYTES_PER_THREAD, layout_struct, tensor_struct


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
    _check(_lib().dc_spmv_shared(isa, *arguments, _shares(layout, 1)), isa)


def matmat(layout: Layout, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmm_shared."""
    isa, n = _choice().isa, x.shape[1]
    struct, shares = layout_struct(layout), _shares(layout, 4 * -(-n // 16))
    scratch = np.empty(shares * _lib().dc_spmm_scratch(isa, struct), np.uint8)
    arguments = struct, _floats(x), n, _floats(y), n, n
    _check(_lib().dc_spmm_shared(isa, *arguments, shares, _bytes(scratch)), isa)


def matvec_plain(w: Stream, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmv_plain."""
    _lib().dc_spmv_plain(tensor_struct(w), _floats(x), _floats(y))


def matmat_plain(w: Stream, x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmm_plain."""
    n = x.shape[1]
    _lib().dc_spmm_plain(tensor_struct(w), _floats(x), n, _floats(y), n, n)


def _shares(layout: Layout, vectors: int) -> int:
    """Return how many threads a product with that many vectors is worth, of those there are."""
    worth = layout.data.nbytes * vectors // BYTES_PER_THREAD
    return max(min(threads(), layout.parts, worth), 1)
