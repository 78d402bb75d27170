"""A tensor that stays compressed in memory and is used as it is."""

import math
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .. import native, relindex, spmv
from ..bits import packing
from ..checks import as_bits, as_uint8
from ..errors import ArgumentError
from ..locks import ForkSafeLock
from ..native import spmv as native_spmv
from ..spmv import choose, column_blocks, convolution
from ..spmv.column_blocks import Blocks
from ..spmv.lanes import Layout, entries
from ..tensors import Float32Array, GapStream, Int64Array, SharedWeights, UInt8Array
from . import conversions as conversions
from . import stream as parts

_STREAMS = ("labels_packed", "gaps_packed")


@dataclass(frozen=True, eq=False)
class CompressedTensor:
    """Shared weights and relative indices of one tensor, packed, and products with them.

    Whatever is constructed has been checked, so that an instance is safe for each
    kernel. The arrays are copied and read-only.

    The first product of a matrix rearranges gaps and labels (see `layout`), the first
    convolution likewise (see `spmv.column_blocks`), and from then on they are held in that form;
    whoever asks for the packed ones gets them rebuilt.

    Parameters
    ----------
    shape : tuple of int
        Any rank. Products see a matrix of `rows` × `cols`.
    codebook : ndarray of shape (K,), float32
        Finite; ``codebook[0] == 0.0``; ``1 <= K <= 2**label_bits``.
    label_bits, gap_bits : int
        Widths, 1 to 8.
    count : int
        Stored entries S, fillers included.
    labels_packed, gaps_packed : ndarray of uint8
        S labels and S gaps, as from `bits.packing.pack`.

    Raises
    ------
    ArgumentError
        If an argument has the wrong type, dtype, rank or range.
    FormatError
        If the packed bytes or the codebook break a rule: length, padding, labels
        without a centroid, entries outside the tensor, centroids that aren't finite.

    Examples
    --------
    >>> weights = SharedWeights(np.array([0, -2, 1.5], np.float32), np.array([2, 1], np.uint8), 2)
    >>> w = CompressedTensor.from_parts((2, 3), weights, relindex.encode([1, 5], 6, 2))
    >>> w.to_dense()
    array([[ 0. ,  1.5,  0. ],
           [ 0. ,  0. , -2. ]], dtype=float32)
    >>> w @ np.array([1, 10, 100])
    array([  15., -200.], dtype=float32)
    """

    shape: tuple[int, ...]
    codebook: Float32Array = field(repr=False)
    label_bits: int
    gap_bits: int
    count: int
    labels_packed: UInt8Array = field(repr=False)
    gaps_packed: UInt8Array = field(repr=False)
    _layout: Layout | None = field(init=False, repr=False, default=None)
    _blocks: Blocks | None = field(init=False, repr=False, default=None)
    _building: ForkSafeLock = field(init=False, repr=False, default_factory=ForkSafeLock)
    _is_laid_out: bool = field(init=False, repr=False, default=False)
    _joined: bool = field(init=False, repr=False, default=False)

    __array_ufunc__ = None  # so that `ndarray @ w` is a TypeError, not a puzzle

    def __post_init__(self) -> None:
        """Copy the arrays and validate everything."""
        set_field = object.__setattr__  # the class is frozen
        set_field(self, "shape", parts.check_shape(self.shape))
        set_field(self, "label_bits", as_bits(self.label_bits, "label_bits"))
        set_field(self, "gap_bits", as_bits(self.gap_bits, "gap_bits"))
        set_field(self, "codebook", parts.check_codebook(self.codebook, self.label_bits))
        for name in _STREAMS:
            set_field(self, name, parts.frozen(as_uint8(getattr(self, name), name)))
        packing.check_packed(self.labels_packed, self.label_bits, self.count)
        packing.check_packed(self.gaps_packed, self.gap_bits, self.count)
        if native.active():
            native_spmv.validate(self)
        else:
            parts.check_entries(self.labels(), self.gaps(), len(self.codebook), self.size)

    @classmethod
    def from_parts(
        cls, shape: tuple[int, ...], weights: SharedWeights, gaps: GapStream
    ) -> "CompressedTensor":
        """Pack what `quantize` and `relindex` made of one tensor.

        Raises
        ------
        ArgumentError, FormatError
            If there are more or fewer labels than entries that aren't fillers, or
            as the class.
        """
        if len(weights.labels) != np.count_nonzero(~gaps.fillers):
            raise ArgumentError(
                f"{len(weights.labels)} labels for {np.count_nonzero(~gaps.fillers)} positions"
            )
        labels = np.zeros(len(gaps.gaps), np.uint8)
        labels[~gaps.fillers] = weights.labels
        return cls.from_entries(
            shape, weights.codebook, (labels, weights.bits), (gaps.gaps, gaps.gap_bits)
        )

    @classmethod
    def from_entries(
        cls,
        shape: tuple[int, ...],
        codebook: Float32Array,
        labels: tuple[UInt8Array, int],
        gaps: tuple[UInt8Array, int],
    ) -> "CompressedTensor":
        """Pack the labels and gaps of all entries, each given with its width in bits.

        Raises
        ------
        ArgumentError, FormatError
            As the class.
        """
        (label_values, label_bits), (gap_values, gap_bits) = labels, gaps
        return cls(
            shape,
            codebook,
            label_bits,
            gap_bits,
            len(gap_values),
            packing.pack(label_values, label_bits),
            packing.pack(gap_values, gap_bits),
        )

    @classmethod
    def from_checked(
        cls,
        shape: tuple[int, ...],
        codebook: Float32Array,
        count: int,
        labels: tuple[UInt8Array, int],
        gaps: tuple[UInt8Array, int],
        joined: bool = False,
    ) -> "CompressedTensor":
        """Take packed labels and gaps, each given with its width, without a look at them.

        They are known to pass the checks of the class, are not copied, and nobody writes to
        them any more. If `joined`, there are fillers only where `relindex` puts them.
        """
        tensor = cls.__new__(cls)
        (labels_packed, label_bits), (gaps_packed, gap_bits) = labels, gaps
        codebook = parts.check_codebook(codebook, label_bits)
        for array in (labels_packed, gaps_packed):
            array.flags.writeable = False
        values = shape, codebook, label_bits, gap_bits, count, labels_packed, gaps_packed
        given = [one for one in fields(cls) if one.init]
        for one, value in zip(given, values, strict=True):
            object.__setattr__(tensor, one.name, value)
        for one in fields(cls)[len(given) :]:  # as __init__ does
            made = one.default if one.default_factory is MISSING else one.default_factory()
            object.__setattr__(tensor, one.name, made)
        object.__setattr__(tensor, "_joined", joined)
        return tensor

    @property
    def size(self) -> int:
        """Number of elements of the dense tensor."""
        return math.prod(self.shape)

    @property
    def rows(self) -> int:
        """R, the first axis; 1 for a tensor of rank 0."""
        return self.shape[0] if self.shape else 1

    @property
    def cols(self) -> int:
        """C, the product of all other axes."""
        return math.prod(self.shape[1:])

    @property
    def density(self) -> float:
        """Share of the elements that survived pruning, 0.0 for an empty tensor."""
        return len(self.survivors()[1]) / self.size if self.size else 0.0

    @property
    def nbytes(self) -> int:
        """Bytes that labels, gaps and codebook take in memory, as they are held."""
        held = dict(vars(self))  # a copy, as another thread may be at the first product
        laid_out = sum(form.nbytes for form in (self._layout, self._blocks) if form)
        streams = sum(held[name].nbytes for name in _STREAMS if name in held)
        return int(self.codebook.nbytes + laid_out + streams)

    def labels(self) -> UInt8Array:
        """Return the label of each entry, shape (S,); 0 for a filler."""
        return packing.unpack(self.labels_packed, self.label_bits, self.count)

    def gaps(self) -> UInt8Array:
        """Return the gap before each entry, shape (S,)."""
        return packing.unpack(self.gaps_packed, self.gap_bits, self.count)

    def positions(self) -> Int64Array:
        """Return the position of each entry in the flattened tensor, shape (S,)."""
        return relindex.decode(self.gaps(), self.size)

    def survivors(self) -> tuple[Int64Array, UInt8Array]:
        """Return the position (ascending) and the label of each surviving weight."""
        if self._layout is not None:
            return entries(self._layout)
        if self._blocks is not None:
            return self._blocks.survivors()
        labels = self.labels()
        survives = labels != 0
        return self.positions()[survives], labels[survives]

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> npt.NDArray[Any]:
        """Give NumPy the dense tensor, where it would else make an object of this one."""
        if copy is False:
            raise ValueError("a compressed tensor has no dense array that could be shared")
        return self.to_dense().astype(dtype or np.float32, copy=False)

    def __matmul__(self, x: npt.ArrayLike) -> Float32Array:
        """Multiply as `dot`."""
        return spmv.dot(self, x)

    dot = spmv.dot
    convolve = convolution.convolve
    to_dense = conversions.to_dense
    to_scipy_csr = conversions.to_scipy_csr
    __getitem__ = conversions.take_rows

    def layout(self) -> Layout | None:
        """Return the form for products, built by the first caller; None if there is none.

        It then replaces the packed arrays, if they can be rebuilt from it: if they have
        fillers only where `relindex` puts them.
        """
        with self._building:
            return self._layout if self._is_laid_out else self._lay_out()

    def blocks(self) -> Blocks | None:
        """Return the form for convolutions, as `layout` the one for products."""
        with self._building:
            if self._blocks is None:
                self._hold("_blocks", column_blocks.build(self))
            return self._blocks

    def _lay_out(self) -> Layout | None:
        masks, tiles = native_spmv.prefers_masks(), native_spmv.prefers_tiles()
        built = choose.build(self, masks=masks, tiles=tiles)
        object.__setattr__(self, "_is_laid_out", True)
        self._hold("_layout", built)
        return built

    def _hold(self, name: str, built: Layout | Blocks | None) -> None:
        object.__setattr__(self, name, built)
        if built and _STREAMS[0] in vars(self) and self._has_needed_fillers_only():
            for stream in _STREAMS:
                object.__delattr__(self, stream)  # from here on, __getattr__ makes them

    def _has_needed_fillers_only(self) -> bool:
        if self._joined:
            return True
        if native.active():
            return native_spmv.has_needed_fillers_only(self)
        return parts.has_needed_fillers_only(self.labels(), self.gaps(), self.gap_bits)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> UInt8Array:
            """Rebuild the packed arrays that a layout has replaced."""
            if name not in _STREAMS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return parts.rebuild(self.survivors(), self.size, self.label_bits, self.gap_bits)[name]

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy what it was made from."""
        streams = self.label_bits, self.gap_bits, self.count, self.labels_packed, self.gaps_packed
        return type(self), (self.shape, self.codebook, *streams)
