"""The two data sets of handwritten digits that recipes train on, checked as they are read.

Images come as float32 of shape (n, 1, height, width) in [0, 1], labels as int64
of shape (n,) in 0 … 9. Nothing here is random: a data set and its splits are
the same arrays on every machine. Augmentation and batching belong to `nn.train`.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import ArgumentError, DataError
from ..formats.idx import read_idx
from ..tensors import Float32Array, Int64Array, UInt8Array

CLASSES = 10
DATA_VARIABLE = "DEEPCOMPRESS_DATA"
DIGITS_TEST_IMAGES = 360  # the last fifth of 1,797

MNIST_PIXELS = 28
MNIST_TRAIN_IMAGES = 60_000
MNIST_FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Dataset:
    """Labelled images, split into those to train on and those to report on."""

    train_images: Float32Array  # (n, 1, height, width), pixels from 0, the background, to 1
    train_labels: Int64Array  # (n,), the digit on each image, 0 to 9
    test_images: Float32Array
    test_labels: Int64Array

    def __post_init__(self) -> None:
        """Raise DataError where images and labels don't fit together."""
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            if images.dtype != np.float32 or images.ndim != 4 or images.shape[1] != 1:
                raise DataError(
                    f"{part} images: shape (n, 1, height, width) of float32 is needed, "
                    f"not {images.shape} of {images.dtype}"
                )
            if len(images) == 0:
                raise DataError(f"{part} images: none")
            if labels.dtype != np.int64 or labels.shape != images.shape[:1]:
                raise DataError(
                    f"{part} labels: shape ({len(images)},) of int64 is needed, one for each "
                    f"image, not {labels.shape} of {labels.dtype}"
                )
            if not (images.min() >= 0 and images.max() <= 1):  # false for NaN
                raise DataError(f"{part} images: pixels must lie in 0 … 1")
            if not (labels.min() >= 0 and labels.max() < CLASSES):
                raise DataError(
                    f"{part} labels: {labels.min()} … {labels.max()} is beyond 0 … {CLASSES - 1}"
                )


