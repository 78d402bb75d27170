"""Entropy-constrained clusters: their cost, what they are at both ends, wrong arguments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcompress.errors import ArgumentError
from deepcompress.quantize import kmeans
from deepcompress.quantize.rated import RatedCodebook, rated_codebook


def cost(values, book, price):
    labels = book.labels(values, price)
    shares = np.bincount(labels, minlength=len(book.centroids)) / len(values)
    distortion = np.square(values - book.centroids[labels]).sum()
    return distortion, -np.log2(shares[labels]).sum()


def laplace(count, seed=0):
    return np.random.default_rng(seed).laplace(size=count)


def test_without_a_price_it_is_plain_k_means():
    values = laplace(2000)
    start = np.linspace(values.min(), values.max(), 7)
    assert rated_codebook(values, 7).centroids == pytest.approx(kmeans(values, start), rel=1e-3)


def test_a_price_buys_fewer_bits_for_more_distortion():
    values = laplace(3000)
    found = [cost(values, rated_codebook(values, 15, price), price) for price in (0, 0.02, 0.1, 1)]
    distortions, bits = zip(*found, strict=True)
    assert list(distortions) == sorted(distortions)
    assert list(bits) == sorted(bits, reverse=True)
    assert bits[2] < 0.9 * bits[0]
    plain = rated_codebook(values, 15)
    for price, (distortion, length) in zip((0.02, 0.1, 1), found[1:], strict=True):
        other = cost(values, plain, 0)
        assert distortion + price * length < other[0] + price * other[1]


def test_nothing_is_left_of_a_codebook_that_is_too_dear():
    values = laplace(300)
    book = rated_codebook(values, 15, price=1e6)
    assert book.centroids == pytest.approx([values.mean()])
    assert book.bits.tolist() == [0]


def test_a_value_goes_to_the_cheaper_label_up_to_a_border():
    """Between -1 and 1, of which the latter costs a bit more, at price 2 the border is at 0.5."""
    book = RatedCodebook(np.array([-1, 1], np.float32), np.array([0.0, 1]))
    assert book.labels(np.array([-3, 0.1, 0.49, 0.51, 4]), 2).tolist() == [0, 0, 0, 1, 1]
    assert book.labels(np.array([-0.1, 0.1]), 0).tolist() == [0, 1]


@given(
    st.lists(st.integers(-50, 50), min_size=1, max_size=60),
    st.integers(1, 12),
    st.floats(0, 100),
)
def test_the_labels_are_those_of_least_cost(numbers, clusters, price):
    values = np.array(numbers, np.float64)
    book = rated_codebook(values, clusters, price)
    assert (np.diff(book.centroids) >= 0).all()
    labels = book.labels(values, price)
    counts = np.bincount(labels, minlength=len(book.centroids))
    assert np.exp2(-book.bits).sum() == pytest.approx(1)
    assert 1 <= np.count_nonzero(counts) <= min(clusters, len(set(numbers)))
    for value, label in zip(values, labels, strict=True):
        costs = (value - book.centroids.astype(np.float64)) ** 2 + price * book.bits
        assert costs[label] == costs.min()


@pytest.mark.parametrize(
    ("values", "clusters", "price", "message"),
    [
        ([], 3, 0, "values must be finite, and one at least"),
        ([1.0, np.nan], 3, 0, "values must be finite"),
        ([1.0], 0, 0, "clusters must be at least 1, not 0"),
        ([1.0], 3, -1, "price must be finite and >= 0"),
        ([1.0], 3, np.inf, "price must be finite and >= 0"),
    ],
)
def test_wrong_arguments(values, clusters, price, message):
    with pytest.raises(ArgumentError, match=message):
        rated_codebook(np.array(values), clusters, price)
