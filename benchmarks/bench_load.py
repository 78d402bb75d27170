"""Time a file of VGG-16's size from disk to first products against numpy.load of its weights.

``python -m benchmarks.bench_load [--rounds N] [--json FILE]``

138 million weights at the densities of the paper's table 5, random positions, labels of 8 bits
in convolutions and of 5 in the others. Ours is to read the file, decode every tensor, and
multiply each fc layer by a vector, layouts included. The peers read the same weights as dense
float32 from ``.npy`` files, one to a tensor, or from one ``.npz``, and multiply nothing. All
files are in the page cache. First, tensors and products are checked.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np

import deepcompress
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.tensors import Survivors

from .harness import machine, medians, require_kernels, row

CONVOLUTIONS = [
    ("conv1_1", 64, 3, 0.58),
    ("conv1_2", 64, 64, 0.22),
    ("conv2_1", 128, 64, 0.34),
    ("conv2_2", 128, 128, 0.36),
    ("conv3_1", 256, 128, 0.53),
    ("conv3_2", 256, 256, 0.24),
    ("conv3_3", 256, 256, 0.42),
    ("conv4_1", 512, 256, 0.32),
    ("conv4_2", 512, 512, 0.27),
    ("conv4_3", 512, 512, 0.34),
    ("conv5_1", 512, 512, 0.35),
    ("conv5_2", 512, 512, 0.29),
    ("conv5_3", 512, 512, 0.36),
]
PRODUCTS = [("fc6", 4096, 25088, 0.04), ("fc7", 4096, 4096, 0.04), ("fc8", 1000, 4096, 0.23)]


def random_tensor(
    rng: np.random.Generator, shape: tuple[int, ...], density: float, bits: int
) -> CompressedTensor:
    """Return weights as if of a trained network: two humps, and none in between."""
    size = int(np.prod(shape))
    positions = np.flatnonzero(rng.random(size, dtype=np.float32) < density)
    values = rng.standard_normal(len(positions), dtype=np.float32)
    values += np.sign(values) / 2
    k = 2**bits - 1
    labels = (1 + np.clip((values + 3.5) / 7 * k, 0, k - 1)).astype(np.uint8)
    codebook = np.zeros(k + 1, np.float32)
    codebook[1:] = np.linspace(-3.5, 3.5, k) + 1e-3
    return pack_weights(Survivors(shape, codebook, positions, labels))


def vgg16() -> dict[str, CompressedTensor]:
    """Return VGG-16's weights."""
    rng = np.random.default_rng(0)
    layers = {
        name: random_tensor(rng, (out, into, 3, 3), density, 8)
        for name, out, into, density in CONVOLUTIONS
    }
    return layers | {
        name: random_tensor(rng, (rows, cols), density, 5) for name, rows, cols, density in PRODUCTS
    }


def main() -> None:
    """Measure, print and write the row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path, help="file for the figures")
    options = parser.parse_args()
    require_kernels()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        layers = vgg16()
        file_bytes = deepcompress.CompressedModel(dict(layers)).save(folder / "vgg.dcnn")
        dense = {layer: tensor.to_dense() for layer, tensor in layers.items()}
        for layer, array in dense.items():
            np.save(folder / f"{layer}.npy", array)
        np.savez(folder / "vgg.npz", **dense)
        x = {name: np.ones(cols, np.float32) for name, _, cols, _ in PRODUCTS}

        def ours() -> dict[str, np.ndarray]:
            model = deepcompress.load(folder / "vgg.dcnn")
            return {layer: model[layer] @ x[layer] for layer in x}

        def npy() -> dict[str, np.ndarray]:
            return {layer: np.load(folder / f"{layer}.npy") for layer in dense}

        def npz() -> dict[str, np.ndarray]:
            with np.load(folder / "vgg.npz") as arrays:
                return {layer: arrays[layer] for layer in dense}

        model = deepcompress.load(folder / "vgg.dcnn")
        if not all((model[layer].to_dense() == dense[layer]).all() for layer in dense):
            raise SystemExit("the file has other weights")
        for layer, y in ours().items():
            exact = dense[layer].astype(np.float64) @ x[layer]
            if not np.allclose(y, exact, rtol=1e-3, atol=1e-2):
                raise SystemExit(f"{layer}: a wrong product")
        dense_bytes = sum(array.nbytes for array in dense.values())
        calls = {"ours": ours, "numpy_npy": npy, "numpy_npz": npz}
        seconds = medians(calls, options.rounds)
        result = row("vgg-16", seconds, file_bytes=file_bytes, dense_bytes=dense_bytes)
    print(
        f"{file_bytes:,} bytes to first products: {seconds['ours'] * 1e3:.0f} ms; "
        + "  ".join(f"{peer} {result['ratio_' + peer]:.2f}" for peer in calls if peer != "ours")
    )
    if options.json:
        content = {"machine": machine(), "rows": [result]}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
