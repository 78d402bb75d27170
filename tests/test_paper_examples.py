"""The paper's worked examples, with its own numbers (Han et al. 2016, figures 2 and 3, eq. 1)."""

import numpy as np
import pytest

from deepcompress import quantize, relindex
from deepcompress.nn.optim import SGD
from deepcompress.nn.trainable import Shared
from deepcompress.quantize import lloyd

FIGURE_3_WEIGHTS = np.array(
    [
        [2.09, -0.98, 1.48, 0.09],
        [0.05, -0.14, -1.08, 2.12],
        [-0.91, 1.92, 0.0, -1.03],
        [1.87, 0.0, 1.53, 1.49],
    ]
)
FIGURE_3_INDEX = np.array([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
FIGURE_3_CENTROIDS = np.array([-1.0, 0.0, 1.5, 2.0])
FIGURE_3_GRADIENT = np.array(
    [
        [-0.03, -0.01, 0.03, 0.02],
        [-0.01, 0.01, -0.02, 0.12],
        [-0.01, 0.02, 0.04, 0.01],
        [-0.07, -0.02, 0.01, -0.02],
    ]
)
FIGURE_3_SUMS = np.array([-0.03, 0.04, 0.02, 0.04])
FIGURE_3_FINE_TUNED = np.array([-0.97, -0.04, 1.48, 1.96])


def test_figure_2_a_filler_where_the_span_exceeds_three_bits() -> None:
    """Entries 3.4, 0.9 and 1.7 at 1, 4 and 15; the figure's spans are our gaps plus 1.

    The figure pads a zero at 12, 8 after the entry at 4, so that 15 is 3 after it.
    """
    stream = relindex.encode([1, 4, 15], 16, gap_bits=3)
    spans = stream.gaps.astype(int) + 1
    assert spans[1:].tolist() == [3, 8, 3]
    assert stream.fillers.tolist() == [False, False, True, False]
    assert relindex.decode(stream.gaps, 16).tolist() == [1, 4, 12, 15]


def test_figure_3_clusters() -> None:
    """Linear initialization over [-1.08, 2.12] leads Lloyd to the figure's four centroids."""
    ordered = np.sort(FIGURE_3_WEIGHTS.ravel())
    start = quantize.INITS["linear"](ordered, 4, np.random.default_rng(0))
    centroids = lloyd.cluster(ordered, start, quantize.MAX_ITERATIONS)
    np.testing.assert_allclose(centroids, FIGURE_3_CENTROIDS, atol=1e-12)
    labels = quantize.assign(FIGURE_3_WEIGHTS.ravel(), centroids)
    assert labels.reshape(4, 4).tolist() == FIGURE_3_INDEX.tolist()


def test_figure_3_fine_tuning_is_equation_3() -> None:
    """The gradients of a centroid's members are summed; the figure steps with rate 1."""
    shared = Shared(
        "w",
        np.concatenate([[0.0], FIGURE_3_CENTROIDS]),
        FIGURE_3_INDEX.ravel() + 1,
        np.arange(16),
    )
    gradient = shared.gather(FIGURE_3_GRADIENT)
    np.testing.assert_allclose(gradient, FIGURE_3_SUMS, atol=1e-12)
    sgd = SGD(momentum=0.0)
    sgd.update([shared], [gradient], sgd.init([shared]), 1.0)
    np.testing.assert_allclose(shared.value, FIGURE_3_FINE_TUNED, atol=1e-12)
    params = {"w": np.zeros((4, 4))}
    shared.scatter(params)
    np.testing.assert_array_equal(params["w"], shared.value[FIGURE_3_INDEX])


def test_equation_1_on_figure_3() -> None:
    """16 weights of 32 bits, 2-bit indices, 4 centroids: 512 / (32 + 128) = 3.2."""
    assert quantize.sharing_ratio(16, 4, 32) == pytest.approx(3.2)
