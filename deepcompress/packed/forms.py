"""The forms in which one tensor is held, swapped as products ask for others."""

from typing import Any

from .. import native, relindex, spmv
from ..bits import packing
from ..locks import ForkSafeLock
from ..native import layout as native_layout
from ..spmv import choose, column_blocks
from ..structs import ColumnBlocks, Form, Layout, Stream
from ..tensors import Int64Array, UInt8Array
from .stream import frozen, has_needed_fillers_only


class Forms:
    """A stream, or a form that products made from it: at least one of three at any time.

    A layout and column blocks are built by the first caller that wants them. They then replace the
    stream if it can be rebuilt from them: if it has fillers only where `relindex` puts them.

    Parameters
    ----------
    stream : Stream
    is_minimal : bool
        Whether it is known to have no other fillers.
    """

    def __init__(self, stream: Stream, is_minimal: bool = False) -> None:
        self.rows, self.cols, self.codebook = stream.rows, stream.cols, stream.codebook
        self.label_bits, self.gap_bits = stream.label_bits, stream.gap_bits
        self._stream: Stream | None = stream
        self._layout: Layout | None = None
        self._blocks: ColumnBlocks | None = None
        self._is_laid_out = False
        self._is_minimal = is_minimal
        self._lock = ForkSafeLock()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held, but for the codebook."""
        return sum(form.nbytes for form in (self._stream, self._layout, self._blocks) if form)

    def any(self) -> Form:
        """Return the first form that is held."""
        # In this order: the stream is released only after another form has been put there.
        form = self._stream or self._layout or self._blocks
        assert form is not None
        return form

    def stream(self) -> Stream:
        """Return the stream, rebuilt for the caller if it isn't held."""
        form = self.any()
        return form if isinstance(form, Stream) else self._rebuild(form)

    def survivors(self) -> tuple[Int64Array, UInt8Array]:
        """Return the position (ascending) and the label of each surviving weight."""
        return spmv.survivors(self.any())

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
                dense = native_layout.dense_layout() if native.active() else "lanes"
                self._layout = choose.build(self.stream(), dense)
                self._is_laid_out = True
                self._release(self._layout)
            return self._layout

    def _release(self, built: Layout | ColumnBlocks | None) -> None:
        """Let go of the stream if it can be rebuilt from the form that was built."""
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
        positions, survivors = spmv.survivors(form)
        gaps = relindex.encode(positions, self.rows * self.cols, self.gap_bits)
        labels = gaps.spread(survivors)
        return Stream(
            self.rows,
            self.cols,
            len(labels),
            self.codebook,
            self.label_bits,
            self.gap_bits,
            frozen(packing.pack(labels, self.label_bits)),
            frozen(packing.pack(gaps.gaps, self.gap_bits)),
        )


class OfStream:
    """An array of a tensor's stream, rebuilt at each access if the stream isn't held."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, tensor: Any, owner: type | None = None) -> UInt8Array:
        """Return the array; there is none of the class, so that a dataclass sees no default."""
        if tensor is None:
            raise AttributeError(self._name)
        array: UInt8Array = getattr(tensor._forms.stream(), self._name)
        return array


LABELS, GAPS = OfStream("labels"), OfStream("gaps")
