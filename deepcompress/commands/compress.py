"""The command ``compress``: arrays of other programs into a ``.dcnn`` file."""

import math
import os
from pathlib import Path

from ..config import Config, paper_config
from ..errors import ArgumentError, ConfigError, DataError
from ..files import strict_json
from ..formats.registry import NpyFolder, open_source
from ..nn.parallel import available_threads
from ..reports.ledger import FP32_BYTES
from ..streaming import compress_to
from . import Answer


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
    with open_source(file) as source:
        reads: list[str | Path] = [file, *filter(None, [config])]
        if isinstance(source, NpyFolder):
            reads += map(source.path, source)
        if os.path.exists(out) and any(os.path.samefile(read, out) for read in reads):
            raise ArgumentError(f"{out}: is the very file to read; choose another for -o")
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
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    try:
        return Config.from_dict(strict_json.parse(text))
    except (ConfigError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
