"""Two families of models, each along one number: how much damage is aimed at.

`PlannedFamily` has a rung for each tensor, from a scan; `CalibratedFamily` has what
`calibrate.calibrate` makes of inputs, which weighs tensors by itself.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..calibrate import Calibrated, calibrate
from ..model import CompressedModel
from ..nn.network import Network
from ..tensors import Float32Array
from .plans import plan_for
from .responses import Response
from .rungs import COARSEST, FINEST, PER_OCTAVE, Ladder, Settings

STEP = PER_OCTAVE // 8  # rungs, of a move to a neighbour
LAM = 1e-7
PER_OCTAVE_OF_LAM = 8
SMALLEST, LARGEST = -200, 100  # of lambda, in eighths of octaves from LAM


class Family(ABC):
    """Models by their settings, and settings by an aim.

    Attributes
    ----------
    kind : str
        Names trials of this family.
    start : float
        The first aim, the logarithm of a loss or the like.
    stride : float
        To the second aim, then twice as much and so on.
    """

    kind: str
    start: float
    stride: float

    @abstractmethod
    def settings(self, aim: float) -> Any:
        """Return the settings for an aim, of JSON's types; a larger aim makes smaller models."""

    @abstractmethod
    def model(self, settings: Any) -> CompressedModel:
        """Return the model of settings."""

    def neighbours(self, settings: Any, towards: int) -> Iterator[Any]:
        """Yield settings nearby of models that are smaller (`towards` 1) or larger (-1)."""
        yield from ()

    def build(self, settings: Any) -> tuple[CompressedModel, int]:
        """Return the model of settings and the bytes of its file."""
        model = self.model(settings)
        return model, len(model.to_bytes())


class PlannedFamily(Family):
    """Models with a rung for each tensor, chosen by one multiplier."""

    kind = "model"
    stride = math.log(2)

    def __init__(self, ladder: Ladder, responses: Sequence[Response], start: float) -> None:
        self.ladder, self.responses, self.start = ladder, responses, start

    def settings(self, aim: float) -> Settings:
        """Return the smallest plan whose predicted loss is exp(aim)."""
        return plan_for(self.responses, math.exp(min(max(aim, -600), 600)))

    def model(self, settings: Settings) -> CompressedModel:
        """Return the model of rungs."""
        return self.ladder.model(settings)

    def neighbours(self, settings: Settings, towards: int) -> Iterator[Settings]:
        """Yield one step more of a tensor, large ones first; then two, and one less of another."""
        by_size = sorted(self.responses, key=lambda each: (-each.size, each.name))
        names = [each.name for each in by_size if settings[each.name] is not None]
        one = towards * STEP
        moves = [{name: one} for name in names]
        moves += [
            {name: 2 * one, other: -one} for name in names for other in names if name != other
        ]
        for move in moves:
            changed = {name: (settings[name] or 0) + by for name, by in move.items()}
            if all(FINEST <= rung <= COARSEST for rung in changed.values()):
                yield {**settings, **changed}


class CalibratedFamily(Family):
    """Models that inputs have calibrated, by lambda in steps of an eighth of an octave."""

    kind = "calibrated"
    start = 0.0
    stride = 8.0

    def __init__(
        self,
        network: Network,
        params: Mapping[str, Any],
        inputs: Float32Array,
        metadata: Mapping[str, Any],
        *,
        half: bool,
        coder: str,
        seed: int,
        threads: int | None,
    ) -> None:
        self.network, self.params, self.inputs, self.metadata = network, params, inputs, metadata
        self.options: dict[str, Any] = {
            "half": half,
            "coder": coder,
            "seed": seed,
            "threads": threads,
        }

    def settings(self, aim: float) -> int:
        """Return lambda's eighths of octaves."""
        return min(max(round(aim), SMALLEST), LARGEST)

    def model(self, settings: int) -> CompressedModel:
        """Return the model of a lambda."""
        return self.calibrated(settings).model

    def calibrated(self, settings: int) -> Calibrated:
        """Calibrate for a lambda; each from nothing, so that no result depends on the order."""
        lam = LAM * 2 ** (settings / PER_OCTAVE_OF_LAM)
        return calibrate(
            self.network,
            self.params,
            self.inputs,
            lam=lam,
            metadata=self.metadata,
            **self.options,
        )
