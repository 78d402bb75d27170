"""Masked retraining and centroid fine-tuning of parameters that are handed over as arrays.

The optimizers and variables are those of `nn`: a pruned weight is in no variable, a centroid is
one variable whose gradient is the sum of its members' (Han et al. 2016, section 3.3, eq. 3).
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from ..config import Config
from ..errors import ArgumentError
from ..model import CompressedModel
from ..nn.optim import SGD, Optimizer
from ..nn.trainable import Free, Masked, Shared, Trainable
from ..tensors import BoolArray
from .course import Course, Timetable
from .decisions import Array, Shares


class Parameters(Protocol):
    """What a framework has to offer: its parameters as arrays of float32 or float64, by name."""

    def arrays(self) -> Mapping[str, Array]:
        """Return the values; they aren't modified."""

    def gradients(self) -> Mapping[str, Array]:
        """Return the gradient of the loss for each of `arrays`, in its shape."""

    def put(self, arrays: Mapping[str, Array]) -> None:
        """Take new values for each of `arrays`; they may be modified later, so copy them."""


class Retraining(Course):
    """The course of compression for any framework, with an optimizer of `nn`.

    Parameters
    ----------
    parameters : Parameters
        Their values are read once; from then on the arrays here are the ones that train, and
        `put` hands them out after each step.
    config : Config, optional
        What is done with each tensor: as for `compress`. Rules of pruning are met along the
        timetable.
    timetable : Timetable, optional
        By default weights are pruned at once, and shared when `share` is called.
    optimizer : Optimizer, optional
        By default `SGD` with a momentum of 0.9.
    seed : int
        For the inits of centroids that draw.

    Raises
    ------
    ArgumentError
        If a parameter isn't an array of float32 or float64, there is none, or one isn't finite;
        ConfigError if `config` names one that isn't there.

    Examples
    --------
    A weight of 2 x 2 whose gradient is 1 for all; of its two survivors each has a centroid:

    >>> from deepcompress import Config
    >>> class Ones:
    ...     values = {"w": np.array([[1.0, 0.1], [0.2, -2.0]], np.float32)}
    ...     def arrays(self): return self.values
    ...     def gradients(self): return {"w": np.ones((2, 2), np.float32)}
    ...     def put(self, arrays): self.values = {"w": arrays["w"].copy()}
    >>> ones = Ones()
    >>> retraining = Retraining(ones, Config(by_name={"w": {"sparsity": 0.5, "bits": 2}}))
    >>> retraining.step(0.25)
    >>> ones.values["w"]
    array([[ 0.75,  0.  ],
           [ 0.  , -2.25]], dtype=float32)
    >>> retraining.share()
    >>> retraining.finalize()["w"].codebook
    array([ 0.  , -2.25,  0.75], dtype=float32)
    """

    def __init__(
        self,
        parameters: Parameters,
        config: Config | None = None,
        timetable: Timetable | None = None,
        *,
        optimizer: Optimizer | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__(config, timetable or Timetable(), seed)
        self._parameters = parameters
        self._values = {name: _checked(name, a) for name, a in parameters.arrays().items()}
        if not self._values:
            raise ArgumentError("there are no parameters to compress")
        self.config.check_names(self._values)
        self._optimizer = optimizer or SGD()
        self._trainables: dict[str, Trainable] = {
            name: Free(name, values) for name, values in self._values.items()
        }
        self._state = self._optimizer.init(list(self._trainables.values()))
        self._begin()
        self._parameters.put(self._values)

    def step(self, rate: float) -> None:
        """Take a step of the optimizer at a learning rate, with the gradients of now.

        Raises
        ------
        ArgumentError
            If `finalize` was called, or a gradient is missing, of another shape, or not finite,
            naming it; nothing has changed then.
        """
        self._require_open("step")
        grads = self._parameters.gradients()
        gathered = []
        for name, trainable in self._trainables.items():
            grad = np.asarray(grads[name]) if name in grads else None
            if grad is None or grad.shape != self._values[name].shape:
                what = "is missing" if grad is None else f"has shape {grad.shape}"
                raise ArgumentError(f"parameter {name!r}: its gradient {what}")
            if not np.isfinite(grad).all():
                raise ArgumentError(
                    f"parameter {name!r}: its gradient holds NaN or infinity in step "
                    f"{self.steps + 1}"
                )
            own = trainable.gather(grad.astype(self._values[name].dtype, copy=False))
            gathered.append(own.copy())  # as the optimizer overwrites it
        trainables = list(self._trainables.values())
        self._optimizer.update(trainables, gathered, self._state, rate)
        for trainable in trainables:
            trainable.scatter(self._values)
        self._advance()
        self._parameters.put(self._values)

    def share(self) -> None:
        """As `Course.share`; the new values are handed out."""
        super().share()
        self._parameters.put(self._values)

    def finalize(self, metadata: Mapping[str, Any] | None = None) -> CompressedModel:
        """Return the packed model; its decoded weights are handed out as the last values.

        Raises
        ------
        ArgumentError
            If it was called before, pruning isn't finished, or as `compress`.
        """
        model = self._finish(metadata)
        self._values = {
            name: tensor.astype(self._values[name].dtype)
            for name, tensor in model.to_dense().items()
        }
        self._parameters.put(self._values)
        return model

    def state_dict(self) -> dict[str, Array]:
        """Return what a checkpoint needs beside the parameters, as arrays for `numpy.savez`.

        With the parameters' own values, `load_state_dict` goes on from it with the same numbers.
        """
        state = {key: np.asarray(value) for key, value in self._counters().items()}
        for name, one in self._trainables.items():
            if isinstance(one, Masked):
                state[f"mask.{name}"] = self._full(one, np.ones(one.value.size, np.bool_))
            elif isinstance(one, Shared):
                labels = self._full(one, (one.members + 1).astype(np.uint8))
                state[f"labels.{name}"] = labels
        return state | {f"optimizer/{name}": array.copy() for name, array in self._state.items()}

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Go on where another `Retraining` was, of the same configuration.

        The parameters must have the values again that they had then: they are read anew.

        Raises
        ------
        ArgumentError
            If it is the state of another model or optimizer.
        """
        values = {name: _checked(name, a) for name, a in self._parameters.arrays().items()}
        decided = {key: value for key, value in state.items() if "optimizer/" not in key}
        trainables = {name: _restored(name, values[name], decided) for name in values}
        fresh = self._optimizer.init(list(trainables.values()))
        slots = {
            key.removeprefix("optimizer/"): np.array(value)
            for key, value in state.items()
            if key.startswith("optimizer/")
        }
        if {k: a.shape for k, a in fresh.items()} != {k: a.shape for k, a in slots.items()}:
            raise ArgumentError("state of another model, or of another optimizer")
        self._restored(decided, {name: a.shape for name, a in values.items()})
        self._values, self._trainables, self._state = values, trainables, slots
        for one in trainables.values():
            one.scatter(values)

    def _arrays(self) -> Mapping[str, Array]:
        return self._values

    def _tensors(self) -> Mapping[str, Array]:
        return self._values

    def _mask(self, name: str) -> BoolArray | None:
        one = self._trainables[name]
        if not isinstance(one, Masked):
            return None
        return self._full(one, np.ones(one.value.size, np.bool_))

    def _full(self, one: Masked | Shared, values: Array) -> Array:
        """Return values of the survivors in the tensor's shape, 0 elsewhere."""
        full = np.zeros(self._values[one.name].shape, values.dtype)
        full.reshape(-1)[one.positions] = values
        return full

    def _prune(self, masks: Mapping[str, BoolArray]) -> None:
        """Replace the variables; what the optimizer knows of the survivors is kept."""
        for name, mask in masks.items():
            values, before = self._values[name], self._trainables[name]
            values[~mask] = 0
            self._trainables[name] = after = Masked(name, values, mask)
            for slot in self._optimizer.slots:
                held = self._state[f"{name}.{slot}"]
                full = self._full(before, held) if isinstance(before, Masked) else held
                self._state[f"{name}.{slot}"] = full.reshape(-1)[after.positions]

    def _share(self, shares: Mapping[str, Shares]) -> None:
        """Replace the variables; a centroid begins without momentum."""
        for name, found in shares.items():
            self._trainables[name] = shared = _shared(name, found, self._values[name])
            self._values[name][...] = 0
            shared.scatter(self._values)
        self._state = self._optimizer.init(list(self._trainables.values()))


def _shared(name: str, found: Shares, values: Array) -> Shared:
    labels = found.labels.reshape(-1)
    positions = np.flatnonzero(labels)
    return Shared(name, found.codebook.astype(values.dtype), labels[positions], positions)


def _restored(name: str, values: Array, state: Mapping[str, Array]) -> Trainable:
    """Return the variable that a state has of a tensor; its centroids are the tensor's values."""
    mask, labels = state.get(f"mask.{name}"), state.get(f"labels.{name}")
    if any(np.shape(a) != values.shape for a in (mask, labels) if a is not None):
        raise ArgumentError(f"state of another model: parameter {name!r} has another shape")
    if mask is not None:
        return Masked(name, np.where(mask, values, 0).astype(values.dtype), np.asarray(mask))
    if labels is None:
        return Free(name, values)
    codebook = np.zeros(int(np.max(labels, initial=0)) + 1, values.dtype)
    codebook[labels] = values  # one value for each label
    codebook[0] = 0
    values[labels == 0] = 0
    return _shared(name, Shares(np.asarray(labels), codebook), values)


def _checked(name: str, array: Any) -> Array:
    """Return a copy of a parameter, or raise."""
    values = np.array(array)
    if values.dtype not in (np.float32, np.float64):
        raise ArgumentError(f"parameter {name!r}: {values.dtype}, expected float32 or float64")
    if not np.isfinite(values).all():
        raise ArgumentError(f"parameter {name!r} holds NaN or infinity")
    return values
