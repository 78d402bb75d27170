"""A part of a network as one program for C, without Python between its layers.

A program is made for stages and the shape of what they take. Its operations write to one block
of memory, in which places are given out again when nobody needs their contents any more, and
which is kept for the next run: fresh memory would cost more time than many a layer. What is
concatenated is written where it belongs, one part behind the other.

The definition, and what runs where there is no program (without the C kernels, with a layer or
a weight that they haven't got, or with numbers that aren't finite), is
`nn.wiring.evaluate`. Results differ from its by rounding, and not with the number of threads.
"""

import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import native
from ..locks import ForkSafeLock
from ..native import program as native_program
from ..native import spmv as native_spmv
from ..nn.conv import Conv2D
from ..nn.layers import Array, Concat, Dropout, Flatten, Layer, Linear, ReLU
from ..nn.norm import LocalResponseNorm
from ..nn.pool import GlobalAvgPool2D, MaxPool2D
from ..nn.wiring import Stage
from ..packed.tensor import CompressedTensor
from ..tensors import Float32Array
from . import arena
from .arena import Name

KEPT_SHAPES = 8  # of inputs, whose programs are kept: pieces and a batch, whole and the rest
LARGEST = 2**31 - 1  # that C is told: a longer stride leads beyond the image as well
DENSE_TILE = 768  # vectors of x that a tile of a dense weight's has, see csrc/spconv.c

# What an operation takes for an element, in products of a packed convolution.
ENTRY_WORK, DENSE_WORK = 10.0, 0.6  # of a packed product with a vector, of a dense convolution
POOL_WORK, NORM_WORK, MEAN_WORK, COPY_WORK = 6.0, 25.0, 10.0, 2.0


@dataclass(frozen=True)
class Operation:
    """What C does for a layer; ``struct dc_operation`` says more.

    Attributes
    ----------
    kind : str
        Of ``enum dc_kind``, in lower case without its prefix.
    taken, given : str
        Names of the values.
    images : mapping of str to int
        ``struct dc_images`` by its fields.
    outputs : int
    weight : CompressedTensor or ndarray, optional
    bias : ndarray, optional
    relu : bool
    norm : LocalResponseNorm, optional
    block_cols : int
        Of a dense weight in a convolution.
    work : float
        About how long it takes, in products of a packed convolution.
    """

    kind: str
    taken: Name
    given: Name
    images: Mapping[str, int]
    outputs: int = 0
    weight: Any = None
    bias: Float32Array | None = None
    relu: bool = False
    norm: LocalResponseNorm | None = None
    block_cols: int = 0
    work: float = 0.0


@dataclass(frozen=True)
class Program:
    """Operations, and where in one block of memory their values are.

    Attributes
    ----------
    operations : tuple of Operation
    places : mapping
        First element of each value; None for what the program takes.
    elements : int
        Of the block of memory.
    result : tuple of (int, tuple of int)
        First element and shape of the last value.
    """

    operations: tuple[Operation, ...]
    places: Mapping[Name, int | None]
    elements: int
    result: tuple[int, tuple[int, ...]]

    @property
    def work(self) -> float:
        """About how long it takes, in products of a packed convolution."""
        return sum(operation.work for operation in self.operations)


