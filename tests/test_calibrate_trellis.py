"""Labels along a trellis: against all paths, C's bits, and how much nearer they come."""

import itertools

import numpy as np
import pytest

from deepcompress import native
from deepcompress.calibrate import trellis
from deepcompress.calibrate.moments import Curvature, inverse_factor
from deepcompress.calibrate.rates import entropy_rates
from deepcompress.calibrate.ways import Along, Unbound, with_bias
from deepcompress.native import gateway
from deepcompress.trellis import ranks, states

LEVELS = np.arange(-2.0, 3)
FREE = np.zeros((2, 5))


def problem(rows=5, columns=6, seed=0):
    """Return a positive definite Hessian (D, D) and targets (R, D)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(3 * columns + 20, columns + 1)) + 0.5
    x[:, -1] = 1
    return x.T @ x / len(x), rng.normal(size=(rows, columns + 1))


def objective(labels, target, hessian, matters, levels, rates):
    """Return what each row costs, with the best bias."""
    curved = Curvature(hessian[None], target[None], 0, 0)
    weights = with_bias(curved, levels[labels][None])
    found, allowed = states(ranks(levels)[labels])
    assert allowed.all()
    return matters * curved.error(weights)[0] + rates[found & 1, labels].sum(axis=1)


def paths(levels, columns):
    """Return all labels that the trellis allows, (n, columns)."""
    every = np.array(list(itertools.product(range(len(levels)), repeat=columns)))
    return every[states(ranks(levels)[every])[1].all(axis=1)].astype(np.uint8)


def test_with_independent_errors_the_path_is_the_best():
    rng = np.random.default_rng(1)
    target = rng.normal(size=(20, 6))
    hessian = np.diag(rng.uniform(0.5, 2, 6))
    matters, rates = rng.uniform(0.5, 2, 20), rng.uniform(0, 0.5, (2, 5))
    found = trellis.sweep(target, inverse_factor(hessian), matters, LEVELS, rates)
    every = paths(LEVELS, 5)
    for row in range(20):
        one = np.repeat(target[row : row + 1], len(every), axis=0)
        alike = np.full(len(every), matters[row])
        best = objective(every, one, hessian, alike, LEVELS, rates).min()
        own = [part[row : row + 1] for part in (found, target)]
        cost = objective(*own, hessian, matters[row : row + 1], LEVELS, rates)
        assert cost[0] == pytest.approx(best)


def test_a_sweep_is_nearly_the_best_and_descent_is_never_worse():
    hessian, target = problem(12, 5)
    matters, rates = np.ones(12), 0.1 * np.abs(LEVELS) * np.ones((2, 1))
    swept = trellis.sweep(target, inverse_factor(hessian), matters, LEVELS, rates)
    # Of errors that are taken to be independent, so that there is something left to gain.
    labels = trellis.sweep(target, np.eye(6), matters, LEVELS, rates)
    costs = [objective(labels, target, hessian, matters, LEVELS, rates)]
    curved = Curvature(hessian[None], target[None], 0, 0)
    for _ in range(3):
        weights = with_bias(curved, LEVELS[labels][None])
        slopes = curved.slopes(weights)[0]
        labels = trellis.descend(weights[0], slopes, hessian, matters, LEVELS, rates)
        costs.append(objective(labels, target, hessian, matters, LEVELS, rates))
        assert (costs[-1] <= costs[-2] + 1e-12).all()
    every = paths(LEVELS, 5)
    best = np.array(
        [
            objective(
                every,
                np.repeat(one[None], len(every), axis=0),
                *(hessian, np.ones(len(every)), LEVELS, rates),
            ).min()
            for one in target
        ]
    )
    assert (best <= costs[-1] + 1e-12).all()
    assert costs[-1].sum() < 0.99 * costs[0].sum()
    swept_cost = objective(swept, target, hessian, matters, LEVELS, rates)
    assert (best <= swept_cost + 1e-12).all()
    assert swept_cost.sum() < 1.15 * best.sum()


def test_bits_buy_what_they_cost():
    """A label that costs too much isn't taken, in the states where it does."""
    hessian, target = problem(200, 8)
    rates = np.zeros((2, 5))
    rates[1, 1] = rates[1, 3] = 100  # -1 and 1 in odd states, where they are all there is
    labels = trellis.sweep(target, inverse_factor(hessian), np.ones(200), LEVELS, rates)
    assert set(np.unique(labels)) == {0, 2, 4}


