"""The gateway to the C kernels of `nn`; `native` tells what holds for all."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..tensors import Float32Array
from .blas import sgemm
from .gateway import _ffi, _floats, _lib
from .pool import team

NS_PER_WEIGHT = 0.3  # of a step
NS_PER_PRODUCT = 0.03


def step_sgd(
    value: Float32Array,
    grad: Float32Array,
    velocity: Float32Array,
    decay: float,
    momentum: float,
    rate: float,
    threads: int,
) -> None:
    """Call dc_step_sgd, in place, on at most so many threads."""
    arrays = (_floats(value), _floats(grad), _floats(velocity))
    _lib().dc_step_sgd(*arrays, value.size, decay, momentum, rate, _team_for(value, threads))


def step_adam(
    value: Float32Array,
    grad: Float32Array,
    mean: Float32Array,
    square: Float32Array,
    decay: float,
    numbers: Sequence[float],
    threads: int,
) -> None:
    """Call dc_step_adam, in place, on at most so many threads; `numbers` as there."""
    arrays = (_floats(value), _floats(grad), _floats(mean), _floats(square))
    _lib().dc_step_adam(*arrays, value.size, decay, numbers, _team_for(value, threads))


def has_stacks() -> bool:
    """Tell whether NumPy's BLAS is one that C can call."""
    return sgemm() is not None


@dataclass(frozen=True)
class Dense:
    """A struct dc_dense in arrays: a fully connected layer and what follows it, for a shard."""

    weight: Float32Array  # (outputs, inputs)
    bias: Float32Array
    x: Float32Array  # (inputs, batch), contiguous in either order
    scale: Float32Array | None  # (outputs, batch)
    y: Float32Array
    dy: Float32Array
    dweight: Float32Array
    has_relu: bool


class StackStep:
    """The layers of all shards, those of a shard one after the other, for a step."""

    def __init__(self, layers: Sequence[Dense], shards: int, threads: int) -> None:
        self._structs = _ffi().new("struct dc_dense[]", len(layers))
        self._kept = [_fill(struct, one) for struct, one in zip(self._structs, layers, strict=True)]
        work = sum(one.weight.size * one.y.shape[1] for one in layers) * NS_PER_PRODUCT
        self._teams = [team(times * work, min(threads, shards))[0] for times in (1, 2)]
        self._sizes = (len(layers) // shards, shards)

    def forward(self) -> None:
        """Call dc_stack_forward."""
        self._call(_lib().dc_stack_forward, self._teams[0])

    def backward(self) -> None:
        """Call dc_stack_backward."""
        self._call(_lib().dc_stack_backward, self._teams[1])

    def _call(self, function: Any, workers: Any) -> None:
        address = _ffi().cast("dc_sgemm *", sgemm())
        function(address, self._structs, *self._sizes, workers)


def _fill(struct: Any, one: Dense) -> Any:
    """Fill a struct dc_dense; return what has to be kept as long as it."""
    is_transposed = not one.x.flags.c_contiguous
    names = ("weight", "bias", "y", "dy", "dweight")
    pointers = {name: _floats(getattr(one, name)) for name in names}
    pointers["x"] = _floats(one.x.T if is_transposed else one.x)
    if one.scale is not None:
        pointers["scale"] = _floats(one.scale)
    for name, pointer in pointers.items():
        setattr(struct, name, pointer)
    struct.outputs, struct.inputs = one.weight.shape
    struct.batch = one.y.shape[1]
    struct.is_x_transposed, struct.has_relu = is_transposed, one.has_relu
    return pointers


def _team_for(value: Float32Array, threads: int) -> Any:
    """Return the team that a step of so many weights is worth."""
    return team(value.size * NS_PER_WEIGHT, threads)[0]
