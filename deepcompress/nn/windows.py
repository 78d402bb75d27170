"""Windows over images: their sides and strides, how far apart their places lie, and the padding."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ArgumentError, shown
from .layers import Array, Shape

Sides = int | tuple[int, ...]  # one number for all sides, or one for each


def compact(layer: str, name: str, value: Any, count: int) -> Sides:
    """Return a layer's option as one number if all of `count` are the same; raise if they aren't.

    Options that say the same are equal then, and have one definition.
    """
    numbers = tuple(value) if isinstance(value, (list, tuple)) else (value,) * count
    if len(numbers) != count:
        raise ArgumentError(
            f"layer {layer!r}: {name} must be one number or {count}, not {shown(value)}"
        )
    return numbers[0] if len(set(numbers)) == 1 else numbers


def spread(value: Sides, count: int) -> tuple[int, ...]:
    """Return `count` numbers for an option; inverse of `compact`."""
    return value if isinstance(value, tuple) else (value,) * count


@dataclass(frozen=True)
class Window:
    """A window that steps over images ``(C, H, W, B)``.

    Attributes
    ----------
    kernel, stride, dilation : tuple of int
        Down and right. The places of a window are `dilation` pixels apart.
    padding : tuple of int
        Top, left, bottom, right.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...] = (1, 1)

    @classmethod
    def of(cls, kernel: Sides, stride: Sides, padding: Sides, dilation: Sides = 1) -> "Window":
        """Make one of a layer's options."""
        return cls(spread(kernel, 2), spread(stride, 2), spread(padding, 4), spread(dilation, 2))

    @cached_property
    def reach(self) -> tuple[int, ...]:
        """Pixels that a window spans, down and right."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def around(self) -> tuple[int, ...]:
        """Pixels of padding in each direction, down and right."""
        top, left, bottom, right = self.padding
        return top + bottom, left + right

    @property
    def smallest(self) -> str:
        """The smallest images that have a window, in words."""
        height, width = (max(1, r - a) for r, a in zip(self.reach, self.around, strict=True))
        return f"H, W >= {height}" if height == width else f"H >= {height}, W >= {width}"

    def space(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return how far windows can move in an image of (H, W); negative if none fits."""
        extents = zip(shape, self.around, self.reach, strict=True)
        return tuple(extent + around - reach for extent, around, reach in extents)

    def counts(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Return how many windows fit into a padded image of (H, W), down and right."""
        return tuple(s // step + 1 for s, step in zip(self.space(shape), self.stride, strict=True))

    def padded(self, x: Array, fill: float = 0, more: Sequence[int] = (0, 0)) -> Array:
        """Return images with `fill` around them, and `more` pixels of it below and right."""
        top, left, bottom, right = self.padding
        around = [(0, 0), (top, bottom + more[0]), (left, right + more[1]), (0, 0)]
        return np.pad(x, around, constant_values=fill) if any(map(any, around)) else x

    def inner(self, padded: Array, shape: Shape) -> Array:
        """Return the view of padded images that are the images of `shape`; inverse of `padded`."""
        top, left = self.padding[:2]
        return padded[:, top : top + shape[1], left : left + shape[2]]

    def taps(self, padded: Array, rows: int, cols: int) -> Iterator[Array]:
        """Yield a view of all windows' pixels at each place of the window, in row-major order."""
        (down, right), (tall, wide) = self.stride, self.dilation
        for i in range(self.kernel[0]):
            for j in range(self.kernel[1]):
                yield padded[
                    :,
                    i * tall : i * tall + down * (rows - 1) + 1 : down,
                    j * wide : j * wide + right * (cols - 1) + 1 : right,
                ]
