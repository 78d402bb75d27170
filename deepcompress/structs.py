"""Twins of the structs that C takes: what stages and `native` both name."""

from dataclasses import dataclass

from .tensors import UInt8Array


@dataclass(frozen=True)
class GapBlock:
    """One decoded block of a file's tensor, whose entries have gaps; ``struct dc_block``.

    Attributes
    ----------
    labels : ndarray of shape (S,), uint8
        0 for a filler, wherever it is.
    gaps : ndarray of shape (S,), uint8
        As in `relindex`, from the beginning of the block.
    elements : int
        Of the block; all entries lie within.
    """

    labels: UInt8Array
    gaps: UInt8Array
    elements: int


@dataclass(frozen=True)
class MaskBlock:
    """One decoded block of which a mask tells where its survivors are.

    Attributes
    ----------
    mask : ndarray of uint8
        A bit for each element, as `container` has them.
    less_one : ndarray of uint8
        The label of each survivor less 1.
    elements : int
    """

    mask: UInt8Array
    less_one: UInt8Array
    elements: int
