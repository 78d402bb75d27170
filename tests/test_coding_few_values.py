"""Tensors of few values as shared weights, or not where something would be lost."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from deepcompress.coding import prices
from deepcompress.coding.few_values import least_bytes, shared
from deepcompress.container.records import CODERS
from deepcompress.pipeline import compress, from_bytes
from deepcompress.presets import preset


@pytest.mark.parametrize(("first", "count", "is_shared"), [
    (0, 256, True), (1, 255, True), (1, 256, False), (0, 257, False), (-128, 256, True),
])  # fmt: skip
def test_255_values_besides_zero(first: int, count: int, is_shared: bool) -> None:
    values = np.arange(first, first + count).astype(np.float32)
    array = np.random.default_rng(0).choice(values, 20_000)
    array[:count] = values
    weights = shared(array)
    assert (weights is not None) == is_shared
    if weights is not None:
        dense = np.zeros_like(array)
        dense[weights.positions] = weights.codebook[weights.labels]
        assert dense.tobytes() == array.tobytes()
        assert (np.diff(weights.codebook[1:]) > 0).all()
    data = compress({"w": array}, preset("lossless")).to_bytes()
    assert from_bytes(data).to_dense()["w"].tobytes() == array.tobytes()


@pytest.mark.parametrize("value", [
    np.float32("nan"), np.float32("inf"), np.float32(-0.0), np.float64(0.1), np.float64(1e300),
    np.int64(1 << 24 | 1), np.int64(-(1 << 63)), np.uint64((1 << 64) - 1), np.complex64(1),
    np.True_,
])  # fmt: skip
def test_what_has_no_centroid(value: np.generic) -> None:
    array = np.zeros(500, value.dtype)
    array[::3] = value
    assert shared(array) is None


@pytest.mark.parametrize("value", [
    np.float64(0.5), np.float32(1e-45), np.int64(-(1 << 24)), np.uint8(255), np.float16(6e-8),
])  # fmt: skip
def test_what_has_one(value: np.generic) -> None:
    array = np.zeros(500, value.dtype)
    array[::3] = value
    weights = shared(array)
    assert weights is not None
    assert weights.codebook.tolist() == [0, float(value)]


def test_values_that_a_sample_misses() -> None:
    array = np.zeros(1 << 20, np.float32)
    array[1:3000:2] = np.arange(1500)
    assert shared(array) is None
    array[array > 200] = -0.0
    assert shared(array) is None


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_no_coding_takes_less_than_the_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.laplace(size=int(rng.integers(1, 250))).astype(np.float32)
    size = int(rng.choice([300, 2000]))
    array = rng.choice(values, size, p=rng.dirichlet(np.full(len(values), 0.1)))
    array[rng.random(size) < rng.choice([0, 0.5, 0.99])] = 0
    weights = shared(array)
    if weights is not None:
        for coder in CODERS:
            price = prices.choose(weights, prices.Choice(coder))
            assert least_bytes(weights) <= price.size_bytes
