"""The verb ``compress``: arrays of other programs into a ``.dcnn`` file."""

from collections.abc import Iterator

from ..config import Config, paper_config
from ..errors import ConfigError
from ..files import strict_json
from ..files.reading import read_file
from ..formats import registry
from ..inputs import flat
from ..nn.parallel import available_threads
from ..reports.tables import printable
from ..streaming import Written, compress_to
from .verb import Answer, Subparsers, add_verb, refuse_to_replace, whole

MOST_NAMED = 10  # of the tensors that are kept for a reason; JSON has all


def add_parser(subparsers: Subparsers) -> None:
    """Add ``compress`` to the command line."""
    help = "compress arrays into a .dcnn file, tensor by tensor"
    parser = add_verb(subparsers, compress, help)
    parser.add_argument("file", metavar="IN", help=registry.described())
    parser.add_argument("-o", "--out", metavar="OUT.dcnn", required=True)
    how = parser.add_mutually_exclusive_group()
    configuration = (
        'what to do with each tensor, such as {"by_kind": {"fc": {"sparsity": 0.9, "bits": 5}}}; '
        "deepcompress.Config lists the rest"
    )
    how.add_argument("--config", metavar="FILE.json", help=configuration)
    widths = "the paper's widths: 8-bit labels and gaps for conv, 5-bit for fc"
    how.add_argument("--paper", action="store_true", help=widths)
    jobs = "tensors at once; default: as many as processors; the result is the same"
    parser.add_argument("--jobs", type=whole(1), metavar="N", help=jobs)
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default: 0")


def compress(
    file: str,
    out: str,
    config: str | None = None,
    paper: bool = False,
    jobs: int | None = None,
    seed: int = 0,
) -> Answer:
    """Compress the arrays of a file, no more than `jobs` of them in memory at a time.

    Parameters
    ----------
    file : str
        As for `formats.registry.open_source`.
    out : str
        The ``.dcnn`` file to write.
    config : str, optional
        A JSON file for `Config.from_dict`. Without it, or `paper`, weights that aren't zero are
        shared at 5 bits, and nothing is pruned.
    paper : bool
        Whether to take `paper_config`.
    jobs, seed : int
        As for `streaming.compress_to`; by default there are as many jobs as processors.

    Raises
    ------
    ArgumentError
        If `out` is a file to be read, or a tensor can't be compressed as asked.
    ConfigError
        If the configuration isn't valid, or names a tensor that isn't there.
    DataError, FormatError
        If a file can't be read, or isn't valid.
    """
    chosen = paper_config() if paper else Config() if config is None else _read_config(config)
    with registry.open_source(file) as source:
        refuse_to_replace(out, file, *filter(None, [config]), *source.files)
        try:
            inputs = flat(source)
            chosen.check_names(list(inputs))
        except ConfigError as error:
            raise ConfigError(f"{config}: {error}") from None
        written = compress_to(inputs, out, chosen, seed=seed, jobs=jobs or available_threads())
    values = {
        "file": file,
        "out": out,
        "out_bytes": int(written),
        "reference_bytes": written.own_bytes,
        "ratio": written.own_bytes / written,
        "tensors": list(inputs),
        "kept": written.kept,
        "combined": {name: list(pair) for name, pair in written.combined.items()},
    }
    text = (
        f"{out}: {written:,} bytes, {written.own_bytes:,} as they were "
        f"({values['ratio']:.1f}x); tensors: {len(inputs)}"
    )
    return Answer(values, "\n".join([text, *_told(written)]))


def _told(written: Written) -> Iterator[str]:
    """Yield lines on tensors that aren't what a configuration, or their names, let expect."""
    for name, pair in written.combined.items():
        orig, mask = map(printable, pair)
        yield f"{printable(name)}: {orig}, where {mask} isn't 0"
    by_reason: dict[str, list[str]] = {}
    for name, why in written.kept.items():
        by_reason.setdefault(why, []).append(printable(name))
    for why, names in by_reason.items():
        more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
        yield f"kept as they are ({why}): {', '.join(names[:MOST_NAMED])}{more}"


def _read_config(path: str) -> Config:
    text = read_file(path)
    try:
        return Config.from_dict(strict_json.parse(text))
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
