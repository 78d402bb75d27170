"""Write the golden files of the current format version: ``python tests/golden/make.py``.

To be run once per version, never by a test. Files of earlier versions stay as they are; git has
what made them.
"""

import io
import itertools
from pathlib import Path

import numpy as np

import deepcompress as dc
from deepcompress.container.records import (
    CODERS,
    SHARED,
    SHARED_ENCODINGS,
    VERSION,
    Coding,
    PlaneCoding,
)
from deepcompress.dtypes import NUMPY_LACKS, TYPES, ElementType, bits_of, named
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.tensors import FIXED_WIDTH, RANS, Survivors


def shared(element_type: ElementType, rng: np.random.Generator) -> dc.CompressedTensor:
    """Return small weights of a dtype, shared."""
    positions = np.flatnonzero(rng.random(48) < 0.5)
    labels = rng.choice(np.array([1, 1, 1, 2, 3], np.uint8), positions.size)
    codebook = np.array([0, -1.5, 0.5, 3], np.float32)
    if element_type.kind != "f":
        codebook = np.array([0, 1, 7, 100], np.float32)
    return pack_weights(Survivors((6, 8), codebook, positions, labels, element_type), 3)


def elements(element_type: ElementType, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return elements of a dtype whose high bytes are few."""
    if element_type.kind == "b":
        return rng.random(count) < 0.2
    if element_type.kind == "c":
        return (rng.normal(size=(count, 2)) @ [1, 1j]).astype(element_type.numpy())
    return (20 * rng.normal(size=count)).astype(np.int64).astype(element_type.numpy())


def models() -> dict[str, dc.CompressedModel]:
    rng = np.random.default_rng(2026)
    in_numpy = [one for one in TYPES if one.name not in NUMPY_LACKS]
    lacking = [one for one in TYPES if one.name in NUMPY_LACKS]

    def dtypes(types: list[ElementType]) -> dc.CompressedModel:
        tensors: dict[str, dc.CompressedTensor | np.ndarray] = {}
        storage: dict[str, Coding | PlaneCoding] = {}
        for i, one in enumerate(types):
            tensors[f"{one}.raw"] = elements(one, 5, rng)
            tensors[f"{one}.planes"] = elements(one, 40, rng)
            storage[f"{one}.planes"] = PlaneCoding((i % 3,) * one.word_bytes, 4 + i % 2)
            if one.is_shareable:
                tensors[f"{one}.shared"] = shared(one, rng)
                encoding = SHARED[i % 3]
                gap_bits = 3 * (SHARED_ENCODINGS[i % 3] == "relative")
                storage[f"{one}.shared"] = Coding(encoding, i % 3, FIXED_WIDTH, gap_bits)
        return dc.CompressedModel(tensors, {}, storage)

    planes: dict[str, np.ndarray] = {}
    how: dict[str, PlaneCoding] = {}
    for coder, block_bits in itertools.product(range(len(CODERS)), (5, 20)):
        name = f"{CODERS[coder]}-{block_bits}"
        planes[name] = rng.normal(size=(3, 40)).astype(np.float32)
        how[name] = PlaneCoding((FIXED_WIDTH, FIXED_WIDTH, coder, coder), block_bits)
    planes["empty"], how["empty"] = np.zeros((0, 3), np.int16), PlaneCoding((RANS, FIXED_WIDTH))
    planes["rank 0"], how["rank 0"] = np.array(-1, np.int64), PlaneCoding((1,) * 8)

    weights = rng.normal(size=(40, 60))
    sparse = weights * (rng.random(weights.shape) < 0.3)
    compressed = {
        "half": sparse.astype(np.float16),
        "half.bias": weights[0].astype(np.float16),
        "double": weights,
        "steps": (8 * weights).astype(np.int8),
        "mask": weights > 2,
        "float32": sparse.astype(np.float32),
        "kept": rng.integers(0, 1 << 12, (30, 30), dtype=np.int32),
    }
    config = dc.Config(dc.TensorConfig(coder="rans"), by_name={"double": {"encoding": "dense"}})
    return {
        "dtypes": dtypes(in_numpy),
        "lacking": dtypes(lacking),
        "planes": dc.CompressedModel({**planes}, {}, {**how}),
        "compressed": dc.compress(compressed, config, metadata={"é": 2}),
    }


def dense(model: dc.CompressedModel) -> dict[str, np.ndarray]:
    """Return all tensors dense, those of dtypes that NumPy lacks as their bits."""
    return {
        name: bits_of(array, named(array.dtype)).reshape(array.shape)
        for name, array in model.to_dense().items()
    }


if __name__ == "__main__":
    folder = Path(__file__).parent
    for name, model in models().items():
        model.save(folder / f"v{VERSION}-{name}.dcnn")
        arrays = io.BytesIO()
        np.savez_compressed(arrays, **dense(model))
        (folder / f"v{VERSION}-{name}.npz").write_bytes(arrays.getvalue())
