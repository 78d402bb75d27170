"""The way from a picture to a network's input; `pictures` reads the files.

The rule, in this order:

1. cut out the largest rectangle of the shape height : width, from the middle, or half a
   pixel above and left of it where that is no whole pixel;
2. resize it to ``height`` x ``width`` (bilinear, without aliasing).
   Caffe's examples stretch a picture to 256 x 256 first and cut a smaller square out; here a
   picture of the right size is taken as it is;
3. order the channels, and compute ``(pixel - mean) * scale``, pixels from 0 to 255.

In a file's metadata this is the object ``"preprocessing"`` with the keys ``size`` (height
and width, or one number for both), ``channels`` (``"RGB"``, ``"BGR"`` or ``"L"``), ``mean``
and ``scale`` (each a number, or a list with one per channel; 0 and 1 where they are absent).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..checks import is_finite, is_whole
from ..errors import ArgumentError, FormatError, shown
from ..tensors import Float32Array, UInt8Array

CHANNELS = {"RGB": 3, "BGR": 3, "L": 1}
MAX_SIDE = 1 << 13
LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes a network's input.

    Attributes
    ----------
    size : tuple of int
        Height and width of the crop, each 1 to 8192.
    channels : {"RGB", "BGR", "L"}
        Their order; L is a single one, the luma of ITU-R 601-2.
    mean, scale : tuple of float
        One per channel, in that order, or one number for all; finite in float32.

    Raises
    ------
    ArgumentError
        If it is anything else, naming the attribute.

    Examples
    --------
    >>> caffe = Preprocessing((227, 227), "BGR", mean=(104, 117, 123))
    >>> caffe.apply(np.full((227, 227, 3), [123, 117, 105], np.uint8))[:, 0, 0]
    array([1., 0., 0.], dtype=float32)
    """

    size: tuple[int, int]
    channels: str = "RGB"
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        """Bring the attributes into their form, or raise."""
        if not isinstance(self.channels, str) or self.channels not in CHANNELS:
            raise ArgumentError(
                f"channels must be one of {', '.join(CHANNELS)}, not {shown(self.channels)}"
            )
        object.__setattr__(self, "size", _checked_size(self.size))
        for name in ("mean", "scale"):
            numbers = _checked_numbers(name, getattr(self, name), CHANNELS[self.channels])
            object.__setattr__(self, name, numbers)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of the result of `apply`, (channels, height, width)."""
        return CHANNELS[self.channels], *self.size

    def apply(self, pixels: UInt8Array) -> Float32Array:
        """Return the input for a picture that has been resized and cropped.

        Parameters
        ----------
        pixels : ndarray of shape (height, width, 3), red first, or (height, width); uint8
            Three axes for RGB and BGR, two for L.

        Returns
        -------
        ndarray of shape (channels, height, width), float32
        """
        planes = pixels[np.newaxis] if self.channels == "L" else pixels.transpose(2, 0, 1)
        if self.channels == "BGR":
            planes = planes[::-1]
        mean, scale = (
            np.array(numbers, np.float32)[:, np.newaxis, np.newaxis]
            for numbers in (self.mean, self.scale)
        )
        values: Float32Array = np.subtract(planes, mean, dtype=np.float32, order="C")
        values *= scale
        return values

    def to_metadata(self) -> dict[str, Any]:
        """Return the object for a file's metadata, of JSON's types."""
        return {
            "size": list(self.size),
            "channels": self.channels,
            "mean": list(self.mean),
            "scale": list(self.scale),
        }

    @classmethod
    def from_metadata(cls, value: Any) -> "Preprocessing":
        """Read the object of a file's metadata.

        Raises
        ------
        FormatError
            If it isn't such an object, naming the field.
        """
        if not isinstance(value, Mapping):
            raise FormatError(f"preprocessing must be an object, not {shown(value)}")
        for key in ("size", "channels"):
            if key not in value:
                raise FormatError(f"preprocessing: has no {key}")
        for key in value:
            if key not in ("size", "channels", "mean", "scale"):
                raise FormatError(f"preprocessing: unknown field {shown(key)}")
        try:
            return cls(**value)
        except ArgumentError as error:
            raise FormatError(f"preprocessing: {error}") from None


def _checked_size(size: Any) -> tuple[int, int]:
    """Return height and width, from two numbers or one, or raise."""
    sides = list(size) if isinstance(size, (list, tuple)) else [size, size]
    if len(sides) != 2 or not all(is_whole(side, 1, MAX_SIDE) for side in sides):
        raise ArgumentError(
            f"size must be a height and a width from 1 to {MAX_SIDE}, not {shown(size)}"
        )
    return int(sides[0]), int(sides[1])


def _checked_numbers(name: str, value: Any, count: int) -> tuple[float, ...]:
    """Return a number per channel, from so many or one, or raise, naming the field."""
    numbers = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(numbers) == 1:
        numbers *= count
    if len(numbers) != count or not all(is_finite(number, -LARGEST, LARGEST) for number in numbers):
        raise ArgumentError(
            f"{name} must be a finite number or {count}, one per channel, not {shown(value)}"
        )
    return tuple(float(number) for number in numbers)
