"""Which centroids a weight may have after those before it."""

import numpy as np
import pytest

from deepcompress.trellis import FOLLOWING, STATES, numbers, ranks, states


def test_ranks_count_from_0_outwards():
    assert ranks(np.array([0, 1.5, -2, 0.5, -3])).tolist() == [0, 2, -1, 1, -2]
    assert ranks(np.zeros(1)).tolist() == [0]


@pytest.mark.parametrize("parity", [0, 1])
def test_numbers_are_places_among_the_ranks_that_are_allowed(parity):
    allowed = [0, *(rank for rank in range(1, 20) if rank % 2 == parity)]
    assert numbers(np.array(allowed)).tolist() == list(range(len(allowed)))


def test_each_state_is_reached_from_two():
    assert FOLLOWING.shape == (STATES, 2)
    assert np.bincount(FOLLOWING.ravel()).tolist() == [2] * STATES
    for odd in range(2):
        assert sorted(FOLLOWING[:, odd]) == list(range(STATES))
    # Whichever way a state is left, what is allowed then differs, or what is after that.
    for even_next, odd_next in FOLLOWING:
        assert even_next != odd_next


def test_a_row_begins_anew():
    found, allowed = states(np.array([[2, 1], [2, 1]]))
    assert found.tolist() == [[0, 2]] * 2
    assert allowed.tolist() == [[True, False]] * 2


def test_a_path_through_fine_levels_is_as_near_as_theory_says():
    """Granular gain of 8 states: 1.06 dB, of the 1.53 dB that no quantizer can exceed."""
    rng = np.random.default_rng(0)
    rows, columns = 400, 300
    values = rng.uniform(-40, 40, (rows, columns))
    costs = np.full((rows, STATES), np.inf)
    costs[:, 0] = 0
    for column in values.T:
        best = np.full((rows, STATES), np.inf)
        for state in range(STATES):
            for odd in range(2):
                # Ranks of the state's parity whose number is even, or odd, lie 4 apart.
                first = next(r for r in range(4) if r % 2 == state % 2 and (r + 1) // 2 % 2 == odd)
                near = np.maximum(np.rint((np.abs(column) - first) / 4), 0) * 4 + first
                then = FOLLOWING[state, odd]
                cost = costs[:, state] + (np.abs(column) - near) ** 2
                best[:, then] = np.minimum(best[:, then], cost)
        costs = best
    gain = 10 * np.log10((2**2 / 12) / (costs.min(axis=1).mean() / columns))
    assert 1.02 < gain < 1.10
