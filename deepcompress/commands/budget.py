"""The way of ``compress --max-drop`` and ``--target-size``: a score from the user's own module."""

import importlib
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ArgumentError, OutputError
from ..files.atomic import write_bytes, write_json
from ..formats import registry
from ..inputs import flat
from ..model import CompressedModel
from ..reports.plots import check_matplotlib, draw_frontier, render
from ..search import Found, divergence, search
from ..search.scores import Score, dense
from .calibration import known_network, read_inputs
from .verb import Answer, refuse_to_replace

PICTURES = (".png", ".svg")


@dataclass(frozen=True)
class BudgetOptions:
    """What the command line says about a search; None and "" are its defaults."""

    max_drop: float | None = None
    target_size: int | None = None
    score: str | None = None
    max_trials: int | None = None
    max_seconds: float | None = None
    journal: str | None = None
    frontier: str | None = None

    def named(self) -> list[str]:
        """Return the options that were given."""
        return ["--" + name.replace("_", "-") for name, value in vars(self).items() if value]

    @property
    def is_search(self) -> bool:
        """Whether there is a budget."""
        return self.max_drop is not None or self.target_size is not None


def compress_within(
    file: str,
    out: str,
    options: BudgetOptions,
    inputs: str | None,
    network: str | None,
    threads: int | None,
    seed: int,
) -> Answer:
    """Compress a file within a budget, as `compress` documents it.

    The file is written whether the budget is met or not; the answer says which.

    Raises
    ------
    ArgumentError
        If the score isn't known, raises, or isn't a number, or options don't go together.
    DataError, FormatError
        If a file can't be read, or isn't valid.
    OutputError
        If a file can't be written, or the journal is another search's.
    """
    suffix = os.path.splitext(options.frontier or "")[1]
    if options.frontier and suffix not in (".json", *PICTURES):
        choices = ", ".join((".json", *PICTURES))
        raise ArgumentError(f"{options.frontier}: the suffix of a frontier is one of {choices}")
    if suffix in PICTURES:
        check_matplotlib()
    with registry.open_source(file) as source:
        read = [file, *filter(None, [inputs]), *map(str, source.files)]
        for written in filter(None, (out, options.journal, options.frontier)):
            refuse_to_replace(written, *read)
        _check_folder(out)
        metadata, arrays = dict(source.metadata), dict(flat(source))
    score = _loaded(options.score) if options.score else None
    how: dict[str, Any] = {}
    if inputs is not None:
        definition, preprocessing, metadata = known_network(file, metadata, network)
        definition.check_params(arrays)
        x = read_inputs(inputs, definition, preprocessing)
        how = {"network": definition, "inputs": x, "seed": seed, "threads": threads}
        score = score or divergence(definition, arrays, x)
    if score is None:
        if options.max_drop is not None:
            raise ArgumentError("--max-drop is a drop of a score: add --score or --calibrate")
        score = likeness(arrays)
    if options.max_trials is not None:
        how["max_trials"] = options.max_trials
    found = search(
        arrays,
        score,
        max_drop=options.max_drop,
        target_bytes=options.target_size,
        metadata=metadata,
        max_seconds=options.max_seconds,
        journal=options.journal,
        **how,
    )
    found.model.save(out)
    if suffix == ".json":
        write_json(options.frontier or "", found.frontier.to_dict())
    elif suffix:
        points = [(point.bytes, point.score) for point in found.frontier.points]
        drawn = render(draw_frontier, points, (found.bytes, found.score), format=suffix[1:])
        write_bytes(options.frontier or "", drawn)
    return _told(file, out, found, options, sum(array.nbytes for array in arrays.values()))


def likeness(arrays: dict[str, Any]) -> Score:
    """Return a score that needs nothing: minus the error of weights, by their squares."""
    originals = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    squares = sum(float(np.square(array, dtype=np.float64).sum()) for array in originals.values())

    def score(model: CompressedModel) -> float:
        off = sum(
            float(np.square(dense(model[name]) - array, dtype=np.float64).sum())
            for name, array in originals.items()
        )
        return -off / (squares or 1.0)

    return score


def _told(file: str, out: str, found: Found, options: BudgetOptions, own: int) -> Answer:
    values: dict[str, Any] = {
        "file": file,
        "out": out,
        "out_bytes": found.bytes,
        "reference_bytes": own,
        "ratio": own / found.bytes,
        "score": found.score,
        "reference_score": found.reference_score,
        "met": found.met,
        "missed": found.missed,
        "trials": found.trials,
        "stopped": found.stopped,
        "settings": found.settings,
    }
    is_drop = options.max_drop is not None
    missed = f"{found.missed:.4g}" if is_drop else f"{found.missed:,.0f} bytes"
    lines = [
        f"{out}: {found.bytes:,} bytes, {own:,} as they were ({own / found.bytes:.1f}x)",
        f"score {found.score:.6g}, of the original {found.reference_score:.6g}; "
        f"trials: {found.trials}{', ended by a limit' if found.stopped else ''}",
        "the budget is met" if found.met else f"the budget isn't met: missed by {missed}",
    ]
    return Answer(values, "\n".join(lines), failed=not found.met)


def _loaded(name: str) -> Callable[[CompressedModel], float]:
    """Return a function by ``module:function``; modules of the current folder are found, too."""
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise ArgumentError(f"--score {name}: must be module:function, as in my_scores:accuracy")
    sys.path.insert(0, os.getcwd())
    try:
        found: Any = importlib.import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise ArgumentError(f"--score {name}: {type(error).__name__}: {error}") from error
    finally:
        sys.path.remove(os.getcwd())
    if not callable(found):
        raise ArgumentError(f"--score {name}: isn't a function")
    return found  # type: ignore[no-any-return]


def _check_folder(out: str) -> None:
    """Raise OutputError now, not after a search, where there is no folder for a file."""
    folder = os.path.dirname(out) or "."
    if not os.path.isdir(folder) or os.path.isdir(out):
        raise OutputError(f"{out}: can't write: its folder isn't there, or it is one")
