"""The verb ``compress``: arrays of other programs into a ``.dcnn`` file, or a folder of them."""

import argparse
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .. import __version__, spreading
from ..calibrate import sharing_alone
from ..config import Config, paper_config
from ..errors import ArgumentError, ConfigError, FormatError
from ..files import strict_json
from ..files.reading import read_file
from ..formats import registry
from ..formats.part import Part
from ..formats.source import Source
from ..inputs import flat
from ..nn.definition import from_metadata
from ..nn.parallel import available_threads
from ..presets import PRESETS, SMALL
from ..presets import preset as preset_of
from ..reports.tables import printable
from ..runtime.loading import check_preprocessing
from ..runtime.preprocessing import Preprocessing
from ..streaming import Written, compress_to
from .bar import ByteBar
from .budget import BudgetOptions, compress_within
from .calibration import compress_calibrated
from .many import compress_many, told
from .verb import (
    Answer,
    Subparsers,
    add_verb,
    opened_base,
    positive,
    refuse_to_replace,
    size,
    whole,
)

MOST_NAMED = 10  # of the tensors that are kept for a reason; JSON has all


def add_parser(subparsers: Subparsers) -> None:
    """Add ``compress`` to the command line."""
    help = "compress arrays into a .dcnn file, tensor by tensor"
    parser = add_verb(subparsers, compress, help, json_implies={"progress": False})
    parser.add_argument("file", metavar="IN", nargs="+", help=registry.described())
    folder = (
        "of several files, or with a / at its end, a folder, which gets a .dcnn file for each; "
        "the same command goes on where it was killed"
    )
    parser.add_argument("-o", "--out", metavar="OUT.dcnn", required=True, help=folder)
    how = parser.add_mutually_exclusive_group()
    configuration = (
        'what to do with each tensor, such as {"by_kind": {"fc": {"sparsity": 0.9, "bits": 5}}}; '
        "deepcompress.Config lists the rest"
    )
    how.add_argument("--config", metavar="FILE.toml|FILE.json", help=configuration)
    named = f"a configuration by its name: {', '.join(PRESETS)} (each weight bit for bit)"
    how.add_argument("--preset", metavar="NAME", help=named)
    widths = "the paper's widths: 8-bit labels and gaps for conv, 5-bit for fc"
    how.add_argument("--paper", action="store_true", help=widths)
    below = "only tensors below this prefix, such as model_state, without an optimizer's state"
    parser.add_argument("--only", metavar="PREFIX", help=below)
    base = "a model that this one resembles, as before fine-tuning: store the differences to it"
    parser.add_argument("--base", metavar="OTHER", help=base)
    pictures = (
        "how pictures become inputs of the file's network, such as "
        '{"size": 224, "channels": "RGB", "mean": 127, "scale": 0.0078125}; or a file of it'
    )
    parser.add_argument("--preprocessing", metavar="JSON", help=pictures)
    inputs = (
        "a folder of pictures, or a .npy file of inputs, without labels: weights are shared so "
        "that the outputs for these change least"
    )
    how.add_argument("--calibrate", metavar="INPUTS", help=inputs)
    named = "with --calibrate: a network of the zoo, where IN doesn't say which it is"
    parser.add_argument("--network", metavar="NAME", help=named)
    price = "with --calibrate: nats of divergence that a bit may cost; default: 1e-7"
    parser.add_argument("--lam", type=float, metavar="L", help=price)
    _add_budget(parser)
    jobs = "tensors at once; default: as many as processors; the result is the same"
    parser.add_argument("-j", "--jobs", type=whole(1), metavar="N", help=jobs)
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default: 0")


def _add_budget(parser: argparse.ArgumentParser) -> None:
    """Add the options of a search under a budget."""
    group = parser.add_argument_group("search under a budget", "with or without --calibrate")
    budgets = group.add_mutually_exclusive_group()
    drop = "the smallest file whose score is at most so far below the original's, in its units"
    budgets.add_argument("--max-drop", type=positive, metavar="DROP", help=drop)
    target = "the best score in a file of at most so many bytes, such as 500K"
    budgets.add_argument("--target-size", type=size, metavar="SIZE", help=target)
    scored = (
        "a function of yours, from a deepcompress.CompressedModel to a number, the higher the "
        "better; default with --calibrate: minus the divergence of outputs"
    )
    group.add_argument("--score", metavar="MODULE:FUNCTION", help=scored)
    group.add_argument("--max-trials", type=whole(1), metavar="N", help="models to be scored")
    group.add_argument("--max-seconds", type=positive, metavar="S", help="no trial begins later")
    journal = "trials are kept there: the same command goes on where it was stopped"
    group.add_argument("--journal", metavar="FILE", help=journal)
    frontier = "write what was seen, by size: .json, .png or .svg"
    group.add_argument("--frontier", metavar="FILE", help=frontier)


