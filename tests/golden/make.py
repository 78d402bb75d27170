"""Write the golden files of the current format version: ``python tests/golden/make.py``.

To be run once per version, never by a test. Files of earlier versions stay as they are.
"""

import io
from pathlib import Path

import numpy as np

import deepcompress as dc
from deepcompress.container import DTYPES, VERSION
from deepcompress.pipeline import at_fixed_width


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
    dtypes = {dtype.name: np.arange(5).astype(dtype) for dtype in DTYPES}
    shared = dc.Config(dc.TensorConfig(min_size=0), by_name={"rank 6": {"method": "raw"}})
    huffman = dc.compress(lenet, metadata={"network": "golden", "é": [1, None, 0.5]})
    return {
        "huffman": huffman,
        "fixed-width": at_fixed_width(huffman),
        "nooks": dc.compress(nooks, shared),
        "dtypes": dc.compress(dtypes),
        "nothing": dc.compress({}),
    }


if __name__ == "__main__":
    folder = Path(__file__).parent
    for name, model in models().items():
        model.save(folder / f"v{VERSION}-{name}.dcnn")
        dense = io.BytesIO()
        np.savez_compressed(dense, **model.to_dense())
        (folder / f"v{VERSION}-{name}.npz").write_bytes(dense.getvalue())
