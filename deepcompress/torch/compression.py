"""The course of a module's compression, within the loop that trains it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from .. import dtypes
from ..config import Config
from ..errors import ArgumentError
from ..model import CompressedModel
from ..tensors import BoolArray
from ..training.course import Course, Timetable
from ..training.decisions import Shares
from .extra import torch
from .labels import by_label, sums_of
from .modules import TIED, entries_of, parameters_of, state_dict, tied_names


def prepare(
    module: torch.nn.Module,
    config: Config | None = None,
    *,
    prune_after: int = 0,
    ramp_steps: int = 0,
    prune_every: int = 100,
    share_after: int | None = None,
    seed: int = 0,
) -> "Compression":
    """Begin to compress a module that trains.

    Parameters
    ----------
    module : torch.nn.Module
        On any device, with real parameters of any precision. Where modules are tied, their
        parameter has the first of its names.
    config : Config, optional
        What is done with each parameter: as for `compress`. Buffers are kept exactly.
    prune_after, ramp_steps, prune_every, share_after : int
        When weights are pruned and shared, counted in calls of `step` (see `Timetable`). By
        default they are pruned now, and shared when `share` or `finalize` is called.
    seed : int
        For the inits of centroids that draw.

    Returns
    -------
    Compression

    Raises
    ------
    ArgumentError
        If the module has no parameters, lazy ones, some that overlap in memory without being
        tied, or weights to be pruned that aren't finite; or if the steps contradict each other.
        ConfigError if `config` names a tensor that isn't there.
    """
    timetable = Timetable(prune_after, ramp_steps, prune_every, share_after)
    return Compression(module, config, timetable, seed)


class Compression(Course):
    """The course of a module's compression; `prepare` begins it and explains the parameters.

    Attributes
    ----------
    module : torch.nn.Module
    """

    def __init__(
        self, module: torch.nn.Module, config: Config | None, timetable: Timetable, seed: int = 0
    ) -> None:
        super().__init__(config, timetable, seed)
        self.module = module
        self._parameters = parameters_of(module)
        self._tied = dict(tied_names(module))
        self._check_config()
        self._take_over()
        # By name: False where a weight is pruned, or the label of each weight, 0 if pruned.
        self._masks: dict[str, torch.Tensor] = {}
        self._labels: dict[str, torch.Tensor] = {}
        self._hooks: dict[str, Any] = {}
        self._begin()

    @torch.no_grad()
    def step(self) -> None:
        """Put masks and centroids back in force, after ``optimizer.step()``; count the step.

        Weights that share a label get their mean, in case the optimizer has moved them apart.

        Raises
        ------
        ArgumentError
            If `finalize` was called; if a parameter was added, removed or replaced since
            `prepare`; or if one holds NaN or infinity: it has been left as it was.
        """
        self._require_open("step")
        self._check_same()
        self._check_finite()
        self._enforce()
        self._advance()

    @torch.no_grad()
    def share(self) -> None:
        """As `Course.share`; the momentum that an optimizer has stays as it is."""
        self._check_same()
        super().share()

    @torch.no_grad()
    def finalize(self, metadata: Mapping[str, Any] | None = None) -> CompressedModel:
        """Return the packed model; the module is plain from then on, with its decoded weights.

        Parameters
        ----------
        metadata : mapping, optional
            To be stored; ``"tied"`` is added where parameters have several names.

        Raises
        ------
        ArgumentError
            If it was called before, pruning isn't finished, or as `step` and `compress`.
        """
        self._require_open("finalize")
        self._check_same()
        self._check_finite()
        self._enforce()
        about = dict(metadata or {}) | ({TIED: self._tied} if self._tied else {})
        model = self._finish(about)
        decoded, own = state_dict(model), self.module.state_dict(keep_vars=True)
        for name in model:
            own[name].copy_(decoded[name])
        self._release(self._end)
        return model

    def strip(self) -> torch.nn.Module:
        """Return the plain module, after `finalize` if that wasn't called yet."""
        if not self.is_finished:
            self.finalize()
        return self.module

    def state_dict(self) -> dict[str, torch.Tensor]:
        """Return what a checkpoint needs beside the module and the optimizer: plain tensors."""
        masks = {f"mask.{name}": mask.clone() for name, mask in self._masks.items()}
        labels = {f"labels.{name}": one.clone() for name, one in self._labels.items()}
        counters = {
            key: torch.tensor(value, dtype=torch.float64 if "." in key else torch.int64)
            for key, value in self._counters().items()
        }
        return counters | masks | labels

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on where another `Compression` of the same module and configuration was.

        The module's own state is loaded before or after; masks and centroids are in force from
        now on, and again after the next `step`.

        Raises
        ------
        ArgumentError
            If it is the state of another model.
        """
        if not isinstance(state, Mapping):
            raise ArgumentError("state: not what state_dict returned")
        shapes = {name: tuple(one.shape) for name, one in self._parameters.items()}
        self._restored(state, shapes)
        self._masks = entries_of(state, "mask.", self._parameters)
        self._labels = entries_of(state, "labels.", self._parameters)
        for name in (*self._masks, *self._labels):
            self._hook(name)
        self._enforce()

    @property
    def sparsity(self) -> dict[str, float]:
        """Fraction of zeros by decision, of each parameter that is pruned or shared."""
        held = self._masks | self._labels
        return {name: 1 - int(torch.count_nonzero(one)) / one.numel() for name, one in held.items()}

    def _arrays(self) -> Mapping[str, npt.NDArray[Any]]:
        """Return the parameters; those that NumPy lacks as float32, with the same values."""
        return {
            name: (
                one.float() if str(one.dtype).removeprefix("torch.") in dtypes.NUMPY_LACKS else one
            )
            .cpu()
            .numpy()
            for name, one in ((name, one.detach()) for name, one in self._parameters.items())
        }

    def _tensors(self) -> Mapping[str, torch.Tensor]:
        return {n: t for n, t in self.module.state_dict().items() if n not in self._tied}

    def _mask(self, name: str) -> BoolArray | None:
        mask = self._masks.get(name)
        return None if mask is None else mask.cpu().numpy()

    def _prune(self, masks: Mapping[str, BoolArray]) -> None:
        for name, mask in masks.items():
            self._masks[name] = torch.from_numpy(mask).to(self._parameters[name].device)
            self._hook(name)
        self._enforce()

    def _share(self, shares: Mapping[str, Shares]) -> None:
        """Hold labels in place of the masks, which they include."""
        for name, found in shares.items():
            one = self._parameters[name]
            self._masks.pop(name, None)
            self._labels[name] = labels = torch.from_numpy(found.labels).to(one.device)
            codebook = torch.from_numpy(found.codebook).to(one.device)
            one.detach().copy_(by_label(codebook, labels))
            self._hook(name)

    def _hook(self, name: str) -> None:
        """Have a parameter's gradients changed on their way, once it has any."""
        one: Any = self._parameters[name]
        if name not in self._hooks and one.requires_grad:
            self._hooks[name] = one.register_hook(_Hook(self, name))

    def _take_over(self) -> None:
        """End an earlier course of these parameters, whose hooks would act beside those of now."""
        for one in self._parameters.values():
            for hook in list((one._backward_hooks or {}).values()):
                if isinstance(hook, _Hook):
                    hook.course._release("the module was prepared anew")

    def _release(self, why: str) -> None:
        self._end = why
        for hook in self._hooks.values():
            hook.remove()

    def _changed(self, name: str, grad: torch.Tensor) -> torch.Tensor:
        """Return a gradient with sums for each label, and without what is pruned."""
        dense = grad.to_dense() if grad.layout != torch.strided else grad
        if (labels := self._here(self._labels, name)) is not None:
            return by_label(sums_of(dense, labels), labels).to(dense.dtype)
        mask = self._here(self._masks, name)
        return grad if mask is None else dense.masked_fill(~mask, 0)

    def _here(self, held: dict[str, torch.Tensor], name: str) -> torch.Tensor | None:
        """Return a mask or labels on the device where the parameter is now."""
        if (found := held.get(name)) is not None:
            held[name] = found = found.to(self._parameters[name].device)
        return found

    def _enforce(self) -> None:
        """Set pruned weights to zero and shared ones to the mean of their label."""
        for name, one in self._parameters.items():
            values = one.detach()
            if (labels := self._here(self._labels, name)) is not None:
                ones = torch.ones_like(values, dtype=torch.float32)
                means = sums_of(values, labels) / sums_of(ones, labels).clamp(min=1)
                values.copy_(by_label(means, labels))
            elif (mask := self._here(self._masks, name)) is not None:
                values.masked_fill_(~mask, 0)
            if one.requires_grad and (name in self._masks or name in self._labels):
                self._hook(name)

    def _check_same(self) -> None:
        """Raise unless the module has the parameters that it had."""
        now = dict(self.module.named_parameters())
        for name, one in now.items():
            if name not in self._parameters:
                raise ArgumentError(f"parameter {name!r} was added since prepare; prepare again")
            if one is not self._parameters[name] or one.shape != self._parameters[name].shape:
                raise ArgumentError(
                    f"parameter {name!r} was replaced since prepare: change it in place, "
                    "or prepare again"
                )
        if gone := next((name for name in self._parameters if name not in now), None):
            raise ArgumentError(f"parameter {gone!r} was removed since prepare; prepare again")

    def _check_finite(self) -> None:
        """Raise if a weight that is left isn't finite; a device is waited for once."""
        wrong = {}
        for name, one in self._parameters.items():
            held = self._here(self._labels, name)
            held = self._here(self._masks, name) if held is None else held
            values = one.detach()
            if values.is_floating_point():
                values = values if held is None else values.masked_fill(held == 0, 0)
                wrong[name] = ~torch.isfinite(values).all().cpu()
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ArgumentError(
                    f"parameter {name!r} holds NaN or infinity after step {self.steps + 1}: lower "
                    "the learning rate, or skip steps whose gradients aren't finite"
                )

    def _check_config(self) -> None:
        names = [name for name in self.module.state_dict() if name not in self._tied]
        for name in self.config.by_name:
            if name in self._tied:
                raise ArgumentError(
                    f"by_name has {name!r}, which is tied to {self._tied[name]!r}: name that"
                )
        self.config.check_names(names)

    def _packing(self) -> Config:
        """Return the configuration, with buffers kept unless it names them."""
        buffers = {name: {"method": "raw"} for name in self._tensors()} | dict(self.config.by_name)
        for name in self._parameters:
            if name not in self.config.by_name:
                buffers.pop(name, None)
        return replace(self.config, by_name=buffers)


@dataclass(frozen=True)
class _Hook:
    """What autograd calls with the gradient of a parameter."""

    course: Compression
    name: str

    def __call__(self, grad: torch.Tensor) -> torch.Tensor:
        return self.course._changed(self.name, grad)
