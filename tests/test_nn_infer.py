"""Inference of dense convolutions: the same as `forward`, in bands that take little memory."""

import tracemalloc

import numpy as np
import pytest

from deepcompress.nn import conv
from deepcompress.nn.conv import Conv2D

CASES = {
    "groups": (Conv2D("c", 4, 6, kernel=3, padding=1, groups=2), (4, 9, 8, 3)),
    "long rows": (Conv2D("c", 4, 6, kernel=3, stride=2, padding=1, groups=2), (4, 9, 8, 40)),
    "1x1": (Conv2D("c", 4, 6, kernel=1, groups=2), (4, 7, 5, 2)),
    "1x1, stride": (Conv2D("c", 3, 5, kernel=1, stride=3), (3, 7, 8, 1)),
    "1x1, padding": (Conv2D("c", 3, 5, kernel=1, padding=2), (3, 3, 4, 1)),
    "rows in the padding alone": (Conv2D("c", 2, 4, kernel=2, padding=4), (2, 1, 2, 2)),
    "stride beyond the kernel": (Conv2D("c", 3, 2, kernel=2, stride=3, padding=1), (3, 30, 31, 50)),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("band_bytes", [1, 3000, conv.BAND_BYTES])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_it_is_forward(case, band_bytes, dtype, monkeypatch):
    monkeypatch.setattr(conv, "BAND_BYTES", band_bytes)
    layer, shape = CASES[case]
    rng = np.random.default_rng(0)
    params = {n: rng.standard_normal(s).astype(dtype) for n, s in layer.param_shapes().items()}
    x = rng.standard_normal(shape).astype(dtype)
    y, expected = layer.infer(params, x), layer.forward(params, x)[0]
    assert y.dtype == dtype
    weight = np.abs(params["c.weight"]).sum(axis=(1, 2, 3)).max() + 1
    terms = params["c.weight"][0].size + 2  # sums of so many, in any order
    bound = 2 * terms * np.finfo(dtype).eps * weight * max(np.abs(x).max(), 1)
    np.testing.assert_allclose(y, expected, rtol=0, atol=bound)


def test_with_long_rows_bands_change_no_bit():
    """As in training on MNIST, whose recorded errors come from inference."""
    layer, rng = Conv2D("c", 20, 50, kernel=5), np.random.default_rng(0)
    x = rng.standard_normal((20, 12, 12, 100)).astype(np.float32)
    params = {n: rng.standard_normal(s, np.float32) for n, s in layer.param_shapes().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "BAND_BYTES", 1)
        np.testing.assert_array_equal(layer.infer(params, x), layer.forward(params, x)[0])


@pytest.mark.parametrize("shape", [(16, 128, 128, 1), (64, 40, 40, 2), (128, 24, 24, 1)])
def test_memory_is_that_of_the_result_and_a_few_bands(shape, monkeypatch):
    monkeypatch.setattr(conv, "BAND_BYTES", 1 << 18)
    layer = Conv2D("c", shape[0], 8, kernel=3, padding=1)
    params = {n: np.ones(s, np.float32) for n, s in layer.param_shapes().items()}
    x = np.ones(shape, np.float32)
    tracemalloc.start()
    y = layer.infer(params, x)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 3 * x.nbytes > 3 * conv.BAND_BYTES  # what `forward` would take at least
    assert peak <= y.nbytes + 2.5 * conv.BAND_BYTES
