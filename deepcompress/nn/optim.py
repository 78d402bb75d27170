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

from ..errors import ArgumentError
from .layers import Array
from .trainable import Trainable

Schedule = Callable[[float], float]  # epochs done, with fraction -> learning rate
State = dict[str, Array]

_BLOCK = 65536  # elements at a time, so that all operands of an update stay in the cache


@dataclass(frozen=True)
class Optimizer(ABC):
    """Base of all optimizers."""

    slots: ClassVar[tuple[str, ...]]  # names of the vectors that the state has for each trainable
    l2: float = 0.0  # weight decay: ``l2 * w`` joins the gradient of each weight, not of biases

    @abstractmethod
    def _step(
        self, value: Array, grad: Array, slots: Sequence[Array], rate: float, count: int
    ) -> None:
        """Update `value` and `slots` in place; `grad` may be overwritten."""

    def init(self, trainables: Sequence[Trainable]) -> State:
        """Return the state before the first step: the step count, and zeros for each slot."""
        state: State = {"step": np.zeros((), np.int64)}
        for trainable in trainables:
            for slot in self.slots:
                state[f"{trainable.name}.{slot}"] = np.zeros_like(trainable.value)
        return state

    def update(
        self, trainables: Sequence[Trainable], grads: Sequence[Array], state: State, rate: float
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
        """
        state["step"] += 1
        count = int(state["step"])
        for trainable, grad in zip(trainables, grads, strict=True):
            value = trainable.value
            decay = trainable.decay
            slots = [state[f"{trainable.name}.{slot}"] for slot in self.slots]
            if self.l2 and isinstance(decay, np.ndarray):
                grad += self.l2 * decay * value
            for start in range(0, value.size, _BLOCK):
                block = slice(start, start + _BLOCK)
                if self.l2 and isinstance(decay, float) and decay:
                    grad[block] += (self.l2 * decay) * value[block]
                self._step(value[block], grad[block], [slot[block] for slot in slots], rate, count)


@dataclass(frozen=True)
class SGD(Optimizer):
    """Gradient descent with momentum: ``v = momentum * v + g; w -= rate * v``."""

    slots = ("velocity",)
    momentum: float = 0.9

    def _step(
        self, value: Array, grad: Array, slots: Sequence[Array], rate: float, count: int
    ) -> None:
        (velocity,) = slots
        velocity *= self.momentum
        velocity += grad
        value -= np.multiply(velocity, rate, out=grad)


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, algorithm 1), with L2 in the gradient as in PyTorch's `Adam`."""

    slots = ("mean", "square")
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    def _step(
        self, value: Array, grad: Array, slots: Sequence[Array], rate: float, count: int
    ) -> None:
        """Move a value against its gradient's mean, over the root of that of its squares."""
        mean, square = slots
        mean *= self.beta1
        mean += (1 - self.beta1) * grad
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
