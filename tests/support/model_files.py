"""Files whose tensors are read in part, and what is dense of them."""

import numpy as np

import deepcompress as dc
from deepcompress.container.records import Coding
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.tensors import Survivors


def dense(tensor: object) -> np.ndarray:
    return tensor.to_dense() if isinstance(tensor, dc.CompressedTensor) else tensor


def blocks_file() -> bytes:
    """Each encoding in blocks whose ends are within rows, and a raw tensor between."""
    rng = np.random.default_rng(3)
    codebook = np.array([0, -1, 0.5, 2], np.float32)
    tensors: dict[str, object] = {"raw": rng.normal(size=(5, 2))}
    storage = {}
    for encoding, gap_bits in ((1, 2), (2, 0), (3, 0)):
        for coder in (0, 1):
            positions = np.flatnonzero(rng.random(23 * 7) < 0.4)
            labels = rng.integers(1, 4, positions.size).astype(np.uint8)
            name = f"{encoding}{coder}"
            tensors[name] = pack_weights(Survivors((23, 7), codebook, positions, labels), 2)
            positions_coder = 0 if encoding == 2 else coder
            storage[name] = Coding(encoding, coder, positions_coder, gap_bits, block_bits=4)
    return dc.CompressedModel(tensors, {}, storage).to_bytes()
