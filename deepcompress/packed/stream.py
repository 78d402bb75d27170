"""The rules that the shape, the codebook and the stream of a tensor obey."""

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import native, relindex
from ..bits import packing
from ..checks import as_bits, as_uint8
from ..dtypes import ElementType
from ..errors import ArgumentError, FormatError
from ..native import layout as native_layout
from ..structs import Stream
from ..tensors import Float32Array, UInt8Array


def checked(
    matrix: tuple[int, int],
    codebook: npt.ArrayLike,
    widths: tuple[int, int],
    count: int,
    packed: tuple[UInt8Array, UInt8Array],
) -> Stream:
    """Return a stream of copies that is safe for each kernel, or raise as `CompressedTensor`."""
    label_bits = as_bits(widths[0], "label_bits")
    gap_bits = as_bits(widths[1], "gap_bits")
    centroids = check_codebook(codebook, label_bits)
    labels = frozen(as_uint8(packed[0], "labels_packed"))
    gaps = frozen(as_uint8(packed[1], "gaps_packed"))
    packing.check_packed(labels, label_bits, count)
    packing.check_packed(gaps, gap_bits, count)
    stream = Stream(*matrix, count, centroids, label_bits, gap_bits, labels, gaps)
    if native.active():
        native_layout.validate(stream)
    else:
        check_entries(stream)
    return stream


def matrix_of(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return rows and columns of the matrix that products see."""
    return (shape[0] if shape else 1), math.prod(shape[1:])


def check_shape(shape: Any) -> tuple[int, ...]:
    """Return a shape of Python integers that aren't negative, or raise."""
    try:
        checked = tuple(operator.index(axis) for axis in shape)
    except TypeError:
        raise ArgumentError(f"shape must be a tuple of integers, got {shape!r}") from None
    if min(checked, default=0) < 0 or math.prod(filter(None, checked)) >= 2**63:
        raise ArgumentError(f"shape {checked} has a negative axis or too many elements")
    return checked


def check_codebook(codebook: npt.ArrayLike, label_bits: int) -> Float32Array:
    """Return a read-only copy, or raise unless the invariants of a codebook hold."""
    array = np.asarray(codebook)
    if array.dtype != np.float32 or array.ndim != 1 or not 1 <= len(array) <= 2**label_bits:
        raise ArgumentError(
            f"codebook must be a float32 array of 1 to {2**label_bits} centroids, "
            f"got {array.dtype} of shape {array.shape}"
        )
    if array[0] != 0 or np.signbit(array[0]):
        raise FormatError(f"codebook[0] must be 0.0, got {array[0]}")
    if not np.isfinite(array).all():
        raise FormatError(f"centroid {int(np.isfinite(array).argmin())} isn't finite")
    copy: Float32Array = frozen(array)
    return copy


def check_type(codebook: Float32Array, element_type: ElementType) -> ElementType:
    """Return the dtype, or raise unless weights of it can be shared and have these centroids."""
    if not element_type.is_shareable:
        raise ArgumentError(f"weights of {element_type} can't be shared")
    rounded = element_type.rounded(codebook)
    if rounded is not codebook and not np.array_equal(rounded, codebook):
        raise ArgumentError(f"a centroid is no {element_type}")
    return element_type


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous copy that can't be written to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def check_entries(w: Stream) -> None:
    """Raise unless labels and positions are in range; the twin of dc_validate."""
    labels = packing.unpack(w.labels, w.label_bits, w.count)
    centroids = len(w.codebook)
    if labels.size and labels.max() >= centroids:
        entry = int((labels >= centroids).argmax())
        raise FormatError(f"a label has no centroid (entry {entry})")
    relindex.decode(packing.unpack(w.gaps, w.gap_bits, w.count), w.rows * w.cols)


def has_needed_fillers_only(labels: UInt8Array, gaps: UInt8Array, gap_bits: int) -> bool:
    """Tell whether a stream has fillers only where `relindex` puts them."""
    if len(labels) and labels[-1] == 0:
        return False
    return bool((gaps[labels == 0] == 2**gap_bits - 1).all())
