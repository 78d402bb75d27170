"""Files of every version stay readable, and what we write for them doesn't change."""

from pathlib import Path

import numpy as np
import pytest

import deepcompress as dc

FOLDER = Path(__file__).parent / "golden"
GOLDENS = [
    *("v1-huffman", "v1-fixed-width", "v1-nooks", "v1-dtypes", "v1-nothing"),
    *("v1-encodings", "v1-blocks", "v1-rans", "v1-every-coder"),
]


def test_no_golden_is_missing_or_forgotten() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.dcnn")) == sorted(GOLDENS)


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_decodes_and_re_encodes(name: str) -> None:
    data = (FOLDER / f"{name}.dcnn").read_bytes()
    model = dc.load(FOLDER / f"{name}.dcnn")
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected:
        assert list(model) == list(expected)
        for tensor, dense in model.to_dense().items():
            assert dense.dtype == expected[tensor].dtype
            assert dense.shape == expected[tensor].shape
            assert dense.tobytes() == expected[tensor].tobytes()
    assert model.to_bytes() == data


def test_compressing_the_dense_tensors_gives_the_golden_again() -> None:
    """Clustering, choice of widths and coding are part of what may not drift."""
    data = (FOLDER / "v1-huffman.dcnn").read_bytes()
    model = dc.load(FOLDER / "v1-huffman.dcnn")
    assert dc.compress(model.to_dense(), metadata=model.metadata).to_bytes() == data
