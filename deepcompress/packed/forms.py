"""The forms in which one tensor is held, swapped as products ask for others."""

import numpy as np

from .. import native, relindex, spmv
from ..bits import packing
from ..locks import ForkSafeLock
from ..native import layout as native_layout
from ..spmv import choose, column_blocks
from ..structs import ColumnBlocks, Form, Layout, LayoutKind, Stream
from .stream import frozen, has_needed_fillers_only


class Forms:
    """A stream, or what products have made of it: at least one of three forms at any time.

    A layout and column blocks are built by the first caller that wants them. They then replace the
    stream if it can be rebuilt from them: if it has fillers only where `relindex` puts them.

    Parameters
    ----------
    stream : Stream
    is_minimal : bool
        Whether it is known to have no other fillers.
    """

    def __init__(self, stream: Stream, is_minimal: bool = False) -> None:
        self._stream: Stream | None = stream
        self._layout: Layout | None = None
        self._blocks: ColumnBlocks | None = None
        self._is_laid_out = False
        self._is_minimal = is_minimal
        self._widths = stream.label_bits, stream.gap_bits
        self._lock = ForkSafeLock()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held, but for the codebook."""
        return sum(form.nbytes for form in (self._stream, self._layout, self._blocks) if form)

    def any(self) -> Form:
        """Return the first form that is held."""
        # In this order: whoever releases the stream has put another form there before.
        form = self._stream or self._layout or self._blocks
        assert form is not None
        return form

    def stream(self) -> Stream:
        """Return the stream, rebuilt for the caller if it isn't held."""
        form = self.any()
        return form if isinstance(form, Stream) else self._rebuild(form)

    def of_products(self) -> Stream | Layout:
        """Return the layout, or the stream where that is better left as it is."""
        return self._layout or self._lay_out() or self.stream()

    def layout(self) -> Layout | None:
        """Return the layout, if there is any."""
        return self._layout or self._lay_out()

    def blocks(self) -> ColumnBlocks | None:
        """Return the column blocks, if there are any."""
        with self._lock:
            if self._blocks is None:
                self._blocks = column_blocks.build(self.stream())
                self._release(self._blocks)
            return self._blocks

    def _lay_out(self) -> Layout | None:
        with self._lock:
            if not self._is_laid_out:
                dense = native_layout.dense_layout() if native.active() else LayoutKind.LANES
                self._layout = choose.build(self.stream(), dense)
                self._is_laid_out = True
                self._release(self._layout)
            return self._layout

    def _release(self, built: Layout | ColumnBlocks | None) -> None:
        """Let go of the stream if what was built from it can stand in for it."""
        if built and self.is_minimal():
            self._stream = None

    def is_minimal(self) -> bool:
        """Tell whether the stream has fillers only where `relindex` puts them."""
        w = self._stream
        if w is None or self._is_minimal:
            return True
        if native.active():
            return native_layout.has_needed_fillers_only(w)
        labels = packing.unpack(w.labels, w.label_bits, w.count)
        gaps = packing.unpack(w.gaps, w.gap_bits, w.count)
        return has_needed_fillers_only(labels, gaps, w.gap_bits)

    def _rebuild(self, form: Layout | ColumnBlocks) -> Stream:
        """Return the stream that has the form's survivors, and only the fillers they need."""
        label_bits, gap_bits = self._widths
        positions, survivors = spmv.survivors(form)
        gaps = relindex.encode(positions, form.rows * form.cols, gap_bits)
        labels = np.zeros(len(gaps.gaps), np.uint8)
        labels[~gaps.fillers] = survivors
        return Stream(
            form.rows,
            form.cols,
            len(labels),
            form.codebook,
            label_bits,
            gap_bits,
            frozen(packing.pack(labels, label_bits)),
            frozen(packing.pack(gaps.gaps, gap_bits)),
        )
