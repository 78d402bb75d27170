"""Stage 1: which weights survive."""

import sys
from fractions import Fraction
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcompress import prune
from deepcompress.errors import ArgumentError

weights = hnp.arrays(
    np.float32,
    hnp.array_shapes(max_dims=4, max_side=6),
    elements=st.floats(-4, 4, width=16),  # half precision, so that ties are frequent
)
masks = hnp.arrays(np.bool_, st.integers(1, 40))


def test_threshold_is_exclusive_and_zero_never_survives() -> None:
    w = np.array([-0.5, 0.5, 0.25, 0.0, 1.0])
    assert prune.threshold_mask(w, 0.5).tolist() == [False, False, False, False, True]
    assert prune.threshold_mask(w, 0.0).tolist() == [True, True, True, False, True]


def test_sensitivity_is_in_units_of_the_survivors_deviation() -> None:
    w = np.array([1.0, -1.0, 3.0, -3.0])  # standard deviation sqrt(5)
    assert prune.sensitivity_mask(w, 0.45).tolist() == [False, False, True, True]
    assert prune.sensitivity_mask(w, 0.44).all()
    padded = np.concatenate([w, np.zeros(96)])
    again = prune.sensitivity_mask(padded, 0.45, padded != 0)
    assert again[:4].tolist() == [False, False, True, True]
    assert prune.sensitivity_mask(np.zeros((0, 3)), 1.0).shape == (0, 3)
    around_ten = np.array([9.0, 11.0])  # standard deviation 1, not 10
    assert prune.sensitivity_mask(around_ten, 10.0).tolist() == [False, True]
    # Squares that float32 can't hold.
    assert (prune.sensitivity_mask((w * 1e25).astype(np.float32), 0.45) == (np.abs(w) > 1)).all()


@given(weights, st.floats(0, 1))
def test_sparsity_is_exact_and_keeps_the_largest(w: np.ndarray, sparsity: float) -> None:
    mask = prune.sparsity_mask(w, sparsity)
    keep = min(round((1 - sparsity) * w.size), np.count_nonzero(w))
    assert np.count_nonzero(mask) == keep
    if 0 < keep < w.size:
        assert np.abs(w[mask]).min() >= np.abs(w[~mask]).max()
    assert w[mask].all()


@given(weights, st.floats(0, 1), st.integers(1, 9), st.integers(1, 9))
def test_parts_and_samples_of_any_size_select_the_same(
    w: np.ndarray, sparsity: float, chunk: int, sample: int
) -> None:
    magnitude = np.abs(w).ravel()
    largest = np.lexsort((np.arange(w.size), -magnitude))[: round((1 - sparsity) * w.size)]
    expected = np.zeros(w.size, np.bool_)
    expected[largest] = magnitude[largest] > 0
    above = magnitude > np.float32(sparsity)
    with mock.patch.multiple(prune, CHUNK_ELEMENTS=chunk, SAMPLE_ELEMENTS=sample):
        assert (prune.sparsity_mask(w, sparsity).ravel() == expected).all()
        assert (prune.threshold_mask(w, np.float32(sparsity)).ravel() == above).all()


def test_a_guess_from_samples_that_is_too_high_is_taken_back() -> None:
    """Each sample is a large weight, so that too few are as large as any of them."""
    w = np.ones(4096, np.float32)
    w[::64] = 2 + np.arange(64)
    with mock.patch.object(prune, "SAMPLE_ELEMENTS", 64):
        mask = prune.sparsity_mask(w, 0.95)
    assert np.count_nonzero(mask) == round(0.05 * 4096)
    assert mask[::64].all()


@pytest.mark.parametrize(("sparsity", "kept"), [(0, [True, False, True]), (1, [False] * 3)])
def test_sparsity_may_be_nothing_or_all(sparsity: float, kept: list[bool]) -> None:
    w = np.array([1.0, 0.0, -2.0])
    assert prune.sparsity_mask(w, sparsity).tolist() == kept
    assert prune.global_masks({"w": w}, sparsity=sparsity)["w"].tolist() == kept


def test_half_a_survivor_is_rounded_to_even() -> None:
    w = np.arange(1.0, 6.0)
    assert np.count_nonzero(prune.sparsity_mask(w, 0.5)) == round(2.5) == 2
    masks = prune.global_masks({"a": w[:2], "b": w[2:]}, sparsity=0.5)
    assert [np.count_nonzero(mask) for mask in masks.values()] == [0, 2]
    masks = prune.global_masks({"a": w[:2], "b": w[2:]}, sparsity=0.45)  # of 2.75, not cut off
    assert [np.count_nonzero(mask) for mask in masks.values()] == [0, 3]


def test_lower_positions_win_ties() -> None:
    w = np.array([1.0, -1.0, 2.0, 1.0])
    assert prune.sparsity_mask(w, 0.5).tolist() == [True, False, True, False]


@given(masks, st.data())
def test_what_is_pruned_stays_pruned(mask: np.ndarray, data: st.DataObject) -> None:
    w = data.draw(hnp.arrays(np.float64, mask.shape, elements=st.floats(-2, 2)))
    level = data.draw(st.floats(0, 1))
    for rule in (prune.threshold_mask, prune.sensitivity_mask, prune.sparsity_mask):
        assert not (rule(w, level, mask) & ~mask).any()
    assert not (prune.global_masks({"w": w}, sparsity=level, masks={"w": mask})["w"] & ~mask).any()


