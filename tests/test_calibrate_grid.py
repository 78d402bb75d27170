"""Grids of levels: uniform where that is possible, and what is left out where it isn't."""

import numpy as np
import pytest

from deepcompress.calibrate.grid import FEWEST, uniform_grid

RNG = np.random.default_rng(0)


def test_few_levels_are_all_there():
    assert uniform_grid(np.array([-0.9, 0.1, 2.2]), 0.5).tolist() == [
        *(-1.0, -0.5, 0, 0.5, 1, 1.5, 2),
    ]


@pytest.mark.parametrize("far", [10.0, 1e3, 1e30])
def test_a_few_weights_far_off_leave_the_step_as_it_is(far):
    weights = np.append(RNG.normal(size=1000), [far, -far])
    levels = uniform_grid(weights, 0.05)
    assert len(levels) <= 255
    assert 0 in levels
    assert (np.diff(levels) > 0).all()
    assert np.abs(weights[:, None] - levels).min(axis=1).max() <= max(0.025, far * 1e-15) * 1.0001


def test_the_step_widens_where_weights_are_near_too_many_levels():
    weights = RNG.random(10_000)
    levels = uniform_grid(weights, 1e-4, most=63)
    assert 32 < len(levels) <= 63
    assert np.abs(weights[:, None] - levels).min(axis=1).max() <= 1 / 62


def test_the_longer_side_has_a_few_levels():
    assert (uniform_grid(np.array([0.1, -1.0]), 10.0) < 0).sum() == FEWEST
    assert uniform_grid(np.zeros(3), 1.0).tolist() == [0]
