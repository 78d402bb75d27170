"""How much each input counts where inputs calibrate."""

import numpy as np
import pytest

from deepcompress.calibrate.network import NetworkSubject
from deepcompress.calibrate.unsure import PRIOR, input_weights
from deepcompress.nn.layers import Linear, ReLU
from deepcompress.nn.losses import softmax
from deepcompress.nn.network import Network

RNG = np.random.default_rng(0)
NETWORK = Network("two", (Linear("a", 6, 5), ReLU("r"), Linear("b", 5, 3)), (6,))


def doubts(logits):
    p = softmax(np.asarray(logits, np.float64), 0)
    return 1 - (p * p).sum(axis=0)


def test_weights_are_in_proportion_to_doubt_where_inputs_are_many():
    logits = 3 * RNG.normal(size=(4, 200_000))
    (weights,) = input_weights([logits])
    expected = doubts(logits) / doubts(logits).mean()
    assert np.abs(weights - expected).max() < 0.01
    assert weights.mean() == pytest.approx(1)


def test_inputs_as_unsure_as_twice_the_prior_are_half_trusted():
    sure, unsure = np.array([[200.0], [0.0]]), np.zeros((2, 1))
    low, high = input_weights([sure.repeat(2 * PRIOR, 1), unsure.repeat(2 * PRIOR, 1)])
    assert np.allclose(low, 0.5)
    assert np.allclose(high, 1.5)


@pytest.mark.parametrize("count", [1, 4, PRIOR])
def test_few_inputs_are_taken_for_the_same(count):
    (weights,) = input_weights([5 * RNG.normal(size=(3, count))])
    assert (weights == 1).all()


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_without_doubt_all_are_the_same(value):
    logits = np.full((3, 7), value)
    logits[0] += 1000
    assert np.array_equal(input_weights([logits, logits])[1], np.ones(7))


def test_moments_are_of_weighted_rows():
    params = NETWORK.init(RNG)
    x = 4 * RNG.normal(size=(1500, 6)).astype(np.float32)
    subject = NetworkSubject(NETWORK, params, x, threads=1)
    first, second = subject.layers
    weights = input_weights([NETWORK.predict(params, x).T])[0]
    assert weights.max() > 1.2
    ones = np.append(x, np.ones((1500, 1)), axis=1)
    both, fit = subject.moments(first)
    assert np.allclose(both.reached[0], ones.T @ (ones * weights[:, None]), rtol=1e-4, atol=1e-2)
    assert both.rows == pytest.approx(1500)
    assert 0 < fit.rows < both.rows
    assert both.reached[0, -1, -1] == pytest.approx(both.rows)
    changed = params["a.weight"] + 0.1
    subject.replace(first, changed, params["a.bias"])
    hidden, own = (
        np.append(np.maximum(x @ w.T + params["a.bias"], 0), np.ones((1500, 1)), axis=1)
        for w in (changed, params["a.weight"])
    )
    expected = own.T @ (hidden * weights[:, None])
    assert np.allclose(subject.moments(second)[0].crossed[0], expected, rtol=1e-4, atol=1e-1)
