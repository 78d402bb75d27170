"""The gateway to the C kernels of layouts and products; `native` has the others.

Arguments are as there: validated, contiguous and aligned, with the native backend active.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array, UInt8Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib, threads

if TYPE_CHECKING:
    from ..packed.tensor import CompressedTensor
    from ..spmv.lanes import Layout


# Of packed data that a thread should multiply by a vector, or it isn't worth to wake it up:
# with half as many, two threads lose where they have slept. Sixteen columns take as long as
# four vectors.
BYTES_PER_THREAD = 1 << 18
MAX_STREAM_THREADS = 8  # each has to find its place in the stream first


def prefers_masks() -> bool:
    """Tell whether the instruction set in use spreads bytes by a mask."""
    return bool(_choice().isa == _lib().DC_AVX512)


def prefers_tiles() -> bool:
    """Tell whether tiles are the fastest layout for matrices that are less sparse."""
    return bool(_choice().isa == _lib().DC_AVX2)


def kernels(isa: str | None) -> dict[str, str]:
    """Return whose kernels each product takes, given the instruction set in use.

    That is ``spmv`` for vectors, ``spmm`` for matrices, ``conv`` for convolutions; as
    ``dispatch.c`` and ``spconv.c`` choose. None stands for the reference backend.
    """
    if isa is None:
        return dict.fromkeys(("spmv", "spmm", "conv"), "numpy")
    # Convolutions have none of their own for AVX-512 and NEON yet, nor have vectors for NEON.
    return {
        "spmv": {"neon": "scalar"}.get(isa, isa),
        "spmm": isa,
        "conv": {"neon": "scalar", "avx512": "avx2"}.get(isa, isa),
    }


def validate(w: "CompressedTensor") -> None:
    """Call dc_validate; raise FormatError unless labels and positions are in range."""
    at = _ffi().new("size_t *")
    _check(_lib().dc_validate(_tensor(w), at), at[0])


def has_needed_fillers_only(w: "CompressedTensor") -> bool:
    """Call dc_has_needed_fillers_only."""
    return bool(_lib().dc_has_needed_fillers_only(_tensor(w)))


def layout_counts(w: "CompressedTensor") -> tuple[npt.NDArray[np.uint32], UInt8Array]:
    """Call dc_layout_counts; return an array of shape (9, rows), and for `fill_layout` bytes."""
    counts = np.zeros((9, w.rows), np.uint32)
    begins = np.empty(w.rows * _ffi().sizeof("struct dc_row"), np.uint8)
    pointer, shares = _ffi().from_buffer("uint32_t[]", counts), _shares_of_stream(w)
    _lib().dc_layout_counts_shared(_tensor(w), pointer, _rows(begins), shares)
    return counts, begins


def _shares_of_stream(w: "CompressedTensor") -> int:
    """Return how many threads going through the stream is worth, of those there are."""
    worth = w.labels_packed.nbytes // BYTES_PER_THREAD
    return max(min(threads(), worth, MAX_STREAM_THREADS), 1)


def _rows(begins: UInt8Array) -> Any:
    return _ffi().cast("struct dc_row *", _ffi().from_buffer(begins))


def fill_layout(w: "CompressedTensor", layout: "Layout", begins: UInt8Array) -> None:
    """Call dc_layout_lanes_shared or dc_layout_masks; write to the data of `layout`."""
    starts, data = _ffi().from_buffer("uint64_t[]", layout.starts), _bytes(layout.data)
    if not layout.gap_bits:
        _lib().dc_layout_masks(_tensor(w), starts, data)
        return
    widths = layout.gap_bits, layout.label_bits
    rows = _rows(begins)
    order = _ffi().from_buffer("uint32_t[]", layout.order)
    shares = min(threads(), layout.parts) if layout.data.nbytes >= BYTES_PER_THREAD else 1
    _lib().dc_layout_lanes_shared(_tensor(w), *widths, rows, order, starts, data, max(shares, 1))


def count_tiles(
    w: "CompressedTensor", label_bits: int, begins: UInt8Array, counts: UInt8Array
) -> None:
    """Call dc_tile_counts_shared."""
    arguments = _rows(begins), _bytes(counts), _shares_of_stream(w)
    _lib().dc_tile_counts_shared(_tensor(w), label_bits, *arguments)


def fill_tiles(
    w: "CompressedTensor",
    label_bits: int,
    begins: UInt8Array,
    bits: npt.NDArray[np.uint64],
    data: UInt8Array,
) -> None:
    """Call dc_layout_tiles_shared."""
    arguments = _ffi().from_buffer("uint64_t[]", bits), _bytes(data), _shares_of_stream(w)
    _lib().dc_layout_tiles_shared(_tensor(w), label_bits, _rows(begins), *arguments)


def all_finite(x: Float32Array) -> bool:
    """Call dc_all_finite."""
    return bool(_lib().dc_all_finite(_floats(x), x.size))


def matvec(codebook: Float32Array, layout: "Layout", x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmv_shared."""
    isa = _choice().isa
    arguments = _layout(codebook, layout), _floats(x), _floats(y)
    _check(_lib().dc_spmv_shared(isa, *arguments, _shares(layout, 1)), isa)


