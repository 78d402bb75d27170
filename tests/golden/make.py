"""Write the golden files of the current format version: ``python tests/golden/make.py``.

To be run once per version, never by a test. Files of earlier versions stay as they are, and so
do those of this one: k-means has moved empty clusters otherwise since they were written, so that
it would give other bytes.
"""

import dataclasses
import io
import itertools
from pathlib import Path

import numpy as np

import deepcompress as dc
from deepcompress.container.records import (
    BITMASK,
    CODERS,
    DENSE,
    DTYPES,
    ENCODINGS,
    RELATIVE,
    VERSION,
    Coding,
)
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.pipeline import at_fixed_width
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS, Survivors


def every_coder() -> dc.CompressedModel:
    """Return small tensors with each encoding and coder, in one block and in several."""
    rng = np.random.default_rng(1)
    tensors: dict[str, dc.CompressedTensor | np.ndarray] = {"raw": np.array([True, False, True])}
    storage = {}
    for encoding, coder in itertools.product(range(1, len(ENCODINGS)), range(len(CODERS))):
        name = f"{ENCODINGS[encoding]}-{CODERS[coder]}"
        positions = np.flatnonzero(rng.random(48) < (0.2, 0.7, 0.5)[encoding - 1])
        labels = rng.choice(np.array([1, 1, 1, 2, 3], np.uint8), positions.size)
        codebook = np.array([0, -1, 0.5, 2], np.float32)
        tensors[name] = pack_weights(Survivors((6, 8), codebook, positions, labels), 3)
        storage[name] = Coding(
            encoding,
            coder,
            FIXED_WIDTH if encoding == DENSE else coder,
            3 if encoding == RELATIVE else 0,
            5 if coder == HUFFMAN else 20,
        )
    return dc.CompressedModel(tensors, {}, storage)


def models() -> dict[str, dc.CompressedModel]:
    rng = np.random.default_rng(2016)

    def sparse(*shape: int, density: float) -> np.ndarray:
        return (rng.normal(size=shape) * (rng.random(shape) < density)).astype(np.float32)

    lenet = {
        "conv1.weight": sparse(20, 1, 5, 5, density=0.66),
        "conv1.bias": rng.normal(size=20).astype(np.float32),
        "ip1.weight": sparse(100, 80, density=0.08),
        "ip2.weight": sparse(10, 100, density=0.19),
    }
    nooks = {
        "zeros": np.zeros((16, 16)),
        "empty": np.zeros((0, 7)),
        "full": rng.normal(size=(12, 12)),
        "one value": np.eye(20),
        "far": np.eye(1, 5000, 4999),
        "rank 0": np.float64(np.nan),
        "rank 6": np.full((1, 2, 1, 2, 1, 2), -np.inf, np.float16),
        "ähnlich": np.arange(3, dtype=np.uint16),
    }
    full = {
        "relative": sparse(60, 40, density=0.1),
        "dense": sparse(40, 60, density=0.97),
        "bitmask": sparse(64, 40, density=0.4),
        "fixed": sparse(30, 50, density=0.4),
        "long": np.repeat(sparse(1, 90, density=0.2), 100),
    }
    encodings = {name: {"encoding": name if name in ENCODINGS else None} for name in full} | {
        "fixed": {"coder": "fixed"},
        "long": {"method": "raw"},
    }
    bias = {"bias": {"method": "shared"}}
    dtypes = {dtype.name: np.arange(5).astype(dtype) for dtype in DTYPES}
    shared = dc.Config(dc.TensorConfig(min_size=0), by_name={"rank 6": {"method": "raw"}})
    huffman = dc.compress(lenet, metadata={"network": "golden", "é": [1, None, 0.5]})
    return {
        "huffman": huffman,
        "fixed-width": at_fixed_width(huffman),
        "nooks": dc.compress(nooks, shared),
        "dtypes": dc.compress(dtypes),
        "nothing": dc.compress({}),
        "every-coder": every_coder(),
        "encodings": dc.compress(full, dc.Config(by_name=encodings)),
        "rans": dc.compress(lenet | full, dc.Config(dc.TensorConfig(coder="rans"), bias)),
        "blocks": dataclasses.replace(
            dc.compress(full, dc.Config(by_kind=bias)),
            storage={
                "relative": Coding(RELATIVE, HUFFMAN, HUFFMAN, gap_bits=4, block_bits=9),
                "dense": Coding(DENSE, HUFFMAN, FIXED_WIDTH, block_bits=10),
                "bitmask": Coding(BITMASK, HUFFMAN, HUFFMAN, block_bits=8),
                "fixed": Coding(BITMASK, RANS, RANS, block_bits=9),
                "long": Coding(RELATIVE, HUFFMAN, FIXED_WIDTH, gap_bits=8, block_bits=12),
            },
        ),
    }


if __name__ == "__main__":
    folder = Path(__file__).parent
    for name, model in models().items():
        model.save(folder / f"v{VERSION}-{name}.dcnn")
        dense = io.BytesIO()
        np.savez_compressed(dense, **model.to_dense())
        (folder / f"v{VERSION}-{name}.npz").write_bytes(dense.getvalue())
