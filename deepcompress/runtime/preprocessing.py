"""The way from a picture to a network's input; `pictures` reads the files.

The rule, in this order:

1. with ``resize``, stretch the picture to that height and width, or, where it is one number,
   scale it so that its shorter side has that length, and cut ``size`` out of the middle, or half
   a pixel above and left of it where that is no whole pixel;
2. without ``resize``, cut out the largest rectangle of the shape height : width, from the same
   middle, and scale it to ``size``; a picture of that size is taken as it is;
3. order the channels, and compute ``(pixel - mean) * scale`` with pixels from 0 to 255, or, with
   ``std``, ``(pixel / 255 - mean) / std``.

A network is best fed as it was trained. Caffe's examples stretch to 256 x 256 and cut the middle
227 x 227; torchvision's scale the shorter side to 256 and cut the middle 224 x 224.

In a file's metadata this is the object ``"preprocessing"`` with the keys ``size`` (height
and width, or one number for both), ``channels`` (``"RGB"``, ``"BGR"`` or ``"L"``), ``mean``
and ``scale`` or ``std`` (each a number, or a list with one per channel; 0 and 1 where they are
absent), ``resize`` (height and width, or one number) and ``interpolation`` (``"bilinear"``, the
default, ``"bicubic"``, ``"lanczos"``, ``"box"`` or ``"nearest"``; all but the last average the
pixels that a smaller one stands for). Keys with their default are left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..checks import is_finite, is_whole
from ..errors import ArgumentError, FormatError, shown
from ..tensors import Float32Array, UInt8Array

CHANNELS = {"RGB": 3, "BGR": 3, "L": 1}
INTERPOLATIONS = ("bilinear", "bicubic", "lanczos", "box", "nearest")
MAX_SIDE = 1 << 13
LARGEST = float(np.finfo(np.float32).max)
MIN_STD = 1e-6  # of pixels from 0 to 1; smaller ones are mistakes


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
    resize : tuple of int, int or None
        Height and width, or the length of the shorter side, at least the crop's.
    interpolation : {"bilinear", "bicubic", "lanczos", "box", "nearest"}
    std : tuple of float or None
        Positive, as `mean` and in its units; both are then of pixels from 0 to 1, and `scale`
        may not be given.

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
    resize: tuple[int, int] | int | None = None
    interpolation: str = "bilinear"
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Bring the attributes into their form, or raise."""
        if not isinstance(self.channels, str) or self.channels not in CHANNELS:
            raise ArgumentError(
                f"channels must be one of {', '.join(CHANNELS)}, not {shown(self.channels)}"
            )
        if self.interpolation not in INTERPOLATIONS:
            raise ArgumentError(
                f"interpolation must be one of {', '.join(INTERPOLATIONS)}, "
                f"not {shown(self.interpolation)}"
            )
        object.__setattr__(self, "size", _checked_size("size", self.size))
        object.__setattr__(self, "resize", self._checked_resize())
        for name in ("mean", "scale", "std"):
            if name == "std" and self.std is None:
                continue
            numbers = _checked_numbers(name, getattr(self, name), CHANNELS[self.channels])
            object.__setattr__(self, name, numbers)
        if self.std is not None:
            if min(self.std) < MIN_STD:
                raise ArgumentError(f"std must be at least {MIN_STD}, not {shown(self.std)}")
            if any(scale != 1 for scale in self.scale):
                raise ArgumentError("std and scale can't both be given")

    def _checked_resize(self) -> tuple[int, int] | int | None:
        """Return `resize` in its form, or raise unless the crop fits into it."""
        if self.resize is None:
            return None
        if not isinstance(self.resize, (list, tuple)):
            side = _checked_size("resize", self.resize)[0]
            resized: tuple[int, int] | int = side
            sides = side, side
        else:
            resized = sides = _checked_size("resize", self.resize)
        if sides[0] < self.size[0] or sides[1] < self.size[1]:
            raise ArgumentError(
                f"resize {shown(self.resize)} is smaller than size {self.size}, which is cut out"
            )
        return resized

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
        of_pixels = self.mean, self.scale
        if self.std is not None:
            of_pixels = tuple(255 * m for m in self.mean), tuple(1 / (255 * s) for s in self.std)
        mean, scale = (
            np.array(numbers, np.float32)[:, np.newaxis, np.newaxis] for numbers in of_pixels
        )
        values: Float32Array = np.subtract(planes, mean, dtype=np.float32, order="C")
        values *= scale
        return values

    def to_metadata(self) -> dict[str, Any]:
        """Return the object for a file's metadata, of JSON's types."""
        values: dict[str, Any] = {
            "size": list(self.size),
            "channels": self.channels,
            "mean": list(self.mean),
        }
        if self.std is None:
            values["scale"] = list(self.scale)
        else:
            values["std"] = list(self.std)
        if self.resize is not None:
            values["resize"] = list(self.resize) if isinstance(self.resize, tuple) else self.resize
        if self.interpolation != "bilinear":
            values["interpolation"] = self.interpolation
        return values

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
            if key not in FIELDS:
                raise FormatError(f"preprocessing: unknown field {shown(key)}")
        try:
            return cls(**value)
        except ArgumentError as error:
            raise FormatError(f"preprocessing: {error}") from None


FIELDS = tuple(field.name for field in fields(Preprocessing))


def _checked_size(name: str, size: Any) -> tuple[int, int]:
    """Return height and width, from two numbers or one, or raise."""
    sides = list(size) if isinstance(size, (list, tuple)) else [size, size]
    if len(sides) != 2 or not all(is_whole(side, 1, MAX_SIDE) for side in sides):
        raise ArgumentError(
            f"{name} must be a height and a width from 1 to {MAX_SIDE}, not {shown(size)}"
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