class Programs:
    """Runs stages as programs, which are made when first needed.

    Parameters
    ----------
    params : mapping of str to CompressedTensor or ndarray
        By name. What isn't packed is float32.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = params
        self._lock = ForkSafeLock()
        self._made: OrderedDict[Any, tuple[Program | None, list[native_program.Session]]]
        self._made = OrderedDict()

    def __reduce__(self) -> tuple[Any, ...]:
        return Programs, (self._params,)  # a copy makes its own

    def run(self, stages: Sequence[Stage], x: Array, source: str) -> Array | None:
        """Return the output (..., B) for `x`, the output of `source`; None without a program."""
        if not native.active() or x.dtype != np.float32 or x.size == 0:
            return None
        x = np.require(x, np.float32, ["C", "A"])
        if not native_spmv.all_finite(x):
            return None
        key = stages[0].step.layer.name, stages[0].name, stages[-1].name, x.shape
        with self._lock:
            if key not in self._made:
                self._made[key] = compiled(stages, self._params, x.shape, source), []
            self._made.move_to_end(key)
            while len(self._made) > KEPT_SHAPES:
                self._made.popitem(last=False)
            program, idle = self._made[key]
            session = idle.pop() if idle else None
        if program is None:
            return None
        session = session or native_program.Session(program)
        y = session.run(x)
        idle.append(session)
        return y


def compiled(
    stages: Sequence[Stage], params: Mapping[str, Any], shape: tuple[int, ...], source: str
) -> Program | None:
    """Return the program of stages that take `shape` (..., B); None if C hasn't got a layer."""
    batch = shape[-1]
    shapes = {source: shape[:-1]}
    operations: list[Operation] = []
    inside: dict[Name, tuple[Name, int]] = {}  # values that are part of another's memory
    sizes: dict[Name, int] = {}
    last_use: dict[Name, int] = {}
    for stage in stages:
        layer, sources, name = stage.step.layer, stage.step.sources, stage.name
        taken: Any = stage.step.of(shapes)
        shapes[name] = layer.output_shape(taken)
        sizes[name] = math.prod(shapes[name]) * batch
        if isinstance(layer, (Dropout, Flatten)):
            inside[name] = sources[0], 0
        elif isinstance(layer, Concat):
            first = 0
            for place, part in enumerate(sources):
                size = math.prod(shapes[part]) * batch
                given: Name = part
                if part in inside or part == source:
                    given = (name, place)
                    images = _images((1, 1, size), (1, 1, 1), 1)
                    operations.append(Operation("copy", part, given, images, work=COPY_WORK * size))
                inside[given] = name, first
                first += size
        else:
            made = _operation(stage, params, taken, shapes[name], batch)
            if made is None:
                return None
            operations.append(replace(made, taken=sources[0], given=name))
        for one in sources:
            last_use[one] = len(operations) - 1
    if not operations:
        return None
    last_use[stages[-1].name] = len(operations)
    given = [operation.given for operation in operations]
    places, elements = arena.place(given, inside, sizes, last_use, source)
    result = places[stages[-1].name]
    if result is None:
        return None
    return Program(tuple(operations), places, elements, (result, (*shapes[name], batch)))


def _operation(
    stage: Stage,
    params: Mapping[str, Any],
    taken: tuple[int, ...],
    given: tuple[int, ...],
    batch: int,
) -> Operation | None:
    """Return what C does for a layer that computes something, without names; None if it can't."""
    layer = stage.step.layer
    size = math.prod(taken) * batch
    if isinstance(layer, (Conv2D, Linear)):
        return _product(layer, params, taken, given, batch, stage.relu)
    if isinstance(layer, ReLU):
        flat = _images((1, 1, size), (1, 1, 1), 1)
        return Operation("rectify", "", "", flat, work=COPY_WORK * size)
    if isinstance(layer, MaxPool2D):
        images = _images(taken, given, batch, layer)
        return Operation("max_pool", "", "", images, work=POOL_WORK * size)
    if isinstance(layer, GlobalAvgPool2D):
        return Operation("average", "", "", _images(taken, taken, batch), work=MEAN_WORK * size)
    if isinstance(layer, LocalResponseNorm) and layer.beta == 0.75:
        images = _images(taken, taken, batch)
        return Operation("normalize", "", "", images, norm=layer, work=NORM_WORK * size)
    return None


def _product(
    layer: Conv2D | Linear,
    params: Mapping[str, Any],
    taken: tuple[int, ...],
    given: tuple[int, ...],
    batch: int,
    relu: bool,
) -> Operation | None:
    """Return a convolution or a product."""
    weight, bias = params[f"{layer.name}.weight"], params[f"{layer.name}.bias"]
    is_packed = isinstance(weight, CompressedTensor)
    columns = math.prod(given[1:]) * batch
    if isinstance(layer, Conv2D):
        kind, images = "convolve", _images(taken, given, batch, layer)
        if is_packed and weight.blocks() is None:
            return None
    else:
        # Several columns of a dense product are a convolution of images of one pixel.
        kind = "multiply" if is_packed or batch == 1 else "convolve"
        images = _images((*taken, 1, 1), (*given, 1, 1), batch)
        if is_packed and weight.layout() is None:
            return None
    if not is_packed:
        work = DENSE_WORK * weight.size * columns
    elif kind == "convolve":
        work = float(weight.blocks().entries * columns)
    else:
        work = max(ENTRY_WORK, columns) * weight.layout().data.nbytes  # nearly one an entry
    return Operation(
        kind,
        "",
        "",
        images,
        outputs=layer.outputs,
        weight=weight,
        bias=bias,
        relu=relu,
        block_cols=DENSE_TILE // min(12, -(-columns // 8)),
        work=work,
    )


def _images(
    taken: tuple[int, ...], given: tuple[int, ...], batch: int, layer: Layer | None = None
) -> dict[str, int]:
    """Return a ``struct dc_images`` by its fields."""
    options = {"kernel": 1, "stride": 1, "padding": 0, "groups": 1}
    options = {name: min(getattr(layer, name, v), LARGEST) for name, v in options.items()}
    channels, height, width = taken
    sides = {"channels": channels, "height": height, "width": width, "batch": batch}
    return {**sides, **options, "out_height": given[1], "out_width": given[2]}
