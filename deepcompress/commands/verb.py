"""The parts that all verbs have: an answer, a parser, and a look at the file to write.

A verb is a module named after it, with ``add_parser`` and the function that answers; `cli.VERBS`
lists the modules. A verb that fails raises an error of ours. None prints anything but progress.
"""

import argparse
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..errors import ArgumentError
from ..formats.registry import open_tensors

Subparsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

ORIGINAL = "a .dcnn file, or what compress takes"


@dataclass(frozen=True)
class Answer:
    """The answer of a verb: `values`, in JSON's types, for ``--json``, else `text`.

    `failed` is for a check whose outcome is an answer, not an error.
    """

    values: dict[str, Any]
    text: str
    failed: bool = False


def add_verb(
    subparsers: Subparsers,
    answer: Callable[..., Answer],
    help: str,
    *,
    resumable: bool = False,
    json_implies: dict[str, Any] | None = None,
) -> argparse.ArgumentParser:
    """Return the parser of a verb.

    Parameters
    ----------
    subparsers
        Those of the whole command line.
    answer : callable
        Named as the verb; takes its options by name.
    help : str
    resumable : bool
        Whether the same command goes on where it was interrupted.
    json_implies : dict, optional
        Options that have these values with ``--json``.
    """
    parser = subparsers.add_parser(answer.__name__, help=help, description=help, allow_abbrev=False)
    parser.set_defaults(answer=answer, resumable=resumable, json_implies=json_implies or {})
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    return parser


def add_file(parser: argparse.ArgumentParser) -> None:
    """Add the one file that a verb reads."""
    parser.add_argument("file", metavar="FILE", help="a .dcnn file")


@contextmanager
def opened_base(path: str | None) -> Iterator[Mapping[str, Any] | None]:
    """Give the tensors of a base model, None without one."""
    if path is None:
        yield None
        return
    with open_tensors(path) as tensors:
        yield tensors


def whole(minimum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `minimum` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} isn't a whole number from {minimum} on")
        return int(text)

    return parse


def size(text: str) -> int:
    """Parse a number of bytes with a unit, 1000 or 1024 to the next."""
    match = re.fullmatch(r"([0-9]+) ?([KMG]i?)?B?", text)
    if match is None or not (found := int(match[1]) * UNITS[match[2] or ""]):
        raise argparse.ArgumentTypeError(f"{text!r} isn't a size such as 500K, 2MB or 1GiB")
    return found


def positive(text: str) -> float:
    """Parse a finite number from 0 on."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (0 <= number < math.inf):
        raise argparse.ArgumentTypeError(f"{text!r} isn't a number from 0 on")
    return number


def refuse_to_replace(out: str, *sources: str | os.PathLike[str]) -> None:
    """Raise ArgumentError if a file to be written is one of those to be read."""
    for source in sources:
        if os.path.exists(out) and os.path.exists(source) and os.path.samefile(source, out):
            raise ArgumentError(f"{out}: is the very file to read; choose another for -o")
