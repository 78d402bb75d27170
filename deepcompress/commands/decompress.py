"""The verb ``decompress``: a file's tensors, dense, for other programs."""

from ..errors import ArgumentError
from ..formats.registry import writable, writer
from ..packed.tensor import CompressedTensor
from ..pipeline import load
from ..reports.tables import printable
from .verb import Answer, Subparsers, add_file, add_verb, refuse_to_replace


def add_parser(subparsers: Subparsers) -> None:
    """Add ``decompress`` to the command line."""
    parser = add_verb(subparsers, decompress, "write a file's tensors, dense, for other programs")
    add_file(parser)
    suffixes = f"its suffix decides the format: {writable()}"
    parser.add_argument("-o", "--out", metavar="OUT", required=True, help=suffixes)


def decompress(file: str, out: str) -> Answer:
    """Write a file's tensors, one of them dense at a time.

    Parameters
    ----------
    file : str
    out : str
        Its suffix says which format to write (see `formats.registry.writer`).

    Raises
    ------
    ArgumentError
        If `out` is the file itself or has another suffix, or the tensors are too large or can't be
        held in that format.
    """
    refuse_to_replace(out, file)
    title, write = writer(out)
    model = load(file)
    dense = (
        (name, tensor.to_dense() if isinstance(tensor, CompressedTensor) else tensor)
        for name, tensor in model.items()
    )
    try:
        out_bytes = write(out, dense)
    except (ArgumentError, MemoryError) as error:
        raise ArgumentError(f"{file}: can't be held as {title} file: {error}") from error
    values = {"file": file, "out": out, "out_bytes": out_bytes, "tensors": list(model)}
    return Answer(
        values, f"{out}: {out_bytes:,} bytes, tensors: {', '.join(map(printable, model))}"
    )
