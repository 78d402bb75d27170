"""The operations of single layers, as a program has them.

What C lacks has no operation: `nn.wiring.evaluate` then runs the whole part of the network.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..nn import activations
from ..nn.conv import Conv2D
from ..nn.joins import Add, Multiply, is_gate
from ..nn.layers import Layer, Linear, ReLU
from ..nn.norm import BatchNorm, LocalResponseNorm, Scale
from ..nn.pool import AvgPool2D, GlobalAvgPool2D, MaxPool2D
from ..nn.rearranging import Pad, Permute
from ..nn.transposed import ConvTranspose2D
from ..nn.windows import Window
from ..nn.wiring import Stage
from ..packed.tensor import CompressedTensor
from ..spmv import winograd
from ..structs import Function, Geometry, Name, Operation, OperationKind
from ..tensors import Float32Array

LARGEST = 2**31 - 1  # option passed to C: a longer stride leads beyond the image as well
DENSE_TILE = 768  # vectors of x in the tile of a dense weight, see csrc/spconv/spconv.c

# Work for an element, in products of a packed convolution.
ENTRY_WORK, DENSE_WORK = 10.0, 0.6  # of a packed product with a vector, of a dense convolution
DEPTHWISE_WORK = 2.0
COPY_WORK = 2.0
LAYER_WORK = {
    OperationKind.RECTIFY: COPY_WORK,
    OperationKind.MAX_POOL: 3.0,
    OperationKind.MEAN_POOL: 8.0,
    OperationKind.AVERAGE: 3.0,
    OperationKind.NORMALIZE: 25.0,
    OperationKind.SCALE: COPY_WORK,
    OperationKind.ADD: COPY_WORK,
    OperationKind.TIMES: COPY_WORK,
    OperationKind.ACTIVATE: 20.0,
    OperationKind.SOFTMAX: 40.0,
    OperationKind.PAD: COPY_WORK,
    OperationKind.PERMUTE: 4.0,
}


@dataclass(frozen=True)
class Task:
    """A stage to compute, with the shapes of what it takes and gives, without the batch."""

    stage: Stage
    params: Mapping[str, Any]
    taken: tuple[tuple[int, ...], ...]
    given: tuple[int, ...]
    batch: int
    transformed: Mapping[Name, Float32Array]  # weights for Winograd's convolutions

    @property
    def layer(self) -> Any:
        """The layer of the stage."""
        return self.stage.step.layer

    def param(self, part: str) -> Any:
        """Return a parameter of the layer."""
        return self.params[f"{self.layer.name}.{part}"]

    def operation(self, kind: OperationKind, geometry: Geometry, **fields: Any) -> Operation:
        """Return an operation of the first value that the stage takes, with the ReLU behind it."""
        size = math.prod(self.taken[0]) * self.batch
        own: dict[str, Any] = {
            "taken": self.stage.step.sources[0],
            "given": self.stage.name,
            "relu": self.stage.relu,
            "high": self.stage.high,
            "work": LAYER_WORK.get(kind, 0.0) * size,
        }
        return Operation(kind=kind, geometry=geometry, **own | fields)


def operations(task: Task) -> list[Operation] | None:
    """Return the operations of a stage that computes something; None if C hasn't got them."""
    made = _MAKERS[type(task.layer)](task) if type(task.layer) in _MAKERS else None
    return [made] if isinstance(made, Operation) else made


def copy(taken: Name, given: Name, size: int) -> Operation:
    """Return the copy of a value to where a concatenation wants it."""
    kind, work = OperationKind.COPY, COPY_WORK * size
    return Operation(kind=kind, taken=taken, given=given, geometry=_flat(size), work=work)


def _convolution(task: Task) -> Operation | None:
    layer: Conv2D = task.layer
    geometry = task_geometry(task, layer.window, layer.groups)
    weight = task.param("weight")
    if task.batch == 1 and f"{layer.name}.weight" in task.transformed:
        return _winograd(task, geometry)
    if not layer.is_depthwise or isinstance(weight, CompressedTensor):
        return _product(task, weight, geometry, OperationKind.CONVOLVE)
    places = math.prod(layer.window.kernel) * math.prod(task.given[1:])
    return task.operation(
        OperationKind.DEPTHWISE,
        geometry,
        outputs=layer.outputs,
        weight=np.ascontiguousarray(weight),
        bias=task.param("bias"),
        work=DEPTHWISE_WORK * layer.outputs * places * task.batch,
    )