def matmat(codebook: Float32Array, layout: "Layout", x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmm_shared."""
    isa, n = _choice().isa, x.shape[1]
    struct, shares = _layout(codebook, layout), _shares(layout, 4 * -(-n // 16))
    scratch = np.empty(shares * _lib().dc_spmm_scratch(isa, struct), np.uint8)
    arguments = struct, _floats(x), n, _floats(y), n, n
    _check(_lib().dc_spmm_shared(isa, *arguments, shares, _bytes(scratch)), isa)


def _shares(layout: "Layout", vectors: int) -> int:
    """Return how many threads a product with that many vectors is worth, of those there are."""
    worth = layout.data.nbytes * vectors // BYTES_PER_THREAD
    return max(min(threads(), layout.parts, worth), 1)


def matvec_flat(w: "CompressedTensor", x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmv_flat."""
    _lib().dc_spmv_flat(_tensor(w), _floats(x), _floats(y))


def matmat_flat(w: "CompressedTensor", x: Float32Array, y: Float32Array) -> None:
    """Call dc_spmm_flat."""
    n = x.shape[1]
    _lib().dc_spmm_flat(_tensor(w), _floats(x), n, _floats(y), n, n)


def _tensor(w: "CompressedTensor") -> Any:
    """Return a struct dc_tensor and keep the arrays that it borrows alive with it."""
    labels, gaps = w.labels_packed, w.gaps_packed  # maybe made for this moment
    fields = {
        "rows": w.rows,
        "cols": w.cols,
        "entries": w.count,
        "codebook": _floats(w.codebook),
        "labels": _bytes(labels),
        "gaps": _bytes(gaps),
        "centroids": len(w.codebook),
        "label_bits": w.label_bits,
        "gap_bits": w.gap_bits,
    }
    return _keeping(_ffi().new("struct dc_tensor *", fields), fields)


def _layout(codebook: Float32Array, layout: "Layout") -> Any:
    """Return a struct dc_layout, made once as that takes longer than a small product."""
    struct = layout.cache.get("struct")
    if struct is None:
        fields = {
            "rows": layout.rows,
            "cols": layout.cols,
            "codebook": _floats(codebook),
            "data": _bytes(layout.data),
            "starts": _ffi().from_buffer("uint64_t[]", layout.starts),
            "order": _ffi().from_buffer("uint32_t[]", layout.order),
            "centroids": len(codebook),
            "gap_bits": layout.gap_bits,
            "label_bits": layout.label_bits,
        }
        struct = _keeping(_ffi().new("struct dc_layout *", fields), fields)
        layout.cache["struct"] = struct
    return struct


def _keeping(struct: Any, fields: dict[str, Any]) -> Any:
    """Return `struct` as an object on which the memory that its fields point to depends."""
    return _ffi().gc(struct, lambda _, fields=fields: None)
