"""Pictures from files, Pillow's images or arrays, resized and cropped for a network.

`preprocessing` states the rule. Files are read by Pillow, an extra of the package: the
first picture of an animation, turned upright as a photograph's Exif data asks. Transparent
pixels become white. Pixels of more than 8 bits per channel are refused where Pillow keeps
them (modes I;16, I and F), as their white is unknown.
"""

import io
import os
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from ..errors import ArgumentError, BackendError, FormatError
from ..files.reading import read_file
from ..locks import ForkSafeLock
from ..tensors import Float32Array, UInt8Array
from .preprocessing import Preprocessing

MAX_PIXELS = 100_000_000  # 300 MB as RGB; a file of a few kilobytes can claim any size
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")


def load_picture(picture: Any, preprocessing: Preprocessing, what: str = "") -> Float32Array:
    """Return the network's input for one picture.

    Parameters
    ----------
    picture : path-like, PIL.Image.Image, or ndarray of uint8
        An array has shape (H, W, 3), red first, or (H, W) for grey. One that needs no scaling
        needs no Pillow.
    preprocessing : Preprocessing
    what : str
        Name of the picture in messages; a path names itself.

    Returns
    -------
    ndarray of shape `preprocessing.input_shape`, float32

    Raises
    ------
    DataError
        If a file can't be read.
    FormatError
        If a file isn't a picture that Pillow knows, or is damaged.
    ArgumentError
        If it is no picture at all, is too large, or has pixels of another kind.
    BackendError
        If Pillow is needed and isn't installed.
    """
    grey = preprocessing.channels == "L"
    if isinstance(picture, (str, os.PathLike)):
        what = str(os.fspath(picture))
        image = _decoded(io.BytesIO(read_file(picture)), what, grey)
    elif isinstance(picture, np.ndarray):
        what = what or "picture"
        array = _checked_array(picture, what)
        size = array.shape[0], array.shape[1]
        if size == _scaled_size(size, preprocessing) and (array.ndim == 2) == grey:
            top, left, bottom, right = _middle(size, preprocessing.size)
            return preprocessing.apply(array[top:bottom, left:right])
        image = _converted(_pillow(what).fromarray(array), what, grey)
    elif hasattr(picture, "convert") and hasattr(picture, "mode"):  # Pillow's, if it is there
        image = _decoded(picture, what or "picture", grey)
    else:
        raise ArgumentError(
            f"{what or 'picture'}: must be a path, a PIL image or an array of uint8, "
            f"not {type(picture).__name__}"
        )
    return preprocessing.apply(np.asarray(_fitted(image, preprocessing, what)))


def _pillow(what: str) -> ModuleType:
    """Return PIL.Image; imported here, as only pictures need it."""
    try:
        from PIL import Image
    except ImportError:
        raise BackendError(
            f"{what}: reading pictures needs Pillow: pip install 'deepcompress-nn[images]'"
        ) from None
    return Image


def _checked_array(array: Any, what: str) -> UInt8Array:
    """Return the array of a picture, contiguous, or raise unless it is one."""
    shape = array.shape
    fits = array.ndim == 2 or (array.ndim == 3 and shape[2] == 3)
    if array.dtype != np.uint8 or not fits or 0 in shape:
        raise ArgumentError(
            f"{what}: an array must be uint8 of shape (H, W, 3) or (H, W), "
            f"not {array.dtype} of {shape}"
        )
    _check_size(shape[1], shape[0], what)
    checked: UInt8Array = np.ascontiguousarray(array)
    return checked


def _check_size(width: int, height: int, what: str) -> None:
    """Raise if a picture is too large, before any of its pixels is decoded or made."""
    if width * height > MAX_PIXELS:
        raise ArgumentError(
            f"{what}: {width} x {height} pixels are too many, at most {MAX_PIXELS:,} are taken"
        )


# Filters of warnings belong to the process: two threads would reset each other's.
_one_at_a_time = ForkSafeLock()


def _decoded(source: Any, what: str, grey: bool) -> Any:
    """Return a file's or an image's pixels, upright, in mode RGB or L."""
    image_module = _pillow(what)
    try:
        with _one_at_a_time, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about sizes, which are checked here, and Exif data
            image = source if hasattr(source, "convert") else image_module.open(source)
            width, height = image.size
            _check_size(width, height, what)
            _check_mode(image.mode, what)
            image.load()
            return _converted(_upright(image), what, grey)
    except (ArgumentError, MemoryError):
        raise
    except image_module.UnidentifiedImageError:
        raise FormatError(f"{what}: not a picture of a format that Pillow knows") from None
    except image_module.DecompressionBombError as error:
        raise ArgumentError(f"{what}: too many pixels: {error}") from None
    except Exception as error:  # on damaged files, Pillow's readers may raise anything
        raise FormatError(f"{what}: the picture is damaged: {error}") from None


def _upright(image: Any) -> Any:
    """Turn a picture as its Exif data ask."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # damaged Exif data is no reason to refuse sound pixels
        return image


def _check_mode(mode: str, what: str) -> None:
    """Raise unless Pillow's pixels have 8 bits per channel."""
    if mode not in MODES:
        raise ArgumentError(
            f"{what}: pixels of Pillow's mode {mode} aren't taken, only those of 8 bits per "
            f"channel ({', '.join(MODES)})"
        )


def _converted(image: Any, what: str, grey: bool) -> Any:
    """Return an image in mode L or RGB, with white in place of transparent pixels."""
    _check_mode(image.mode, what)
    if "A" in image.mode.upper() or "transparency" in image.info:
        image = image.convert("RGBA")
        white = _pillow(what).new("RGBA", image.size, "white")
        image = _pillow(what).alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")


def _scaled_size(size: tuple[int, int], preprocessing: Preprocessing) -> tuple[int, int]:
    """Return height and width of a picture of `size` once it is scaled, before the crop."""
    resize = preprocessing.resize
    if resize is None:
        return preprocessing.size
    if isinstance(resize, tuple):
        return resize
    height, width = size
    shorter = min(height, width)
    return resize * height // shorter, resize * width // shorter


def _middle(size: tuple[int, int], crop: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return top, left, bottom and right of a crop in the middle of a picture of `size`."""
    top, left = (size[0] - crop[0]) // 2, (size[1] - crop[1]) // 2
    return top, left, top + crop[0], left + crop[1]


def _fitted(image: Any, preprocessing: Preprocessing, what: str) -> Any:
    """Scale an image and cut out its middle, as `preprocessing` says."""
    method = _pillow(what).Resampling[preprocessing.interpolation.upper()]
    if preprocessing.resize is None:
        return _cropped(image, preprocessing.size, method)
    height, width = _scaled_size((image.height, image.width), preprocessing)
    _check_size(width, height, what)
    top, left, bottom, right = _middle((height, width), preprocessing.size)
    return image.resize((width, height), method).crop((left, top, right, bottom))


def _cropped(image: Any, size: tuple[int, int], method: int) -> Any:
    """Cut the largest rectangle of the crop's shape out of the middle, and scale it."""
    height, width = size
    factor = min(image.width / width, image.height / height)
    wide, tall = min(width * factor, image.width), min(height * factor, image.height)
    left, top = (image.width - wide) // 2, (image.height - tall) // 2
    box = left, top, left + wide, top + tall
    return image.resize((width, height), method, box)