def _winograd(task: Task, geometry: Geometry) -> Operation:
    weight = task.transformed[f"{task.layer.name}.weight"]
    tiles = math.prod(-(-side // winograd.EDGE) for side in task.given[1:])
    bias, outputs, work = task.param("bias"), task.layer.outputs, DENSE_WORK * weight.size * tiles
    return task.operation(
        OperationKind.WINOGRAD, geometry, weight=weight, bias=bias, outputs=outputs, work=work
    )


def _linear(task: Task) -> Operation | None:
    weight = task.param("weight")
    # Several columns of a dense product are a convolution of images of one pixel.
    is_vector = isinstance(weight, CompressedTensor) or task.batch == 1
    kind = OperationKind.MULTIPLY if is_vector else OperationKind.CONVOLVE
    return _product(task, weight, _geometry(task.taken[0], (1, 1), task.batch), kind)


def _product(task: Task, weight: Any, geometry: Geometry, kind: OperationKind) -> Operation | None:
    """Return a convolution or a product; None if a packed weight has no form for it."""
    columns, block_cols = math.prod(task.given[1:]) * task.batch, 0
    if not isinstance(weight, CompressedTensor):
        work = DENSE_WORK * weight.size * columns
        if kind == OperationKind.CONVOLVE:
            block_cols = DENSE_TILE // min(12, -(-columns // 8))
    elif kind == OperationKind.CONVOLVE:
        weight = weight.blocks()
        work = float(weight.entries * columns) if weight else 0.0
    else:
        weight = weight.layout(columns=columns, among_others=True)
        work = max(ENTRY_WORK, columns) * weight.work_bytes if weight else 0.0  # a byte an entry
    if weight is None:
        return None
    fields = {"weight": weight, "bias": task.param("bias"), "outputs": task.layer.outputs}
    return task.operation(kind, geometry, block_cols=block_cols, work=work, **fields)


def _transposed(task: Task) -> list[Operation] | None:
    """Return zeros between and around the pixels, and then a convolution; None for packed."""
    layer: ConvTranspose2D = task.layer
    window, weight = layer.window, task.param("weight")
    around = [reach - 1 - cut for reach, cut in zip(window.reach, window.padding[:2], strict=True)]
    if isinstance(weight, CompressedTensor) or min(around) < 0:
        return None
    sides = [side + reach - 1 for side, reach in zip(task.given[1:], window.reach, strict=True)]
    spaced = layer.inputs, *sides
    # Rows and columns that no pixel of the image reaches are left out.
    if any(
        first + (extent - 1) * step >= side
        for first, extent, step, side in zip(
            around, task.taken[0][1:], window.stride, sides, strict=True
        )
    ):
        return None
    between: Name = task.stage.name, "spaced"
    geometry = _geometry(task.taken[0], sides, task.batch, stride=window.stride, padding=around)
    size = math.prod(spaced) * task.batch
    pad = Operation(
        kind=OperationKind.PAD,
        taken=task.stage.step.sources[0],
        given=between,
        geometry=geometry,
        work=COPY_WORK * size,
    )
    plain = Window(window.kernel, (1, 1), (0, 0, 0, 0), window.dilation)
    geometry = _geometry(spaced, task.given[1:], task.batch, plain, layer.groups)
    turned = layer.flipped(weight)
    made = _product(task, turned, geometry, OperationKind.CONVOLVE)
    return None if made is None else [pad, replace(made, taken=between)]


def _pooling(task: Task) -> Operation:
    layer = task.layer
    geometry = task_geometry(task, layer.window)
    if isinstance(layer, MaxPool2D):
        return task.operation(OperationKind.MAX_POOL, geometry)
    after = (*(min(pad, LARGEST) for pad in layer.window.padding[2:]), 0)
    counts = int(layer.counts_padding)
    return task.operation(OperationKind.MEAN_POOL, geometry, size=counts, step=after)


def _average(task: Task) -> Operation:
    return task.operation(OperationKind.AVERAGE, _geometry(task.taken[0], (1, 1), task.batch))


def _rectifier(task: Task) -> Operation:
    size = math.prod(task.given) * task.batch
    return task.operation(OperationKind.RECTIFY, _flat(size))


def _normalization(task: Task) -> Operation | None:
    layer: LocalResponseNorm = task.layer
    if layer.beta != 0.75:
        return None
    all_channels = 2 * task.given[0] + 1
    return task.operation(
        OperationKind.NORMALIZE,
        _geometry(task.taken[0], task.given[1:], task.batch),
        size=min(layer.size, all_channels),
        alpha=layer.alpha / layer.size,
        k=layer.k,
    )


def _scale(task: Task) -> Operation:
    with np.errstate(all="ignore"):  # what isn't finite shows in the results
        parts = [np.ascontiguousarray(one, np.float32) for one in task.layer.affine(task.params)]
    geometry = _geometry(task.taken[0], task.given[1:], task.batch)
    return task.operation(OperationKind.SCALE, geometry, weight=parts[0], bias=parts[1])


def _add(task: Task) -> Operation | None:
    return _of_two(task, OperationKind.ADD, 0) if len(task.taken) == 2 else None


def _multiply(task: Task) -> Operation:
    return _of_two(task, OperationKind.TIMES, int(is_gate(task.taken[1], task.taken[0])))


def _of_two(task: Task, kind: OperationKind, size: int) -> Operation:
    geometry = _geometry(task.taken[0], task.given[1:], task.batch)
    return task.operation(kind, geometry, other=task.stage.step.sources[1], size=size)


def _activation(function: Function, *names: str, **constants: float) -> Callable[[Task], Operation]:
    """Return what makes an operation of a function, whose constants are fields of the layer."""

    def make(task: Task) -> Operation:
        values = dict(
            zip(("alpha", "k"), (getattr(task.layer, one) for one in names), strict=False)
        )
        if function == Function.CLIP:
            values = dict(zip(("alpha", "k"), task.layer.limits, strict=True))
        geometry = _flat(math.prod(task.given) * task.batch)
        return task.operation(
            OperationKind.ACTIVATE, geometry, size=int(function), **constants | values
        )

    return make


def _softmax(task: Task) -> Operation:
    geometry = _geometry(task.taken[0], task.given[1:], task.batch)
    return task.operation(OperationKind.SOFTMAX, geometry)


def _pad(task: Task) -> Operation:
    first = task.layer.window.padding[:2]
    geometry = _geometry(task.taken[0], task.given[1:], task.batch, padding=first)
    return task.operation(OperationKind.PAD, geometry)


def _permute(task: Task) -> Operation:
    taken, axes = task.taken[0], task.layer.axes
    steps = [task.batch * math.prod(taken[axis + 1 :]) for axis in axes]
    missing = 3 - len(axes)
    given = (*[1] * missing, *task.given)
    geometry = _geometry(given, given[1:], task.batch)
    return task.operation(OperationKind.PERMUTE, geometry, step=(*[0] * missing, *steps))


_MAKERS: dict[type[Layer], Callable[[Task], Any]] = {
    Conv2D: _convolution,
    Linear: _linear,
    ConvTranspose2D: _transposed,
    ReLU: _rectifier,
    MaxPool2D: _pooling,
    AvgPool2D: _pooling,
    GlobalAvgPool2D: _average,
    LocalResponseNorm: _normalization,
    Scale: _scale,
    BatchNorm: _scale,
    Add: _add,
    Multiply: _multiply,
    activations.Clip: _activation(Function.CLIP),
    activations.LeakyReLU: _activation(Function.LEAKY_RELU, "slope_below"),
    activations.Sigmoid: _activation(Function.SIGMOID),
    activations.Tanh: _activation(Function.TANH),
    activations.SiLU: _activation(Function.SILU),
    activations.HardSigmoid: _activation(Function.HARD_SIGMOID, "alpha", "beta"),
    activations.HardSwish: _activation(Function.HARD_SWISH, alpha=1 / 6, k=0.5),
    activations.Softmax: _softmax,
    Pad: _pad,
    Permute: _permute,
}


def _flat(size: int) -> Geometry:
    """Return the geometry of so many elements, whatever their shape."""
    return Geometry(1, 1, size, 1)


def task_geometry(task: Task, window: Window, groups: int = 1) -> Geometry:
    """Return the geometry of windows over the images that a stage takes."""
    return _geometry(task.taken[0], task.given[1:], task.batch, window, groups)


def _geometry(
    taken: Sequence[int],
    sides: Sequence[int],
    batch: int,
    window: Window | None = None,
    groups: int = 1,
    **options: Sequence[int],
) -> Geometry:
    """Return the geometry of images, or of vectors, and of the sides of what is given."""
    if window is not None:
        options = {"kernel": window.kernel, "stride": window.stride}
        options |= {"padding": window.padding[:2], "dilation": window.dilation}
    clipped = {name: tuple(min(one, LARGEST) for one in pair) for name, pair in options.items()}
    channels, height, width = (*taken, 1, 1)[:3]
    out_height, out_width = (*sides, 1, 1)[:2]
    return Geometry(
        channels,
        height,
        width,
        batch,
        **clipped,
        groups=groups,
        out_height=out_height,
        out_width=out_width,
    )
