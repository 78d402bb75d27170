"""Trials, one for each model that is scored: counted, timed, limited, and kept in a journal."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..model import CompressedModel
from .journal import TrialJournal
from .scores import Score, checked_score

ORIGINAL = "original"


class LimitReachedError(Exception):
    """No further trial is allowed; never leaves this package."""


@dataclass(frozen=True)
class Outcome:
    """Bytes and score of a trial, and whatever made the model, in JSON's types."""

    key: str
    size: int
    score: float
    settings: Any


class Trials:
    """Builds models and scores them, each once.

    Limits count trials of the journal as if they had been made now, seconds too, so that a search
    that goes on decides as one that wasn't stopped.
    """

    def __init__(self, score: Score, journal: TrialJournal) -> None:
        self.score, self.journal = score, journal
        self.max_trials: int | None = None
        self.max_seconds: float | None = None
        self.outcomes: dict[str, Outcome] = {}
        self.seconds = 0.0

    def limit(self, max_trials: int | None, max_seconds: float | None) -> None:
        """Allow so many trials and seconds, all since the start."""
        self.max_trials, self.max_seconds = max_trials, max_seconds

    def trial(
        self,
        kind: str,
        settings: Any,
        build: Callable[[], tuple[CompressedModel, int]],
    ) -> Outcome:
        """Return the outcome of a trial: made before, of the journal, or made now.

        Parameters
        ----------
        kind : str
        settings : of JSON's types
            With `kind`, what names the trial.
        build : callable
            Returns the model and what counts as its bytes.

        Raises
        ------
        LimitReachedError
        ArgumentError
            If the score isn't a number.
        """
        key = f"{kind} {json.dumps(settings, sort_keys=True)}"
        if key in self.outcomes:
            return self.outcomes[key]
        if self.max_trials is not None and len(self.outcomes) >= self.max_trials:
            raise LimitReachedError
        if self.outcomes and self.max_seconds is not None and self.seconds >= self.max_seconds:
            raise LimitReachedError
        record = self.journal.records.get(key)
        if record is None:
            started = time.perf_counter()
            model, size = build()
            score = checked_score(self.score, model, _told(kind, settings))
            seconds = time.perf_counter() - started
            record = self.journal.add(key, {"bytes": size, "score": score, "seconds": seconds})
        self.seconds += record["seconds"]
        outcome = Outcome(key, record["bytes"], record["score"], settings)
        self.outcomes[key] = outcome
        return outcome


def _told(kind: str, settings: Any) -> str:
    """Return what a message calls a trial."""
    return "the original" if kind == ORIGINAL else f"trial {kind} {json.dumps(settings)[:200]}"
