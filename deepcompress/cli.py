"""The command line: what may be written there, and what comes back.

Each command prints its answer to standard output: text, or one JSON object where
``--json`` is given. An error is one line on standard error, ``deepcompress: error: …``;
with ``--json`` there is also an object with ``error``, the message, and ``kind``, the
name of its class in `errors` (or ``MemoryError``), on standard output. Exit status:

- 0: done;
- 1: a file isn't valid, a check failed, two files differ, or the system failed (disk full,
  out of memory);
- 2: the command has to change: an unknown option or choice, a file, data or a backend
  that isn't there, an ``--out`` that can't be used;
- 130: interrupted (Ctrl-C); 141: nobody reads the answer any more (``… | head``).
"""

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from . import __version__, commands
from .commands import bench
from .commands import compress as compression
from .commands import convert as conversion
from .commands import diff as differences
from .commands import plot as plotting
from .commands import predict as prediction
from .commands import verify as verification
from .container.records import CODERS
from .errors import ArgumentError, DeepCompressError, FormatError, OutputError
from .experiments import recipes
from .files.atomic import canonical_json
from .reports import plots
from .runtime.network import BATCH_SIZE

PROGRAM = "deepcompress"
DONE, FAILED, WRONG_USE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141
RESUMABLE = (["demo"], ["run"])
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
    try:
        options = vars(_parser().parse_args(arguments))
        command, _ = options.pop("command"), options.pop("json")
        if as_json and "alternatives" in options:
            options["alternatives"] = True  # a table for the few in text, no clutter in JSON
        answer = command(**options)
        text = canonical_json(answer.values) if as_json else answer.text + "\n"
        return _print(text, FAILED if answer.failed else DONE)
    except KeyboardInterrupt:
        resumable = arguments[:1] in RESUMABLE
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
    # Of an error that comes out of a thread of joblib's, the cause is the text of a traceback.
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
    parser = _Parser(
        prog=PROGRAM,
        description="Deep Compression (Han, Mao, Dally 2016): prune, share, code, and run packed.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(command: Callable[..., commands.Answer], help: str) -> argparse.ArgumentParser:
        name = command.__name__
        subparser = subparsers.add_parser(name, help=help, description=help, allow_abbrev=False)
        subparser.set_defaults(command=command)
        subparser.add_argument("--json", action="store_true", help="answer in JSON")
        return subparser

    folder = "folder for the results; the same command goes on there, or shows what ended there"
    data = "folder of MNIST's four files; default: $DEEPCOMPRESS_DATA, then a download"

    demo = add(commands.demo, "compress a small network for scikit-learn's digits, within a minute")
    demo.add_argument(
        "-o", "--out", metavar="DIR", help=f"{folder}; default: {commands.DEMO_FOLDER}"
    )

    run = add(commands.run, "train, prune, share, code and measure a network of the paper")
    networks = sorted({network for _, network in recipes.RECIPES})
    run.add_argument("network", metavar=f"{{{','.join(networks)}}}")
    run.add_argument("--data", metavar="DIR", help=data)
    recipe = " or ".join(sorted({name for name, _ in recipes.RECIPES})) + "; default: paper"
    run.add_argument("--recipe", default="paper", metavar="NAME", help=recipe)
    run.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="default: 0")
    default = f"{commands.RUNS_FOLDER}/NETWORK-seedN"
    run.add_argument("-o", "--out", metavar="DIR", help=f"{folder}; default: {default}")
    threads = "default: all processors; the result is the same"
    run.add_argument("--threads", type=_whole(1), metavar="N", help=threads)
    holdout = "measure on the last N training images in place of the test images"
    run.add_argument("--holdout", type=_whole(0), default=0, metavar="N", help=holdout)

    inspect = add(commands.inspect, "show a file's tensors and where its bytes go")
    verify = add(verification.verify, "check a file: checksums, decoding, encoding again")
    evaluate = add(commands.evaluate, "measure a file's network, with its weights packed")
    predict = add(prediction.predict, "say what a file's network sees in pictures")
    decompress = add(commands.decompress, "write a file's tensors, dense, as an npz file")
    for subparser in (inspect, verify, evaluate, predict, decompress):
        subparser.add_argument("file", metavar="FILE", help="a .dcnn file")
    inspect.add_argument("--codes", action="store_true", help="list the codes, symbol by symbol")
    other = "list what every encoding, gap width and coder would have cost; JSON always does"
    inspect.add_argument("--alternatives", action="store_true", help=other)
    kinds = "a .dcnn file, or what compress takes"
    against = f"{kinds}: also say how far the tensors are from those in it"
    verify.add_argument("--against", metavar="ORIGINAL", help=against)
    evaluate.add_argument("--data", metavar="DIR", help=f"{data}; not used for the demo's network")
    predict.add_argument("images", metavar="IMAGE", nargs="+", help="a picture: JPEG, PNG, …")
    top = f"classes to name for each picture; default: {prediction.TOP}"
    predict.add_argument("--top", type=_whole(1), default=prediction.TOP, metavar="N", help=top)
    names = "a text file with the names of the classes, one a line"
    predict.add_argument("--labels", metavar="FILE", help=names)
    size = f"pictures that are held and run at a time; default: {BATCH_SIZE}"
    predict.add_argument("--batch-size", type=_whole(1), default=BATCH_SIZE, metavar="N", help=size)
    decompress.add_argument("-o", "--out", metavar="OUT.npz", required=True)

    compress = add(compression.compress, "compress arrays into a .dcnn file, tensor by tensor")
    arrays = "an .npz or a .safetensors file, or a folder of .npy files"
    compress.add_argument("file", metavar="IN", help=arrays)
    compress.add_argument("-o", "--out", metavar="OUT.dcnn", required=True)
    how = compress.add_mutually_exclusive_group()
    configuration = (
        'what to do with each tensor, such as {"by_kind": {"fc": {"sparsity": 0.9, "bits": 5}}}; '
        "deepcompress.Config lists the rest"
    )
    how.add_argument("--config", metavar="FILE.json", help=configuration)
    widths = "the paper's widths: 8-bit labels and gaps for conv, 5-bit for fc"
    how.add_argument("--paper", action="store_true", help=widths)
    jobs = "tensors at once; default: as many as processors; the result is the same"
    compress.add_argument("--jobs", type=_whole(1), metavar="N", help=jobs)
    compress.add_argument("--seed", type=_whole(0), default=0, metavar="N", help="default: 0")

    convert = add(
        conversion.convert, "a .net file of the paper's authors to .dcnn and back, or .dcnn anew"
    )
    convert.add_argument("file", metavar="FILE", help="a .net or a .dcnn file")
    layers = "the layers of a .net file, in its order; see formats/layers.py"
    convert.add_argument("--layers", metavar="LAYERS.json", help=layers)
    coder = "the strongest coder of OUT.dcnn, chosen anew for each tensor"
    convert.add_argument("--coder", choices=CODERS, help=coder)
    convert.add_argument("-o", "--out", metavar="OUT", required=True, help="OUT.dcnn or OUT.net")

    diff = add(differences.diff, "compare two files, tensor by tensor")
    diff.add_argument("a", metavar="A", help="a .dcnn file")
    diff.add_argument("b", metavar="B", help="another one")

    plot = add(plotting.plot, "draw a file's layers, labels, gaps and codebooks (with matplotlib)")
    plot.add_argument("file", metavar="FILE", help="a .dcnn file")
    plot.add_argument("-o", "--out", metavar="DIR", required=True, help="folder for the pictures")
    one = "whose labels, gaps and codebook to draw, may be repeated; default: the four largest"
    plot.add_argument("--layer", action="append", metavar="NAME", help=one)
    under = f"{kinds}: draw its weights under the codebooks"
    plot.add_argument("--against", metavar="ORIGINAL", help=under)
    plot.add_argument("--format", choices=plots.FORMATS, default="png", help="default: png")

    timing = add(bench.bench, "time packed products against dense ones and CSR, on this machine")
    timing.add_argument("--threads", type=_whole(1), metavar="N", help="default: those in use")
    timing.add_argument("--plot", metavar="FILE.png", help="draw the table; needs matplotlib")

    add(commands.info, "show the versions and the backend in use")
    return parser


def _whole(minimum: int) -> Callable[[str], int]:
    """Return a parser of whole numbers from `minimum` on."""

    def parse(text: str) -> int:
        if not text.isdecimal() or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} isn't a whole number from {minimum} on")
        return int(text)

    return parse
