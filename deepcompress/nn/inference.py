"""Runs a network for its outputs alone, in little memory.

The convolutional part goes piece by piece, a few images whose activations fit a processor's
caches. The fully connected part, if there is one, takes a whole batch, so that each of its
weights is read once for all images. A ReLU right behind a layer with weights is done with it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .conv import Conv2D
from .layers import Array, Linear, Params, ReLU
from .parallel import Crew, Run, serially, single_threaded_blas
from .wiring import INPUT, Step

if TYPE_CHECKING:
    from .network import Network

PIECE_BYTES = 1 << 21  # of the largest output in a piece: a second cache, or a share of a third


@dataclass(frozen=True)
class Stage:
    """A step, with the ReLU behind it or without.

    Attributes
    ----------
    step : Step
    relu : bool
    name : str
        Of the output: the layer's, or that of the ReLU.
    """

    step: Step
    relu: bool
    name: str


class Inference:
    """What to do in which order for a network's outputs.

    Parameters
    ----------
    network : Network
    threads : callable
        Gives the number of threads that a run may take; it doesn't change the outputs.
    program : callable, optional
        Given stages, the input and the name of whose output it is, computes what `evaluate`
        does, up to rounding, or returns None.
    """

    def __init__(
        self,
        network: "Network",
        threads: Callable[[], int] = lambda: 1,
        program: Callable[[Sequence["Stage"], Array, str], Array | None] = lambda *_: None,
    ) -> None:
        self._network, self._threads, self._crew = network, threads, Crew()
        self._program = program
        self._stages = network.stages
        self._split = _split(self._stages)
        widest = max(map(math.prod, network.shapes.values()))
        self._piece = max(1, PIECE_BYTES // (4 * widest))

    def run(self, params: Params, x: Array) -> Array:
        """Return the outputs (B, ...) of inputs (B, ...); see `Network.infer`."""
        # What is one piece anyway goes through the whole network at once.
        split = self._split if len(x) > self._piece else len(self._stages)
        head, tail = self._stages[:split], self._stages[split:]
        y = self._in_pieces(head, params, x) if head else self._network.columns(x)
        if tail:
            y = self.evaluate(tail, params, y, head[-1].name if head else INPUT)
        return np.ascontiguousarray(np.moveaxis(y, -1, 0))

    def evaluate(
        self, stages: Sequence["Stage"], params: Params, x: Array, source: str = INPUT
    ) -> Array:
        """Return the output (..., B) of stages that all depend on `x`, the output of `source`."""
        y = self._program(stages, x, source)
        if y is not None:
            return y
        # What overflows is infinite, and shows in the outputs.
        with single_threaded_blas(), np.errstate(over="ignore", invalid="ignore"):
            return evaluate(stages, params, x, self._crew.of(self._threads()), source)

    def _in_pieces(self, stages: Sequence["Stage"], params: Params, x: Array) -> Array:
        pieces = [x[start : start + self._piece] for start in range(0, len(x), self._piece)]
        outputs = [self.evaluate(stages, params, self._network.columns(one)) for one in pieces]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=-1)


def fused(steps: Sequence[Step]) -> tuple[Stage, ...]:
    """Join each ReLU to the layer with weights before it, if nobody else takes its output."""
    stages: list[Stage] = []
    for step in steps:
        before = stages[-1] if stages else None
        if (
            before is not None
            and isinstance(step.layer, ReLU)
            and step.sources == step.done == (before.name,)
            and isinstance(before.step.layer, (Conv2D, Linear))
        ):
            stages[-1] = Stage(before.step, True, step.layer.name)
        else:
            stages.append(Stage(step, False, step.layer.name))
    return tuple(stages)


def _split(stages: Sequence[Stage]) -> int:
    """Return where the fully connected part begins: all of it depends on one output alone."""
    for index, stage in enumerate(stages):
        if isinstance(stage.step.layer, Linear):
            own = {later.name for later in stages[index:]}
            taken = {name for later in stages[index:] for name in later.step.sources}
            return index if taken - own == {stages[index - 1].name if index else INPUT} else 0
    return len(stages)


def evaluate(
    stages: Sequence[Stage], params: Params, x: Array, run: Run = serially, source: str = INPUT
) -> Array:
    """Return the output (..., B) of stages that all depend on `x`, the output of `source`.

    What no later stage takes is freed, and layers may work in its place. So beside the weights
    and `x`, memory holds little more than what the widest step takes and gives.
    """
    values = {source: x}
    for stage in stages:
        step = stage.step
        taken = step.of(values)
        kept = [value for name, value in values.items() if name not in step.done]
        for name in step.done:
            del values[name]
        # Of what is kept, some may be a view of the same memory.
        overwrite = bool(step.done) and not step.layer.several and taken is not x
        overwrite = overwrite and not any(np.may_share_memory(taken, one) for one in (x, *kept))
        values[stage.name] = _output(stage, params, taken, overwrite, run)
        del taken, kept
    return values[stages[-1].name] if stages else x


def _output(stage: Stage, params: Params, x: Any, overwrite: bool, run: Run) -> Array:
    layer = stage.step.layer
    if isinstance(layer, Conv2D):
        return layer.infer(params, x, run=run, relu=stage.relu)
    y = layer.infer(params, x, overwrite, run)
    return np.maximum(y, 0, out=y) if stage.relu else y
