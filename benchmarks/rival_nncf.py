"""Parameters as NNCF's compression of weights makes them, for ``bench_calibrate --rebuilt``.

``python benchmarks/rival_nncf.py PARAMS.npz OUT [--how int8_sym int4_sym_64 …] [--convolutions]``

It runs in an environment of its own, without deepcompress: PyTorch, nncf 3.4.0, zstandard. PARAMS
come from ``bench_calibrate --export``. Each weight goes into a layer of a module of PyTorch for
`nncf.compress_weights`: ``int8_asym`` and ``int8_sym`` have a scale for each output, ``int4_*`` one
for so many weights of an output (``row``: for all of them), or for the fewer that divide it.
NNCF gives convolutions 8 bits always, so a convolution is handed over as the fully connected
layer that it is at each position; ``--convolutions`` hands it over as it is.

``file_bytes`` isn't a file's: it counts integers of 4 or 8 bits, packed, scales as float16, zero
points, biases as float16, and nothing for the graph; each tensor is taken as zstd (level 19) or
zlib (level 9) shrinks it, if that takes fewer bytes: one symbol per byte for zstd, or packed.
"""

import argparse
import zlib
from pathlib import Path

import nncf
import numpy as np
import torch
import zstandard

MODES = {
    name: getattr(nncf.CompressWeightsMode, name.upper())
    for name in ("int8_asym", "int8_sym", "int4_asym", "int4_sym")
}


class Layers(torch.nn.Module):
    """Layers side by side, each with an input of its own."""

    def __init__(self, weights: dict[str, np.ndarray], convolutions: bool) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList()
        self.inputs: list[torch.Tensor] = []
        for weight in weights.values():
            outputs, inputs, *kernel = weight.shape
            if kernel and convolutions:
                layer: torch.nn.Module = torch.nn.Conv2d(inputs, outputs, tuple(kernel), bias=False)
                self.inputs.append(torch.zeros(1, inputs, *kernel))
            else:
                weight = weight.reshape(outputs, -1)
                layer = torch.nn.Linear(weight.shape[1], outputs, bias=False)
                self.inputs.append(torch.zeros(1, weight.shape[1]))
            layer.weight.data = torch.from_numpy(weight.copy())
            self.layers.append(layer)

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return what each layer makes of its input."""
        return tuple(layer(x) for layer, x in zip(self.layers, inputs, strict=True))


def compressed(weight: np.ndarray, how: str, convolutions: bool) -> tuple[np.ndarray, int]:
    """Return a weight as NNCF has it, and its bytes."""
    mode, _, group = how.rpartition("_") if how.startswith("int4") else (how, "", "")
    row = weight.size // len(weight)
    options: dict[str, object] = {}
    if group:
        size = -1 if group == "row" else next(n for n in range(int(group), 0, -1) if row % n == 0)
        options = {"group_size": size if size > 1 else -1, "all_layers": True}
    module = Layers({"w": weight}, convolutions)
    example = nncf.Dataset([tuple(module.inputs)])
    made = nncf.compress_weights(module, mode=MODES[mode], dataset=example, **options)
    back = found_in(made).reshape(weight.shape)
    size = 0
    for name, value in made.state_dict().items():
        array = value.numpy()
        is_packed = array.size < weight.size and name.endswith("layers.0.weight")
        size += fewest(array, unpacked(array) if is_packed else None)
    return back, size


def found_in(made: torch.nn.Module) -> np.ndarray:
    """Return the weight that the layer computes with, by its outputs for unit vectors."""
    layer = made.layers[0]
    if isinstance(layer, torch.nn.Conv2d):
        columns = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        shape = (columns, layer.in_channels, *layer.kernel_size)
    else:
        columns = layer.in_features
        shape = (columns, columns)
    with torch.no_grad():
        outputs = made(torch.eye(columns).reshape(shape))[0]
    return outputs.reshape(columns, -1).T.numpy()


def unpacked(packed: np.ndarray) -> np.ndarray:
    """Return one byte for each of two numbers of 4 bits in a byte."""
    return np.stack([packed.ravel() & 15, packed.ravel() >> 4], axis=1)


def fewest(array: np.ndarray, symbols: np.ndarray | None) -> int:
    """Return the fewest bytes of an array, as it is or shrunk, packed or one symbol a byte."""
    plain = array.tobytes()
    forms = [plain] if symbols is None else [plain, symbols.tobytes()]
    shrunk = [zstandard.ZstdCompressor(level=19).compress(form) for form in forms]
    shrunk += [zlib.compress(form, 9) for form in forms]
    return min(len(plain), *(len(one) for one in shrunk))


def main() -> None:
    """Compress in so many ways, and keep the values and the bytes."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("params")
    parser.add_argument("out")
    parser.add_argument("--how", nargs="+", default=["int8_asym", "int8_sym", "int4_sym_row"])
    parser.add_argument("--convolutions", action="store_true")
    arguments = parser.parse_args()
    with np.load(arguments.params) as values:
        params = {name: np.ascontiguousarray(values[name], np.float32) for name in values}
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    for how in arguments.how:
        found, size = {}, 0
        for name, value in params.items():
            if value.ndim > 1:
                found[name], taken = compressed(value, how, arguments.convolutions)
                size += taken
            else:
                found[name] = value.astype(np.float16).astype(np.float32)
                size += fewest(value.astype(np.float16), None)
        kind = how + "_convolutions" * arguments.convolutions
        np.savez(out / f"nncf_{kind}.npz", file_bytes=size, **found)
        print(kind, size, flush=True)


if __name__ == "__main__":
    main()
