"""The verb ``plot``: pictures of a ``.dcnn`` file."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from ..errors import ArgumentError, ConfigError, OutputError
from ..files.atomic import write_bytes
from ..files.reading import read_file
from ..formats.registry import open_tensors
from ..model_file import ModelFile
from ..packed.tensor import CompressedTensor
from ..reports import plots
from ..reports.series import codebook_series, count_series, largest, layer_series
from .verb import ORIGINAL, Answer, Subparsers, add_verb

DEFAULT_LAYERS = 4  # of the pictures that show single layers
MOST_LAYERS = 16


def add_parser(subparsers: Subparsers) -> None:
    """Add ``plot`` to the command line."""
    help = "draw a file's layers, labels, gaps and codebooks (with matplotlib)"
    parser = add_verb(subparsers, plot, help)
    parser.add_argument("file", metavar="FILE", help="a .dcnn file")
    parser.add_argument("-o", "--out", metavar="DIR", required=True, help="folder for the pictures")
    one = "whose labels, gaps and codebook to draw, may be repeated; default: the four largest"
    parser.add_argument("--layer", action="append", metavar="NAME", help=one)
    under = f"{ORIGINAL}: draw its weights under the codebooks"
    parser.add_argument("--against", metavar="ORIGINAL", help=under)
    parser.add_argument("--format", choices=plots.FORMATS, default="png", help="default: png")


def plot(
    file: str,
    out: str,
    layer: list[str] | None = None,
    against: str | None = None,
    format: str = "png",
) -> Answer:
    """Draw the layers of a file, the counts of labels and gaps, and the codebooks.

    Parameters
    ----------
    file : str
    out : str
        Folder for ``layers``, ``counts`` and ``codebooks``; made if it isn't there.
    layer : list of str, optional
        Tensors whose counts and codebooks to draw; by default the four with the most bytes.
    against : str, optional
        As for `commands.verify.verify`; its weights are drawn under the codebooks.
    format : {"png", "svg"}

    Raises
    ------
    ArgumentError
        If matplotlib isn't there, a layer isn't or has no shared weights, or the original
        doesn't fit.
    ConfigError
        If the format is unknown.
    OutputError
        If the folder or a picture can't be written.
    """
    if format not in plots.FORMATS:
        raise ConfigError(f"unknown format {format!r}; the choices are {', '.join(plots.FORMATS)}")
    plots.check_matplotlib()
    data = read_file(file)
    layers = layer_series(data, file)
    names = list(dict.fromkeys(layer)) if layer else largest(layers, DEFAULT_LAYERS)
    if len(names) > MOST_LAYERS:
        raise ArgumentError(f"--layer: at most {MOST_LAYERS} layers fit, not {len(names)}")
    counts, books = [], []
    with ExitStack() as stack:
        model = ModelFile(data, file)
        original: Mapping[str, Any] | None = None
        if against is not None:
            original = stack.enter_context(open_tensors(against))
        for name in names:
            tensor = model.get(name)
            if not isinstance(tensor, CompressedTensor):
                raise ArgumentError(f"{file}: no tensor of shared weights is named {name!r}")
            counts.append((name, count_series(tensor)))
            try:
                books.append((name, codebook_series(name, tensor, original)))
            except ArgumentError as error:
                raise ArgumentError(f"{against}: {error}") from None
    # All are drawn before the first is written.
    pictures = {
        "layers": plots.render(plots.draw_layers, layers, format=format),
        "counts": plots.render(plots.draw_counts, counts, format=format),
        "codebooks": plots.render(plots.draw_codebooks, books, format=format),
    }
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: can't make the folder: {error.strerror or error}") from error
    rows = []
    for name, content in pictures.items():
        path = os.path.join(out, f"{name}.{format}")
        write_bytes(path, content)
        rows.append({"file": path, "bytes": len(content)})
    values = {"file": file, "layers": names, "pictures": rows}
    return Answer(values, "\n".join(f"{row['file']}: {row['bytes']:,} bytes" for row in rows))
