"""The gateway to ``csrc/layout``: streams are checked, and rearranged for products.

Arguments are as in `native`: validated, contiguous and aligned, with the native backend active.
Here are also the C structs of the forms.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..structs import ColumnBlocks, Layout, Stream
from ..tensors import Int64Array, UInt8Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib
from .pool import team

KIND_PREFIX = "DC_LAYOUT_"
NS_PER_ENTRY = 0.5  # of a stream that is gone through, or a layout that is filled
MAX_STREAM_THREADS = 8  # each has to find its place in the stream first


def dense_layout() -> str:
    """Call dc_dense_layout: the fastest kind for matrices that aren't very sparse."""
    return _kind(_lib().dc_dense_layout(_choice().isa))


def cached_layout() -> str:
    """Call dc_cached_layout: the fastest kind for sparse matrices whose lists aren't too large."""
    return _kind(_lib().dc_cached_layout(_choice().isa))


def _kind(number: int) -> str:
    name: str = _ffi().typeof("enum dc_layout_kind").elements[number]
    return name.removeprefix(KIND_PREFIX).lower()


def validate(w: Stream) -> None:
    """Call dc_validate; raise FormatError unless labels and positions are in range."""
    at = _ffi().new("size_t *")
    _check(_lib().dc_validate(tensor_struct(w), at), at[0])


def has_needed_fillers_only(w: Stream) -> bool:
    """Call dc_has_needed_fillers_only."""
    return bool(_lib().dc_has_needed_fillers_only(tensor_struct(w)))


def row_counts(w: Stream) -> tuple[npt.NDArray[np.uint32], UInt8Array]:
    """Call dc_layout_counts; return counts of shape (9, rows), and where rows begin."""
    counts = np.zeros((9, w.rows), np.uint32)
    begins = np.empty(w.rows * _ffi().sizeof("struct dc_row"), np.uint8)
    pointer = _ffi().from_buffer("uint32_t[]", counts)
    _lib().dc_layout_counts(tensor_struct(w), pointer, _rows(begins), _team_for(w))
    return counts, begins


def fill_lanes(w: Stream, layout: Layout, begins: UInt8Array) -> None:
    """Call dc_layout_lanes; write to the data of `layout`."""
    places = _rows(begins), _ffi().from_buffer("uint32_t[]", layout.order), _starts(layout.starts)
    workers, _ = team(layout.data.nbytes * NS_PER_ENTRY, layout.parts)
    data = _bytes(layout.data)
    widths = layout.gap_bits, layout.label_bits
    _lib().dc_layout_lanes(tensor_struct(w), *widths, *places, data, workers)


def fill_masks(w: Stream, layout: Layout) -> None:
    """Call dc_layout_masks; write to the data of `layout`."""
    _lib().dc_layout_masks(tensor_struct(w), _starts(layout.starts), _bytes(layout.data))


def count_lists(w: Stream, begins: UInt8Array, counts: npt.NDArray[np.uint32]) -> None:
    """Call dc_list_counts; `counts` are zeros."""
    places = _rows(begins), _ffi().from_buffer("uint32_t[]", counts)
    _lib().dc_list_counts(tensor_struct(w), *places, _team_for(w))


def fill_lists(
    w: Stream, begins: UInt8Array, places: npt.NDArray[np.uint64], data: UInt8Array
) -> None:
    """Call dc_layout_lists; `data` are zeros but for the heads."""
    to = _starts(places), _bytes(data)
    _lib().dc_layout_lists(tensor_struct(w), _rows(begins), *to, _team_for(w))


def count_tiles(w: Stream, label_bits: int, begins: UInt8Array, counts: UInt8Array) -> None:
    """Call dc_tile_counts; `counts` are zeros."""
    places = _rows(begins), _bytes(counts)
    _lib().dc_tile_counts(tensor_struct(w), label_bits, *places, _team_for(w))


def fill_tiles(
    w: Stream,
    label_bits: int,
    begins: UInt8Array,
    bits: npt.NDArray[np.uint64],
    data: UInt8Array,
) -> None:
    """Call dc_layout_tiles."""
    places = _rows(begins), _starts(bits), _bytes(data)
    _lib().dc_layout_tiles(tensor_struct(w), label_bits, *places, _team_for(w))


def count_columns(w: Stream, width: int, counts: npt.NDArray[np.uint16]) -> None:
    """Call dc_column_counts; `counts` are zeros."""
    _lib().dc_column_counts(tensor_struct(w), width, _ffi().from_buffer("uint16_t[]", counts))


def fill_columns(w: Stream, width: int, offsets: Int64Array, data: npt.NDArray[np.uint16]) -> None:
    """Call dc_layout_columns; `data` are zeros."""
    from_buffer = _ffi().from_buffer
    places = from_buffer("int64_t[]", offsets), from_buffer("uint16_t[]", data)
    _lib().dc_layout_columns(tensor_struct(w), width, *places)


def tensor_struct(w: Stream) -> Any:
    """Return a struct dc_tensor."""
    return _keeping(
        "struct dc_tensor *",
        {
            "rows": w.rows,
            "cols": w.cols,
            "entries": w.count,
            "codebook": _floats(w.codebook),
            "labels": _bytes(w.labels),
            "gaps": _bytes(w.gaps),
            "centroids": len(w.codebook),
            "label_bits": w.label_bits,
            "gap_bits": w.gap_bits,
        },
    )


def layout_struct(layout: Layout) -> Any:
    """Return a struct dc_layout, made once as that takes longer than a small product."""
    struct = layout.cache.get("struct")
    if struct is None:
        struct = layout.cache["struct"] = _keeping(
            "struct dc_layout *",
            {
                "kind": getattr(_lib(), KIND_PREFIX + layout.kind.upper()),
                "rows": layout.rows,
                "cols": layout.cols,
                "codebook": _floats(layout.codebook),
                "data": _bytes(layout.data),
                "starts": _starts(layout.starts),
                "order": _ffi().from_buffer("uint32_t[]", layout.order),
                "centroids": len(layout.codebook),
                "gap_bits": layout.gap_bits,
                "label_bits": layout.label_bits,
            },
        )
    return struct


def blocks_struct(blocks: ColumnBlocks) -> Any:
    """Return a struct dc_column_blocks, made once."""
    struct = blocks.cache.get("struct")
    if struct is None:
        struct = blocks.cache["struct"] = _keeping(
            "struct dc_column_blocks *",
            {
                "rows": blocks.rows,
                "cols": blocks.cols,
                "codebook": _floats(blocks.codebook),
                "data": _ffi().from_buffer("uint16_t[]", blocks.data),
                "starts": _starts(blocks.starts),
                "block_cols": blocks.block_cols,
            },
        )
    return struct


def _keeping(kind: str, fields: dict[str, Any]) -> Any:
    """Return a struct as an object that keeps the memory alive to which its fields point."""
    return _ffi().gc(_ffi().new(kind, fields), lambda _, fields=fields: None)


def _team_for(w: Stream) -> Any:
    """Return the team that going through the stream is worth."""
    return team(w.labels.nbytes * NS_PER_ENTRY, MAX_STREAM_THREADS)[0]


def _rows(begins: UInt8Array) -> Any:
    return _ffi().cast("struct dc_row *", _ffi().from_buffer(begins))


def _starts(starts: npt.NDArray[np.uint64]) -> Any:
    return _ffi().from_buffer("uint64_t[]", starts)
