"""The command line: parses it, runs a verb, prints the answer.

Each verb prints its answer to standard output: text, or one JSON object where
``--json`` is given. An error is one line on standard error, ``deepcompress: error: …``;
with ``--json`` there is also an object with ``error``, the message, and ``kind``, the
name of its class in `errors` (or ``MemoryError``), on standard output. Exit status:

- 0: done;
- 1: a file isn't valid, a check failed, two files differ, or the system failed (disk full,
  out of memory);
- 2: the command has to change: an unknown option or choice, a file, data or a backend
  that isn't there, an ``--out`` that can't be used;
- 130: interrupted (Ctrl-C); 141: the answer has no reader any more (``… | head``).
"""

import argparse
import errno
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import __version__
from .commands import (
    bench,
    compress,
    convert,
    decompress,
    demo,
    diff,
    evaluate,
    figure,
    info,
    inspect,
    plot,
    predict,
    run,
    verify,
)
from .errors import ArgumentError, DeepCompressError, FormatError, OutputError
from .files.atomic import canonical_json

VERBS = (
    *(demo, run, inspect, verify, evaluate, predict, decompress, compress, convert, diff),
    *(plot, figure, bench, info),
)
PROGRAM = "deepcompress"
DONE, FAILED, WRONG_USE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
SYSTEM_FAILURES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, those of the process by default.

    Returns
    -------
    int
        The exit status.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    as_json = "--json" in arguments  # known even where the arguments can't be parsed
    resumable = False
    try:
        options = vars(_parser().parse_args(arguments))
        verb, resumable = options.pop("answer"), options.pop("resumable")
        implied = options.pop("json_implies")
        if options.pop("json"):
            options |= implied
        answer = verb(**options)
        text = canonical_json(answer.values) if as_json else answer.text + "\n"
        return _print(text, FAILED if answer.failed else DONE)
    except KeyboardInterrupt:
        hint = "; the same command goes on where it stopped" if resumable else ""
        print(f"{PROGRAM}: interrupted{hint}", file=sys.stderr)
        return INTERRUPTED
    except DeepCompressError as error:
        return _fail(str(error), type(error).__name__, _status(error), as_json)
    except MemoryError as error:
        return _fail(f"out of memory: {error}", "MemoryError", FAILED, as_json)


def _fail(message: str, kind: str, status: int, as_json: bool) -> int:
    message = " ".join(message.split("\n"))
    print(f"{PROGRAM}: error: {message}", file=sys.stderr)
    return _print(canonical_json({"error": message, "kind": kind}), status) if as_json else status


def _status(error: DeepCompressError) -> int:
    """Return the exit status for an error."""
    # An error from a thread of joblib's has the text of a traceback as its cause.
    causes = error.__cause__, error.__context__
    system_failed = any(
        isinstance(cause, MemoryError)
        or (isinstance(error, OutputError) and getattr(cause, "errno", None) in SYSTEM_FAILURES)
        for cause in causes
    )
    return FAILED if isinstance(error, FormatError) or system_failed else WRONG_USE


def _print(text: str, status: int) -> int:
    """Print to standard output; return `status` unless that fails."""
    try:
        try:
            print(text, end="", flush=True)
        except UnicodeEncodeError:  # a terminal without µ, a file's name that isn't text
            print(text.encode("ascii", "backslashreplace").decode(), end="", flush=True)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            return UNREAD
        print(f"{PROGRAM}: error: standard output: {error.strerror}", file=sys.stderr)
        return FAILED
    return status


class _Parser(argparse.ArgumentParser):
    """Raises our error instead of exiting, so that every error comes out in the same way."""

    def error(self, message: str) -> NoReturn:
        raise ArgumentError(f"{message} (see {self.prog} --help)")


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line, with one of its own for each verb."""
    parser = _Parser(
        prog=PROGRAM,
        description="Deep Compression (Han, Mao, Dally 2016): prune, share, code, and run packed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for verb in VERBS:
        verb.add_parser(subparsers)
    return parser
