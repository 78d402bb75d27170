"""k-means on values of both signs and all magnitudes."""

import numpy as np
import pytest
from campaigns.mixtures import check, mixture
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from deepcompress import native, quantize
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.quantize import lloyd
from deepcompress.quantize.share import share_weights, sum_of_squares
from deepcompress.quantize.starts import INITS

compiled = pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")


@pytest.fixture(params=["reference", pytest.param("native", marks=compiled)], autouse=True)
def backend(request):
    with native.use(request.param):
        yield request.param


def everything(w):
    return np.ones(w.shape, np.bool_)


def all_values(width):
    """Few distinct numbers, most of them half-way between others, or any there are."""
    return hnp.arrays(
        np.float32 if width == 32 else np.float64,
        st.integers(1, 40),
        elements=st.one_of(
            st.integers(-9, 9),
            st.floats(-(2.0**120), 2.0**120, width=32),
        ),
    )


def test_a_mask_fill_value_costs_the_others_nothing():
    """All that lies above it used to be lost in sums that began there."""
    w = np.random.default_rng(0).normal(size=10_000).astype(np.float32)
    w[0] = np.finfo(np.float32).min
    squares = [sum_of_squares(v, share_weights(v, everything(v), 3)) for v in (w, -w)]
    assert squares[0] == squares[1]
    # Six centroids are left for the rest.
    alone = quantize.kmeans(w[1:], np.linspace(-3, 3, 6))
    rest = sum((np.abs(w[1:, None] - alone).min(axis=1)) ** 2)
    assert squares[0] < 1.1 * rest


@pytest.mark.parametrize("seed", range(100))
def test_mixtures_of_magnitudes(seed):
    """A few of those that `campaigns.mixtures` checks."""
    rng = np.random.default_rng([1, seed])
    check(mixture(rng)[1], rng)


@given(all_values(64), all_values(64), st.sampled_from([0, 1, 2, 1000]))
def test_signs_change_signs_of_centroids_alone(w, start, iterations):
    found = quantize.kmeans(w, start, iterations)
    mirrored = -quantize.kmeans(-w, -start, iterations)[::-1]
    both_symmetrical = all((np.sort(a) == np.sort(-a)).all() for a in (w, start))
    # Cut short, one of the two may have lost a centroid to which but half-way values belonged.
    if iterations == 1000 and not both_symmetrical:
        assert found.tolist() == mirrored.tolist()
    squares = [np.sum(np.abs(w[:, None] - c).min(axis=1) ** 2) for c in (found, mirrored)]
    assert squares[0] == squares[1]


@given(all_values(32), st.integers(1, 4), st.sampled_from(["linear", "density", "optimal"]))
def test_signs_change_no_sum_of_squares(w, bits, init):
    shared, mirrored = (share_weights(v, everything(v), bits, init) for v in (w, -w))
    assert sum_of_squares(w, shared) == sum_of_squares(-w, mirrored)


@given(all_values(64), all_values(64), st.integers(-300, 300), st.sampled_from([0, 1, 1000]))
def test_powers_of_two_scale_centroids(w, start, power, iterations):
    found = quantize.kmeans(w, start, iterations)
    scaled = quantize.kmeans(np.ldexp(w, power), np.ldexp(start, power), iterations)
    assert scaled.tolist() == np.ldexp(found, power).tolist()


@given(
    all_values(32), st.integers(1, 4), st.sampled_from(sorted(INITS)), st.sampled_from([1, 2, 1000])
)
def test_no_sum_of_squares_is_above_that_of_the_start(w, bits, init, iterations):
    ends = [
        share_weights(
            w, everything(w), bits, init, max_iterations=limit, rng=np.random.default_rng(0)
        )
        for limit in (0, iterations)
    ]
    assert sum_of_squares(w, ends[1]) <= sum_of_squares(w, ends[0])


def test_a_start_that_nothing_makes_better_is_kept(monkeypatch):
    """As if the iterations had gone astray."""
    w = np.random.default_rng(0).normal(size=500).astype(np.float32)
    start = np.linspace(-3, 3, 7)
    firsts = share_weights(w, everything(w), 3, max_iterations=0), quantize.kmeans(w, start, 0)
    descend = lloyd.descend

    def astray(ordered, start, limit, weights=None):
        return (start + 1, False) if limit else descend(ordered, start, limit, weights)

    monkeypatch.setattr(lloyd, "descend", astray)
    assert share_weights(w, everything(w), 3).codebook.tolist() == firsts[0].codebook.tolist()
    assert quantize.kmeans(w, start).tolist() == firsts[1].tolist()


@given(all_values(64), all_values(64))
def test_gains_are_clear_only_where_they_are(w, start):
    ordered = np.sort(w)
    found, clear = lloyd.descend(ordered, start, quantize.MAX_ITERATIONS)
    first = lloyd.cluster(ordered, start, 0)
    before, after = (
        np.sum(np.abs(w[:, None] - c.astype(np.float32)).min(axis=1) ** 2) for c in (first, found)
    )
    assert not clear or after < before


