"""Files of every version stay readable, and what we write for them doesn't change."""

from pathlib import Path

import numpy as np
import pytest
from support.golden import base_of

import deepcompress as dc
from deepcompress.dtypes import bits_of, named

FOLDER = Path(__file__).parent / "golden"
GOLDENS = [
    *("v1-huffman", "v1-fixed-width", "v1-nooks", "v1-dtypes", "v1-nothing"),
    *("v1-encodings", "v1-blocks", "v1-rans", "v1-every-coder"),
    *("v2-dtypes", "v2-lacking", "v2-planes", "v2-compressed"),
    *("v3-ties", "v3-deltas", "v3-grouped", "v3-half", "v3-context", "v3-rans", "v3-rans-states"),
    "v4-trellis",
]


def test_no_golden_is_missing_or_forgotten() -> None:
    assert sorted(path.stem for path in FOLDER.glob("*.dcnn")) == sorted(GOLDENS)


@pytest.mark.parametrize("name", GOLDENS)
def test_golden_decodes_and_re_encodes(name: str) -> None:
    if name == "v2-lacking":
        pytest.importorskip("ml_dtypes")
    data = (FOLDER / f"{name}.dcnn").read_bytes()
    model = dc.load(FOLDER / f"{name}.dcnn", base=base_of(FOLDER / f"{name}.dcnn"))
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as expected:
        assert list(model) == list(expected)
        for tensor, array in model.to_dense().items():
            element_type = named(array.dtype)
            dense = bits_of(array, element_type).reshape(array.shape)
            assert name != "v2-lacking" or tensor.startswith(f"{element_type}.")
            assert dense.dtype == expected[tensor].dtype
            assert dense.shape == expected[tensor].shape
            assert dense.tobytes() == expected[tensor].tobytes()
    assert model.to_bytes() == data


def test_compressing_the_dense_tensors_gives_the_golden_again() -> None:
    """Clustering, choice of widths and coding are part of what may not drift."""
    data = (FOLDER / "v1-huffman.dcnn").read_bytes()
    model = dc.load(FOLDER / "v1-huffman.dcnn")
    assert dc.compress(model.to_dense(), metadata=model.metadata).to_bytes() == data


def test_the_versions_are_told_apart() -> None:
    for name in GOLDENS:
        data = (FOLDER / f"{name}.dcnn").read_bytes()
        assert data[8] == int(name[1])
