"""The forms in which one tensor is held, swapped as products ask for others."""

from typing import Any

from .. import native, relindex, spmv
from ..bits import packing
from ..locks import ForkSafeLock
from ..native import layout as native_layout
from ..spmv import choose, column_blocks
from ..structs import ColumnBlocks, Form, Layout, Stream
from ..tensors import Float32Array, Int64Array, UInt8Array
from .stream import frozen, has_needed_fillers_only
from .widths import cheapest_gap_bits

# Of the transpose's stream, for a survivor: as many as there are where one weight of 16384 has
# survived. Rows that are dense in a matrix of millions of rows need far more.
MAX_FILLERS, FEW_FILLERS = 64, 2**16


class Forms:
    """A stream, or a form that products made from it: at least one of five at any time.

    A layout, one for several columns if that should be another, that of the transpose and column
    blocks are built by the first caller that wants them. They then replace the stream if it can be
    rebuilt from them: if it has fillers only where `relindex` puts them.

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
        self._transposed: Forms | None = None
        self._is_transposed = False
        self._is_laid_out = False
        self._preferred = "auto"  # as it was laid out
        self._of_several: Layout | None = None  # columns; it may be the layout itself
        self._is_of_several = False  # known
        self._is_minimal = is_minimal
        self._lock = ForkSafeLock()

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held, but for the codebook."""
        of_several = None if self._of_several is self._layout else self._of_several
        held = self._stream, self._layout, of_several, self._blocks, self._transposed
        return sum(form.nbytes for form in held if form)

    def any(self) -> Form:
        """Return the first form that is held; the stream, rebuilt, if that is the transpose."""
        return self._own() or self._rebuild(*self.survivors())

    def _own(self) -> Form | None:
        # In this order: the stream is released only after another form has been put there.
        return self._stream or self._layout or self._of_several or self._blocks

    def stream(self) -> Stream:
        """Return the stream, rebuilt for the caller if it isn't held."""
        form = self.any()
        return form if isinstance(form, Stream) else self._rebuild(*spmv.survivors(form))

    def survivors(self) -> tuple[Int64Array, UInt8Array]:
        """Return the position (ascending) and the label of each surviving weight."""
        form = self._own()
        if form is not None:
            return spmv.survivors(form)
        assert self._transposed is not None
        return spmv.transpose((self.cols, self.rows), *self._transposed.survivors())

    def of_products(self, columns: int = 1) -> Stream | Layout:
        """Return the layout, or the stream where that is better left as it is."""
        return self.layout(columns=columns) or self.stream()

    def layout(
        self, prefer: str = "auto", *, columns: int = 1, among_others: bool = False
    ) -> Layout | None:
        """Return the layout, if there is any; ``"auto"`` takes that which there is already.

        Products with several columns take longer from lists, and ``"auto"`` has a layout of their
        own for them: of whatever was multiplied before, no bit of a product depends on it.
        """
        if prefer == "auto":
            if columns > 1 and self._preferred == "auto":
                return self._of_several or self._lay_out_for_several()
            if self._layout is not None:
                return self._layout
        return self._lay_out(prefer, among_others)

    def blocks(self) -> ColumnBlocks | None:
        """Return the column blocks, if there are any."""
        with self._lock:
            if self._blocks is None:
                self._blocks = column_blocks.build(self.stream())
                self._release(self._blocks)
            return self._blocks

    def transposed(self, columns: int = 1) -> "Forms | None":
        """Return the forms of the transpose, with a layout for `columns` if there is one.

        None where its stream would be large beyond measure: the rows of the transpose are then so
        sparse that nearly all entries would be fillers.
        """
        with self._lock:
            if not self._is_transposed:
                built = self._transposed = self._transpose()
                self._is_transposed = True
                self._release(built.layout(columns=columns) if built else None)
            return self._transposed

    def _transpose(self) -> "Forms | None":
        positions, labels = spmv.transpose((self.rows, self.cols), *self.survivors())
        fillers = [0, *relindex.filler_counts(positions).tolist()]
        gap_bits = cheapest_gap_bits(len(positions), fillers, self.label_bits)
        if fillers[gap_bits] > MAX_FILLERS * len(positions) + FEW_FILLERS:
            return None
        widths = self.label_bits, gap_bits
        stream = _stream((self.cols, self.rows), self.codebook, widths, positions, labels)
        return Forms(stream, is_minimal=True)

    def _lay_out(self, prefer: str = "auto", among_others: bool = False) -> Layout | None:
        with self._lock:
            if not self._is_laid_out or prefer not in ("auto", self._preferred):
                built = self._build(prefer, among_others)
                if built and built.kind != "lists" and self._of_several:
                    built = self._of_several  # which is the same
                self._layout = built
                self._is_laid_out, self._preferred = True, prefer
                self._release(self._layout)
                if prefer != "auto" and built:  # as was asked for, for any columns
                    self._of_several, self._is_of_several = None, False
            return self._layout

    def _lay_out_for_several(self) -> Layout | None:
        with self._lock:
            if not self._is_of_several:
                is_other = not self._is_laid_out or (self._layout and self._layout.kind == "lists")
                self._of_several = self._build("memory", False) if is_other else self._layout
                self._is_of_several = True
                self._release(self._of_several)
            return self._of_several

    def _build(self, prefer: str, among_others: bool) -> Layout | None:
        is_native = native.active()
        dense = native_layout.dense_layout() if is_native else "lanes"
        cached = native_layout.cached_layout() if is_native else "lanes"
        return choose.build(self.stream(), dense, cached, prefer, among_others)

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

    def _rebuild(self, positions: Int64Array, survivors: UInt8Array) -> Stream:
        matrix, widths = (self.rows, self.cols), (self.label_bits, self.gap_bits)
        return _stream(matrix, self.codebook, widths, positions, survivors)


def _stream(
    matrix: tuple[int, int],
    codebook: Float32Array,
    widths: tuple[int, int],
    positions: Int64Array,
    survivors: UInt8Array,
) -> Stream:
    """Return the stream that has these survivors, and only the fillers they need."""
    label_bits, gap_bits = widths
    gaps = relindex.encode(positions, matrix[0] * matrix[1], gap_bits)
    labels = gaps.spread(survivors)
    return Stream(
        *matrix,
        len(labels),
        codebook,
        label_bits,
        gap_bits,
        frozen(packing.pack(labels, label_bits)),
        frozen(packing.pack(gaps.gaps, gap_bits)),
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
