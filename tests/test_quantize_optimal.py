"""The exact optimum of k-means, with exhaustive arithmetic in fractions and kmeans1d as oracles."""

from fractions import Fraction
from importlib.util import find_spec
from itertools import accumulate

import numpy as np
import pytest
from campaigns.mixtures import mixture

import deepcompress as dc
from deepcompress import native, quantize
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.native import quantize as native_quantize
from deepcompress.quantize import lloyd, optimal
from deepcompress.quantize.share import share_weights, sum_of_squares

compiled = pytest.mark.skipif(gateway._load()[0] is None, reason="no C extension")


@pytest.fixture(params=["reference", pytest.param("native", marks=compiled)], autouse=True)
def backend(request):
    with native.use(request.param):
        yield request.param


def fractions(values):
    return [Fraction(value) for value in values.tolist()]


def least_squares(values, k, weights):
    """Return the least sum of squares, by a search through all last clusters."""
    v, w = fractions(values), fractions(weights)
    masses = [0, *accumulate(w)]
    sums = [0, *accumulate(a * b for a, b in zip(v, w, strict=True))]
    squares = [0, *accumulate(a * a * b for a, b in zip(v, w, strict=True))]

    def cost(begin, end):
        total = sums[end] - sums[begin]
        return squares[end] - squares[begin] - total * total / (masses[end] - masses[begin])

    least = [Fraction(0), *(cost(0, end) for end in range(1, len(v) + 1))]
    for _ in range(k - 1):
        last = [min(least[p] + cost(p, end) for p in range(end)) for end in range(1, len(v) + 1)]
        least = [Fraction(0), *last]
    return least[-1]


def squares_of(values, centroids, weights):
    exact = fractions(centroids)
    pairs = zip(fractions(values), fractions(weights), strict=True)
    return sum(w * min((v - c) ** 2 for c in exact) for v, w in pairs)


@pytest.mark.parametrize("seed", range(150))
def test_no_partition_is_better(seed):
    """Whatever the magnitudes: in float64, sums of squares would lose all but the largest."""
    rng = np.random.default_rng(seed)
    values = np.sort(mixture(rng)[1][:24].astype(np.float64))
    weights = rng.uniform(0.1, 1, values.size) ** 10 if seed % 3 == 0 else np.ones(values.size)
    k = int(rng.integers(1, 8))
    centroids = quantize.optimal_kmeans(values, k, weights=weights if seed % 3 == 0 else None)
    least = least_squares(values, k, weights)
    assert least <= squares_of(values, centroids, weights) <= least * Fraction(1 + 1e-12)


if find_spec("kmeans1d"):  # an oracle for whoever has it, as .ci/run

    def test_as_good_as_kmeans1d(backend):
        import kmeans1d

        rng = np.random.default_rng(0)
        for _ in range(1000 if backend == "native" else 50):
            n, k = int(rng.integers(1, 200)), int(rng.integers(1, 20))
            values = rng.normal(size=n) if rng.random() < 0.7 else rng.integers(-9, 9, n) * 1.0
            labels, centroids = kmeans1d.cluster(values, min(k, n))
            least = np.sum((values - np.array(centroids)[labels]) ** 2)
            found = quantize.optimal_kmeans(values, k)
            distances = np.abs(values[:, None] - found).min(axis=1)
            assert np.sum(distances**2) == pytest.approx(least, rel=1e-9, abs=1e-13)


