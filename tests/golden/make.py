"""Write the golden files of the current format version: ``python tests/golden/make.py``.

To be run once per version, never by a test. Files of earlier versions stay as they are; git has
what made them.
"""

import io
from pathlib import Path

import numpy as np

import deepcompress as dc
from deepcompress.coding.delta import DeltaCoding
from deepcompress.container.records import (
    BITMASK,
    DENSE,
    RELATIVE,
    VERSION,
    Coding,
    PlaneCoding,
)
from deepcompress.dtypes import NUMPY_LACKS, TYPES
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS, RANS1

IN_NUMPY = [one.numpy() for one in TYPES if one.name not in NUMPY_LACKS]


def elements(dtype: np.dtype, rng: np.random.Generator) -> np.ndarray:
    values = 20 * rng.normal(size=(4, 15))
    return values > 0 if dtype.kind == "b" else np.abs(values).astype(dtype)


def weights_of(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(size=(7, 30)).astype(np.float32) * (rng.random((7, 30)) < 0.8)


def nudged(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return an array with a bit of some elements changed."""
    bits = array.copy().view(np.uint8)
    bits[..., :: array.dtype.itemsize] ^= rng.random(array.shape) < 0.2
    return bits.view(array.dtype)


def with_contexts() -> dc.CompressedModel:
    rng = np.random.default_rng(2027)
    weights = rng.normal(size=(40, 60))
    sparse = weights * (rng.random(weights.shape) < 0.3)
    kernels = rng.normal(size=(12, 6, 3, 3)) * (rng.random((12, 6, 3, 3)) < 0.5)
    tensors = {
        "half": sparse.astype(np.float16),
        "kernels": kernels.astype(np.float32),
        "row": weights[0],
        "zeros": np.zeros((40, 70), np.float32),
    }
    how = {name: {"encoding": "context", "bits": 3 + i} for i, name in enumerate(tensors)}
    return dc.compress(tensors, dc.Config(by_name=how))


def with_states() -> dict[str, dc.CompressedModel]:
    """Return models whose streams have several states: up to four in a small file, up to 32."""
    rng = np.random.default_rng(2028)
    many = rng.normal(size=(180, 100)) * (rng.random((180, 100)) < 0.02)
    tensors = {
        "gaps": rng.normal(size=(40, 60)) * (rng.random((40, 60)) < 0.1),
        "mask": rng.normal(size=(20, 30)) * (rng.random((20, 30)) < 0.5),
        "labels": np.sign(many),
        "one": np.ones((5, 7)),
    }
    tensors = {name: array.astype(np.float32) for name, array in tensors.items()}
    storage = {
        "gaps": Coding(RELATIVE, RANS, RANS, 4),
        "mask": Coding(BITMASK, RANS, RANS),
        "labels": Coding(DENSE, RANS),
        "one": Coding(DENSE, RANS, block_bits=3),
    }
    small = dc.compress(tensors, dc.Config(dc.TensorConfig(bits=3, min_size=0)))
    words = np.arange(300, dtype=np.int16) ** 2 // 400
    small.tensors["words"] = words
    planes = {"words": PlaneCoding((RANS, RANS), 8)}
    sizes = {f"{n}": (n, 1) for n in (16384, 32768, 65536, 131072)}
    many = {name: rng.random(shape) < 0.03 for name, shape in sizes.items()}
    many = {name: array.astype(np.float32) for name, array in many.items()}
    large = dc.compress(many, dc.Config(dc.TensorConfig(min_size=0)))
    return {
        "rans": dc.CompressedModel(small.tensors, {}, storage | planes),
        "rans-states": dc.CompressedModel(
            large.tensors, {}, dict.fromkeys(many, Coding(DENSE, RANS))
        ),
    }


def models() -> dict[str, tuple[dc.CompressedModel, dict[str, np.ndarray]]]:
    """Return models, and their bases."""
    rng = np.random.default_rng(2026)
    table = rng.normal(size=(60, 40)).astype(np.float32)
    small = np.arange(5, dtype=np.int16)
    ties = dc.compress({"in": table, "w": 2 * table, "out": table.copy()}, metadata={"é": 3})
    ties.tensors.update({"small": small, "again": small, "third": ties["w"]})
    ties.storage["third"] = ties.storage["w"]

    base = {str(dtype): elements(dtype, rng) for dtype in IN_NUMPY}
    deltas = {name: nudged(array, rng) for name, array in base.items()}
    how = {}
    for i, (name, array) in enumerate(base.items()):
        word_bytes = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
        coders = (FIXED_WIDTH, HUFFMAN, RANS1)[i % 3 :][:1] * (word_bytes if i % 2 else 1)
        how[name] = DeltaCoding(array, PlaneCoding(coders, 4 + i % 2))
    base |= {"same": table, "empty": np.zeros((0, 3)), "nan": np.array([np.nan, -0.0, 1])}
    deltas |= {"same": table, "empty": np.zeros((0, 3)), "nan": np.array([-np.nan, 0.0, np.inf])}
    how |= {name: DeltaCoding(base[name], None) for name in ("same", "empty", "nan")}
    deltas["other"] = small
    channels = rng.normal(size=(10, 3, 4, 4)) * np.logspace(-2, 0, 10)[:, None, None, None]
    channels *= rng.random(channels.shape) < 0.5
    names = ("float32", "float64", "float16")
    weights = {name: channels.astype(name) for name in names} | {"whole": weights_of(rng)}
    config = dc.Config({"bits": 3, "group_size": 4, "coder": "rans1", "min_size": 0})
    weights["half"] = weights["float32"].copy()
    one_each = {"half": {"centroid_dtype": "float16"}, "float16": {"group_size": 1}}
    one_each |= {"whole": {"group_size": 3, "encoding": "bitmask"}}
    grouped = dc.compress(weights, dc.Config(config.default, by_name=one_each))
    names = {"w": "float32", "v": "float64", "h": "float16"}
    halves = dc.Config({"centroid_dtype": "float16", "bits": 4, "min_size": 0})
    return {
        "context": (with_contexts(), {}),
        "half": (dc.compress({key: weights[name] for key, name in names.items()}, halves), {}),
        "grouped": (grouped, {}),
        "ties": (ties, {}),
        **{name: (model, {}) for name, model in with_states().items()},
        "deltas": (dc.CompressedModel({**deltas}, {}, {**how}), base),
    }


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)
    path.write_bytes(stream.getvalue())


if __name__ == "__main__":
    folder = Path(__file__).parent
    for name, (model, base) in models().items():
        model.save(folder / f"v{VERSION}-{name}.dcnn")
        write(folder / f"v{VERSION}-{name}.npz", model.to_dense())
        if base:
            write(folder / f"v{VERSION}-{name}-base.npz", base)
