"""Npz files: read back by NumPy, the same bytes each time, names refused that a zip can't hold."""

import io
import time

import numpy as np
import pytest

from deepcompress.errors import ArgumentError
from deepcompress.npz import npz_bytes

ARRAYS = {
    "a/b.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "µ": np.zeros((0, 2), np.float16),
    "file": np.array(True),
    "x.npy": np.ones(3, np.complex64),
    "../y": np.asfortranarray(np.ones((2, 3), np.uint8)),
}


def test_numpy_reads_it() -> None:
    with np.load(io.BytesIO(npz_bytes(ARRAYS)), allow_pickle=False) as arrays:
        assert list(arrays) == list(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(arrays[name], array, strict=True)


def test_same_bytes_at_any_time(monkeypatch) -> None:
    before = npz_bytes(ARRAYS)
    monkeypatch.setattr(time, "time", lambda: 2e9)
    assert npz_bytes(ARRAYS) == before


@pytest.mark.parametrize("name", ["a\0b", "n" * 65532])
def test_unsuitable_names(name: str) -> None:
    with pytest.raises(ArgumentError, match="no name for an array"):
        npz_bytes({name: np.zeros(1)})
