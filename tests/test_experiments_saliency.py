"""What weights and units are worth."""

import numpy as np
import pytest

from deepcompress.experiments.saliency import per_bit, strongest_units


def test_worth_is_the_magnitude_over_the_root_of_the_bits():
    """Row 0 has 3 weights, row 1 has 1; the columns have 2, 1 and 1 of the 4: one more each."""
    mask = np.array([[True, True, True], [True, False, False]])
    weights = np.array([[1, -1, 2], [1, 0, 0]], np.float32)
    worth = per_bit(weights, mask, label_bits=3)
    chances = np.array([[1, 4 * 2 / 5, 4 * 2 / 5], [2 * 3 / 5, 2 * 2 / 5, 2 * 2 / 5]])
    bits = 3 - np.log2(np.minimum(chances, 1))
    assert worth == pytest.approx(np.abs(weights) / np.sqrt(bits))
    assert worth[1, 1] == 0


def test_lonely_weights_go_first():
    """Equal magnitudes: worth least where both the row and the column are nearly empty."""
    mask = np.zeros((20, 2, 5), np.bool_)
    mask[:10, 0] = True
    mask[15, 1, 3] = True
    worth = per_bit(np.ones(mask.shape, np.float32) * mask, mask, label_bits=2)
    assert worth[15, 1, 3] < worth[:10, 0].min()


def test_a_unit_is_as_strong_as_both_its_sides():
    """Unit 0 has large weights before it alone, unit 2 behind it; the product is unit 1's."""
    first = np.array([[9.0, 0], [2, 2], [0.1, 0]], np.float32)
    second = np.array([[0.01, 0.01, 1, 1, 3, 0]], np.float32)  # two inputs for each unit
    masks = strongest_units([first, second], [1])
    assert masks[0].tolist() == [[False, False], [True, True], [False, False]]
    assert masks[1].tolist() == [[False, False, True, True, False, False]]
    scaled = strongest_units([first * 1000, second / 1000], [1])
    assert all((a == b).all() for a, b in zip(masks, scaled, strict=True))
    assert all(mask.all() for mask in strongest_units([first, second], [None]))
