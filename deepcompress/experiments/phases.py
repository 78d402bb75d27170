"""What the runs of all recipes have in common: phases through a journal, errors, seconds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import ArgumentError
from ..nn import zoo
from ..nn.losses import error_count
from ..nn.network import Network
from .datasets import Dataset
from .journal import Journal
from .state import State

PIECE_EPOCHS = 5  # lost at most if the run is killed

OnEpoch = Callable[[str, int, float], None]  # phase, epochs done, mean loss


def error_percent(
    network: Network, params: Mapping[str, Any], data: Dataset, threads: int | None = None
) -> float:
    """Return the percentage of test images that a network gets wrong.

    `params` may be a `model.CompressedModel`: its weights stay packed.
    """
    logits = network.predict(params, data.test_images, threads=threads)
    return 100 * error_count(logits, data.test_labels) / len(logits)


@dataclass
class Phases:
    """A run on its way; `journal` holds the phases that it has finished."""

    recipe: Any
    data: Dataset
    journal: Journal
    seed: int
    threads: int | None
    on_epoch: OnEpoch | None

    def __post_init__(self) -> None:
        self.network = zoo.build(self.recipe.network)

    def _phase(self, name: str, function: Callable[[], State]) -> State:
        """Return the state that a phase ends with, computed now or taken from the journal."""
        return State.from_record(self.journal.phase(name, lambda: function().to_record()))

    def _error(self, phase: str, params: Mapping[str, Any]) -> float:
        """Measure the error on the test images."""
        record = self.journal.phase(
            f"{phase}-error",
            lambda: {"error": error_percent(self.network, params, self.data, self.threads)},
        )
        return float(record["error"])

    def _in_pieces(
        self, phase: str, epochs: int, state: State, train: Callable[[State, int, int], State]
    ) -> State:
        """Train in pieces of `PIECE_EPOCHS`, each a phase of the journal.

        `train` takes the state, the first epoch and the end of a piece.
        """
        for start in range(0, epochs, PIECE_EPOCHS):
            end = min(start + PIECE_EPOCHS, epochs)

            def piece(start: int = start, end: int = end, state: State = state) -> State:
                try:
                    return train(state, start, end)
                except ArgumentError as error:
                    raise ArgumentError(
                        f"phase {phase!r}: {error}. Phases that have ended are kept in "
                        f"{self.journal.folder}, where the same run would fail again; one with "
                        "another seed or recipe needs another folder"
                    ) from error

            state = self._phase(f"{phase}-{end:02}", piece)
        return state

    def _tell(self, phase: str, epoch: int, loss: float) -> None:
        """Tell the caller that an epoch, counted from 0, has ended."""
        if self.on_epoch is not None:
            self.on_epoch(phase, epoch + 1, loss)

    def _seconds(self) -> dict[str, float]:
        """Sum the journal's seconds over the pieces of each phase."""
        seconds: dict[str, float] = {}
        for piece, value in self.journal.seconds.items():
            phase = piece.rstrip("0123456789-")
            seconds[phase] = round(seconds.get(phase, 0.0) + value, 3)
        return seconds
