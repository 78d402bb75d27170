"""The verb ``inspect``: a file's tensors, and where its bytes go."""

from ..files.reading import read_file
from ..reports.inspection import describe, format_description
from .verb import Answer, Subparsers, add_file, add_verb


def add_parser(subparsers: Subparsers) -> None:
    """Add ``inspect`` to the command line."""
    help = "show a file's tensors and where its bytes go"
    # A table for the few in text, no clutter in JSON.
    parser = add_verb(subparsers, inspect, help, json_implies={"alternatives": True})
    add_file(parser)
    parser.add_argument("--codes", action="store_true", help="list the codes, symbol by symbol")
    other = "list what every encoding, gap width and coder would have cost; JSON always does"
    parser.add_argument("--alternatives", action="store_true", help=other)


def inspect(file: str, codes: bool = False, alternatives: bool = False) -> Answer:
    """Describe a file and where its bytes go.

    Parameters
    ----------
    file : str
    codes : bool
        Whether to list the cost of each symbol of each stream.
    alternatives : bool
        Whether to list the cost of other ways to store each tensor.
    """
    description = describe(read_file(file), file, codes=codes, prices=alternatives)
    return Answer({"file": file} | description, f"{file}: {format_description(description)}")