def test_where_values_lean():
    assert lloyd.leans_down(np.array([-3.0, 1, 2]))
    assert not lloyd.leans_down(np.array([-2.0, -1, 3]))
    assert lloyd.leans_down(np.array([-3.0, -2, 1, 3]))
    assert not lloyd.leans_down(np.array([-3.0, -1, 2, 3]))
    assert not lloyd.leans_down(np.array([-3.0, 3]))
    assert lloyd.leans_down(np.array([-3.0, 3]), np.array([2.0, -5]))


def test_half_way_is_upper_where_values_lean_down():
    """0 is half-way between -1 and 1; so that -9 and 9 at the end mirror each other."""
    assert quantize.kmeans([-1, 0, 1, 9], [-1, 1, 9]).tolist() == [-0.5, 1, 9]
    assert quantize.kmeans([-9, -1, 0, 1], [-9, -1, 1]).tolist() == [-9, -1, 0.5]


def test_the_farthest_are_mirrored():
    """-3 and -1 lie equally far from -2; the one that isn't nearer to -11 comes first."""
    ordered, centroids = np.array([-11.0, -3, -1]), np.array([-10.5, -2.0])
    farthest = lloyd._farthest(ordered, centroids, np.array([0, 1, 3]), 2, upper=True)
    assert farthest.tolist() == [2, 1]


@given(all_values(64), st.integers(1, 40))
def test_an_even_start_is_mirrored(w, k):
    ordered, rng = np.sort(w), np.random.default_rng(0)
    mirrored = -INITS["linear"](-ordered[::-1], k, rng)[::-1]
    symmetrical = (ordered == -ordered[::-1]).all()
    assert symmetrical or INITS["linear"](ordered, k, rng).tolist() == mirrored.tolist()


def test_a_density_between_two_values_is_mirrored():
    rng = np.random.default_rng(0)
    assert INITS["density"](np.array([0.0, 1, 2, 9]), 2, rng).tolist() == [1, 9]
    assert INITS["density"](np.array([-9.0, -2, -1, 0]), 2, rng).tolist() == [-9, -1]


@pytest.mark.parametrize("seed", range(20))
def test_a_whole_weight_counts_as_so_many_values(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=50), rng.integers(0, 4, size=50)
    weights[0] = 1
    start = INITS["density"](np.sort(values), 4, rng)
    repeated = quantize.kmeans(np.repeat(values, weights), start)
    np.testing.assert_allclose(quantize.kmeans(values, start, weights=weights), repeated, 1e-12)


def test_weights_of_all_magnitudes():
    """The least ones count as if they were equal: lost in sums, a cluster of them had no mean."""
    values, weights = [0, 1, 5, 6, 9, 9.5], [1e300, 1, 1e-300, 1e-300, 1, 3]
    found = quantize.kmeans(values, [0.5, 5.5, 9], weights=weights)
    assert found.tolist() == pytest.approx([0, 5.5, 9.25], rel=1e-3, abs=1e-11)


def test_weights_scale_without_effect():
    rng = np.random.default_rng(0)
    values, weights = rng.normal(size=90), rng.uniform(size=90)
    found = [quantize.kmeans(values, [-1, 0, 1], weights=weights * s) for s in (1, 2.0**1023)]
    assert found[0].tolist() == found[1].tolist()


@pytest.mark.parametrize("init", sorted(INITS))
def test_important_weights_are_nearer_to_centroids(init):
    rng = np.random.default_rng(0)
    w = rng.normal(size=800).astype(np.float32)
    importance = np.where(np.abs(w) > 2, 1000, 1)
    plain, weighed = (
        share_weights(w, everything(w), 3, init, rng=np.random.default_rng(1), importance=i)
        for i in (None, importance)
    )
    errors = [np.sum(importance * (w - s.codebook[s.labels]) ** 2) for s in (plain, weighed)]
    assert errors[1] < errors[0]


def test_importance_of_pruned_weights_is_of_no_account():
    w = np.random.default_rng(0).normal(size=(20, 30)).astype(np.float32)
    importance = np.where(w > 0, 1.0, np.nan)
    shared = share_weights(w, w > 0, 3, importance=importance)
    assert shared.codebook.tolist() == share_weights(w, w > 0, 3).codebook.tolist()


@pytest.mark.parametrize(
    ("words", "importance"),
    [
        (r"importance must be of shape \(3,\), not \(2,\)", [1, 2]),
        ("importance of survivors must be finite, none below 0", [1, -2, 0]),
        ("importance of survivors must be finite", [1, np.nan, 0]),
        ("not all 0", [0, 0, 5]),
    ],
)
def test_bad_importance_is_named(words, importance):
    with pytest.raises(ArgumentError, match=words):
        share_weights(np.ones(3), np.array([True, True, False]), 2, importance=importance)
