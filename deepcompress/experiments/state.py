"""The typed state that a run's phases hand on: parameters, masks, shared weights."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..nn.optim import State as OptimizerState
from ..nn.trainable import Free, Masked, Shared, Trainable
from ..tensors import BoolArray, Float32Array, SharedWeights


@dataclass(frozen=True)
class State:
    """The result of a phase, with which the next begins: arrays by the parameters' names."""

    params: dict[str, Float32Array]  # every parameter, dense; zero where a weight is pruned
    masks: dict[str, BoolArray] = field(default_factory=dict)  # survivors, once pruned or shared
    # Centroids that train stay in the order of their labels, which may cease to be ascending.
    shared: dict[str, SharedWeights] = field(default_factory=dict)
    optimizer: OptimizerState = field(default_factory=dict)  # between two pieces of training

    def mask(self, name: str) -> BoolArray:
        """Return the survivors of a tensor: all of it, unless it has been pruned."""
        return self.masks.get(name, np.ones(self.params[name].shape, np.bool_))

    def trainables(self) -> list[Trainable]:
        """Return the variables of each tensor: centroids, survivors, or all elements."""
        found: list[Trainable] = []
        for name, values in self.params.items():
            if name in self.shared:
                weights, positions = self.shared[name], np.flatnonzero(self.masks[name])
                found.append(Shared(name, weights.codebook, weights.labels, positions))
            elif name in self.masks:
                found.append(Masked(name, values, self.masks[name]))
            else:
                found.append(Free(name, values))
        return found

    def to_record(self) -> dict[str, Any]:
        """Return the state as a record of the journal."""
        return vars(self) | {"shared": {name: vars(one) for name, one in self.shared.items()}}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> "State":
        """Inverse of `to_record`."""
        shared = {name: SharedWeights(**one) for name, one in record["shared"].items()}
        return cls(**record | {"shared": shared})


def ascending(weights: SharedWeights) -> SharedWeights:
    """Return the same weights with an ascending codebook: centroids may pass each other."""
    centroids, labels = np.unique(weights.codebook[weights.labels], return_inverse=True)
    codebook = np.concatenate([np.zeros(1, np.float32), centroids])
    return SharedWeights(codebook, (labels + 1).astype(np.uint8), weights.bits)
