"""The verb ``decompress``: a file's tensors, dense, for other programs."""

from ..errors import ArgumentError
from ..formats.registry import writer
from ..packed.tensor import CompressedTensor
from ..pipeline import load
from ..reports.tables import printable
from .verb import Answer, Subparsers, add_file, add_verb, refuse_to_replace


def add_parser(subparsers: Subparsers) -> None:
    """Add ``decompress`` to the command line."""
    parser = add_verb(subparsers, decompress, "write a file's tensors, dense, as an npz file")
    add_file(parser)
    parser.add_argument("-o", "--out", metavar="OUT.npz", required=True)


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
        If `out` is the file itself, or the tensors are too large or have unsuitable names.
    """
    model = load(file)
    refuse_to_replace(out, file)
    dense = (
        (name, tensor.to_dense() if isinstance(tensor, CompressedTensor) else tensor)
        for name, tensor in model.items()
    )
    title, write = writer(out)
    try:
        out_bytes = write(out, dense)
    except (ArgumentError, MemoryError) as error:
        raise ArgumentError(f"{file}: can't be held as {title} file: {error}") from error
    values = {"file": file, "out": out, "out_bytes": out_bytes, "tensors": list(model)}
    return Answer(
        values, f"{out}: {out_bytes:,} bytes, tensors: {', '.join(map(printable, model))}"
    )
