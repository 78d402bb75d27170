"""Labels and levels of a tensor to its record, and values that are kept."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import TensorConfig
from ..container.records import CODERS, CONTEXT, ENCODINGS
from ..dtypes import ElementType
from ..errors import ArgumentError
from ..pipeline.weights import Encodable, Kept, priced
from ..tensors import Float64Array, Survivors, UInt8Array
from .rates import counts_of

CONTEXTS = ENCODINGS[CONTEXT]
CODINGS = (*CODERS, CONTEXTS)  # from the quickest to the smallest


def encodable(
    levels: Float64Array,
    labels: UInt8Array,
    shape: tuple[int, ...],
    element_type: ElementType,
    coder: str,
    half: bool,
    whole: bool = False,
) -> Encodable | Kept:
    """Return a tensor with the cheapest coding; its values if sharing takes more bytes.

    Parameters
    ----------
    levels : ndarray of shape (K,), float64
        In any order; several may be the same or 0.
    labels : ndarray of ``prod(shape)`` elements, uint8
    shape : tuple of int
    element_type : ElementType
        Of the tensor.
    coder : str
        One of `CODINGS`.
    half : bool
        Whether centroids are stored as float16, unless the tensor's elements are as narrow.
    whole : bool
        Whether `levels` ascend and are a grid: those that no label has are kept as well, between
        others, and none is made a float16.
    """
    with np.errstate(over="ignore", under="ignore"):
        narrow = levels.astype(np.float16) if half and not whole else levels
    exact = element_type.rounded(narrow.astype(np.float32))
    used = counts_of(labels, len(levels)) > 0
    if whole:
        used = np.maximum.accumulate(used) & np.maximum.accumulate(used[::-1])[::-1]
    centroids = np.unique(exact[used & (exact != 0)])
    places = (np.searchsorted(centroids, exact) + 1) * (exact != 0)
    renamed = places.astype(np.uint8)[labels.ravel()]
    positions = np.flatnonzero(renamed)
    codebook = np.concatenate([np.zeros(1, np.float32), centroids])
    survivors = Survivors(shape, codebook, positions, renamed[positions], element_type)
    values = codebook[renamed].astype(element_type.numpy()).reshape(shape)
    wanted = TensorConfig(
        coder=stream_coder(coder),
        encoding=CONTEXTS if coder == CONTEXTS else None,
        centroid_dtype="float16" if half else "float32",
    )
    return priced(values, values != 0, survivors, wanted)


def stream_coder(coder: str) -> str:
    """Return the strongest coder of streams for one of `CODINGS`, which contexts do without."""
    return "rans" if coder == CONTEXTS else coder


def rounded(values: npt.NDArray[Any], half: bool, name: str) -> npt.NDArray[Any]:
    """Return floats that are kept: as numbers that float16 has, if that is wanted.

    Their dtype stays; bits that are all zero take next to no place in planes.
    """
    if not half or values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore", under="ignore"):
        halves = values.astype(np.float16)
    if not np.isfinite(halves).all():
        raise ArgumentError(f"tensor {name!r}: values are too large for float16")
    return halves.astype(values.dtype)
