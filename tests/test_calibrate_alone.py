"""Weights alone: steps that follow from sizes, zero and rates, and what is kept."""

import numpy as np
import pytest

import deepcompress
from deepcompress.calibrate import weights_alone
from deepcompress.calibrate.alone import (
    SPREAD,
    own_step,
    unit_step,
)
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


def test_centroids_that_change_places_stay_ascending(monkeypatch):
    """Labels keep their centroids, whatever order refitted ones come in."""
    from deepcompress.calibrate import alone

    w = TENSORS["fc.weight"]
    plain = alone.expected.refitted
    monkeypatch.setattr(alone.expected, "refitted", lambda *given: plain(*given)[::-1].copy())
    monkeypatch.setattr(alone.expected, "descend", lambda *given: given[-1])
    levels, labels = alone.compensated(w, 0.01, entropy_rates, half=False)
    assert (np.diff(levels) >= 0).all()
    correlation = np.corrcoef(levels[labels].ravel(), w.ravel())[0, 1]
    assert correlation < -0.9


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
