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
from collections import OrderedDict
from collections.abc import Mapping, Sequence
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
from ..structs import Geometry, Name, Operation, OperationKind, Program
from . import arena

KEPT_SHAPES = 8  # of inputs, whose programs are kept: pieces and a batch, whole and the rest
LARGEST = 2**31 - 1  # option passed to C: a longer stride leads beyond the image as well
DENSE_TILE = 768  # vectors of x in the tile of a dense weight, see csrc/spconv/spconv.c

# Work for an element, in products of a packed convolution.
ENTRY_WORK, DENSE_WORK = 10.0, 0.6  # of a packed product with a vector, of a dense convolution
COPY_WORK = 2.0
LAYER_WORK = {
    OperationKind.RECTIFY: COPY_WORK,
    OperationKind.MAX_POOL: 6.0,
    OperationKind.AVERAGE: 10.0,
    OperationKind.NORMALIZE: 25.0,
}


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
            for index, piece in enumerate(sources):
                size = math.prod(shapes[piece]) * batch
                given: Name = piece
                if piece in inside or piece == source:
                    given = name, index
                    operations.append(_copy(piece, given, size))
                inside[given] = name, first
                first += size
        else:
            made = _operation(stage, params, taken, shapes[name], batch)
            if made is None:
                return None
            operations.append(made)
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


def _copy(taken: Name, given: Name, size: int) -> Operation:
    """Return the copy of a value to where a concatenation wants it."""
    kind, work = OperationKind.COPY, COPY_WORK * size
    return Operation(kind=kind, taken=taken, given=given, geometry=_flat(size), work=work)


def _operation(
    stage: Stage,
    params: Mapping[str, Any],
    taken: tuple[int, ...],
    given: tuple[int, ...],
    batch: int,
) -> Operation | None:
    """Return the operation of a layer that computes something; None if C hasn't got it."""
    layer, size = stage.step.layer, math.prod(taken) * batch
    if isinstance(layer, (Conv2D, Linear)):
        return _product(stage, layer, params, taken, given, batch)
    constants: dict[str, Any] = {}
    if isinstance(layer, ReLU):
        kind, geometry = OperationKind.RECTIFY, _flat(size)
    elif isinstance(layer, MaxPool2D):
        kind, geometry = OperationKind.MAX_POOL, _geometry(taken, given, batch, layer)
    elif isinstance(layer, GlobalAvgPool2D):
        kind, geometry = OperationKind.AVERAGE, _geometry(taken, taken, batch)
    elif isinstance(layer, LocalResponseNorm) and layer.beta == 0.75:
        kind, geometry = OperationKind.NORMALIZE, _geometry(taken, taken, batch)
        all_channels = 2 * taken[0] + 1
        constants = {
            "size": min(layer.size, all_channels),
            "alpha": layer.alpha / layer.size,
            "k": layer.k,
        }
    else:
        return None
    source, work = stage.step.sources[0], LAYER_WORK[kind] * size
    return Operation(
        kind=kind, taken=source, given=stage.name, geometry=geometry, work=work, **constants
    )


def _product(
    stage: Stage,
    layer: Conv2D | Linear,
    params: Mapping[str, Any],
    taken: tuple[int, ...],
    given: tuple[int, ...],
    batch: int,
) -> Operation | None:
    """Return a convolution or a product; None if a packed weight has no form for it."""
    weight, columns = params[f"{layer.name}.weight"], math.prod(given[1:]) * batch
    is_packed, block_cols = isinstance(weight, CompressedTensor), 0
    if isinstance(layer, Conv2D):
        kind, geometry = OperationKind.CONVOLVE, _geometry(taken, given, batch, layer)
    else:
        # Several columns of a dense product are a convolution of images of one pixel.
        is_vector = is_packed or batch == 1
        kind = OperationKind.MULTIPLY if is_vector else OperationKind.CONVOLVE
        geometry = _geometry((*taken, 1, 1), (*given, 1, 1), batch)
    if not is_packed:
        work = DENSE_WORK * weight.size * columns
        if kind == OperationKind.CONVOLVE:
            block_cols = DENSE_TILE // min(12, -(-columns // 8))
    elif kind == OperationKind.CONVOLVE:
        weight = weight.blocks()
        work = float(weight.entries * columns) if weight else 0.0
    else:
        weight = weight.layout()
        work = max(ENTRY_WORK, columns) * weight.data.nbytes if weight else 0.0  # a byte an entry
    if weight is None:
        return None
    return Operation(
        kind=kind,
        taken=stage.step.sources[0],
        given=stage.name,
        geometry=geometry,
        outputs=layer.outputs,
        weight=weight,
        bias=params[f"{layer.name}.bias"],
        relu=stage.relu,
        block_cols=block_cols,
        work=work,
    )


def _flat(size: int) -> Geometry:
    """Return the geometry of so many elements, whatever their shape."""
    return Geometry(1, 1, size, 1)


def _geometry(
    taken: tuple[int, ...], given: tuple[int, ...], batch: int, layer: Layer | None = None
) -> Geometry:
    """Return the geometry of images (C, H, W), with the options that a layer has."""
    names = "kernel", "stride", "padding", "groups"
    options = {name: min(getattr(layer, name), LARGEST) for name in names if hasattr(layer, name)}
    channels, height, width = taken
    sides = {"out_height": given[1], "out_width": given[2]}
    return Geometry(channels, height, width, batch, **options, **sides)
