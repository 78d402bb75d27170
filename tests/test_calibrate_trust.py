"""How far the moments of a few inputs are trusted."""

import numpy as np
import pytest

from deepcompress.calibrate import calibrate, trust
from deepcompress.calibrate.divergence import kl_divergence
from deepcompress.calibrate.moments import Moments, curvature, ridged
from deepcompress.nn.layers import Linear, ReLU
from deepcompress.nn.network import Network

RNG = np.random.default_rng(0)
ROWS = np.ones((1, 3))


def moments_of(x, own=None):
    x = np.append(x, np.ones((len(x), 1)), axis=1)
    own = x if own is None else np.append(own, np.ones((len(x), 1)), axis=1)
    return Moments((x.T @ x)[None], (own.T @ x)[None], len(x))


def parts_of(x, own=None, held=5):
    """Moments of the rows but for each fifth, and of these."""
    own = x if own is None else own
    is_held = np.arange(len(x)) % held == 0
    return moments_of(x[~is_held], own[~is_held]), moments_of(x[is_held], own[is_held])


def found(fit, held):
    weights = np.random.default_rng(1).normal(size=(1, 3, fit.reached.shape[1]))
    return trust.found(weights, fit, held, ROWS, 0.01)


def test_covariances_of_few_rows_are_chance():
    x = RNG.normal(size=(60, 40)) + 1
    assert found(*parts_of(x)).ridge >= 1


def test_covariances_of_many_rows_are_not():
    x = RNG.normal(size=(4000, 12)) @ RNG.normal(size=(12, 12))
    assert found(*parts_of(x)).ridge <= 0.03


def test_a_regression_on_few_rows_is_chance():
    own = RNG.normal(size=(60, 40))
    x = own + 0.3 * RNG.normal(size=own.shape)
    assert found(*parts_of(x, own)).pull >= 3


def test_a_regression_on_many_rows_undoes_what_happened():
    own = RNG.normal(size=(4000, 12))
    x = own @ (np.eye(12) + 0.2 * RNG.normal(size=(12, 12)))
    assert found(*parts_of(x, own)).pull == 0.01


def test_nothing_is_trusted_where_nothing_is_held_out():
    one = moments_of(RNG.normal(size=(1, 6)))
    assert found(one, one - one) == trust.Trust(3.0, 100.0)


def test_dead_inputs_stay_dead():
    x = RNG.normal(size=(60, 40))
    x[:, :20] = 0
    fit, held = parts_of(x)
    ridge = found(fit, held).ridge
    assert ridge > 0
    hessian = curvature(np.ones((1, 3, 41)), fit, 0.01, ridge).hessian[0]
    assert np.diagonal(hessian)[:20].max() < 0.02 * np.diagonal(hessian)[20:40].min()


def test_a_ridge_is_for_inputs_and_not_for_the_bias():
    x = RNG.normal(size=(50, 3))
    x[:, 1] = 0
    reached = moments_of(x).reached / 50
    assert np.allclose(ridged(reached, 2.5)[0] - reached[0], np.diag([2.5, 0, 2.5, 0]))


def test_hardly_pulled_the_target_is_the_regression():
    own = RNG.normal(size=(200, 3))
    x = own + 0.3 * RNG.normal(size=(200, 3))
    w = RNG.normal(size=(1, 2, 4))
    expected = curvature(w, moments_of(x, own), damping=0.0).target
    assert np.allclose(trust.pulled(w, moments_of(x, own), 1e-9), expected)


def test_pulled_far_the_target_is_the_weights_in_another_size():
    own = RNG.normal(size=(300, 3)) + 1
    x = 0.8 * own + 2
    w = RNG.normal(size=(1, 2, 4))
    target = trust.pulled(w, moments_of(x, own), 1e9)
    assert np.allclose(target[0, :, :3], w[0, :, :3] / 0.8)
    both = [np.append(one, np.ones((300, 1)), axis=1) for one in (x, own)]
    assert np.allclose(both[0] @ target[0].T, both[1] @ w[0].T)


def test_inputs_that_are_all_dead_leave_the_weights():
    w = RNG.normal(size=(1, 3, 5))
    assert np.allclose(trust.pulled(w, moments_of(np.zeros((9, 4))), 0.01), w)


def test_what_halves_agree_on_is_kept():
    logs = RNG.normal(size=400)
    whole = trust.steadied(np.exp(logs), np.exp(logs))
    assert np.allclose(whole, 2 * np.exp(logs))
    noisy = [np.exp(logs + RNG.normal(size=400)) for _ in range(2)]
    kept = np.log(trust.steadied(*noisy))
    assert kept.std() == pytest.approx(0.67 * np.log(noisy[0] + noisy[1]).std(), rel=0.15)
    assert trust.steadied(*noisy).sum() == pytest.approx(np.sum(noisy))
    other = trust.steadied(np.exp(logs), np.exp(-logs))
    assert np.allclose(other, other[0])


def test_sensitivities_of_nothing():
    assert trust.steadied(np.zeros(3), np.zeros(3)).tolist() == [0, 0, 0]
    assert np.isnan(trust.steadied(np.array([np.nan, 1]), np.ones(2))).all()


def test_other_inputs_are_served_better(monkeypatch):
    network = Network("wide", (Linear("a", 30, 80), ReLU("r"), Linear("b", 80, 6)), (30,))
    rng = np.random.default_rng(3)
    params = {name: 1.5 * value for name, value in network.init(rng).items()}
    x = rng.normal(size=(500, 8)) @ rng.normal(size=(8, 30)) / 3 + rng.normal(size=(500, 30)) / 3
    x = x.astype(np.float32)
    logits = network.predict(params, x[40:])

    def measured(lam):
        model = calibrate(network, params, x[:40], lam=lam, half=True).model
        after = {name: np.asarray(v, np.float32) for name, v in model.to_dense().items()}
        return len(model.to_bytes()), kl_divergence(logits, network.predict(after, x[40:]))

    size, divergence = measured(1e-5)
    monkeypatch.setattr(trust, "found", lambda *_: trust.Trust(0.0, 0.01))
    sizes, divergences = zip(*[measured(lam) for lam in (1e-5, 5e-6)], strict=True)
    assert sizes[0] <= size <= sizes[1]
    # As far between them as it lies on the way: divergence falls exponentially with the size.
    assert np.log(divergence) < np.log(0.9) + np.interp(size, sizes, np.log(divergences))
