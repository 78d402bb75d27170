"""Weights alone: steps that follow from sizes, zero and rates, and what is kept."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import deepcompress
from deepcompress.calibrate import weights_alone
from deepcompress.calibrate.alone import (
    SPREAD,
    Expected,
    ExpectedCurvature,
    best_labels,
    expected_hessian,
    own_step,
    unit_step,
    weight_by_weight,
)
from deepcompress.calibrate.moments import Curvature
from deepcompress.calibrate.rates import entropy_rates
from deepcompress.errors import ArgumentError

RNG = np.random.default_rng(0)
TENSORS = {
    "conv.weight": RNG.normal(scale=0.1, size=(30, 8, 3, 3)).astype(np.float32),
    "conv.bias": RNG.normal(size=30).astype(np.float32),
    "fc.weight": RNG.normal(scale=0.01, size=(20, 300)).astype(np.float32),
    "count": np.arange(300),
}


def test_the_error_is_that_which_was_asked_for():
    model = weights_alone({"only": TENSORS["conv.weight"]}, error=0.1)
    off = model.to_dense()["only"] - TENSORS["conv.weight"]
    assert 0.07 < np.sqrt(np.mean(off**2) / np.mean(TENSORS["conv.weight"] ** 2)) < 0.13


def test_steps_follow_from_the_sizes_of_tensors_and_weights():
    tensors = [TENSORS["conv.weight"], TENSORS["fc.weight"], np.zeros((50, 50), np.float32)]
    steps = [unit_step(tensors, 0.1) * own_step(values) for values in tensors]
    sums = [float((values.astype(np.float64) ** 2).sum()) for values in tensors]
    assert np.isclose(steps[0] / steps[1], (sums[0] / sums[1]) ** (SPREAD / 2))
    sizes = [values.size for values in tensors]
    mean = np.average(np.log(steps[:2]), weights=sizes[:2])
    assert np.isclose(mean, np.log(np.sqrt(12 * sum(sums) / sum(sizes)) * 0.1))


def test_what_is_kept():
    model = weights_alone(TENSORS, error=0.1)
    dense = model.to_dense()
    assert np.array_equal(dense["conv.bias"], TENSORS["conv.bias"])
    assert np.array_equal(dense["count"], TENSORS["count"])
    assert model.kept == {"conv.bias": "bias", "count": "not floating"}


def test_sums_of_channels_are_kept():
    """By the expected Hessian, errors add up to less than independent ones would."""
    off = weights_alone(TENSORS, error=0.1)["conv.weight"].to_dense() - TENSORS["conv.weight"]
    squares = (off**2).sum()
    assert (off.sum(axis=(2, 3)) ** 2).sum() < 0.7 * squares
    assert (off.sum(axis=(1, 2, 3)) ** 2).sum() < 0.3 * squares


def test_a_larger_error_makes_a_smaller_file():
    sizes = [len(weights_alone(TENSORS, error=e).to_bytes()) for e in (0.02, 0.1, 0.5, 1e6)]
    assert sizes == sorted(sizes, reverse=True)


def test_the_file_comes_back_and_half_halves(tmp_path):
    model = weights_alone(TENSORS, half=True, metadata={"a": 1})
    size = model.save(tmp_path / "m.dcnn")
    back = deepcompress.load(tmp_path / "m.dcnn")
    assert back.metadata == {"a": 1}
    for name, values in model.to_dense().items():
        assert values.dtype == TENSORS[name].dtype
        assert name == "count" or (values.astype(np.float16) == values).all()
        assert np.array_equal(back.to_dense()[name], values)
    assert size < len(weights_alone(TENSORS).to_bytes())
    assert model.to_bytes() == weights_alone(TENSORS, half=True, metadata={"a": 1}).to_bytes()


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=12),
    st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=30),
    st.integers(0, 2**32),
)
def test_labels_are_the_cheapest(levels, values, seed):
    z, w = np.sort(np.array(levels)), np.array(values, np.float32)
    charged = np.random.default_rng(seed).uniform(0, 2, len(z))
    costs = (w[:, None].astype(np.float64) - z) ** 2 + charged
    labels = best_labels(w, z, charged)
    assert np.allclose(costs[np.arange(len(w)), labels], costs.min(axis=1), rtol=1e-9, atol=1e-9)


def test_weight_by_weight_is_between_rounding_and_nothing():
    w = RNG.normal(size=(40, 50)).astype(np.float32)
    levels, labels = weight_by_weight(w, 0.5, entropy_rates, half=False)
    assert 0.1 < np.sqrt(np.mean((levels[labels] - w) ** 2)) < 0.2
    counts = np.bincount(labels.ravel(), minlength=len(levels))
    nearest = np.abs(w[..., None] - levels).argmin(axis=-1)
    plain = np.bincount(nearest.ravel(), minlength=len(levels))
    assert counts @ entropy_rates(counts) < plain @ entropy_rates(plain)
    assert 0 in levels


def test_large_tensors_are_rounded_weight_by_weight(monkeypatch):
    from deepcompress.calibrate import alone

    expected = weights_alone(TENSORS).to_bytes()
    monkeypatch.setattr(alone, "MOST_COLUMNS", 100)
    found = weights_alone(TENSORS)
    off = found["fc.weight"].to_dense() - TENSORS["fc.weight"]
    assert found.to_bytes() != expected
    assert np.abs(off).max() < 0.01


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 2, 2), (3, 6, 1), (2, 1, 3)])
def test_products_with_the_expected_hessian_are_those_of_the_matrix(shape):
    hessian = expected_hessian(shape)
    width = len(hessian)
    weights, target = RNG.normal(size=(2, 1, shape[0], width))
    dense = Curvature(hessian[None], target, 0.0, 0)
    own = ExpectedCurvature(hessian[None], target, 0.0, 0, Expected(shape))
    np.testing.assert_allclose(own.slopes(weights), dense.slopes(weights), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(own.error(weights), dense.error(weights), rtol=1e-12)
    rows = weights[0, :, :-1]
    (expected,), (matrix,) = own.without_bias(), dense.without_bias()
    np.testing.assert_allclose(rows @ expected, rows @ matrix, rtol=1e-12, atol=1e-12)


def test_the_expected_hessian_is_positive_definite():
    for shape in ((5, 7), (5, 7, 3, 3), (5, 1, 3, 3), (2, 1)):
        assert np.linalg.eigvalsh(expected_hessian(shape)).min() > 0


@pytest.mark.parametrize("bad", [0, -1, np.nan, np.inf, "x", None, True])
def test_a_bad_error(bad):
    with pytest.raises(ArgumentError, match="error must be a positive finite number"):
        weights_alone(TENSORS, error=bad)


def test_other_bad_arguments():
    with pytest.raises(ArgumentError, match="half must be a bool"):
        weights_alone(TENSORS, half=1)
    with pytest.raises(ArgumentError, match="coder"):
        weights_alone(TENSORS, coder="zip")
    with pytest.raises(ArgumentError, match="tensors must be a mapping"):
        weights_alone([1])
    large = {"w": np.full((20, 20), 1e6, np.float32)}
    with pytest.raises(ArgumentError, match="tensor 'w': weights are too large for float16"):
        weights_alone(large, half=True)


def test_odd_tensors():
    odd = {
        "zeros": np.zeros((20, 20), np.float32),
        "nan": np.full((20, 20), np.nan, np.float32),
        "empty": np.zeros((0, 5), np.float32),
        "scalar": np.float32(3),
        "double": RNG.normal(size=(20, 20)),
        "same": np.full((20, 20), 0.1, np.float32),
    }
    dense = weights_alone(odd).to_dense()
    assert {name: one.dtype for name, one in dense.items()} == {
        name: np.asarray(one).dtype for name, one in odd.items()
    }
    assert not dense["zeros"].any()
    assert np.isnan(dense["nan"]).all()
    assert dense["empty"].shape == (0, 5)
    assert dense["scalar"] == 3
    assert np.abs(dense["double"] - odd["double"]).max() < 1
    assert weights_alone({}).to_dense() == {}
