"""Runs a network on batches of any size, in little memory.

The convolutional part goes piece by piece, a few images whose activations fit a processor's
caches. The fully connected part, if there is one, takes a whole batch, so that each of its
weights is read once for all images. Either is a program in C where there is one (see `program`).
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..nn.layers import Array, Linear, Params
from ..nn.network import Network
from ..nn.parallel import single_threaded_blas
from ..nn.wiring import INPUT, Stage, evaluate

PIECE_BYTES = 1 << 21  # largest output in a piece: a second cache, or a share of a third


class Inference:
    """The order of work for a network's outputs.

    Parameters
    ----------
    network : Network
    program : callable
        Given stages, the input and the name of its source, computes the result of `evaluate`,
        up to rounding, or returns None.
    """

    def __init__(
        self, network: Network, program: Callable[[Sequence[Stage], Array, str], Array | None]
    ) -> None:
        self._network, self._program = network, program
        self._stages = network.stages
        self._split = _split(self._stages)
        widest = max(map(math.prod, network.shapes.values()))
        self._piece = max(1, PIECE_BYTES // (4 * widest))

    def run(self, params: Params, x: Array) -> Array:
        """Return the outputs (B, ...) of inputs (B, ...); see `Network.infer`."""
        if len(x) <= self._piece and self._stages:  # the whole network at once
            y = self.evaluate(self._stages, params, self._network.columns(x))
        else:
            head, tail = self._stages[: self._split], self._stages[self._split :]
            y = self._in_pieces(head, params, x) if head else self._network.columns(x)
            if tail:
                y = self.evaluate(tail, params, y, head[-1].name if head else INPUT)
        return np.ascontiguousarray(y.transpose(y.ndim - 1, *range(y.ndim - 1)))

    def evaluate(
        self, stages: Sequence[Stage], params: Params, x: Array, source: str = INPUT
    ) -> Array:
        """Return the output (..., B) of stages that all depend on `x`, the output of `source`."""
        y = self._program(stages, x, source)
        if y is not None:
            return y
        # A number that overflows is infinite, and shows in the outputs.
        with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
            return evaluate(stages, params, x, source)

    def _in_pieces(self, stages: Sequence[Stage], params: Params, x: Array) -> Array:
        """Return the output of the first stages for inputs (B, ...), taken a few at a time."""
        pieces = [x[start : start + self._piece] for start in range(0, len(x), self._piece)]
        outputs = [self.evaluate(stages, params, self._network.columns(one)) for one in pieces]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)


def _split(stages: Sequence[Stage]) -> int:
    """Return where the fully connected part begins: all of it depends on one output alone."""
    for index, stage in enumerate(stages):
        if isinstance(stage.step.layer, Linear):
            own = {later.name for later in stages[index:]}
            taken = {name for later in stages[index:] for name in later.step.sources}
            return index if taken - own == {stages[index - 1].name if index else INPUT} else 0
    return len(stages)
