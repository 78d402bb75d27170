"""Centroids that a file has as float16: what is read back is what was chosen."""

import numpy as np
import pytest

import deepcompress as dc
from deepcompress.container.records import Coding
from deepcompress.pipeline import from_bytes

W = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
HALF = dc.Config({"centroid_dtype": "float16", "bits": 4})


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("group_size", [None, 7])
def test_weights_take_the_nearest_rounded_centroid(dtype: str, group_size: int | None) -> None:
    config = dc.Config({"centroid_dtype": "float16", "bits": 4, "group_size": group_size})
    model = dc.compress({"w": W.astype(dtype)}, config)
    data = model.to_bytes()
    assert data[8] == 3
    dense = from_bytes(data)["w"].to_dense()
    assert dense.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(dense, model["w"].to_dense())
    np.testing.assert_array_equal(dense, dense.astype(np.float16))
    for start in range(0, 40, group_size or 40):
        own = slice(start, start + (group_size or 40))
        distances = np.abs(W[own, :, None].astype(float) - np.unique(dense[own]))
        np.testing.assert_array_equal(
            np.abs(W[own].astype(float) - dense[own]), distances.min(axis=-1)
        )
    assert from_bytes(data).to_bytes() == data


def test_a_codebook_takes_half_the_bytes() -> None:
    whole = dc.compress({"w": W}, dc.Config({"bits": 4})).to_bytes()
    half = dc.compress({"w": W}, HALF).to_bytes()
    assert len(half) <= len(whole) - 2 * 15 + 8  # labels differ a little
    as_float16 = dc.compress({"w": W.astype(np.float16)}, HALF).to_bytes()
    assert as_float16[8] == 2  # whose centroids are float16 anyway


def test_centroids_beyond_float16() -> None:
    with pytest.raises(dc.ArgumentError, match="'w': a centroid is beyond float16, asked for as"):
        dc.compress({"w": W * np.float32(1e6)}, HALF)
    tiny = dc.compress({"w": W * np.float32(1e-12)}, HALF)["w"]
    assert not tiny.to_dense().any()


def test_other_centroids_are_written_as_float32() -> None:
    model = dc.compress({"w": W})
    coding = model.storage["w"]
    assert isinstance(coding, Coding)
    half = Coding(coding.encoding, 0, 0, coding.gap_bits, coding.block_bits, half=True)
    read = from_bytes(dc.CompressedModel(dict(model), {}, {"w": half}).to_bytes())
    np.testing.assert_array_equal(read["w"].to_dense(), model["w"].to_dense())
    assert not read.storage["w"].half
