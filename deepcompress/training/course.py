"""The course of compression while a model trains: after which steps what is pruned, and shared."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..checks import as_whole_number
from ..config import Config
from ..errors import ArgumentError
from ..model import CompressedModel
from ..prune import cubic_sparsity
from ..tensors import BoolArray
from .decisions import Array, Shares, mask_of, packed, shares_of, target_sparsities


@dataclass(frozen=True)
class Timetable:
    """The steps of the optimizer after which something is decided.

    Attributes
    ----------
    prune_after : int
        Steps before the first pruning; 0 prunes at once.
    ramp_steps : int
        Steps over which the sparsity rises from 0 to what is asked, along the cubic schedule
        (Zhu & Gupta 2017, see `prune.cubic_sparsity`); 0 prunes at one shot.
    prune_every : int
        Steps from one pruning of the ramp to the next.
    share_after : int or None
        Steps after which weights share centroids, counted from the first; None leaves it to
        `Course.share`. Not before the last pruning.
    """

    prune_after: int = 0
    ramp_steps: int = 0
    prune_every: int = 100
    share_after: int | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None or field.name != "share_after":
                as_whole_number(value, field.name, 1 if field.name == "prune_every" else 0)
        if self.share_after is not None and self.share_after < self.last_pruning:
            raise ArgumentError(
                f"share_after {self.share_after} is before the last pruning, "
                f"after step {self.last_pruning}"
            )

    @property
    def last_pruning(self) -> int:
        """The step after which all is pruned that shall be."""
        return self.prune_after + self.ramp_steps

    def progress(self, step: int) -> float | None:
        """Return how much of the sparsity there shall be after a step; None if nothing changes."""
        into = step - self.prune_after
        if step == self.last_pruning:
            return 1.0
        if 0 < into < self.ramp_steps and into % self.prune_every == 0:
            return cubic_sparsity(into, self.ramp_steps, 1.0)
        return None


class Course(ABC):
    """The state of a model on its way: steps, target sparsities, and what is decided so far.

    A class of this kind gives `_arrays`, `_prune`, `_share` for its framework, and calls
    `_begin`, once, and `_advance`, after each step of the optimizer.

    Attributes
    ----------
    config : Config
        What is done with each tensor.
    timetable : Timetable
    steps : int
        Steps of the optimizer so far.
    is_shared : bool
        Whether weights share centroids already.
    """

    def __init__(self, config: Config | None, timetable: Timetable, seed: int) -> None:
        if config is not None and not isinstance(config, Config):
            raise ArgumentError(f"config must be a Config, not {type(config).__name__}")
        self.config = config or Config()
        self.timetable = timetable
        self.steps = 0
        self.is_shared = False
        self._end = ""  # why there is no further step
        self._seed = as_whole_number(seed, "seed", 0)
        self._targets: dict[str, float] | None = None  # None before the first pruning

    @property
    def is_finished(self) -> bool:
        """Whether there are no further steps, as after `finalize`."""
        return bool(self._end)

    @abstractmethod
    def _arrays(self) -> Mapping[str, Array]:
        """Return the parameters as NumPy's arrays; those of low precision may be wider."""

    @abstractmethod
    def _mask(self, name: str) -> BoolArray | None:
        """Return the mask of a tensor that has been pruned."""

    @abstractmethod
    def _prune(self, masks: Mapping[str, BoolArray]) -> None:
        """Hold masks from now on, and set what they prune to zero."""

    @abstractmethod
    def _share(self, shares: Mapping[str, Shares]) -> None:
        """Hold labels from now on, and set weights to their centroids."""

    @abstractmethod
    def _tensors(self) -> Mapping[str, Any]:
        """Return all tensors that a file holds, as `compress` takes them."""

    def share(self) -> None:
        """Have weights share centroids from now on, if they don't yet (Han et al. 2016, section 3).

        Raises
        ------
        ArgumentError
            If the course is finished, pruning isn't yet, or weights aren't finite.
        """
        self._require_open("share")
        if self.steps < self.timetable.last_pruning:
            raise ArgumentError(
                f"share after {self.steps} steps: the last pruning is after step "
                f"{self.timetable.last_pruning}"
            )
        if self.is_shared:
            return
        shares = {
            name: found
            for name, values in self._arrays().items()
            if (found := shares_of(name, values, self.config, self._seed)) is not None
        }
        self._share(shares)
        self.is_shared = True

    def _begin(self) -> None:
        """Do what is to be done before the first step."""
        self._decide()

    def _advance(self) -> None:
        """Count a step, and do what is to be done after it."""
        self.steps += 1
        self._decide()

    def _decide(self) -> None:
        progress = None if self.is_shared else self.timetable.progress(self.steps)
        starts = self.steps >= self.timetable.prune_after and self._targets is None
        if starts and not self.is_shared:
            self._targets = target_sparsities(self._arrays(), self.config)
        if progress is not None and self._targets:
            arrays = self._arrays()
            self._prune(
                {
                    name: mask_of(name, arrays[name], progress * target, self._mask(name))
                    for name, target in self._targets.items()
                }
            )
        if self.steps == self.timetable.share_after:
            self.share()

    def _finish(self, metadata: Mapping[str, Any] | None) -> CompressedModel:
        """Return the packed model, and take no step any more."""
        self._require_open("finalize")
        if self.steps < self.timetable.last_pruning:
            raise ArgumentError(
                f"finalize after {self.steps} steps: the last pruning is after step "
                f"{self.timetable.last_pruning}"
            )
        model = packed(self._tensors(), self._packing(), metadata, self._seed)
        self._end = "finalize was called already"
        return model

    def _packing(self) -> Config:
        """Return the configuration by which tensors are packed."""
        return self.config

    def _require_open(self, what: str) -> None:
        if self._end:
            raise ArgumentError(f"{what}: {self._end}")

    def _restored(self, state: Mapping[str, Any], known: Mapping[str, tuple[int, ...]]) -> None:
        """Take the counters of a state that `_counters` gave; check masks and labels by shape."""
        self._require_open("load_state_dict")
        if not isinstance(state, Mapping) or not {"steps", "is_shared"} <= set(state):
            raise ArgumentError("state: not what state_dict returned")
        for key, value in state.items():
            part, dot, name = str(key).partition(".")
            if not dot:
                continue
            if part not in ("mask", "labels", "target") or name not in known:
                raise ArgumentError(f"state of another model: it has {key!r}")
            if part != "target" and tuple(np.shape(value)) != known[name]:
                raise ArgumentError(
                    f"state of another model: {key!r} has shape {tuple(np.shape(value))}, "
                    f"the parameter {known[name]}"
                )
        self.steps, self.is_shared = int(state["steps"]), bool(state["is_shared"])
        targets = {
            key.removeprefix("target."): float(value)
            for key, value in state.items()
            if key.startswith("target.")
        }
        self._targets = targets if self.steps >= self.timetable.prune_after else None

    def _counters(self) -> dict[str, Any]:
        """Return steps and targets as a state has them."""
        targets = {f"target.{name}": value for name, value in (self._targets or {}).items()}
        return {"steps": self.steps, "is_shared": int(self.is_shared), **targets}
