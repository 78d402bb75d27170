"""Inputs in batches, and their values on their way through a network."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..nn.layers import Array
from ..nn.network import Network
from ..nn.parallel import Run
from ..nn.wiring import INPUT

BATCH_ELEMENTS = 1 << 23  # of the largest activation, in a batch
MOST_BATCH = 1000  # inputs


class Frontier:
    """The values of a network's batches just before one of its steps."""

    def __init__(self, network: Network, batches: Sequence[Array]) -> None:
        self.network, self.place = network, 0
        self.values: list[dict[str, Array]] = [{INPUT: batch} for batch in batches]

    def taken(self, batch: int) -> Any:
        """Return what the next step takes of a batch."""
        return self.network.steps[self.place].of(self.values[batch])

    def advance(self, place: int, params: Mapping[str, Any], run: Run) -> None:
        """Compute the steps from here to another place."""
        steps = self.network.steps[self.place : place]

        def one(values: dict[str, Array]) -> None:
            for step in steps:
                with np.errstate(all="ignore"):
                    y = step.layer.forward(params, step.of(values))[0]
                for name in step.done:
                    del values[name]
                values[step.layer.name] = y

        run(one, self.values)
        self.place = place

    def outputs(self, params: Mapping[str, Any], run: Run, batches: Sequence[int]) -> Array:
        """Return the network's outputs (classes, n) of some batches; the frontier stays."""
        copy = Frontier(self.network, ())
        copy.place, copy.values = self.place, [dict(self.values[batch]) for batch in batches]
        copy.advance(len(self.network.steps), params, run)
        last = self.network.layers[-1].name
        return np.concatenate([values[last] for values in copy.values], axis=-1)


def batch_size(network: Network, count: int) -> int:
    """Return how many of so many inputs go through the network at once."""
    largest = max(math.prod(shape) for shape in network.shapes.values())
    return max(1, min(BATCH_ELEMENTS // largest, MOST_BATCH, -(-count // 4)))


def multiplications(network: Network) -> int:
    """Return about how many products a pass forward takes for one input."""
    return sum(
        math.prod(shape) * math.prod(network.shapes[step.layer.name][1:])
        for step in network.steps
        for shape in step.layer.param_shapes().values()
    )


def spread(count: int, wanted: int) -> list[int]:
    """Return so many of the first whole numbers, or all, spread evenly."""
    wanted = min(wanted, count)
    return [(2 * i + 1) * count // (2 * wanted) for i in range(wanted)]