@pytest.mark.parametrize("levels", [[0.0, 1.0], [-1.0, 0.0], [0.0], [0.0, 1.0, 2.0, 3.0]])
def test_one_side_may_have_no_levels(levels):
    hessian, target = problem(30, 7)
    levels = np.array(levels)
    rates = np.zeros((2, len(levels)))
    results = []
    for backend in ("reference", "native"):
        with native.use(backend):
            found = trellis.sweep(target, inverse_factor(hessian), np.ones(30), levels, rates)
            assert states(ranks(levels)[found])[1].all()
            results.append(found.tobytes())
    assert results[0] == results[1]


def test_idle_columns_are_0_and_nothing_is_turned_there():
    hessian, target = problem(40, 8)
    idle = np.arange(8) % 3 == 1
    hessian[np.ix_(np.append(idle, False), np.append(~idle, True))] = 0
    hessian[np.ix_(np.append(~idle, True), np.append(idle, False))] = 0
    args = target, inverse_factor(hessian), np.ones(40), LEVELS, FREE
    assert trellis.sweep(*args)[:, idle].any(axis=0).all()
    labels = trellis.sweep(*args, idle)
    assert (LEVELS[labels[:, idle]] == 0).all()
    assert states(ranks(LEVELS)[labels])[1].all()
    weights = np.concatenate([LEVELS[labels], target[:, -1:]], axis=1)
    slopes = (weights - target) @ hessian
    again = trellis.descend(weights, slopes, hessian, np.ones(40), LEVELS, FREE, idle)
    assert (LEVELS[again[:, idle]] == 0).all()


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
@pytest.mark.parametrize("columns", [1, 2, 6, 90])
@pytest.mark.parametrize("rows", [0, 1, 200])
def test_c_gives_the_bits_of_numpy(rows, columns, monkeypatch):
    monkeypatch.setattr(trellis, "AT_ONCE", 8 * (columns + 1) * 64)  # rows in several parts
    hessian, target = problem(rows, columns)
    hessian += np.eye(columns + 1)
    rng = np.random.default_rng(3)
    levels = np.linspace(-2, 2, 101)
    rates, matters = rng.uniform(0, 0.1, (2, 101)), rng.uniform(0.1, 5, rows)
    factor, idle, results = inverse_factor(hessian), rng.random(columns) < 0.2, []
    for backend in ("reference", "native"):
        with native.use(backend):
            labels = trellis.sweep(target, factor, matters, levels, rates, idle)
            weights = np.concatenate([levels[labels], target[:, -1:]], axis=1)
            slopes = (weights - target) @ hessian
            again = trellis.descend(weights, slopes, hessian, matters, levels, rates, idle)
            assert labels.shape == again.shape == (rows, columns)
            results.append([labels.tobytes(), again.tobytes()])
    assert results[0] == results[1]


def test_charges_are_those_of_the_states():
    """Of the labels 2 1 0 0, on ranks 2, 1, 0: the trellis is in states 0, 2, 3 and 6."""
    hessian, target = problem(1, 4)
    curved = Curvature(hessian[None], target[None], 0, 0)
    way = Along(curved, np.ones((1, 1)), entropy_rates)
    levels = np.array([0.0, 1.0, 2.0])
    labels = np.array([[[2, 0, 0, 0]]], np.uint8)
    assert states(np.array([[2, 0, 0, 0]]))[0].tolist() == [[0, 2, 1, 7]]
    rates, bits = way.charged(levels, labels)
    assert rates[0].tolist() == [1, np.inf, 1]  # even states: 2 and 0, once each
    assert rates[1, 0] == pytest.approx(np.log2(2.5 / 2))  # odd ones: 0 twice, and 1 half a time
    assert rates[1, 2] == np.inf
    assert bits == pytest.approx(2 + 2 * np.log2(2.5 / 2))


def test_it_is_worth_its_while():
    """At as many bits an error 0.7 dB smaller, or more, than where any weight has any level."""
    hessian, target = problem(300, 40)
    curved = Curvature(hessian[None], target[None], 0, 0)
    scaled = np.full((1, 300), 40.0)
    costs = []
    for way, step in ((Unbound, 0.5), (Along, 0.28)):
        found = way(curved, scaled, entropy_rates)
        levels = step * np.arange(-20.0, 21)
        labels, charged = None, found.first(levels)
        for _ in range(3):
            labels = found.sweep(levels, charged)
            charged, bits = found.charged(levels, labels)
        _, labels = found.descend(levels, charged, labels, 3)
        bits = found.charged(levels, labels)[1]
        error = curved.error(with_bias(curved, levels[labels])).sum()
        costs.append((bits / labels.size, 10 * np.log10(error)))
    (free_bits, free_error), (along_bits, along_error) = costs
    # 6.02 dB are worth a bit.
    assert free_error - along_error - 6.02 * (along_bits - free_bits) > 0.7
