"""Validators: NumPy's numbers pass, booleans and what no float holds don't."""

from fractions import Fraction

import numpy as np
import pytest

from deepcompress import checks
from deepcompress.errors import ArgumentError, ConfigError


@pytest.mark.parametrize("value", [3, np.int8(3), np.uint64(3)])
def test_whole_numbers_become_ints(value):
    assert type(checks.as_whole_number(value, "n", 3, 3)) is int


@pytest.mark.parametrize("value", [2, 4, 3.0, np.float32(3), True, "3", None, np.bool_(True)])
def test_others_are_no_whole_numbers(value):
    with pytest.raises(ConfigError, match="n must be a whole number from 3 to 3, not "):
        checks.as_whole_number(value, "n", 3, 3, ConfigError)
    assert not checks.is_whole(value, 3, 3)


def test_without_an_upper_bound_any_size_is_whole():
    assert checks.as_whole_number(10**400, "n", 1) == 10**400
    with pytest.raises(ArgumentError, match="n must be a whole number from 1 on, not 0"):
        checks.as_whole_number(0, "n", 1)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float16(0.5), np.int8(1), Fraction(1, 2)])
def test_real_numbers_are_finite(value):
    assert checks.is_finite(value, 0, 1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1, 10**400, 1j, True, "1", None])
def test_others_are_not_finite(value):
    assert not checks.is_finite(value, 0, 1)
    assert value == 1.1 or value == -0.1 or not checks.is_finite(value)


def test_weights_are_floats_below_a_mask_of_their_shape():
    assert checks.as_weights([0.5, 1.0], np.array([True, False])).tolist() == [0.5, 1.0]
    with pytest.raises(ArgumentError, match="weights must be floating, not int64"):
        checks.as_weights([1], None)
    for mask in (np.ones(3, bool), np.ones(2, np.int8)):
        with pytest.raises(ArgumentError, match=r"mask must be bool of shape \(2,\)"):
            checks.as_weights([0.5, 1.0], mask)


def test_what_a_masked_array_hides_is_zero():
    masked = np.ma.masked_array([1.5, 2.0], [False, True], fill_value=9)
    for array in (checks.as_weights(masked, None), checks.as_real_array(masked, "x")):
        assert type(array) is np.ndarray
        assert array.tolist() == [1.5, 0]


def test_a_value_that_cant_be_shown_is_named_by_its_class():
    class Silent:
        def __repr__(self):
            raise TypeError("no")

    with pytest.raises(ArgumentError, match=r"n must be .*, not something of Silent"):
        checks.as_whole_number(Silent(), "n", 0)
