"""Labels for expected inputs: against what any Hessian takes, and C's bits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcompress import native
from deepcompress.calibrate import centroids, expected, sweep
from deepcompress.calibrate.expected import ALIKE, SHARED, Moves, cheapest, nearest, refitted
from deepcompress.calibrate.moments import inverse_factor
from deepcompress.native import gateway

SHAPES = [(5, 7), (4, 3, 2, 2), (3, 6, 1), (2, 1, 3), (6, 1, 1, 1), (30, 20, 3, 3)]
RNG = np.random.default_rng(0)


def hessian_of(shape):
    """Return H (d, d) of the module's first lines."""
    columns, positions, alike = expected.structure(shape)
    hessian = np.full((columns, columns), SHARED)
    channel = np.arange(columns) // positions
    hessian += alike * (channel[:, None] == channel)
    np.fill_diagonal(hessian, 1)
    return hessian


def with_a_bias_apart(hessian):
    """Return H (D, D) as the general sweep takes it."""
    wider = np.eye(len(hessian) + 1)
    wider[:-1, :-1] = hessian
    return wider


def problem(shape, levels=31):
    """Return targets (R, d), levels and charges (K,)."""
    targets = RNG.normal(size=(shape[0], int(np.prod(shape[1:])))).astype(np.float32)
    return targets, np.linspace(-3, 3, levels), RNG.uniform(0, 0.1, levels)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_hessian_is_positive_definite(shape):
    assert np.linalg.eigvalsh(hessian_of(shape)).min() > 0


@pytest.mark.parametrize("shape", SHAPES)
def test_moves_are_those_of_the_inverse(shape):
    moves, hessian = Moves.of(shape), hessian_of(shape)
    positions = expected.structure(shape)[1]
    for i in range(len(hessian)):
        inverse = np.linalg.inv(hessian[i:, i:])
        assert moves.costs[i] == pytest.approx(1 / inverse[0, 0], rel=1e-9)
        found = -inverse[0, 1:] / inverse[0, 0]
        is_own = np.arange(i + 1, len(hessian)) // positions == i // positions
        np.testing.assert_allclose(found, np.where(is_own, moves.same[i], moves.other[i]))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_sweep_is_the_general_one(shape):
    targets, levels, charged = problem(shape)
    factor = inverse_factor(with_a_bias_apart(hessian_of(shape)))
    start = np.append(targets.astype(np.float64), np.zeros((len(targets), 1)), axis=1)
    ones = np.ones(len(targets))
    general = sweep.sweep(start, factor, ones, levels, charged)[1]
    positions = expected.structure(shape)[1]
    assert np.array_equal(
        expected.sweep(targets, positions, Moves.of(shape), levels, charged), general
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_descent_is_the_general_one(shape):
    targets, levels, charged = problem(shape)
    labels = nearest(targets, levels)
    hessian = with_a_bias_apart(hessian_of(shape))
    start = np.append(targets.astype(np.float64), np.zeros((len(targets), 1)), axis=1)
    weights = np.append(levels[labels], np.zeros((len(targets), 1)), axis=1)
    slopes = (weights - start) @ hessian
    ones = np.ones(len(targets))
    general = sweep.descend(weights, slopes, hessian, ones, levels, charged, labels)[2]
    positions = expected.structure(shape)[1]
    found = expected.descend(targets, positions, levels, charged, labels)
    assert np.array_equal(found, general)
    assert not np.array_equal(found, labels) or targets.size < 20


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block", [1, 1 << 20])
def test_centroids_are_the_least_squares_solution(shape, block, monkeypatch):
    monkeypatch.setattr(expected, "MOST_COUNTS", block)
    targets, levels, _ = problem(shape, 9)
    labels = nearest(targets, levels)
    positions = expected.structure(shape)[1]
    found = refitted(levels, labels, targets, positions)
    wide = targets.astype(np.float64)
    best = centroids.refitted(
        levels, [labels], [wide], [hessian_of(shape)], [np.ones(len(wide))], 60
    )
    np.testing.assert_allclose(found, best, rtol=1e-7, atol=1e-9)
    assert found[4] == 0
    idle = np.bincount(labels.ravel(), minlength=9) == 0
    assert np.array_equal(found[idle], levels[idle])


@given(
    st.lists(st.floats(-3, 3), min_size=1, max_size=12),
    st.lists(st.floats(-2, 2), min_size=1, max_size=30),
    st.integers(0, 2**32),
)
def test_labels_are_the_cheapest(levels, values, seed):
    z, w = np.sort(np.array(levels)), np.array(values)
    charged = np.random.default_rng(seed).uniform(0, 2, len(z))
    costs = (w[:, None] - z) ** 2 + charged
    best, borders = cheapest(z, charged)
    labels = best[np.searchsorted(borders, w)]
    assert np.allclose(costs[np.arange(len(w)), labels], costs.min(axis=1), rtol=1e-9, atol=1e-9)


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")
@pytest.mark.parametrize("shape", [*SHAPES, (300, 70), (520, 3, 1, 1), (1, 300), (0, 5)])
@pytest.mark.parametrize("levels", [1, 2, 31, 256])
def test_c_gives_the_labels_of_numpy(shape, levels):
    targets, z, charged = problem(shape, levels)
    z = np.sort(z + RNG.choice([0, 0.01], levels) * RNG.integers(-3, 3, levels))
    z[levels // 2 : levels // 2 + 2] = z[levels // 2]  # as rounded centroids may be
    positions, results = expected.structure(shape)[1], []
    for backend in ("reference", "native"):
        with native.use(backend):
            labels = expected.sweep(targets, positions, Moves.of(shape), z, charged)
            again = expected.descend(targets, positions, z, charged, labels)
            results.append([one.tobytes() for one in (nearest(targets, z), labels, again)])
    assert results[0] == results[1]


def test_arguments_are_left_as_they_are():
    targets, levels, charged = problem((5, 7))
    labels = nearest(targets, levels)
    kept = [array.tobytes() for array in (targets, levels, charged, labels)]
    expected.sweep(targets, 1, Moves.of((5, 7)), levels, charged)
    expected.descend(targets, 1, levels, 10 * charged, labels)
    refitted(levels, labels, targets, 1)
    assert [array.tobytes() for array in (targets, levels, charged, labels)] == kept


def test_alike_weights_share_more():
    moves = Moves.of((4, 3, 2, 2))
    assert (moves.same[:3] > moves.other[:3]).all()
    assert ALIKE > 0
