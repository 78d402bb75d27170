"""Lloyd's algorithm and the labels in C give the bits of their NumPy twins."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

from deepcompress import native, quantize
from deepcompress.native import gateway
from deepcompress.native import quantize as native_quantize
from deepcompress.quantize import lloyd
from deepcompress.quantize.starts import INITS

EXTENSION, REASON = gateway._load()
pytestmark = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")
values = hnp.arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.one_of(st.floats(-2, 2, width=16), st.floats(-(2.0**99), 2.0**99, width=32)),
)


def both(function, *arguments):
    """What the backends return, as bytes."""
    results = []
    for backend in ("reference", "native"):
        with native.use(backend):
            results.append(function(*arguments).tobytes())
    return results


@given(values, st.integers(1, 256), st.sampled_from(["linear", "density"]), st.integers(0, 30))
def test_kmeans(w, k, init, iterations):
    ordered = np.sort(w).astype(np.float64)
    start = INITS[init](ordered, k, np.random.default_rng(0))
    reference, c = both(quantize.kmeans, w, start, iterations)
    assert c == reference


@pytest.mark.parametrize("init", sorted(INITS))
@pytest.mark.parametrize("bits", [2, 5, 8])
def test_kmeans_of_many_values(init, bits):
    """Borders move far, clusters become empty on the way, and all of it ends."""
    rng = np.random.default_rng(bits)
    w = rng.standard_t(3, 4000).astype(np.float32)
    start = INITS[init](np.sort(w).astype(np.float64), 2**bits - 1, rng)
    reference, c = both(quantize.kmeans, w, start)
    assert c == reference


def test_each_move_and_its_end():
    """From one far start after the other, as they meet no empty cluster, and with each limit."""
    rng = np.random.default_rng(0)
    ordered = np.sort(rng.normal(size=900))
    zero = int(np.searchsorted(ordered, 0))
    sums = lloyd._sums(ordered, zero)
    masses = lloyd._sums(rng.uniform(0.5, 2, size=900), zero)
    for limit in (1, 2, 3, 50, 1000):
        for k in (1, 2, 7, 100):
            inner = np.sort(rng.choice(np.arange(1, 900), k - 1, replace=False))
            borders = np.concatenate([[0], inner, [900]]).astype(np.int64)
            before = borders.copy()
            for weighed, upper in ((None, False), (masses, True)):
                expected = lloyd._move(ordered, sums, weighed, borders, limit, upper)
                found = native_quantize.move(ordered, sums, weighed, borders, limit, upper)
                assert found[2] == expected[2] <= limit
                for mine, twin in zip(found[:2], expected[:2], strict=True):
                    assert mine.tobytes() == twin.tobytes()
            assert (borders == before).all()


@given(values, hnp.arrays(np.float32, st.integers(1, 256), elements=st.floats(-2, 2, width=16)))
def test_assign(w, centroids):
    centroids.sort()
    reference, c = both(quantize.assign, w, centroids)
    assert c == reference


@pytest.mark.parametrize("k", [1, 2, 3, 127, 128, 129, 255, 256])
def test_assign_half_way_and_beside_it(k):
    centroids = np.arange(k, dtype=np.float32)
    half = centroids + np.float32(0.5)
    w = np.concatenate([half, np.nextafter(half, -1), np.nextafter(half, 999), centroids])
    reference, c = both(quantize.assign, np.repeat(w, 2)[::2], centroids)
    assert c == reference
    nearest = np.minimum(np.ceil(w.astype(np.float64) - 0.5), k - 1)
    assert np.frombuffer(c, np.uint8).tolist() == nearest.tolist()


def test_none_is_assigned():
    for centroids in (np.zeros(0, np.float32), np.zeros(3, np.float32)):
        with native.use("native"):
            assert quantize.assign(np.zeros(0, np.float32), centroids).shape == (0,)
