"""The rules for what a compressed tensor is made of."""

import math
import operator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import relindex
from ..errors import ArgumentError, FormatError
from ..tensors import Float32Array, UInt8Array


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


def frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return a contiguous copy that can't be written to."""
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def check_entries(labels: UInt8Array, gaps: UInt8Array, centroids: int, size: int) -> None:
    """Raise unless labels and positions are in range; the twin of dc_validate."""
    if labels.size and labels.max() >= centroids:
        entry = int((labels >= centroids).argmax())
        raise FormatError(f"a label has no centroid (entry {entry})")
    relindex.decode(gaps, size)


def has_needed_fillers_only(labels: UInt8Array, gaps: UInt8Array, gap_bits: int) -> bool:
    """Tell whether the stream is what `relindex` makes of its survivors."""
    if len(labels) and labels[-1] == 0:
        return False
    return bool((gaps[labels == 0] == 2**gap_bits - 1).all())
