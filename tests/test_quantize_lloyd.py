"""Lloyd's algorithm on scalars, with scikit-learn's KMeans as the oracle."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from deepcompress import native, quantize
from deepcompress.quantize import lloyd
from deepcompress.quantize.share import share_weights
from deepcompress.quantize.starts import INITS

small = hnp.arrays(np.float64, st.integers(1, 40), elements=st.integers(-9, 9))


def everything(w: np.ndarray) -> np.ndarray:
    return np.ones(w.shape, np.bool_)


def two_bumps(rng: np.random.Generator) -> np.ndarray:
    w = np.concatenate([rng.normal(-0.1, 0.03, 900), rng.normal(0.12, 0.05, 1100)])
    return w.astype(np.float32)


def outliers(rng: np.random.Generator) -> np.ndarray:
    """Most of the evenly spaced start is empty."""
    return np.concatenate([two_bumps(rng)[:-3], np.array([-1, 1, 1.5], np.float32)])


def survivors(rng: np.random.Generator) -> np.ndarray:
    """Long tails and a gap around zero, as pruning leaves them."""
    w = rng.standard_t(4, 9000).astype(np.float32)
    return w[np.abs(w) > 0.5]


@pytest.mark.parametrize(
    ("draw", "init", "k"),
    [
        *((two_bumps, init, k) for init in ("linear", "density") for k in (3, 15, 63)),
        *((outliers, "linear", k) for k in (15, 63, 256)),
        *((survivors, init, k) for init in ("linear", "kmeans++") for k in (32, 256)),
    ],
)
def test_agrees_with_scikit_learn_from_the_same_start(draw: Any, init: str, k: int) -> None:
    rng = np.random.default_rng(k)
    w = draw(rng).astype(np.float64)
    start = INITS[init](np.sort(w), k, rng)
    oracle = KMeans(k, init=start[:, None], n_init=1, tol=0, max_iter=1000, algorithm="lloyd")
    with threadpool_limits(1):  # its threads wait for each other, long on a busy machine
        oracle.fit(w[:, None])
    centroids = quantize.kmeans(w, start)
    np.testing.assert_allclose(
        centroids, np.sort(oracle.cluster_centers_.ravel()), rtol=1e-9, atol=1e-12
    )
    squares = np.sum((w - centroids[quantize.assign(w, centroids)]) ** 2)
    assert squares == pytest.approx(oracle.inertia_, rel=1e-9)


@given(small, small, st.integers(1, 40))
def test_the_farthest_are_those_of_all_values(w: np.ndarray, start: np.ndarray, count: int) -> None:
    """Found among the ends of clusters; each cluster has members here, as when it is called."""
    ordered, centroids = np.sort(w), np.unique(start)
    sizes = np.diff(lloyd.find_borders(ordered, centroids))
    centroids, sizes = centroids[sizes > 0], sizes[sizes > 0]
    borders = np.append(0, np.cumsum(sizes))
    distances = np.abs(ordered - np.repeat(centroids, sizes))
    expected = np.lexsort([ordered, -distances])[:count] if distances.any() else []
    found = lloyd._farthest(ordered, centroids, borders, count)
    assert len(set(found)) == len(found)
    assert ordered[found].tolist() == ordered[expected].tolist()
    # A cluster without them is an interval still.
    for begin, end in pairwise(borders):
        rest = np.setdiff1d(np.arange(begin, end), found)
        assert (np.diff(rest) == 1).all()


def test_an_empty_cluster_takes_the_farthest_value_out_of_its_own() -> None:
    """4 lies 3 from its centroid 1 and moves; the mean of what is left, 1 and 2, is 1.5."""
    ordered, start = np.array([1, 2, 4, 9, 9.5, 10, 10.5]), np.array([1.0, 6.0, 10.0])
    assert lloyd.cluster(ordered, start, 1).tolist() == [1.5, 4, 9.75]


def test_the_lowest_of_the_farthest_values_comes_first() -> None:
    """1 and 3 lie equally far from 2, 11 nearer to its centroid; one cluster is empty."""
    ordered, start = np.array([1.0, 3, 11]), np.array([2.0, 7.5, 10.5])
    assert lloyd._farthest(ordered, start[[0, 2]], np.array([0, 2, 3]), 2).tolist() == [0, 1]
    assert lloyd.cluster(ordered, start, 1).tolist() == [1, 3, 11]


def test_equal_starts_are_one_cluster_and_empty_ones() -> None:
    assert lloyd.cluster(np.array([1.0, 2, 3, 9]), np.full(3, 2.0), 100).tolist() == [1, 2.5, 9]


def test_a_cluster_may_lose_all_of_its_members_to_empty_ones() -> None:
    """0 and 4 both leave the cluster around 2, which then takes the farthest value left."""
    ordered, start = np.array([0.0, 4, 9, 10, 12]), np.array([2.0, 10, 50, 60])
    assert lloyd.cluster(ordered, start, 1).tolist() == [0, 4, 31 / 3]
    assert lloyd.cluster(ordered, start, 100).tolist() == [0, 4, 9.5, 12]


def test_an_empty_cluster_without_a_value_to_move_to_is_dropped() -> None:
    ordered = np.array([1.0, 1.0, 2.0, 2.0])
    assert lloyd.cluster(ordered, np.array([1.0, 1.5, 2.0]), 10).tolist() == [1, 2]


@given(small, small)
def test_each_centroid_keeps_members_and_none_stays_empty(w: np.ndarray, start: np.ndarray) -> None:
    """To the end there are as many as at the start, or as there are distinct values."""
    ordered = np.sort(w)
    centroids = lloyd.cluster(ordered, start, quantize.MAX_ITERATIONS)
    assert len(centroids) == min(len(start), len(np.unique(w)))
    assert (np.diff(centroids) > 0).all()
    for iterations in range(4):
        borders = lloyd.find_borders(ordered, lloyd.cluster(ordered, start, iterations))
        assert (np.diff(borders) > 0).all()


def test_half_way_belongs_to_the_lower_centroid() -> None:
    borders = lloyd.find_borders(np.array([0.0, 0.5, 0.75, 1.5, 2.0]), np.array([0.0, 1.0, 2.0]))
    assert borders.tolist() == [0, 2, 4, 5]


def test_a_mean_stays_among_its_members() -> None:
    """Prefix sums of 1e16 and more have lost the small members; their mean must not leave them."""
    ordered = np.array([-1e16, -1e16, 1.0, 1.0, 1.0, 1e16])
    centroids = lloyd.cluster(ordered, np.array([-1e16, 0.0, 1e16]), 10)
    assert centroids.tolist() == [-1e16, 1, 1e16]


def test_iterations_end_when_no_value_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    counted, function = [], lloyd._move

    def counting(*arguments: Any) -> tuple:
        result = function(*arguments)
        counted.append(result[2])
        return result

    monkeypatch.setattr(lloyd, "_move", counting)
    w = two_bumps(np.random.default_rng(0))
    with native.use("reference"):
        ended = share_weights(w, everything(w), 2)
    steps = sum(counted)
    assert 2 < steps < 100
    enough = share_weights(w, everything(w), 2, max_iterations=steps)
    assert (ended.codebook == enough.codebook).all()
    # Its last step moved no value.
    short = share_weights(w, everything(w), 2, max_iterations=steps - 2)
    assert not np.array_equal(ended.codebook, short.codebook)
