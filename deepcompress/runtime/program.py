"""A part of a network as one program for C, without Python between its layers.

A program is made for stages and the shape of their input. Its operations write to one stretch of
memory, whose slots are reused once their values are dead, and which is kept for the next run: fresh
memory would cost more time than many a layer. Values that are concatenated are written where they
belong, one behind the other.

`nn.wiring.evaluate` is the definition. It also runs wherever there is no program: without the C
kernels, with a layer or a weight that they lack, or with numbers that aren't finite. Results differ
from its by rounding, and not with the number of threads.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from .. import native
from ..locks import ForkSafeLock
from ..native import program as native_program
from ..nn.layers import Array, Concat, Dropout, Flatten
from ..nn.rearranging import Reshape
from ..nn.wiring import Stage
from ..packed.tensor import CompressedTensor
from ..spmv import winograd
from ..structs import Name, Operation, Program
from ..tensors import Float32Array
from . import arena
from .operations import Task, copy
from .operations import operations as made_of

SAME = Dropout, Flatten, Reshape  # layers that change no number and no place
NONE: Mapping[Name, Float32Array] = MappingProxyType({})
KEPT_SHAPES = 8  # of inputs, whose programs are kept: pieces and a batch, whole and the rest


class Programs:
    """Runs stages as programs, which are made when first needed.

    Parameters
    ----------
    params : mapping of str to CompressedTensor or ndarray
        By name. What isn't packed is float32.
    by_winograd : collection of str
        Names of weights whose convolutions are Winograd's, of one image at a time.
    """

    def __init__(self, params: Mapping[str, Any], by_winograd: Collection[str] = ()) -> None:
        self._params, self._by_winograd = params, by_winograd
        self._transformed: dict[Name, Float32Array] = {}  # made with the first program
        self._lock = ForkSafeLock()
        self._made: dict[Any, tuple[Program | None, list[native_program.Session]]] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Programs, (self._params, self._by_winograd)  # a copy makes its own

    def run(self, stages: Sequence[Stage], x: Array, source: str) -> Array | None:
        """Return the output (..., B) for `x`, the output of `source`; None without a program."""
        if not native.active() or x.dtype != np.float32 or x.size == 0:
            return None
        if not (x.flags.c_contiguous and x.flags.aligned):
            x = np.require(x, np.float32, ["C", "A"])
        key = stages[0].step.layer.name, stages[0].name, stages[-1].name, x.shape
        # Without the lock once there is a program: looking it up and taking a session are each one
        # step of Python's.
        found = self._made.get(key) or self._make(key, stages, source)
        program, idle = found
        if program is None:
            return None
        try:
            session = idle.pop()
        except IndexError:  # others have them all
            session = native_program.Session(program)
        y = session.run(x)
        idle.append(session)
        return y

    def _make(
        self, key: tuple[Any, ...], stages: Sequence[Stage], source: str
    ) -> tuple[Program | None, list[native_program.Session]]:
        """Make a program, unless another thread has, and forget the oldest beyond `KEPT_SHAPES`."""
        with self._lock:
            found = self._made.get(key)
            if found is None:
                found = self._made[key] = self.compiled(stages, key[-1], source), []
            while len(self._made) > KEPT_SHAPES:
                del self._made[next(iter(self._made))]
        return found

    def compiled(
        self, stages: Sequence[Stage], shape: tuple[int, ...], source: str
    ) -> Program | None:
        """Return a new program of stages that take `shape` (..., B), as the function does."""
        for name in self._by_winograd:
            if name not in self._transformed:
                weight = self._params[name]
                dense = weight.to_float32() if isinstance(weight, CompressedTensor) else weight
                self._transformed[name] = winograd.in_blocks(winograd.kernels(dense))
        return compiled(stages, self._params, shape, source, self._transformed)


def compiled(
    stages: Sequence[Stage],
    params: Mapping[str, Any],
    shape: tuple[int, ...],
    source: str,
    transformed: Mapping[Name, Float32Array] = NONE,
) -> Program | None:
    """Return the program of stages that take `shape` (..., B); None if C hasn't got a layer.

    `transformed` has the weights of Winograd's convolutions, from `winograd.in_blocks`.
    """
    batch = shape[-1]
    shapes = {source: shape[:-1]}
    operations: list[Operation] = []
    inside: dict[Name, tuple[Name, int]] = {}  # values that are part of another's memory
    sizes: dict[Name, int] = {}
    last_use: dict[Name, int] = {}
    for stage in stages:
        layer, sources, name = stage.step.layer, stage.step.sources, stage.name
        shapes[name] = layer.output_shape(stage.step.of(shapes))
        sizes[name] = math.prod(shapes[name]) * batch
        if isinstance(layer, SAME):
            inside[name] = sources[0], 0
        elif isinstance(layer, Concat):
            first = 0
            for index, piece in enumerate(sources):
                size = math.prod(shapes[piece]) * batch
                given: Name = piece
                if piece in inside or piece == source:
                    given = name, index
                    operations.append(copy(piece, given, size))
                inside[given] = name, first
                first += size
        else:
            taken = tuple(shapes[one] for one in sources)
            made = made_of(Task(stage, params, taken, shapes[name], batch, transformed))
            if made is None:
                return None
            operations += made
            for index, between in enumerate(made[:-1], len(operations) - len(made)):
                sizes[between.given] = between.elements
                last_use[between.given] = index + 1  # the next one takes it, and no other
        for used in sources:
            last_use[used] = len(operations) - 1
    if not operations:
        return None
    last_use[stages[-1].name] = len(operations)
    written = [operation.given for operation in operations]
    places, elements = arena.place(written, inside, sizes, last_use, source)
    result = places[stages[-1].name]
    if result is None:
        return None
    return Program(tuple(operations), places, elements, (result, (*shapes[name], batch)))