def load_digits() -> Dataset:
    """Load the 1,797 digits of 8 x 8 pixels that scikit-learn carries; no download.

    The last 360 images are the test images. They are in the order of their
    collection, so no shuffling puts one writer's digits on both sides: accuracy
    is some percent lower than after a random split, and means more.

    Returns
    -------
    Dataset
        1,437 training and 360 test images of shape (1, 8, 8).

    Raises
    ------
    DataError
        If scikit-learn isn't installed.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as reason:
        raise DataError(
            f"the digits come with scikit-learn, which is missing: {reason}"
        ) from reason
    digits = load()
    images = (digits.images / 16).astype(np.float32)[:, np.newaxis]  # pixels are 0 … 16
    labels, test = digits.target.astype(np.int64), DIGITS_TEST_IMAGES
    return Dataset(images[:-test], labels[:-test], images[-test:], labels[-test:])


def load_mnist(folder: str | os.PathLike[str] | None = None) -> Dataset:
    """Load MNIST in its standard order: 60,000 training and 10,000 test images.

    Parameters
    ----------
    folder : path, optional
        Folder with the four IDX files, or with a subfolder ``mnist`` that holds
        them; each plain or gzip-compressed, with ``-`` or ``.`` before ``idx``.
        Without it the environment variable DEEPCOMPRESS_DATA names the folder,
        and without that scikit-learn downloads MNIST from OpenML (and keeps it).

    Returns
    -------
    Dataset
        Images of shape (1, 28, 28).

    Raises
    ------
    DataError
        If MNIST is in neither place, or a file of it isn't as it should be.
    """
    folder = folder or os.environ.get(DATA_VARIABLE)
    if not folder:
        return _download_mnist()
    paths = _find_mnist(Path(folder))
    arrays = [read_idx(path) for path in paths]
    for name, path, array in zip(MNIST_FILES, paths, arrays, strict=True):
        item = (MNIST_PIXELS, MNIST_PIXELS) if "images" in name else ()
        if array.shape[1:] != item:
            raise DataError(f"{path}: items of shape {array.shape[1:]}, MNIST's have {item}")
    for images, labels in ((0, 1), (2, 3)):
        if len(arrays[images]) != len(arrays[labels]):
            raise DataError(
                f"{paths[images]} has {len(arrays[images])} images, "
                f"but {paths[labels]} has {len(arrays[labels])} labels"
            )
    return _mnist(arrays)


def holdout(dataset: Dataset, count: int) -> Dataset:
    """Split off the last training images, to make choices on without the test images.

    Parameters
    ----------
    dataset : Dataset
    count : int
        Number of images, ``1 <= count < len(dataset.train_images)``.

    Returns
    -------
    Dataset
        Views: all but the last `count` training images as its training images,
        those last ones as its test images. The real test images are not in it.

    Raises
    ------
    ArgumentError
        If `count` leaves one of the two sides empty.
    """
    available = len(dataset.train_images)
    if not 1 <= count < available:
        raise ArgumentError(f"holdout of {count} images: 1 … {available - 1} are possible")
    images, labels = dataset.train_images, dataset.train_labels
    return Dataset(images[:-count], labels[:-count], images[-count:], labels[-count:])


def _find_mnist(folder: Path) -> list[Path]:
    """Paths of the four files, in the order of MNIST_FILES; plain before compressed."""
    spellings = [
        [f"{spelling}{suffix}" for suffix in ("", ".gz") for spelling in spellings]
        for spellings in ((name, name.replace("-idx", ".idx")) for name in MNIST_FILES)
    ]
    for place in (folder, folder / "mnist"):
        found = [
            next((place / one for one in names if os.path.isfile(place / one)), None)
            for names in spellings
        ]
        if all(found):
            return [path for path in found if path]
        if any(found):
            missing = [name for name, path in zip(MNIST_FILES, found, strict=True) if path is None]
            raise DataError(f"{place} holds a part of MNIST, but not {', '.join(missing)}")
    raise _mnist_missing(f"{folder} holds none of them")


def _download_mnist() -> Dataset:
    """Let scikit-learn fetch MNIST from OpenML, or take it from scikit-learn's cache."""
    try:
        from sklearn.datasets import fetch_openml

        # The default parser needs pandas.
        table = fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff")
        images, labels = np.asarray(table.data), np.asarray(table.target).astype(np.uint8)
    except Exception as reason:  # the way out is the same for all
        raise _mnist_missing(f"the download failed: {reason or type(reason).__name__}") from reason
    total = MNIST_TRAIN_IMAGES + 10_000
    if images.shape != (total, MNIST_PIXELS**2) or labels.shape != (total,):
        raise DataError(f"OpenML's MNIST has images {images.shape} and labels {labels.shape}")
    pixels = images.astype(np.uint8)
    if not np.array_equal(pixels, images):
        raise DataError("OpenML's MNIST has pixels that are not integers in 0 … 255")
    pixels = pixels.reshape(total, MNIST_PIXELS, MNIST_PIXELS)
    train, test = slice(MNIST_TRAIN_IMAGES), slice(MNIST_TRAIN_IMAGES, None)
    return _mnist([pixels[train], labels[train], pixels[test], labels[test]])


def _mnist_missing(reason: str) -> DataError:
    """Say both ways to MNIST."""
    return DataError(
        f"MNIST is missing: {reason}. Either pass --data DIR or set {DATA_VARIABLE}=DIR, where DIR "
        f"(or DIR/mnist) holds the four IDX files {', '.join(MNIST_FILES)}, gzip-compressed or "
        "not; or pass neither, and scikit-learn downloads MNIST from openml.org."
    )


def _mnist(arrays: Sequence[UInt8Array]) -> Dataset:
    """Scale and shape pixels and labels of matching counts, in the order of MNIST_FILES."""
    train_images, test_images = (
        pixels[:, np.newaxis].astype(np.float32) / np.float32(255) for pixels in arrays[::2]
    )
    train_labels, test_labels = (labels.astype(np.int64) for labels in arrays[1::2])
    return Dataset(train_images, train_labels, test_images, test_labels)
