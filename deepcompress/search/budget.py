"""The search: plans along one number, their true scores, and bisection until the budget is met."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from ..calibrate.network import checked_inputs, checked_params
from ..checks import as_whole_number, is_finite
from ..errors import ArgumentError, shown
from ..model import CompressedModel
from ..nn.definition import to_metadata
from ..nn.network import Network
from .families import CalibratedFamily, Family, PlannedFamily
from .frontier import FrontierPoint, ParetoFrontier
from .journal import TrialJournal, fingerprint
from .responses import response
from .rungs import Ladder
from .scan import RUNGS, TensorScan, check_callable, checked_ladder, original, scan
from .scores import Score
from .trials import LimitReachedError, Outcome, Trials

MAX_TRIALS = 120
DOUBLINGS, HALVINGS = 8, 5
ENOUGH = 8  # budgets that a tensor alone may lose before its scan ends
SEEN = 1 / 8  # of the budget: smaller losses say little
LEAST_SEEN = 1 / 64  # of the largest loss of a scan, where the budget is one of bytes


@dataclass(frozen=True)
class Budget:
    """What is allowed: a drop of the score, or bytes; one of them is None."""

    max_drop: float | None
    target_bytes: int | None

    def missed(self, size: int, drop: float) -> float:
        """Return how far a model is beyond the budget, in its units; 0 if it isn't."""
        if self.max_drop is not None:
            return max(drop - self.max_drop, 0.0)
        return max(size - (self.target_bytes or 0), 0)

    def rank(self, size: int, drop: float) -> tuple[float, float, float]:
        """Return what is least for the best model: what it misses, then what is to be small."""
        first, second = (size, drop) if self.max_drop is not None else (drop, size)
        return self.missed(size, drop), first, second


@dataclass(frozen=True)
class Found:
    """The best model of a search.

    Attributes
    ----------
    model : CompressedModel
    bytes : int
        Of its file.
    score, reference_score : float
        Its own, and the original's.
    settings : of JSON's types
        The rung of each tensor, or lambda where inputs calibrate; None for the original.
    met : bool
        Whether it is within the budget.
    missed : float
        How far it is beyond, in units of the score or bytes; 0 if it is `met`.
    trials : int
        Scores taken, those of the journal included.
    seconds : float
        That they took, with the models before them.
    stopped : bool
        Whether a limit of trials or seconds has ended the search.
    frontier : ParetoFrontier
    sensitivity : dict of str to TensorScan
        Empty where inputs calibrate.
    """

    model: CompressedModel
    bytes: int
    score: float
    reference_score: float
    settings: Any
    met: bool
    missed: float
    trials: int
    seconds: float
    stopped: bool
    frontier: ParetoFrontier
    sensitivity: dict[str, TensorScan]

    @property
    def drop(self) -> float:
        """How far its score is below the original's."""
        return self.reference_score - self.score


