"""The verb ``decompress``: a file's tensors, dense, for other programs."""

from collections.abc import Iterator

import numpy as np

from ..errors import ArgumentError
from ..formats.registry import writable, writer
from ..formats.source import Array, Arrays
from ..model_file import ModelFile, open_file
from ..reports.tables import printable
from .verb import Answer, Subparsers, add_file, add_verb, opened_base, refuse_to_replace, size


def add_parser(subparsers: Subparsers) -> None:
    """Add ``decompress`` to the command line."""
    parser = add_verb(subparsers, decompress, "write a file's tensors, dense, for other programs")
    add_file(parser)
    suffixes = f"its suffix decides the format: {writable()}"
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help=suffixes)
    shards = "cut OUT.safetensors into shards of at most so many bytes, such as 2GB, and an index"
    parser.add_argument("--shard-size", type=size, metavar="SIZE", help=shards)
    base = "the model that the file was compressed against, if it was"
    parser.add_argument("--base", metavar="OTHER", help=base)


def decompress(
    file: str, out: str, shard_size: int | None = None, base: str | None = None
) -> Answer:
    """Write a file's tensors, one of them in memory at a time.

    Parameters
    ----------
    file : str
    out : str
        Its suffix says which format to write (see `formats.registry.writer`).
    shard_size : int, optional
        As for `formats.safetensors_shards.write`.
    base : str, optional
        The base model, a file for `formats.registry.open_tensors`.

    Raises
    ------
    ArgumentError
        If `out` is the file itself or has another suffix, or the tensors are too large or can't be
        held in that format; or if the file needs a base, or another one.
    DataError, FormatError
        If the file can't be read or isn't valid; then nothing is written.
    """
    refuse_to_replace(out, file, *filter(None, [base]))
    format, write = writer(out, shard_size)
    with opened_base(base) as base_tensors, open_file(file, base=base_tensors) as model:
        origin = model.metadata.get("origin", {})
        if not isinstance(origin, dict) or origin.get("format") != (format.origin or format.suffix):
            origin = {}
        types = {name: entry.dtype for name, entry in model.entries.items()}
        try:
            out_bytes = write(out, Arrays(types, model.shapes, _dense(model)), origin)
        except (ArgumentError, MemoryError) as error:
            raise ArgumentError(f"{file}: can't be held as {format.title} file: {error}") from error
        names = list(model)
    values = {"file": file, "out": out, "out_bytes": out_bytes, "tensors": names}
    return Answer(
        values, f"{out}: {out_bytes:,} bytes, tensors: {', '.join(map(printable, names))}"
    )


def _dense(model: ModelFile) -> Iterator[tuple[str, Array]]:
    """Yield the tensors, of which none is kept."""
    for name in model:
        yield name, _array(model, name)
        model.release(name)


def _array(model: ModelFile, name: str) -> Array:
    tensor = model[name]
    return tensor if isinstance(tensor, np.ndarray) else tensor.to_dense()