def compress(
    file: str | Sequence[str],
    out: str,
    config: str | None = None,
    paper: bool = False,
    only: str | None = None,
    calibrate: str | None = None,
    network: str | None = None,
    lam: float | None = None,
    jobs: int | None = None,
    seed: int = 0,
    preset: str | None = None,
    base: str | None = None,
    preprocessing: str | None = None,
    progress: bool = True,
    **budget: Any,
) -> Answer:
    """Compress the arrays of a file, no more than `jobs` of them in memory at a time.

    Parameters
    ----------
    file : str or sequence of str
        As for `formats.registry.open_source`.
    out : str
        The ``.dcnn`` file to write. If it is a folder, or ends with a separator, or there are
        several files, each becomes a file there (see `many.compress_many`).
    config : str, optional
        A file for `Config.from_file`. Without it, `preset` or `paper`, weights that aren't zero
        are shared at 5 bits, and nothing is pruned. What is given is kept in the file's metadata
        as ``"config"``.
    paper : bool
        Whether to take `paper_config`, which isn't kept.
    only : str, optional
        Take tensors whose names are below this prefix alone (see `formats.part`).
    calibrate : str, optional
        A folder of pictures or a ``.npy`` file: inputs for `calibrate.calibrate`.
    network : str, optional
        A network of the zoo, for `calibrate`; by default that of the file's metadata.
    lam : float, optional
        As for `calibrate.calibrate`.
    jobs, seed : int
        As for `streaming.compress_to`; by default there are as many jobs as processors, or as
        `joblib.parallel_config` says.
    preset : str, optional
        As for `presets.preset`; kept like `config`.
    base : str, optional
        A file for `formats.registry.open_tensors`; its tensors are the `base` of
        `streaming.compress_to`.
    preprocessing : str, optional
        An object for `Preprocessing.from_metadata`, or the path of a file with one, which the
        file is to have for `predict`.
    progress : bool
        Whether to show a bar where standard error is a terminal.
    **budget
        Fields of `budget.BudgetOptions`: with `max_drop` or `target_size`, `search.search` decides.

    Raises
    ------
    ArgumentError
        If `out` is a file to be read, or a tensor can't be compressed as asked.
    ConfigError
        If the configuration isn't valid, or names a tensor that isn't there.
    DataError, FormatError
        If a file can't be read, or isn't valid.
    """
    files = [file] if isinstance(file, str) else list(file)
    is_folder = os.path.isdir(out) or out.endswith(("/", os.sep))
    options = BudgetOptions(**budget)
    if options.is_search or calibrate is not None:
        what = "a search" if options.is_search else "--calibrate"
        if len(files) != 1 or is_folder:
            raise ArgumentError(f"{what} takes one file, and writes one")
        others = {"--preset": preset, "--base": base, "--only": only}
        others |= {"--preprocessing": preprocessing} if options.is_search else {}
        if idle := [name for name, value in others.items() if value is not None]:
            raise ArgumentError(f"{what} has no {' and no '.join(idle)}")
    if options.is_search:
        if config is not None or paper or lam is not None:
            raise ArgumentError("--config, --paper and --lam leave a search nothing to decide")
        if network is not None and calibrate is None:
            raise ArgumentError("--network is for --calibrate")
        return compress_within(files[0], out, options, calibrate, network, jobs, seed)
    if given := options.named():
        raise ArgumentError(f"{given[0]} is for --max-drop or --target-size")
    if calibrate is not None:
        pictures = None if preprocessing is None else _read_preprocessing(preprocessing)
        return compress_calibrated(files[0], out, calibrate, network, lam, jobs, seed, pictures)
    if network is not None or lam is not None:
        raise ArgumentError("--network and --lam are for --calibrate")
    chosen = paper_config() if paper else _chosen(config, preset)
    kept = {"config": chosen.to_dict(brief=True)} if config or preset else {}
    pictures = None if preprocessing is None else _read_preprocessing(preprocessing)
    jobs = spreading.jobs_here(jobs, available_threads())
    how = _How(chosen, kept, config, only, base, jobs, seed, progress, pictures, preset == SMALL)

    def one(file: str, out: str, title: str = "") -> tuple[dict[str, Any], Written]:
        return _compress(file, out, how, title)

    if len(files) == 1 and not is_folder:
        values, written = one(files[0], out)
        values = {"file": files[0], "out": out} | values
        lines = [told(out, values)]
        if "no_network" in values:
            lines.append(f"without its network, for predict: {printable(values['no_network'])}")
        return Answer(values, "\n".join([*lines, *_told(written)]))
    recorded: dict[str, Any] = {"version": __version__, "config": repr(chosen), "kept": kept}
    recorded |= {"only": only, "seed": seed, "preset": preset}
    recorded |= {} if pictures is None else {"preprocessing": pictures.to_metadata()}
    bases = [base] if base is not None else []
    return compress_many(files, out, recorded, lambda *each: one(*each)[0], bases)


