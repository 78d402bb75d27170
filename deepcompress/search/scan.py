"""Sensitivity: what the score loses when one tensor alone is compressed, at a few settings."""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt

from ..checks import is_whole
from ..config import TensorConfig
from ..errors import ArgumentError, shown
from ..inputs import flat
from ..pipeline.models import checked_config
from .journal import TrialJournal, fingerprint
from .rungs import COARSEST, FINEST, Ladder
from .scores import Score, checked_score
from .trials import ORIGINAL, LimitReachedError, Outcome, Trials

RUNGS = (-32, -16, 0, 16, 24, 32, 48)
SAME = 1e-4  # relatively: a score may differ by rounding, on another number of threads


@dataclass(frozen=True)
class ScanPoint:
    """One tensor at one setting, all others as they are.

    Attributes
    ----------
    rung : int
        The step of the tensor's levels is ``2^(rung/16)`` times the rms of its weights.
    bytes : int
        Of a file with this tensor alone.
    score, loss : float
        The score, and how far it is below the original's; the loss is negative if it is above.
    """

    rung: int
    bytes: int
    score: float
    loss: float


@dataclass(frozen=True)
class TensorScan:
    """A tensor's points, from fine to coarse.

    Attributes
    ----------
    name : str
    size : int
        Bytes of the tensor as it is.
    points : tuple of ScanPoint
    """

    name: str
    size: int
    points: tuple[ScanPoint, ...]


def sensitivity(
    model: Mapping[str, npt.ArrayLike],
    score: Score,
    *,
    rungs: Iterable[int] = RUNGS,
    enough: float | None = None,
    half: bool = False,
    coder: str = "rans",
    metadata: Mapping[str, Any] | None = None,
    journal: str | os.PathLike[str] | None = None,
) -> dict[str, TensorScan]:
    """Compress each tensor alone at a few settings, and score the model each time.

    Parameters
    ----------
    model : mapping of str to array_like
        The tensors, as for `pipeline.compress`.
    score : callable
        From a `CompressedModel` to a number, the higher the better; it should give the same number
        for the same model.
    rungs : iterable of int
        Settings from fine to coarse, from -96 to 80: the step of a tensor's levels is
        ``2^(rung/16)`` times the rms of its weights.
    enough : float, optional
        A loss beyond which no coarser setting of the tensor is tried.
    half, coder, metadata
        As for `search`.
    journal : path-like, optional
        A file of JSON lines, which has what was scored: the same call goes on from there.

    Returns
    -------
    dict of str to TensorScan
        By tensor; those that aren't shared (biases, small ones, what isn't floating) are left out.

    Raises
    ------
    ArgumentError
        If an argument is anything else, a score isn't a finite number, or `score` raises.
    OutputError
        If the journal can't be used.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcompress.search.scores import dense
    >>> rng = np.random.default_rng(0)
    >>> tensors = {name: rng.normal(size=(30, 20)).astype(np.float32) for name in "ab"}
    >>> def score(model):  # the second tensor matters ten times as much
    ...     off = {name: np.sum((dense(model[name]) - tensors[name]) ** 2) for name in "ab"}
    ...     return -(off["a"] + 10 * off["b"])
    >>> found = sensitivity(tensors, score, rungs=[-16, 16])
    >>> [point.loss for point in found["a"].points] < [point.loss for point in found["b"].points]
    True
    >>> found["a"].points[0].bytes > found["a"].points[1].bytes
    True
    """
    ladder = checked_ladder(model, half, coder, metadata)
    wanted = checked_rungs(rungs)
    check_callable(score)
    identity = {"scan": fingerprint(ladder.tensors), "half": half, "coder": coder}
    trials = Trials(score, TrialJournal(journal, identity))
    return scan(ladder, trials, original(ladder, trials), wanted, enough)


def scan(
    ladder: Ladder,
    trials: Trials,
    reference: Outcome,
    rungs: Iterable[int] = RUNGS,
    enough: float | None = None,
) -> dict[str, TensorScan]:
    """Scan as `sensitivity` does; where a limit is reached, return what there is."""
    points: dict[str, list[ScanPoint]] = {name: [] for name in ladder.names}
    done: set[str] = set()
    try:
        for rung in rungs:  # in this order all tensors have some points when time is up
            for name in ladder.names:
                if name in done:
                    continue
                outcome = trials.trial("scan", [name, rung], partial(ladder.alone, name, rung))
                loss = reference.score - outcome.score
                points[name].append(ScanPoint(rung, outcome.size, outcome.score, loss))
                if enough is not None and loss > enough:
                    done.add(name)
    except LimitReachedError:
        pass
    return {
        name: TensorScan(name, ladder.tensors[name].nbytes, tuple(found))
        for name, found in points.items()
    }


def original(ladder: Ladder, trials: Trials) -> Outcome:
    """Return the outcome of the model with nothing compressed.

    A journal's is scored again: another number means that it is another score.
    """
    size = sum(values.nbytes for values in ladder.tensors.values())
    is_known = bool(trials.journal.records)
    outcome = trials.trial(ORIGINAL, None, lambda: (ladder.untouched(), size))
    if is_known:
        again = checked_score(trials.score, ladder.untouched(), "the original")
        if not math.isclose(again, outcome.score, rel_tol=SAME, abs_tol=1e-9):
            raise ArgumentError(
                f"the journal is of another score: the original has {outcome.score!r} there, "
                f"and {again!r} now"
            )
    return outcome


def checked_ladder(
    model: Any, half: bool, coder: str, metadata: Mapping[str, Any] | None
) -> Ladder:
    """Return the ladder of a model's tensors, or raise ArgumentError."""
    if not isinstance(half, bool):
        raise ArgumentError(f"half must be a bool, not {shown(half)}")
    inputs = flat(model)
    checked_config(inputs, None, metadata, 0)
    return Ladder(inputs, half, TensorConfig(coder=coder).coder, metadata or {})


def checked_rungs(rungs: Iterable[int]) -> list[int]:
    """Return rungs in order, or raise ArgumentError."""
    if isinstance(rungs, str) or not hasattr(rungs, "__iter__"):
        raise ArgumentError(f"rungs must be whole numbers, not {shown(rungs)}")
    wanted = list(rungs)
    if not wanted or not all(is_whole(rung, FINEST, COARSEST) for rung in wanted):
        raise ArgumentError(
            f"rungs must be whole numbers from {FINEST} to {COARSEST}, not {shown(wanted)}"
        )
    return sorted({int(rung) for rung in wanted})


def check_callable(score: Any) -> None:
    """Raise ArgumentError unless a score can be called."""
    if not callable(score):
        raise ArgumentError(f"score must be a function of a model, not {shown(score)}")
