"""Stage 2: codebooks, starts and labels; `test_lloyd` has what is between."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcompress import quantize
from deepcompress.errors import ArgumentError, ConfigError
from deepcompress.quantize.share import share_weights, sum_of_squares
from deepcompress.quantize.starts import INITS

values = hnp.arrays(np.float32, st.integers(0, 200), elements=st.floats(-2, 2, width=16))


def everything(w: np.ndarray) -> np.ndarray:
    return np.ones(w.shape, np.bool_)


@given(values, st.integers(1, 4), st.sampled_from(sorted(INITS)), st.integers(0, 3))
def test_labels_point_to_the_nearest_of_few_centroids(
    w: np.ndarray, bits: int, init: str, seed: int
) -> None:
    mask = w != 0
    shared = share_weights(w, mask, bits, init, rng=np.random.default_rng(seed))
    k = len(shared.codebook)
    assert k <= 2**bits
    assert shared.codebook[0] == 0
    assert shared.codebook.dtype == np.float32
    assert (np.diff(shared.codebook[1:]) > 0).all()
    assert shared.labels.dtype == np.uint8
    assert shared.labels.shape == (np.count_nonzero(mask),)
    distances = np.abs(w[mask].astype(np.float64)[:, None] - shared.codebook[1:].astype(np.float64))
    if k > 1:
        assert (shared.labels - 1 == distances.argmin(axis=1)).all()


@given(values, st.integers(1, 4))
def test_sharing_twice_changes_nothing(w: np.ndarray, bits: int) -> None:
    mask = w != 0
    once = share_weights(w, mask, bits)
    dense = np.zeros_like(w)
    dense[mask] = once.codebook[once.labels]
    again = share_weights(dense, mask, bits)
    # A centroid without members isn't kept, a value is never moved.
    assert (again.codebook[again.labels] == dense[mask]).all()


@pytest.mark.parametrize("init", ["linear", "density"])
def test_the_codebook_is_what_k_means_finds_from_the_start(init: str) -> None:
    w = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    start = INITS[init](np.sort(w).astype(np.float64), 15, np.random.default_rng(0))
    centroids = quantize.kmeans(w, start)
    shared = share_weights(w, everything(w), 4, init)
    assert shared.codebook.tolist() == [0, *centroids.astype(np.float32)]
    nearest = np.abs(w[:, None] - centroids).min(axis=1)
    assert sum_of_squares(w, shared) == pytest.approx(np.sum(nearest**2), rel=1e-6)


def test_drawn_starts_follow_their_distribution() -> None:
    """k-means++ spreads over far clusters where random values mostly don't."""
    w = np.concatenate([np.linspace(0, 1e-3, 97), [10.0, 20.0, 30.0]])
    rng = np.random.default_rng(0)
    spread = [set(INITS["kmeans++"](w, 4, rng)) >= {10.0, 20.0, 30.0} for _ in range(50)]
    lucky = [set(INITS["random"](w, 4, rng)) >= {10.0, 20.0, 30.0} for _ in range(50)]
    assert all(spread)
    assert not any(lucky)
    assert all(len(set(INITS["random"](w, 50, rng))) == 50 for _ in range(5))


def test_kmeans_plus_plus_draws_by_squared_distance() -> None:
    """Two of the values 0, 1, 3: the first evenly, the second by its squared distance."""
    w, rng = np.array([0.0, 1.0, 3.0]), np.random.default_rng(0)
    drawn = [tuple(sorted(INITS["kmeans++"](w, 2, rng))) for _ in range(4000)]
    expected = {(0, 1): 1 / 10 + 1 / 5, (0, 3): 9 / 10 + 9 / 13, (1, 3): 4 / 5 + 4 / 13}
    for pair, thrice in expected.items():
        assert drawn.count(pair) / 4000 == pytest.approx(thrice / 3, abs=0.03)


def test_kmeans_plus_plus_at_the_ends_of_its_draws() -> None:
    """A draw of 0 isn't the value that has been taken; without a distance left, any will do."""
    lowest: Any = SimpleNamespace(integers=lambda size: 0, random=lambda: 0.0)
    assert INITS["kmeans++"](np.array([1.0, 2.0, 3.0]), 3, lowest).tolist() == [1, 2, 3]
    assert INITS["kmeans++"](np.ones(3), 2, lowest).tolist() == [1, 1]


def test_linear_and_density_starts() -> None:
    ordered = np.array([0.0, 1, 1, 1, 1, 1, 2, 8])
    rng = np.random.default_rng(0)
    assert INITS["linear"](ordered, 3, rng).tolist() == [0, 4, 8]
    assert INITS["density"](ordered, 2, rng).tolist() == [1, 2]


@pytest.mark.parametrize("init", sorted(INITS))
@pytest.mark.parametrize("w", [[0.5, 7, 2, 7], [7, 1]])
def test_few_distinct_values_are_the_codebook(w: list[float], init: str) -> None:
    """As many as there are centroids, or fewer: no start and no iteration is involved."""
    array = np.array(w, np.float32)
    rng = np.random.default_rng(0)
    shared = share_weights(array, everything(array), 2, init, max_iterations=0, rng=rng)
    assert shared.codebook.tolist() == [0, *sorted(set(w))]
    assert (shared.codebook[shared.labels] == array).all()


