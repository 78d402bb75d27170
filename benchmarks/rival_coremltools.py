"""Parameters as coremltools' palettization makes them, for ``bench_calibrate --rebuilt``.

``python benchmarks/rival_coremltools.py PARAMS.npz OUT [--bits 8 6 4]``

It runs in an environment of its own, without deepcompress: PyTorch and coremltools 9.0. PARAMS come
from ``bench_calibrate --export``. Each weight goes into a layer of a module of PyTorch, which
`PostTrainingPalettizer` gives a table of 2 ** bits values, by k-means. ``file_bytes`` isn't a
file's: it counts what a model of Core ML stores at least, labels of so many bits, tables and biases
as float16, and nothing for the graph.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from coremltools.optimize.torch.palettization import (
    PostTrainingPalettizer,
    PostTrainingPalettizerConfig,
)


def layer_of(weight: np.ndarray) -> torch.nn.Module:
    """Return a layer that has a weight."""
    if weight.ndim == 2:
        layer: torch.nn.Module = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    else:
        outputs, inputs, *kernel = weight.shape
        layer = torch.nn.Conv2d(inputs, outputs, tuple(kernel), bias=False)
    layer.weight.data = torch.from_numpy(weight)
    return layer


def main() -> None:
    """Palettize with so many bits, and keep the values and the bytes."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("params")
    parser.add_argument("out")
    parser.add_argument("--bits", type=int, nargs="+", default=[8, 6, 4])
    arguments = parser.parse_args()
    with np.load(arguments.params) as values:
        params = {name: np.ascontiguousarray(values[name], np.float32) for name in values}
    weights = [name for name, value in params.items() if value.ndim > 1]
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    for bits in arguments.bits:
        module = torch.nn.Sequential(*(layer_of(params[name].copy()) for name in weights))
        settings = {"n_bits": bits, "granularity": "per_tensor"}
        config = PostTrainingPalettizerConfig.from_dict({"global_config": settings})
        made = PostTrainingPalettizer(module, config).compress()
        found, size = {}, 0
        for name, layer in zip(weights, made, strict=True):
            found[name] = layer.weight.detach().numpy().reshape(params[name].shape)
            distinct = len(np.unique(found[name]))
            if distinct <= 2**bits:
                size += -(-found[name].size * bits // 8) + 2 * 2**bits
            else:  # a layer that it left alone
                size += 2 * found[name].size
        for name, value in params.items():
            if name not in found:
                found[name] = value.astype(np.float16).astype(np.float32)
                size += 2 * value.size
        np.savez(out / f"coremltools_{bits}bits.npz", file_bytes=size, **found)
        print(bits, size, flush=True)


if __name__ == "__main__":
    main()
