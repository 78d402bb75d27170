"""Rows that reach a layer, their moments, and the curvature that these make."""

import numpy as np
import pytest

from deepcompress.calibrate import rows
from deepcompress.calibrate.moments import Moments, curvature
from deepcompress.errors import ArgumentError
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Linear

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_rows_times_weights_are_a_convolution(groups, stride, padding):
    layer = Conv2D("c", 4, 8, 3, stride=stride, padding=padding, groups=groups)
    weight = RNG.normal(size=(8, 4 // groups, 3, 3))
    bias = RNG.normal(size=8)
    x = RNG.normal(size=(4, 7, 9, 5))
    y = layer.forward({"c.weight": weight, "c.bias": bias}, x)[0]
    places = rows.draw(y.shape[1:], 10, np.random.default_rng(1))
    assert len(places) == 10
    assert (np.diff(places) > 0).all()
    gathered = rows.gather(layer, x, places)
    full = np.concatenate([weight.reshape(8, -1), bias[:, None]], axis=1)
    found = full.reshape(groups, 8 // groups, -1) @ gathered.transpose(0, 2, 1)
    assert np.allclose(found.reshape(8, -1), y.reshape(8, -1)[:, places])


def test_rows_of_a_fully_connected_layer():
    x = RNG.normal(size=(3, 4))
    places = rows.draw((4,), 10, np.random.default_rng(1))
    assert places.tolist() == [0, 1, 2, 3]
    found = rows.gather(Linear("l", 3, 2), x, places)
    assert np.array_equal(found, np.append(x.T, np.ones((4, 1)), axis=1)[None])


def moments_of(x, own=None):
    x = np.append(x, np.ones((len(x), 1)), axis=1)
    own = x if own is None else np.append(own, np.ones((len(x), 1)), axis=1)
    return Moments((x.T @ x)[None], (own.T @ x)[None], len(x))


def test_the_target_is_the_regression_on_what_reaches_the_layer():
    own = RNG.normal(size=(200, 3))
    x = own + 0.3 * RNG.normal(size=(200, 3))
    w = RNG.normal(size=(1, 2, 4))
    curved = curvature(w, moments_of(x, own), damping=0.0)
    y = np.append(own, np.ones((200, 1)), axis=1) @ w[0].T
    expected = np.linalg.lstsq(np.append(x, np.ones((200, 1)), axis=1), y, rcond=None)[0].T
    assert np.allclose(curved.target[0], expected)
    assert np.allclose(curved.error(curved.target), 0)


def test_the_target_is_the_weights_where_nothing_has_changed():
    x, w = RNG.normal(size=(50, 3)), RNG.normal(size=(1, 2, 4))
    assert np.allclose(curvature(w, moments_of(x)).target, w)


def test_dead_inputs_and_few_rows_are_damped():
    x = RNG.normal(size=(2, 6))
    x[:, 4] = 0
    w = RNG.normal(size=(1, 3, 7))
    curved = curvature(w, moments_of(x))
    assert curved.dead == 1
    assert curved.damping == 0.01
    assert np.isfinite(curved.target).all()
    assert np.allclose(curved.target, w)
    without = curvature(w, moments_of(x), damping=0.0)
    assert without.damping > 0
    assert np.linalg.eigvalsh(without.hessian[0]).min() > 0


def test_all_inputs_dead():
    w = RNG.normal(size=(1, 3, 5))
    curved = curvature(w, moments_of(np.zeros((9, 4))))
    assert curved.dead == 4
    assert np.allclose(curved.target, w)


def test_what_is_not_finite_is_refused():
    x = RNG.normal(size=(20, 3))
    x[3, 1] = np.nan
    with pytest.raises(ArgumentError, match="isn't finite"):
        curvature(RNG.normal(size=(1, 2, 4)), moments_of(x))