SHAPES = {
    "normal": lambda rng, n: rng.normal(size=n),
    "tails": lambda rng, n: rng.standard_cauchy(size=n),
    "clumps": lambda rng, n: rng.normal(scale=0.01, size=n) + rng.integers(0, 7, size=n),
    "even": lambda rng, n: np.arange(n),  # many partitions are equally good
    "exponents": lambda rng, n: np.ldexp(rng.normal(size=n), rng.integers(-140, 120, size=n)),
    "repeated": lambda rng, n: np.round(rng.normal(size=n), 3),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("k", [1, 2, 7])
def test_windows_leave_out_no_optimum(shape, k, monkeypatch):
    """Nor does it matter whether all borders are kept, or the middle ones are found first."""
    values = np.sort(SHAPES[shape](np.random.default_rng(k), 2500).astype(np.float32))
    windows, widths = optimal._windows, []

    def watched(values, moments, k):
        found = windows(values, moments, k)
        widths.append(np.mean(found.last - found.first))
        return found

    monkeypatch.setattr(optimal, "_windows", watched)
    narrow = quantize.optimal_kmeans(values, k)
    monkeypatch.setattr(optimal, "SMALL", 0)
    halved = quantize.optimal_kmeans(values, k)
    monkeypatch.setattr(optimal, "BLOCKS", values.size)
    wide = quantize.optimal_kmeans(values, k)
    assert narrow.tobytes() == halved.tobytes() == wide.tobytes()
    assert k == 1 or widths[0] < widths[2] / 2


def test_lloyd_changes_nothing_of_it():
    values = np.random.default_rng(0).standard_t(3, 5000)
    best = quantize.optimal_kmeans(values, 31)
    again = quantize.kmeans(values, best)
    np.testing.assert_allclose(again, best, rtol=1e-13)
    ordered = np.sort(values)
    borders = lloyd.find_borders(ordered, best)
    assert (lloyd.find_borders(ordered, again) == borders).all()


@pytest.mark.parametrize("bits", [5, 8])
def test_no_other_start_leads_lower(bits):
    w = np.random.default_rng(bits).laplace(size=4000).astype(np.float32)
    everything = np.ones(w.shape, np.bool_)
    squares = {
        init: sum_of_squares(
            w, share_weights(w, everything, bits, init, rng=np.random.default_rng(0))
        )
        for init in quantize.INITS
    }
    assert min(squares.values()) == squares["optimal"] < squares["density"]


def test_iterations_make_no_difference_to_it():
    w = np.random.default_rng(0).normal(size=900).astype(np.float32)
    shared = [share_weights(w, w > 0, 3, "optimal", max_iterations=i) for i in (0, 5, 1000)]
    assert len({s.codebook.tobytes() for s in shared}) == 1


def test_a_model_is_compressed_with_it():
    w = np.random.default_rng(0).normal(size=(50, 20)).astype(np.float32)
    config = dc.Config(dc.TensorConfig(bits=4, init="optimal"))
    dense = dc.compress({"w": w}, config).to_dense()["w"]
    found = np.unique(dense)
    expected = quantize.optimal_kmeans(w.ravel(), 15).astype(np.float32)
    assert found.tolist() == expected.tolist()


@pytest.mark.parametrize("seed", range(20))
def test_a_whole_weight_counts_as_so_many_values(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.normal(size=60), rng.integers(0, 4, size=60)
    weights[0] = 1
    repeated = quantize.optimal_kmeans(np.repeat(values, weights), 5)
    assert quantize.optimal_kmeans(values, 5, weights=weights).tolist() == repeated.tolist()
    # A value that doesn't count may be anywhere.
    values[weights == 0] = 1e9
    assert quantize.optimal_kmeans(values, 5, weights=weights).tolist() == repeated.tolist()


def test_small_steps_on_large_values_count():
    """The costs are 1e-15 of the squares."""
    steps = np.array([0, 1, 2, 3, 8, 9, 10, 20, 21])
    values = (1 + steps * 2.0**-23).astype(np.float32)
    found = quantize.optimal_kmeans(np.append(values, [-3e38, 3e38]), 5)
    assert ((found[1:-1] - 1) * 2**23).tolist() == [1.5, 9, 20.5]


def test_single_values_cost_nothing():
    """What rounding leaves of the squares of 1e23 and 1e38 is more than all the rest costs."""
    w = [-1.1964956e38, -1.7251589e-15, -6.7195781e-37, 3.5296493e-37, 4.9072093e-31]
    w = np.float32([*w, 1.3170783e-11, 3.8814238e-07, 8.2021133e13, 1.9675940e23])
    expected = [*w[:2], np.mean(w[2:5].astype(np.float64)), *w[5:]]
    assert quantize.optimal_kmeans(w, 7).tolist() == pytest.approx(expected, rel=1e-12, abs=0)


@pytest.mark.parametrize("beside", [0, -1e30])
def test_times_of_day_in_seconds_since_1970(beside):
    """In float64 costs may be below what they are off by: then nothing is ruled out by them."""
    times = np.append(1.7e9 + np.random.default_rng(0).uniform(size=900), beside)
    found = quantize.optimal_kmeans(times, 4)
    best = quantize.optimal_kmeans(times[:-1] - 1.7e9, 3)
    np.testing.assert_allclose(found[found > 1] - 1.7e9, best, atol=1e-3)


def test_few_distinct_values_are_the_centroids():
    assert quantize.optimal_kmeans([3, 1, 3, 1], 3).tolist() == [1, 3]
    assert quantize.optimal_kmeans([2, 2], 1).tolist() == [2]
    assert quantize.optimal_kmeans([1, 2, 6], 1).tolist() == [3]


def test_the_lowest_borders_of_equally_good_ones():
    """The highest where values lean down, so that signs can be changed."""
    assert quantize.optimal_kmeans([0, 1, 2], 2).tolist() == [0, 1.5]
    assert quantize.optimal_kmeans([0, -1, -2], 2).tolist() == [-1.5, 0]


@pytest.mark.parametrize("power", [-700, 200, 800])
def test_values_beyond_float32_keep_their_squares(power):
    values = np.ldexp([1.0, 1.5, 6, 7, 20], power)
    assert quantize.optimal_kmeans(values, 3).tolist() == np.ldexp([1.25, 6.5, 20], power).tolist()
    start = np.ldexp([1.0, 6, 20], power)
    assert quantize.kmeans(values, start).tolist() == np.ldexp([1.25, 6.5, 20], power).tolist()


@pytest.mark.parametrize(
    ("words", "values", "k", "weights"),
    [
        ("one axis", [[1, 2]], 1, None),
        ("at least one", [], 1, None),
        ("finite", [1, np.nan], 1, None),
        ("k must be an integer >= 1, not 0", [1, 2], 0, None),
        ("k must be an integer >= 1, not 1.5", [1, 2], 1.5, None),
        (r"weights must be of shape \(2,\), not \(3,\)", [1, 2], 1, [1, 2, 3]),
        ("none below 0", [1, 2], 1, [1, -1]),
        ("weights must be finite", [1, 2], 1, [1, np.inf]),
        ("not all 0", [1, 2], 1, [0, 0]),
    ],
)
def test_bad_arguments_are_named(words, values, k, weights):
    with pytest.raises(ArgumentError, match=words):
        quantize.optimal_kmeans(values, k, weights=weights)


@compiled
@pytest.mark.parametrize("seed", range(30))
def test_kernels_give_the_bits_of_their_twins(seed):
    rng = np.random.default_rng(seed)
    values = np.unique(mixture(rng)[1].astype(np.float64))
    weights = rng.uniform(0.1, 9, size=values.size)
    moments = native_quantize.moments(values, weights)
    assert moments.tobytes() == optimal._moments(values, weights).tobytes()
    n = values.size
    if n < 3:
        return
    for skip, apart in ((0, 1), (0, 0), (1, 0)):
        low, first = sorted(rng.integers(0, n - 1, size=2).tolist())
        rows = (first + apart, n if skip == 0 else n - 1)
        window = (low, n - 1)
        before = np.sort(rng.uniform(0, 1, size=n - low)) * rng.choice([0, 1, 1e70])
        arguments = (moments, skip, apart, before, window, rows)
        found = native_quantize.best_borders(*arguments)
        twin = optimal._best_borders(*arguments)
        assert [part.tobytes() for part in found] == [part.tobytes() for part in twin]
