"""Labels by compensated errors: against brute force, a worked example, and C's bits."""

import itertools

import numpy as np
import pytest

from deepcompress import native
from deepcompress.calibrate import centroids
from deepcompress.calibrate.moments import Curvature, inverse_factor
from deepcompress.calibrate.sweep import descend, sweep
from deepcompress.calibrate.ways import with_bias
from deepcompress.native import gateway

LEVELS = np.array([-1.0, 0.0, 1.0])
FREE = np.zeros(3)


def problem(rows=5, columns=6, seed=0):
    """Return a positive definite Hessian (D, D) and targets (R, D)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, columns + 1)) + 0.5
    x[:, -1] = 1
    return x.T @ x / 40, rng.normal(size=(rows, columns + 1))


def error_of(weights, target, hessian):
    off = weights - target
    return ((off @ hessian) * off).sum(axis=1)


def settled(values, target, hessian):
    """Return rows with the best bias."""
    curved = Curvature(hessian[None], target[None], 0, 0)
    return with_bias(curved, values[None])[0]


def test_two_weights_by_hand():
    """The example of the guide: the second weight makes up for what the first one lost."""
    hessian = np.array([[1.0, 0.8, 0.0], [0.8, 1.0, 0.0], [0.0, 0.0, 1.0]])
    target = np.array([[0.4, 0.4, 0.0]])
    weights, labels = sweep(target, inverse_factor(hessian), np.ones(1), LEVELS, FREE)
    # 0.4 becomes 0; then 0.4 + 0.4 * 0.8 = 0.72 becomes 1, where rounding alone gives 0.
    assert labels.tolist() == [[1, 2]]
    assert error_of(weights, target, hessian)[0] == pytest.approx(0.16 + 0.36 - 2 * 0.8 * 0.24)
    assert error_of(np.zeros((1, 3)), target, hessian)[0] == pytest.approx(0.576)


def test_the_factor_is_that_of_the_inverse():
    hessian, _ = problem()
    factor = inverse_factor(hessian)
    assert np.array_equal(factor, np.triu(factor))
    assert (np.diagonal(factor) > 0).all()
    assert np.allclose(factor.T @ factor, np.linalg.inv(hessian))


def test_a_sweep_adds_up_the_costs_of_its_steps():
    """What it takes for the cost of a step is what the error grows by, if the rest is free."""
    hessian, target = problem()
    factor = inverse_factor(hessian)
    weights, labels = sweep(target, factor, np.ones(5), LEVELS, FREE)
    assert np.array_equal(weights[:, :-1], LEVELS[labels])
    total, free = np.zeros(5), target.copy()
    for i in range(labels.shape[1]):
        error = (free[:, i] - weights[:, i]) / factor[i, i]
        total += error**2
        free -= error[:, None] * factor[i] * (np.arange(7) >= i)
    assert np.allclose(total, error_of(weights, target, hessian))
    assert np.allclose(weights, settled(LEVELS[labels], target, hessian))


def test_a_sweep_is_nearly_the_best_and_descent_is_never_worse():
    hessian, target = problem()
    weights, labels = sweep(target, inverse_factor(hessian), np.ones(5), LEVELS, FREE)
    swept = error_of(weights, target, hessian)
    slopes = (weights - target) @ hessian
    better, _, labels = descend(weights, slopes, hessian, np.ones(5), LEVELS, FREE, labels)
    found = error_of(better, target, hessian)
    every = np.array(list(itertools.product(LEVELS, repeat=6)))
    for row in range(5):
        one = np.repeat(target[row : row + 1], len(every), axis=0)
        best = error_of(settled(every, one, hessian), one, hessian).min()
        nearest = settled(np.rint(np.clip(one[:1, :-1], -1, 1)), one[:1], hessian)
        assert best - 1e-12 <= found[row] <= swept[row] + 1e-12
        assert found[row] <= error_of(nearest, one[:1], hessian)[0] + 1e-12
    assert np.array_equal(better[:, :-1], LEVELS[labels])


def test_rates_buy_zeros():
    hessian, target = problem(50)
    factor = inverse_factor(hessian)
    counts = [
        np.count_nonzero(
            sweep(target, factor, np.ones(50), LEVELS, price * np.array([2, 1, 2]))[1] == 1
        )
        for price in (0.0, 0.2, 1.0, 100.0)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == 300


def test_of_equal_costs_the_first_level_counts():
    eye = np.eye(2)
    _, labels = sweep(np.array([[0.5, 0.0]]), eye, np.ones(1), LEVELS, FREE)
    assert labels.tolist() == [[1]]


def test_centroids_are_the_least_squares_solution():
    hessian, target = problem(30)
    levels = np.array([-1.0, 0.0, 0.4, 1.1])
    labels = np.random.default_rng(1).integers(0, 4, (30, 6)).astype(np.uint8)
    matters = np.random.default_rng(2).uniform(0.5, 2, 30)
    schur = centroids.without_bias(hessian)
    found = centroids.refitted(levels, [labels], [target[:, :-1]], [schur], [matters])

    def total(z):
        weights = settled(z[labels], target, hessian)
        return float(matters @ error_of(weights, target, hessian))

    assert found[1] == 0
    for k, change in itertools.product((0, 2, 3), (-1e-4, 1e-4)):
        moved = found.copy()
        moved[k] += change
        assert total(moved) > total(found)


def test_centroids_without_weights_stay():
    hessian, target = problem(3)
    labels = np.ones((3, 6), np.uint8)
    levels = np.array([-1.0, 0.0, 0.4])
    schur = [centroids.without_bias(hessian)]
    found = centroids.refitted(levels, [labels], [target[:, :-1]], schur, [np.ones(3)])
    assert np.array_equal(found, levels)


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
@pytest.mark.parametrize("columns", [1, 6, 90])
@pytest.mark.parametrize("rows", [1, 200])
def test_c_gives_the_bits_of_numpy(rows, columns):
    hessian, target = problem(rows, columns)
    hessian += np.eye(columns + 1)
    rng = np.random.default_rng(3)
    levels = np.linspace(-2, 2, 101)
    rates, matters = rng.uniform(0, 0.1, 101), rng.uniform(0.1, 5, rows)
    factor, results = inverse_factor(hessian), []
    for backend in ("reference", "native"):
        with native.use(backend):
            weights, labels = sweep(target, factor, matters, levels, rates)
            slopes = (weights - target) @ hessian
            again = descend(weights, slopes, hessian, matters, levels, rates, labels)
            results.append([array.tobytes() for array in (weights, labels, *again)])
    assert results[0] == results[1]


def test_arguments_are_left_as_they_are():
    hessian, target = problem()
    before = target.tobytes()
    weights, labels = sweep(target, inverse_factor(hessian), np.ones(5), LEVELS, FREE)
    slopes = (weights - target) @ hessian
    kept = [array.tobytes() for array in (weights, slopes, labels)]
    descend(weights, slopes, hessian, np.ones(5), LEVELS, 10 + FREE, labels)
    assert target.tobytes() == before
    assert [array.tobytes() for array in (weights, slopes, labels)] == kept
