"""The verb ``compress``: arrays of other programs into a ``.dcnn`` file."""

import math

from ..config import Config, paper_config
from ..errors import ConfigError
from ..files import strict_json
from ..files.reading import read_file
from ..formats import registry
from ..nn.parallel import available_threads
from ..reports.ledger import FP32_BYTES
from ..streaming import compress_to
from .verb import Answer, Subparsers, add_verb, refuse_to_replace, whole


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
            chosen.check_names(source.shapes)
        except ConfigError as error:
            raise ConfigError(f"{config}: {error}") from None
        elements = sum(map(math.prod, source.shapes.values()))
        out_bytes = compress_to(source, out, chosen, seed=seed, jobs=jobs or available_threads())
        names = list(source)
    values = {
        "file": file,
        "out": out,
        "out_bytes": out_bytes,
        "reference_bytes": FP32_BYTES * elements,
        "ratio": FP32_BYTES * elements / out_bytes,
        "tensors": names,
    }
    text = (
        f"{out}: {out_bytes:,} bytes, {FP32_BYTES * elements:,} as dense fp32 "
        f"({values['ratio']:.1f}x); tensors: {len(names)}"
    )
    return Answer(values, text)


def _read_config(path: str) -> Config:
    text = read_file(path)
    try:
        return Config.from_dict(strict_json.parse(text))
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
