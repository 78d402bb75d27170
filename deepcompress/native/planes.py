"""The gateway to the C kernels of `coding.planes`; `gateway` has their rules."""

import numpy as np

from ..tensors import UInt8Array
from .gateway import _bytes, _lib


def split(words: UInt8Array, word_bytes: int, rotate: bool) -> UInt8Array:
    """Call dc_split_planes for words given as their bytes."""
    count = len(words) // word_bytes
    planes = np.empty((word_bytes, count), np.uint8)
    _lib().dc_split_planes(_bytes(words), count, word_bytes, rotate, _bytes(planes))
    return planes


def merge(planes: UInt8Array, rotate: bool) -> UInt8Array:
    """Call dc_merge_planes; the words are returned as their bytes."""
    word_bytes, count = planes.shape
    words = np.empty(word_bytes * count, np.uint8)
    _lib().dc_merge_planes(_bytes(planes), count, word_bytes, rotate, _bytes(words))
    return words
