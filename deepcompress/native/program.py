"""The gateway to the C kernels that run programs; `native` says what all gateways expect."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..tensors import Float32Array, UInt8Array
from .gateway import _bytes, _check, _choice, _ffi, _floats, _lib, threads
from .spconv import PRODUCTS_PER_THREAD, _blocks
from .spmv import _layout

if TYPE_CHECKING:
    from ..runtime.program import Operation, Program

Seconds = npt.NDArray[np.float64]


class Session:
    """Memory for a program, and its operations as C takes them; for one thread at a time."""

    def __init__(self, program: "Program") -> None:
        self._program = program
        self._memory = np.empty(program.elements, np.float32)
        self._borrowed: list[Any] = []
        self._operations = _ffi().new("struct dc_operation[]", len(program.operations))
        self._readers = []  # operations that take what the program takes
        start = self._keep(_floats(self._memory))
        for index, operation in enumerate(program.operations):
            struct = self._operations[index]
            for name, value in self._fields(operation).items():
                setattr(struct, name, value)
            taken, given = program.places[operation.taken], program.places[operation.given]
            struct.y = start + given
            if taken is None:
                self._readers.append(struct)
            else:
                struct.x = start + taken
        self._scratch: UInt8Array = np.empty(0, np.uint8)

    def run(self, x: Float32Array, seconds: Seconds | None = None) -> Float32Array | None:
        """Call dc_run for x that is finite; return None if anything that follows isn't.

        `seconds`, an element for each operation, gets the time that it took.
        """
        isa, count = _choice().isa, len(self._operations)
        worth = int(self._program.work // PRODUCTS_PER_THREAD)
        shares = min(threads(), worth) if worth > 1 else 1
        size = shares * _lib().dc_run_scratch(isa, self._operations, count)
        if self._scratch.nbytes < size:
            self._scratch = np.empty(size, np.uint8)
        taken = _floats(x)
        for struct in self._readers:
            struct.x = taken
        progress, is_finite = _ffi().new("uint32_t[]", 2 * count), _ffi().new("int *")
        times = _ffi().NULL if seconds is None else _ffi().from_buffer("double *", seconds)
        room = progress, _bytes(self._scratch), times, is_finite
        _check(_lib().dc_run(isa, self._operations, count, shares, *room), isa)
        if not is_finite[0]:
            return None
        first, shape = self._program.result
        return self._memory[first:][: int(np.prod(shape))].reshape(shape).copy()

    def _fields(self, operation: "Operation") -> dict[str, Any]:
        """Return what an operation is in C, but for x and y."""
        kind = getattr(_lib(), f"DC_{operation.kind.upper()}")
        fields = {"kind": kind, "images": dict(operation.images), "work": operation.work}
        fields |= {"relu": operation.relu, "outputs": operation.outputs}
        if operation.bias is not None:
            fields["bias"] = self._keep(_floats(operation.bias))
        weight, norm = operation.weight, operation.norm
        if norm is not None:
            size = min(norm.size, 2 * operation.images["channels"] + 1)  # of all channels
            fields |= {"size": size, "alpha": norm.alpha / norm.size, "k": norm.k}
        if isinstance(weight, np.ndarray) and operation.kind == "convolve":
            dense = {
                "rows": operation.outputs,
                "cols": weight[0].size,
                "dense": self._keep(_floats(weight)),
                "block_cols": operation.block_cols,
            }
            fields["blocks"] = self._keep(_ffi().new("struct dc_blocks *", dense))
        elif isinstance(weight, np.ndarray):
            fields["dense"] = self._keep(_floats(weight))
        elif weight is not None and operation.kind == "convolve":
            fields["blocks"] = self._keep(_blocks(weight.codebook, weight.blocks()))
        elif weight is not None:
            fields["layout"] = self._keep(_layout(weight.codebook, weight.layout()))
        return fields

    def _keep(self, borrowed: Any) -> Any:
        """Keep alive what a struct points to."""
        self._borrowed.append(borrowed)
        return borrowed