@pytest.mark.parametrize("number", [float, np.float64, np.array, Fraction])
def test_a_threshold_is_one_whatever_type_of_number_holds_it(number: type) -> None:
    w = np.array([0.1, -0.1, 0.2], np.float32)  # float32's 0.1 lies above float64's
    assert prune.threshold_mask(w, number(0.1)).tolist() == [False, False, True]
    assert prune.global_masks({"w": w}, threshold=number(0.1))["w"].tolist() == [False, False, True]
    spread = np.array([0.1, -0.1], np.float32)  # its standard deviation is float32's 0.1
    assert not prune.sensitivity_mask(spread, number(1 - 1e-9)).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_threshold_above_the_largest_float_prunes_all(dtype: type) -> None:
    w = np.array([1, -np.finfo(dtype).max], dtype)
    assert not prune.threshold_mask(w, sys.float_info.max).any()
    assert not prune.sensitivity_mask(np.array([1, -9], dtype), 1e308).any()


def test_one_global_threshold_prunes_the_small_layer_more() -> None:
    tensors = {"a": np.array([[0.1, 0.2], [0.3, 5.0]]), "b": np.array([1.0, 2.0, 3.0, 4.0])}
    masks = prune.global_masks(tensors, sparsity=0.5)
    assert masks["a"].tolist() == [[False, False], [False, True]]
    assert masks["b"].tolist() == [False, True, True, True]
    by_threshold = prune.global_masks(tensors, threshold=1.5)
    assert all((by_threshold[name] == masks[name]).all() for name in tensors)
    assert prune.global_masks({}, sparsity=0.5) == {}


def test_cubic_schedule_runs_from_initial_to_final() -> None:
    levels = [prune.cubic_sparsity(step, 10, 0.95, 0.2) for step in range(11)]
    assert levels[0] == pytest.approx(0.2)
    assert levels[-1] == 0.95
    assert all(np.diff(levels) > 0)
    assert all(np.diff(levels, 2) < 0)  # fast first, slow last


def test_dropout_scales_with_the_root_of_the_connections() -> None:
    assert prune.scaled_dropout(0.5, 9, 100) == pytest.approx(0.15)
    assert prune.scaled_dropout(0.5, 100, 100) == 0.5
    assert prune.scaled_dropout(0.5, 0, 100) == 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: prune.threshold_mask(np.arange(3), 1), "floating, not int64"),
        (lambda: prune.threshold_mask(np.array([np.nan]), 1), "weights must be finite"),
        (lambda: prune.threshold_mask(np.array([-np.inf]), 1), "weights must be finite"),
        (lambda: prune.threshold_mask(np.ones(3), -1), "threshold must be finite and >= 0"),
        (lambda: prune.threshold_mask(np.ones(3), np.nan), "threshold"),
        (lambda: prune.threshold_mask(np.ones(3), np.inf), "threshold"),
        (lambda: prune.threshold_mask(np.ones(3), 10**400), "threshold must be finite"),
        (lambda: prune.threshold_mask(np.ones(3), "1"), "threshold must be finite .* not '1'"),
        (lambda: prune.threshold_mask(np.ones(3), None), "threshold must be finite .* not None"),
        (lambda: prune.sparsity_mask(np.ones(3), "1"), r"sparsity must be in \[0, 1\], not '1'"),
        (lambda: prune.cubic_sparsity(1, 2, None), r"sparsity must be in \[0, 1\], not None"),
        (lambda: prune.sensitivity_mask(np.ones(3), 10**400), "sensitivity must be finite"),
        (lambda: prune.threshold_mask(np.ones(3), 1, np.ones(2, bool)), r"shape \(3,\)"),
        (lambda: prune.threshold_mask(np.ones(3), 1, np.ones(3)), "mask must be bool"),
        (
            lambda: prune.threshold_mask(np.ones((2, 3)), 1, np.ones((3, 2), bool)),
            r"shape \(2, 3\), not bool of \(3, 2\)",
        ),
        (lambda: prune.sensitivity_mask(np.ones(3), np.inf), "sensitivity"),
        (lambda: prune.sensitivity_mask(np.ones(3), -1), "sensitivity must be finite and >= 0"),
        (lambda: prune.sparsity_mask(np.ones(3), 1.1), r"sparsity must be in \[0, 1\]"),
        (lambda: prune.sparsity_mask(np.ones(3), -0.1), r"sparsity must be in \[0, 1\]"),
        (lambda: prune.global_masks({"a": np.ones(3)}), "exactly one"),
        (lambda: prune.global_masks({"a": np.ones(3)}, sparsity=0, threshold=0), "exactly one"),
        (lambda: prune.global_masks({"a": np.ones(3)}, sparsity=1.1), "sparsity must be in"),
        (lambda: prune.global_masks({"a": np.arange(3)}, sparsity=0), "tensor 'a'"),
        (
            lambda: prune.global_masks(
                {"a": np.ones(3), "b": np.ones(3)}, sparsity=0, masks={"a": np.ones(3, bool)}
            ),
            "tensor 'b': masks has none",
        ),
        (lambda: prune.cubic_sparsity(3, 2, 0.5), "3 of 2"),
        (lambda: prune.cubic_sparsity(-1, 2, 0.5), "-1 of 2"),
        (lambda: prune.cubic_sparsity(0, 0, 0.5), "0 of 0"),
        (lambda: prune.cubic_sparsity(1, 2, 1.5), "sparsity must be in"),
        (lambda: prune.cubic_sparsity(1, 2, 0.5, -0.5), "sparsity must be in"),
        (lambda: prune.scaled_dropout(1.0, 1, 1), "dropout rate"),
        (lambda: prune.scaled_dropout(-0.5, 1, 1), "dropout rate"),
        (lambda: prune.scaled_dropout(0.5, 2, 1), "2 of 1 connections"),
        (lambda: prune.scaled_dropout(0.5, -1, 1), "-1 of 1 connections"),
        (lambda: prune.scaled_dropout(0.5, 0, 0), "0 of 0 connections"),
    ],
)
def test_bad_arguments_are_named(call, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        call()
