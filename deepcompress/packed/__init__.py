"""A tensor that stays compressed in memory and is multiplied as it is."""

from .tensor import CompressedTensor

__all__ = ["CompressedTensor"]