def search(
    model: Mapping[str, npt.ArrayLike],
    score: Score,
    *,
    max_drop: float | None = None,
    target_bytes: int | None = None,
    half: bool = False,
    coder: str = "rans",
    metadata: Mapping[str, Any] | None = None,
    network: Network | None = None,
    inputs: npt.ArrayLike | None = None,
    max_trials: int = MAX_TRIALS,
    max_seconds: float | None = None,
    journal: str | os.PathLike[str] | None = None,
    seed: int = 0,
    threads: int | None = None,
) -> Found:
    """Find the smallest file within a drop of the score, or the best score within a size.

    Parameters
    ----------
    model : mapping of str to array_like
        The tensors, as for `pipeline.compress`.
    score : callable
        From a `CompressedModel` to a number, the higher the better; it should give the same number
        for the same model. `divergence` and `agreement` are two that need no labels.
    max_drop : float
        How far the score may fall below the original's, from 0 on, in the score's own units.
    target_bytes : int
        How large the file may be. One of the two budgets is to be given.
    half : bool
        Whether centroids and biases are stored as float16; the tensors are of float16 then.
    coder : str
        The strongest coder, one of `container.CODERS`.
    metadata : mapping, optional
        To be stored with the tensors.
    network : Network, optional
    inputs : array_like of shape (n, ...), optional
        With `network`, which has the tensors as its parameters: models are then those of
        `calibrate.calibrate` for these inputs, without a scan.
    max_trials : int
        The most models to be scored, the original among them.
    max_seconds : float, optional
        No trial begins later than that; the first one always does.
    journal : path-like, optional
        A file of JSON lines, which has what was scored. The same call goes on from there
        after a kill, and has the same answer; one with another budget uses it, too.
    seed, threads
        As for `calibrate.calibrate`.

    Returns
    -------
    Found
        The best model that was seen, whether the budget is met or not.

    Raises
    ------
    ArgumentError
        If an argument is anything else, a score isn't a finite number, or `score` raises; the
        journal keeps what was scored before. If the score of the original isn't the journal's.
    OutputError
        If the journal can't be used, or is of other tensors or options.

    Notes
    -----
    A scan says what each tensor loses and takes at a few settings (`sensitivity`). For a multiplier
    mu, each tensor takes the setting where loss + mu * bytes is least; mu is moved until the
    true score meets the budget, by doubling and halving the loss that is predicted. Single steps
    from there end the search. Deviation: the paper chooses sparsities and bits for each layer
    by hand (section 3, tables 4 and 5).

    A search sees its own scores only: a model chosen by few examples is somewhat worse on others.

    Examples
    --------
    >>> import numpy as np
    >>> from deepcompress.search.scores import dense
    >>> rng = np.random.default_rng(0)
    >>> tensors = {name: rng.normal(size=(30, 20)).astype(np.float32) for name in "ab"}
    >>> def score(model):  # the second tensor matters ten times as much
    ...     off = {name: np.sum((dense(model[name]) - tensors[name]) ** 2) for name in "ab"}
    ...     return -(off["a"] + 10 * off["b"])
    >>> found = search(tensors, score, max_drop=100)
    >>> found.met, found.drop <= 100, found.settings["a"] > found.settings["b"]
    (True, True, True)
    """
    budget = checked_budget(max_drop, target_bytes)
    ladder = checked_ladder(model, half, coder, metadata)
    check_callable(score)
    as_whole_number(max_trials, "max_trials", 1)
    if max_seconds is not None and not is_finite(max_seconds, 0):
        raise ArgumentError(f"max_seconds must be a number from 0 on, not {shown(max_seconds)}")
    identity = {"scan": fingerprint(ladder.tensors), "half": half, "coder": ladder.coder}
    family: Family | None = None
    if network is not None or inputs is not None:
        family, known = _calibrated(ladder, network, inputs, seed, threads)
        identity.update(known)
    trials = Trials(score, TrialJournal(journal, identity))
    reference = original(ladder, trials)
    scans: dict[str, TensorScan] = {}
    if family is None:
        trials.limit(max_trials // 2, None if max_seconds is None else max_seconds / 2)
        enough = None if budget.max_drop is None else ENOUGH * budget.max_drop
        scans = scan(ladder, trials, reference, RUNGS, enough)
        family = _planned(ladder, scans, budget)
    trials.limit(max_trials, max_seconds)
    seen = _Seen(family, trials, budget, reference)
    stopped = False
    try:
        _bracket(seen)
        _descend(seen)
    except LimitReachedError:
        stopped = True
    best = seen.best
    found = ladder.model({}) if best is reference else family.model(best.settings)
    size, drop = len(found.to_bytes()), reference.score - best.score
    missed = budget.missed(size, drop)
    return Found(
        found,
        size,
        best.score,
        reference.score,
        best.settings,
        missed == 0,
        missed,
        len(trials.outcomes),
        trials.seconds,
        stopped,
        ParetoFrontier.of(FrontierPoint(o.size, o.score, o.settings) for o in seen.outcomes),
        scans,
    )


class _Seen:
    """The models that were scored, and the best of them."""

    def __init__(self, family: Family, trials: Trials, budget: Budget, reference: Outcome) -> None:
        self.family, self.trials, self.budget, self.reference = family, trials, budget, reference
        self.best, self.outcomes = reference, [reference]

    def score(self, settings: Any) -> Outcome:
        """Score a model; it is the best if it is better than that."""
        outcome = self.trials.trial(self.family.kind, settings, lambda: self.family.build(settings))
        if outcome not in self.outcomes:
            self.outcomes.append(outcome)
        if self.rank(outcome) < self.rank(self.best):
            self.best = outcome
        return outcome

    def rank(self, outcome: Outcome) -> tuple[float, float, float]:
        return self.budget.rank(outcome.size, self.reference.score - outcome.score)

    def is_within(self, outcome: Outcome) -> bool:
        return self.rank(outcome)[0] == 0


def _bracket(seen: _Seen) -> None:
    """Score plans until two neighbouring aims are found between which the budget ends.

    A larger aim makes smaller models that lose more: a drop is met below some aim, a size above.
    """
    family, is_drop = seen.family, seen.budget.max_drop is not None

    def is_low(aim: float) -> bool:
        return seen.is_within(seen.score(family.settings(aim))) == is_drop

    aim, stride = family.start, family.stride
    low = is_low(aim)
    for _ in range(DOUBLINGS):
        other = aim + stride if low else aim - stride
        if family.settings(other) == family.settings(aim) and stride > 4 * family.stride:
            return  # at an end
        if is_low(other) != low:
            break
        aim, stride = other, 2 * stride
    else:
        return
    below, above = min(aim, other), max(aim, other)
    for _ in range(HALVINGS):
        middle = (below + above) / 2
        if family.settings(below) == family.settings(above):
            break
        if is_low(middle):
            below = middle
        else:
            above = middle


def _descend(seen: _Seen) -> None:
    """Go from the best to a better neighbour until there is none."""
    towards = 1 if seen.budget.max_drop is not None else -1
    while seen.best is not seen.reference:
        start = seen.best
        for settings in seen.family.neighbours(start.settings, towards):
            seen.score(settings)
            if seen.best is not start:
                break
        else:
            return


def _planned(ladder: Ladder, scans: Mapping[str, TensorScan], budget: Budget) -> PlannedFamily:
    """Return the family of plans that scans make, with a first aim."""
    losses = [point.loss for one in scans.values() for point in one.points]
    largest = max([loss for loss in losses if loss > 0], default=1.0)
    floor = LEAST_SEEN * largest
    if budget.max_drop:
        floor = SEEN * budget.max_drop
    responses = [response(one, floor) for one in scans.values()]
    return PlannedFamily(ladder, responses, math.log(budget.max_drop or floor))


def _calibrated(
    ladder: Ladder, network: Any, inputs: Any, seed: int, threads: int | None
) -> tuple[CalibratedFamily, dict[str, Any]]:
    """Return the family of calibrated models, and what its results depend on."""
    if not isinstance(network, Network) or inputs is None:
        raise ArgumentError("network and inputs go together: a Network, and what it computes from")
    params, x = checked_params(network, ladder.tensors), checked_inputs(network, inputs)
    options: dict[str, Any] = {"half": ladder.half, "coder": ladder.coder}
    family = CalibratedFamily(
        network, params, x, ladder.metadata, seed=seed, threads=threads, **options
    )
    known = {"inputs": fingerprint({"inputs": x}), "network": to_metadata(network), "seed": seed}
    return family, known


def checked_budget(max_drop: float | None, target_bytes: int | None) -> Budget:
    """Return the budget, or raise ArgumentError."""
    if (max_drop is None) == (target_bytes is None):
        raise ArgumentError("one budget is needed: max_drop or target_bytes")
    if target_bytes is not None:
        return Budget(None, as_whole_number(target_bytes, "target_bytes", 1))
    if not is_finite(max_drop, 0):
        raise ArgumentError(f"max_drop must be a number from 0 on, not {shown(max_drop)}")
    return Budget(float(max_drop or 0), None)
