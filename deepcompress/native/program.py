"""The gateway to ``csrc/program``; it expects arguments as `native.layout`."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ..structs import ColumnBlocks, Layout, Operation, Program
from ..tensors import Float32Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib
from .layout import blocks_struct, layout_struct
from .pool import team
from .spconv import NS_PER_PRODUCT

# Below which cutting operations and waiting for each other costs more than it saves.
PRODUCTS_PER_THREAD = 1 << 21

Seconds = npt.NDArray[np.float64]


class Session:
    """Memory for a program, and its operations as C takes them; for one thread at a time."""

    def __init__(self, program: Program) -> None:
        self._program, self._work = program, program.work  # a sum
        self._memory = np.empty(program.elements, np.float32)
        self._borrowed: list[Any] = []
        self._operations = _ffi().new("struct dc_operation[]", len(program.operations))
        self._readers: list[tuple[Any, str]] = []  # fields that are the program's own input
        start = self._keep(_floats(self._memory))
        for struct, operation in zip(self._operations, program.operations, strict=True):
            for name, value in self._fields(operation).items():
                setattr(struct, name, value)
            given = program.places[operation.given]
            struct.y = start + given
            for field, value in (("x", operation.taken), ("other", operation.other)):
                if value is None:
                    continue
                place = program.places[value]
                if place is None:
                    self._readers.append((struct, field))
                else:
                    setattr(struct, field, start + place)
        self._most = int(self._work // PRODUCTS_PER_THREAD)  # threads that it is worth
        self._scratch: dict[tuple[int, int], Any] = {}  # by instruction set and threads
        self._progress = np.zeros(2 * len(program.operations), np.uint32)
        self._progress_at = _ffi().from_buffer("uint32_t[]", self._progress)
        self._is_finite = _ffi().new("int *")
        first, shape = program.result
        self._result = self._memory[first : first + math.prod(shape)].reshape(shape)

    def run(self, x: Float32Array, seconds: Seconds | None = None) -> Float32Array | None:
        """Call dc_run; return None if x isn't finite, or anything that follows.

        `seconds`, an element for each operation, gets the time that it took.
        """
        taken = _floats(x)
        if not _lib().dc_all_finite(taken, x.size):
            return None
        isa, workers, threads = _choice().isa, _ffi().NULL, 1
        if self._most > 1:
            workers, threads = team(self._work * NS_PER_PRODUCT, self._most)
        for struct, field in self._readers:
            setattr(struct, field, taken)
        self._progress.fill(0)
        scratch = self._scratch.get((isa, threads)) or self._make_scratch(isa, threads)
        times = _ffi().NULL if seconds is None else _ffi().from_buffer("double *", seconds)
        room = self._progress_at, scratch, times, self._is_finite
        operations = self._operations, len(self._operations)
        _check(_lib().dc_run(isa, *operations, workers, *room), isa)
        return self._result.copy() if self._is_finite[0] else None

    def _make_scratch(self, isa: int, threads: int) -> Any:
        """Return memory for so many threads, in place of what was for others."""
        size = _lib().dc_run_scratch(isa, self._operations, len(self._operations))
        self._scratch = {(isa, threads): _bytes(np.empty(threads * size, np.uint8))}
        return self._scratch[isa, threads]

    def _fields(self, operation: Operation) -> dict[str, Any]:
        """Return the fields of a struct dc_operation, but for x and y."""
        names = "kind", "relu", "high", "outputs", "size", "step", "alpha", "k", "work"
        fields = {name: getattr(operation, name) for name in names}
        fields["geometry"] = vars(operation.geometry)
        if operation.bias is not None:
            fields["bias"] = self._keep(_floats(operation.bias))
        weight = operation.weight
        if isinstance(weight, ColumnBlocks):
            fields["blocks"] = self._keep(blocks_struct(weight))
        elif isinstance(weight, Layout):
            fields["layout"] = self._keep(layout_struct(weight))
        elif weight is not None and operation.block_cols:
            dense = {
                "rows": operation.outputs,
                "cols": weight[0].size,
                "dense": self._keep(_floats(weight)),
                "block_cols": operation.block_cols,
            }
            fields["blocks"] = self._keep(_ffi().new("struct dc_column_blocks *", dense))
        elif weight is not None:
            fields["dense"] = self._keep(_floats(weight))
        return fields

    def _keep(self, borrowed: Any) -> Any:
        """Keep memory alive to which a struct points."""
        self._borrowed.append(borrowed)
        return borrowed
