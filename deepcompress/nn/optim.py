"""Optimizers as plain update rules, and learning-rate schedules.

An optimizer holds hyperparameters only. Its state is a dict of arrays (``init`` makes it), which
`update` changes in place, so that it can be saved and restored with `numpy.savez`.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import native
from ..errors import ArgumentError
from ..native import nn as kernels
from .layers import Array
from .parallel import Run, serially
from .trainable import Trainable

Schedule = Callable[[float], float]  # epochs done, with fraction -> learning rate
State = dict[str, Array]

_BLOCK = 32768  # elements at a time, so that all operands of an update stay in the cache


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base of all optimizers."""

    slots: ClassVar[tuple[str, ...]]  # names of the vectors that the state has for each trainable
    l2: float = 0.0  # weight decay: ``l2 * w`` joins the gradient of each weight, not of biases

    @abstractmethod
    def _step(
        self,
        value: Array,
        grad: Array,
        slots: Sequence[Array],
        rate: float,
        count: int,
        scratch: Array,
    ) -> None:
        """Update `value` and `slots` in place; `grad` and `scratch` may be overwritten."""

    @abstractmethod
    def _native_step(
        self,
        value: Array,
        grad: Array,
        slots: Sequence[Array],
        rate: float,
        count: int,
        decay: float,
        threads: int,
    ) -> None:
        """Do in C what `_step` does, after ``decay * value`` has joined the gradient."""

    def init(self, trainables: Sequence[Trainable]) -> State:
        """Return the state before the first step: the step count, and zeros for each slot."""
        state: State = {"step": np.zeros((), np.int64)}
        for trainable in trainables:
            for slot in self.slots:
                state[f"{trainable.name}.{slot}"] = np.zeros_like(trainable.value)
        return state

    def update(
        self,
        trainables: Sequence[Trainable],
        grads: Sequence[Array],
        state: State,
        rate: float,
        run: Run = serially,
        threads: int = 1,
    ) -> None:
        """Take one step, in place.

        Parameters
        ----------
        trainables : sequence of Trainable
        grads : sequence of ndarray
            Gradient of each trainable's value; overwritten.
        state : dict
            From `init`.
        rate : float
            Learning rate of this step.
        run : callable, optional
            Shares what NumPy does between threads, as `parallel.workers` yields it; has no
            influence on the result.
        threads : int
            For what C does; likewise.
        """
        state["step"] += 1
        count = int(state["step"])
        is_native = native.active() and type(rate) is float
        left: list[int] = []
        for index, (one, grad) in enumerate(zip(trainables, grads, strict=True)):
            slots = [state[f"{one.name}.{slot}"] for slot in self.slots]
            if is_native and _is_for_c(one, grad, *slots):
                decay = self.l2 * float(one.decay)
                self._native_step(one.value, grad, slots, rate, count, decay, threads)
            else:
                left.append(index)
        if left:
            self._update(
                [trainables[index] for index in left],
                [grads[index] for index in left],
                *(state, rate, count, run),
            )

    def _update(
        self,
        trainables: Sequence[Trainable],
        grads: Sequence[Array],
        state: State,
        rate: float,
        count: int,
        run: Run,
    ) -> None:
        """Take one step by NumPy, block by block."""
        blocks: list[tuple[int, slice]] = []
        for index, trainable in enumerate(trainables):
            size = trainable.value.size
            blocks += [(index, slice(at, at + _BLOCK)) for at in range(0, size, _BLOCK)]

        def advance(some: Sequence[tuple[int, slice]]) -> None:
            spare = np.empty(0)
            with np.errstate(all="ignore"):  # of this thread; what isn't finite `fit` finds
                for index, block in some:
                    one = trainables[index]
                    value, grad = one.value[block], grads[index][block]
                    slots = [state[f"{one.name}.{slot}"][block] for slot in self.slots]
                    if spare.size < value.size or spare.dtype != value.dtype:
                        spare = np.empty_like(value)
                    scratch = spare[: value.size]
                    if self.l2 and isinstance(one.decay, np.ndarray):
                        grad += self.l2 * one.decay[block] * value
                    elif self.l2 and one.decay:
                        grad += np.multiply(value, self.l2 * one.decay, out=scratch)
                    self._step(value, grad, slots, rate, count, scratch)

        is_large = len(blocks) > len(trainables)  # else to wake a thread takes longer
        (run if is_large else serially)(advance, [blocks[::2], blocks[1::2]])


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with momentum: ``v = momentum * v + g; w -= rate * v``."""

    slots = ("velocity",)
    momentum: float = 0.9

    def _step(
        self,
        value: Array,
        grad: Array,
        slots: Sequence[Array],
        rate: float,
        count: int,
        scratch: Array,
    ) -> None:
        (velocity,) = slots
        velocity *= self.momentum
        velocity += grad
        value -= np.multiply(velocity, rate, out=grad)

    def _native_step(
        self,
        value: Array,
        grad: Array,
        slots: Sequence[Array],
        rate: float,
        count: int,
        decay: float,
        threads: int,
    ) -> None:
        (velocity,) = slots
        kernels.step_sgd(value, grad, velocity, decay, self.momentum, rate, threads)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), with L2 in the gradient as in PyTorch's `Adam`."""

    slots = ("mean", "square")
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def _step(
        self,
        value: Array,
        grad: Array,
        slots: Sequence[Array],
        rate: float,
        count: int,
        scratch: Array,
    ) -> None:
        """Move a value against its gradient's mean, over the root of that of its squares."""
        mean, square = slots
        mean *= self.beta1
        mean += np.multiply(grad, 1 - self.beta1, out=scratch)
        square *= self.beta2
        grad *= grad
        grad *= 1 - self.beta2
        square += grad
        # With c1, c2 the bias corrections: rate/c1 * mean / (sqrt(square/c2) + epsilon).
        root = np.sqrt(square, out=grad)
        root /= math.sqrt(1 - self.beta2**count)
        root += self.epsilon
        np.divide(mean, root, out=root)
        root *= rate / (1 - self.beta1**count)
        value -= root

    def _native_step(
        self,
        value: Array,
        grad: Array,
        slots: Sequence[Array],
        rate: float,
        count: int,
        decay: float,
        threads: int,
    ) -> None:
        root_scale = math.sqrt(1 - self.beta2**count)
        numbers = [self.beta1, 1 - self.beta1, self.beta2, 1 - self.beta2, root_scale]
        numbers += [self.epsilon, rate / (1 - self.beta1**count)]
        mean, square = slots
        kernels.step_adam(value, grad, mean, square, decay, numbers, threads)


def _is_for_c(trainable: Trainable, *others: Array) -> bool:
    """Tell whether C takes arrays as they are: numbers of single precision, one after the other."""
    shape = trainable.value.shape
    return not isinstance(trainable.decay, np.ndarray) and all(
        one.dtype == np.float32 and one.shape == shape and one.flags.c_contiguous
        for one in (trainable.value, *others)
    )


def constant(rate: float) -> Schedule:
    """Return a schedule that stays at `rate`."""
    return lambda epoch: rate


def step(rate: float, every: float, factor: float = 0.1) -> Schedule:
    """Return a schedule that multiplies the rate by `factor` each `every` epochs."""
    if every <= 0:
        raise ArgumentError(f"every {every} is not positive")
    return lambda epoch: rate * factor ** math.floor(epoch / every)


def cosine(rate: float, epochs: float, final: float = 0.0) -> Schedule:
    """Return a schedule that falls from `rate` to `final` over `epochs` along half a cosine."""
    if epochs <= 0:
        raise ArgumentError(f"epochs {epochs} is not positive")

    def schedule(epoch: float) -> float:
        progress = min(epoch / epochs, 1.0)
        return final + (rate - final) * (1 + math.cos(math.pi * progress)) / 2

    return schedule