@dataclass(frozen=True)
class _How:
    """The options of `compress`, read and checked."""

    chosen: Config
    kept: dict[str, Any]
    config: str | None
    only: str | None
    base: str | None
    jobs: int
    seed: int
    progress: bool
    pictures: Preprocessing | None
    small: bool


def _compress(file: str, out: str, how: _How, title: str) -> tuple[dict[str, Any], Written]:
    """Compress one file; return what JSON tells of it, and the rest that there is to tell."""
    base, config = how.base, how.config
    with registry.open_source(file) as whole, opened_base(base) as base_tensors:
        source = whole if how.only is None else _part(whole, how.only, file)
        refuse_to_replace(out, file, *filter(None, [config, base]), *source.files)
        metadata = _with_preprocessing(source.metadata | how.kept, how.pictures)
        try:
            inputs = flat(source)
            how.chosen.check_names(list(inputs))
            exact = [name for name in source.exact if name in inputs]
            chosen = _sparing(how.chosen, exact)
        except ConfigError as error:
            raise ConfigError(f"{config}: {error}") from None
        with ByteBar(inputs.shapes, title or os.path.basename(file), how.progress) as bar:
            written = compress_to(
                inputs,
                out,
                chosen,
                metadata=metadata,
                seed=how.seed,
                jobs=how.jobs,
                base=base_tensors,
                progress=bar,
                share=sharing_alone(inputs) if how.small else None,
            )
    values = {
        "out_bytes": int(written),
        "reference_bytes": written.own_bytes,
        "ratio": written.own_bytes / written,
        "tensors": list(inputs),
        "kept": written.kept,
        "combined": {name: list(pair) for name, pair in written.combined.items()},
    }
    if "no_network" in metadata:
        values["no_network"] = metadata["no_network"]
    return values, written


def _part(source: Source, prefix: str, file: str) -> Source:
    try:
        return Part(source, prefix)
    except ArgumentError as error:
        raise ArgumentError(f"{file}: {error}") from None


def _sparing(config: Config, names: Collection[str]) -> Config:
    """Return a configuration that keeps the named tensors exactly where it says nothing of one."""
    spared = {name: {"method": "raw"} for name in names if name not in config.by_name}
    return replace(config, by_name={**spared, **config.by_name}) if spared else config


def _read_preprocessing(given: str) -> Preprocessing:
    """Return the preprocessing of a JSON text, or of a file."""
    is_text = given.lstrip().startswith("{")
    where = "--preprocessing" if is_text else given
    data = given.encode() if is_text else read_file(given)
    try:
        return Preprocessing.from_metadata(strict_json.parse(data))
    except (FormatError, ValueError) as error:
        raise FormatError(f"{where}: {error}") from None


def _with_preprocessing(
    metadata: Mapping[str, Any], pictures: Preprocessing | None
) -> dict[str, Any]:
    """Return a file's metadata with a preprocessing, or raise if its network takes others."""
    if pictures is None:
        return dict(metadata)
    if "network" in metadata:
        check_preprocessing(from_metadata(metadata["network"]), pictures)
    return {**metadata, "preprocessing": pictures.to_metadata()}


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


def _chosen(config: str | None, name: str | None) -> Config:
    """Return the configuration of a file or a preset, by default an empty one."""
    if name is not None:
        return preset_of(name)
    return Config() if config is None else Config.from_file(config)
