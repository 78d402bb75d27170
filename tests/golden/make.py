"""Write the golden files of the current format version: ``python tests/golden/make.py``.

To be run once per version, never by a test. Files of earlier versions stay as they are; git has
what made them.
"""

import io
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.along import labels_along

import deepcompress as dc
from deepcompress import dtypes
from deepcompress.container.records import CONTEXT, MAX_BLOCK_BITS, VERSION, Coding
from deepcompress.packed.survivors import pack
from deepcompress.tensors import Survivors

GRID = np.array([*range(-5, 0), *range(1, 9)])


def along(values: np.ndarray, centroids: np.ndarray, dtype: str = "float32") -> dc.CompressedTensor:
    """Return a tensor whose weights are along the trellis, near values in units of ranks."""
    codebook = np.concatenate([[0], centroids]).astype(np.float32)
    labels = labels_along(values, values.shape, codebook)
    positions = np.flatnonzero(labels)
    element_type = dtypes.named(np.dtype(dtype))
    weights = Survivors(values.shape, codebook, positions, labels[positions], element_type)
    return pack(weights)


def models() -> dict[str, dc.CompressedModel]:
    rng = np.random.default_rng(2029)
    # No multiples of a step, but where said.
    below = np.array([-4, -3.25, -3, -2.25, -2, -1.25, -1, -0.25])
    sides = np.concatenate([below, np.linspace(0.25, 2.5, 10)])
    tensors = {
        "matrix": along(rng.normal(scale=2, size=(40, 60)), sides),
        "kernels": along(rng.normal(scale=1.2, size=(12, 6, 3, 3)), sides),
        "grid": along(rng.normal(scale=2, size=(40, 60)), 0.3 * GRID),
        "grid-of-float64": along(rng.normal(scale=2, size=(8, 40)), 0.1 * GRID, "float64"),
        "grid-above-0": along(rng.normal(scale=2, size=(8, 40)), 0.7 * GRID[5:]),
        "grid-below-0": along(rng.normal(scale=2, size=(8, 40)), 1e-40 * GRID[:5]),
        "dense": along(
            rng.normal(scale=40, size=(30, 40)), np.arange(-127, 128)[np.arange(255) != 127]
        ),
        "sparse": along(rng.normal(scale=0.7, size=(60, 50)), sides[4:14]),
        "unused": along(rng.normal(scale=0.9, size=(20, 30)), np.concatenate([sides, [7, 8, 9]])),
        "positive": along(rng.normal(scale=2, size=(9, 31)), sides[8:]),
        "negative": along(rng.normal(scale=2, size=(9, 31)), sides[:8][::-1]),
        "one": along(rng.normal(scale=2, size=(4, 5)), np.ones(1)),
        "half": along(rng.normal(scale=2, size=(8, 40)), sides),
        "float16": along(rng.normal(scale=2, size=(8, 40)), sides, "float16"),
        "integers": along(rng.normal(scale=2, size=(8, 40)), 4 * sides, "int8"),
        "vector": along(rng.normal(scale=2, size=90), sides),
        "plain": along(rng.normal(scale=2, size=(8, 40)), sides),
        "empty": along(np.zeros((0, 3)), sides),
    }
    coding = Coding(CONTEXT, block_bits=MAX_BLOCK_BITS, trellis=True, grid=True)
    how = dict.fromkeys(tensors, coding)
    how["half"] = Coding(CONTEXT, block_bits=MAX_BLOCK_BITS, half=True, trellis=True)
    how["plain"] = Coding(CONTEXT, block_bits=MAX_BLOCK_BITS)
    return {"trellis": dc.CompressedModel(tensors, {}, how)}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    path.write_bytes(stream.getvalue())


if __name__ == "__main__":
    folder = Path(__file__).parent
    for name, model in models().items():
        model.save(folder / f"v{VERSION}-{name}.dcnn")
        write(folder / f"v{VERSION}-{name}.npz", model.to_dense())
