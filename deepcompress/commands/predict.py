"""The verb ``predict``: the classes that a compressed network sees in pictures."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checks import as_whole_number
from ..errors import ArgumentError, FormatError
from ..files.reading import read_file
from ..nn.losses import softmax
from ..runtime.network import BATCH_SIZE, CompressedNetwork
from ..tensors import Float32Array
from .verb import Answer, Subparsers, add_file, add_verb, whole

TOP = 5


def add_parser(subparsers: Subparsers) -> None:
    """Add ``predict`` to the command line."""
    parser = add_verb(subparsers, predict, "say what a file's network sees in pictures")
    add_file(parser)
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="a picture: JPEG, PNG, …")
    top = f"classes to name for each picture; default: {TOP}"
    parser.add_argument("--top", type=whole(1), default=TOP, metavar="N", help=top)
    names = "a text file with the names of the classes, one a line"
    parser.add_argument("--labels", metavar="FILE", help=names)
    size = f"pictures that are held and run at a time; default: {BATCH_SIZE}"
    parser.add_argument("--batch-size", type=whole(1), default=BATCH_SIZE, metavar="N", help=size)


def predict(
    file: str,
    images: Sequence[str],
    top: int = TOP,
    labels: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> Answer:
    """Say which classes a file's network sees in pictures, the likeliest first.

    Parameters
    ----------
    file : str
        A ``.dcnn`` file with a network and its preprocessing in the metadata.
    images : sequence of str
        Paths of pictures.
    top : int
        How many classes to name for each, from 1 on; more than there are means all.
    labels : str, optional
        A text file in UTF-8 with the name of a class on each line, class 0 first.
    batch_size : int
        Pictures per pass, from 1 on.

    Raises
    ------
    DataError, FormatError, ArgumentError
        As `CompressedNetwork.load` and `pictures.load_picture`; if the labels can't be read,
        or are more or fewer than the classes.
    BackendError
        If Pillow isn't installed.

    Notes
    -----
    Probabilities are the softmax of the network's outputs.
    """
    top = as_whole_number(top, "top", 1)
    network = CompressedNetwork.load(file)
    if network.preprocessing is None:
        raise ArgumentError(f"{file}: its metadata has no preprocessing of pictures")
    shape = network.network.output_shape
    if len(shape) != 1:
        raise ArgumentError(f"{file}: its network gives {shape}, no single row of classes")
    (classes,) = shape
    names = None if labels is None else read_labels(labels, classes)
    logits = network.predict_images(images, batch_size)
    for image, of_image in zip(images, logits, strict=True):
        if not np.isfinite(of_image).all():
            raise FormatError(f"{file}: its network's outputs for {image} aren't finite")
    rows: list[dict[str, Any]] = []
    for image, probabilities in zip(images, softmax(logits), strict=True):
        rows.append({"image": image, "classes": _best(probabilities, top, names)})
    values = {"file": file, "network": network.name, "predictions": rows}
    return Answer(values, "\n".join(map(_format, rows)))


def read_labels(path: str | os.PathLike[str], classes: int) -> tuple[str, ...]:
    """Return the names of classes, one a line of a text file.

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't text in UTF-8, or has another number of lines than there are classes.
    """
    try:
        text = read_file(path).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{os.fspath(path)}: not text in UTF-8: {error}") from None
    lines = text.removesuffix("\n").split("\n") if text else []
    if len(lines) != classes:
        raise FormatError(
            f"{os.fspath(path)}: has {len(lines):,} lines, the network {classes:,} classes"
        )
    return tuple(line.strip() for line in lines)


def _best(
    probabilities: Float32Array, top: int, names: Sequence[str] | None
) -> list[dict[str, Any]]:
    """Return the likeliest classes, of equal ones the lower first."""
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [
        {"class": int(index), "probability": float(probabilities[index])}
        | ({} if names is None else {"label": names[index]})
        for index in order
    ]


def _format(row: dict[str, Any]) -> str:
    lines = [
        f"  {100 * one['probability']:6.2f} %  {one['class']:>4}  {one.get('label', '')}".rstrip()
        for one in row["classes"]
    ]
    return "\n".join([f"{row['image']}:", *lines])