def test_a_value_counts_as_often_as_it_occurs() -> None:
    w = np.array([1, 1, 1, 5], np.float32)
    shared = share_weights(w, everything(w), 1)
    assert shared.codebook.tolist() == [0, 2]
    assert sum_of_squares(w, shared) == 12


def test_half_way_belongs_to_the_lower_centroid() -> None:
    centroids = np.array([0.0, 1.0, 2.0])
    assert quantize.assign(np.array([0.5, 1.5, 0.75]), centroids).tolist() == [0, 1, 1]
    large = np.array([2e38, 3e38], np.float32)  # their sum is too large for float32
    assert quantize.assign(large, large).tolist() == [0, 1]


def test_zero_iterations_keep_the_start() -> None:
    w = np.array([0, 1, 2, 3, 10], np.float32)
    shared = share_weights(w, everything(w), 2, max_iterations=0)
    assert shared.codebook.tolist() == [0, 0, 5, 10]


@pytest.mark.parametrize(
    ("error", "words", "arguments"),
    [
        (ArgumentError, "floating", (np.arange(3), np.ones(3, bool), 2)),
        (ArgumentError, "floating, not complex", (np.ones(3, complex), np.ones(3, bool), 2)),
        (ArgumentError, "mask must be bool", (np.ones(3), np.ones(2, bool), 2)),
        (ArgumentError, "mask must be bool", (np.ones(3), np.ones(3), 2)),
        (ArgumentError, "mask must be bool", (np.ones((2, 3)), np.ones((3, 2), bool), 2)),
        (ArgumentError, "bits must be .* 1 to 8, got 9", (np.ones(3), np.ones(3, bool), 9)),
        (ArgumentError, "bits must be .* 1 to 8, got 0", (np.ones(3), np.ones(3, bool), 0)),
        (ArgumentError, "bits must be an integer .* got 2.5", (np.ones(3), np.ones(3, bool), 2.5)),
        (ArgumentError, "finite in float32", (np.array([1e300]), np.ones(1, bool), 2)),
        (ArgumentError, "finite", (np.array([np.nan]), np.ones(1, bool), 2)),
        (ArgumentError, "needs rng", (np.ones(3), np.ones(3, bool), 2, "random")),
        (ArgumentError, r"kmeans\+\+' needs rng", (np.ones(3), np.ones(3, bool), 2, "kmeans++")),
        (ConfigError, "linear, density", (np.ones(3), np.ones(3, bool), 2, "forgy")),
    ],
)
def test_bad_arguments_are_named(error: type[Exception], words: str, arguments: tuple) -> None:
    with pytest.raises(error, match=words):
        share_weights(*arguments)


def test_iterations_must_not_be_negative() -> None:
    with pytest.raises(ArgumentError, match="max_iterations must be an integer >= 0, not -1"):
        share_weights(np.ones(3), np.ones(3, bool), 2, max_iterations=-1)
    with pytest.raises(ArgumentError, match="max_iterations must be an integer >= 0, not -1"):
        quantize.kmeans([1.0], [1.0], -1)


def test_kmeans_takes_any_order_and_drops_clusters_without_values() -> None:
    assert quantize.kmeans([12, 1, 11, 2, 10], [1, 0]).tolist() == [1.5, 11]
    assert quantize.kmeans([3, 3, 4], [9, 3, 0, 4]).tolist() == [3, 4]


@pytest.mark.parametrize(
    ("words", "values", "start"),
    [
        (r"one axis and an element, not shapes \(0,\)", [], [1]),
        (r"not shapes \(1,\) and \(0,\)", [1], []),
        (r"not shapes \(1, 2\)", [[1, 2]], [1]),
        (r"not shapes \(2,\) and \(\)", [1, 2], 1),
        ("must be finite", [np.nan, 1], [1]),
        ("must be finite", [1], [np.inf]),
    ],
)
def test_kmeans_names_bad_arguments(words: str, values: Any, start: Any) -> None:
    with pytest.raises(ArgumentError, match=words):
        quantize.kmeans(values, start)


def test_sharing_ratio_refuses_nonsense() -> None:
    for arguments in ((0, 4), (16, 0), (16, 4, 0)):
        with pytest.raises(ArgumentError, match="n, k and weight_bits"):
            quantize.sharing_ratio(*arguments)


def test_sharing_ratio_rounds_a_label_up_to_whole_bits() -> None:
    assert quantize.sharing_ratio(16, 5) == 16 * 32 / (16 * 3 + 5 * 32)


@pytest.mark.parametrize("wrong", [True, 2.5, np.nan, None, "3"])
def test_iterations_that_are_no_whole_number_are_named(wrong) -> None:
    with pytest.raises(
        ArgumentError, match=f"max_iterations must be an integer >= 0, not {wrong!r}"
    ):
        share_weights(np.ones(3), np.ones(3, bool), 2, max_iterations=wrong)
    with pytest.raises(
        ArgumentError, match=f"max_iterations must be an integer >= 0, not {wrong!r}"
    ):
        quantize.kmeans([1, 2, 3], [0, 1], wrong)


def test_iterations_may_be_more_than_a_machine_word_counts() -> None:
    w = np.random.default_rng(0).standard_normal(500)
    assert (quantize.kmeans(w, [0, 1, 2], 10**30) == quantize.kmeans(w, [0, 1, 2])).all()
    shared = share_weights(w, everything(w), 2, max_iterations=10**30)
    assert (shared.codebook == share_weights(w, everything(w), 2).codebook).all()
