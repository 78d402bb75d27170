"""Update rules against hand-computed steps; what trainables let an optimizer change."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepcompress import native
from deepcompress.errors import ArgumentError
from deepcompress.native import gateway
from deepcompress.nn.optim import SGD, Adam, constant, cosine, step
from deepcompress.nn.trainable import Free, Masked, Rounded, Shared


def test_sgd_by_hand():
    """Two steps of gradient 2 at rate 0.1: v = 2 + l2*w, then v = 0.5*v + 2 + l2*w."""
    weight, bias = Free("ip.weight", np.array([1.0])), Free("ip.bias", np.array([1.0]))
    optimizer = SGD(l2=0.5, momentum=0.5)
    state = optimizer.init([weight, bias])
    for expected in ((1 - 0.25, 1 - 0.2), (0.75 - 0.1 * (1.25 + 2.375), 0.8 - 0.1 * 3)):
        optimizer.update([weight, bias], [np.array([2.0]), np.array([2.0])], state, 0.1)
        assert (weight.value[0], bias.value[0]) == pytest.approx(expected)
    assert state["step"] == 2


def test_adam_by_hand():
    """The bias-corrected mean and square of a constant gradient are g and g**2: steps of rate."""
    weight = Free("ip.weight", np.array([1.0, 1.0]))
    optimizer = Adam(epsilon=0.0)
    state = optimizer.init([weight])
    for count in (1, 2, 3):
        optimizer.update([weight], [np.array([3.0, -0.01])], state, 0.125)
        assert weight.value == pytest.approx([1 - 0.125 * count, 1 + 0.125 * count])


def test_adam_with_changing_gradients():
    """Algorithm 1 of Kingma & Ba, in their notation."""
    rng = np.random.default_rng(0)
    weight = Free("ip.weight", rng.standard_normal(5))
    optimizer = Adam(l2=0.1)
    state = optimizer.init([weight])
    theta, m, v = weight.value.copy(), np.zeros(5), np.zeros(5)
    for t in range(1, 6):
        grad = rng.standard_normal(5)
        g = grad + 0.1 * theta
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        theta -= 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        optimizer.update([weight], [grad], state, 0.01)
        np.testing.assert_allclose(weight.value, theta, rtol=1e-12)


@pytest.mark.parametrize("optimizer", [SGD(l2=0.1), Adam(l2=0.1)])
def test_blocks_do_not_change_a_step(optimizer, monkeypatch):
    results = []
    for block in (3, 1000):
        monkeypatch.setattr("deepcompress.nn.optim._BLOCK", block)
        rng = np.random.default_rng(0)
        weight = Free("ip.weight", rng.standard_normal(10).astype(np.float32))
        state = optimizer.init([weight])
        for _ in range(3):
            grad = rng.standard_normal(10).astype(np.float32)
            optimizer.update([weight], [grad], state, 0.1)
        assert weight.value.dtype == np.float32
        results.append(weight.value.tobytes())
    assert results[0] == results[1]


def test_schedules():
    assert [constant(0.1)(epoch) for epoch in (0, 7.5)] == [0.1, 0.1]
    assert [step(1.0, 2, 0.5)(epoch) for epoch in (0, 1.9, 2, 4)] == [1, 1, 0.5, 0.25]
    assert [cosine(1.0, 4)(epoch) for epoch in (0, 2, 4, 5)] == pytest.approx([1, 0.5, 0, 0])
    falling = cosine(1.0, 4, final=0.2)
    assert [falling(epoch) for epoch in (0, 2, 4)] == pytest.approx([1, 0.6, 0.2])
    assert step(1.0, 0.5, 0.5)(1) == 0.25
    assert cosine(1.0, 0.5)(0.25) == pytest.approx(0.5)
    for make in (lambda: step(1.0, 0), lambda: cosine(1.0, 0)):
        with pytest.raises(ArgumentError, match="not positive"):
            make()


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.sampled_from([SGD(l2=0.1), Adam()]))
def test_pruned_weights_stay_zero(survives, optimizer):
    """No momentum, no state at all: the optimizer never sees a pruned weight."""
    mask = np.array(survives).reshape(1, -1)
    dense = np.where(mask, 1.0, 0.0)
    params = {"ip.weight": dense.copy()}
    trainable = Masked("ip.weight", dense, mask)
    state = optimizer.init([trainable])
    for _ in range(3):
        slopes = 1.0 + np.arange(dense.size).reshape(dense.shape)
        grad = trainable.gather(slopes)
        assert np.array_equal(grad, slopes[mask])
        optimizer.update([trainable], [grad], state, 0.1)
        trainable.scatter(params)
    assert all(slot.size == mask.sum() for name, slot in state.items() if name != "step")
    assert not params["ip.weight"][~mask].any()
    assert (params["ip.weight"][mask] < 1).all()


# The example of figure 3 in the paper: a 4x4 layer, four clusters, their gradients' sums.
LABELS = np.array([[3, 0, 2, 1], [1, 1, 0, 3], [0, 3, 1, 0], [3, 1, 2, 2]])
CENTROIDS = np.array([-1.00, 0.00, 1.50, 2.00])
GRADIENT = np.array(
    [
        [-0.03, -0.01, 0.03, 0.02],
        [-0.01, 0.01, -0.02, 0.12],
        [-0.01, 0.02, 0.04, 0.01],
        [-0.07, -0.02, 0.01, -0.02],
    ]
)
SUMS = [-0.03, 0.04, 0.02, 0.04]


def figure_3():
    """The figure's clusters as labels 1 … 4, since label 0 is the pruned weight here."""
    codebook = np.concatenate([[0.0], CENTROIDS])
    return Shared("fc.weight", codebook, LABELS.ravel() + 1, np.arange(16))


def test_centroid_gradients_of_figure_3():
    """Equation (3), and one step at rate 1 without momentum: the fine-tuned centroids."""
    shared = figure_3()
    assert shared.gather(GRADIENT) == pytest.approx(SUMS)
    optimizer = SGD(momentum=0.0)
    optimizer.update([shared], [shared.gather(GRADIENT)], optimizer.init([shared]), 1.0)
    assert shared.codebook == pytest.approx([0, *(CENTROIDS - SUMS)])
    params = {"fc.weight": np.zeros((4, 4))}
    shared.scatter(params)
    np.testing.assert_allclose(params["fc.weight"], (CENTROIDS - SUMS)[LABELS])


def test_l2_of_centroids_is_summed_over_members():
    """Decaying a centroid is decaying each member on its own and summing as equation (3) does."""
    shared, optimizer = figure_3(), SGD(l2=0.1, momentum=0.0)
    dense = CENTROIDS[LABELS]
    expected = CENTROIDS - 0.5 * shared.gather(GRADIENT + 0.1 * dense)
    optimizer.update([shared], [shared.gather(GRADIENT)], optimizer.init([shared]), 0.5)
    np.testing.assert_allclose(shared.value, expected)


def test_shared_leaves_pruned_positions_alone():
    shared = Shared("ip.weight", np.array([0, 1.5]), np.array([1, 1]), np.array([1, 3]))
    params = {"ip.weight": np.zeros((2, 2))}
    shared.scatter(params)
    assert params["ip.weight"].tolist() == [[0, 1.5], [0, 1.5]]


ONE = np.ones(1, int)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Masked("a", np.ones((2, 2)), np.ones(4, bool)), "a: mask of shape"),
        (lambda: Masked("a", np.ones(2), np.ones(2)), "a: mask of shape"),
        (lambda: Masked("a", np.ones(2), np.array([True, False])), "a: a pruned weight"),
        (lambda: Shared("a", np.ones(2), ONE, ONE), r"a: codebook\[0\]"),
        (lambda: Shared("a", np.array([0, 1.0]), ONE, np.arange(2)), "a: labels of shape"),
        (lambda: Shared("a", np.array([0, 1.0]), 0 * ONE, ONE), "a: labels must lie in 1 … 1"),
        (lambda: Shared("a", np.array([0, 1.0]), 2 * ONE, ONE), "a: labels must lie in 1 … 1"),
    ],
)
def test_wrong_trainables(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_rounded_weights_are_centroids_in_the_tensor_and_train_as_they_are():
    """Centroids -1, and 1 with a penalty of 0.5: the border between them lies at 0.5 / 4."""
    mask = np.array([[True, False], [True, True]])
    tensor = np.array([[0.9, 7.0], [-0.6, 0.1]]) * mask
    rounded = Rounded("ip.weight", tensor, mask, np.array([-1.0, 1]), np.array([0.0, 0.5]))
    params = {"ip.weight": tensor.copy()}
    rounded.scatter(params)
    assert params["ip.weight"].tolist() == [[1, 0], [-1, -1]]
    assert rounded.members.tolist() == [1, 0, 0]
    assert rounded.value.tolist() == [0.9, -0.6, 0.1]
    grad = np.array([[1.0, 2], [3, 4]])
    assert rounded.gather(grad).tolist() == [1, 3, 4]
    rounded.value += [0, 0, 0.2]
    rounded.scatter(params)
    assert params["ip.weight"].tolist() == [[1, 0], [-1, 1]]


def test_a_bound_value_lives_in_the_tensor():
    params = {"ip.weight": np.zeros((2, 2)), "ip.bias": np.arange(8.0)[::2]}
    for name, initial in (("ip.weight", np.ones((2, 2))), ("ip.bias", np.full(4, 5.0))):
        free = Free(name, initial)
        free.bind(params)
        assert (params[name] == initial).all()
        assert np.shares_memory(free.value, params[name]) == params[name].flags.c_contiguous
        free.value += 1
        free.scatter(params)
        assert (params[name] == initial + 1).all()
        assert (initial == initial.flat[0]).all()  # that which was given stays as it is


@pytest.mark.parametrize("optimizer", [SGD(l2=0.1), Adam(l2=0.1)])
def test_who_shares_the_work_does_not_change_a_step(optimizer, monkeypatch):
    """Blocks in any order, on threads or not; and every block once."""
    monkeypatch.setattr("deepcompress.nn.optim._BLOCK", 7)
    results, counts = [], []

    def backwards(function, items):
        counts.append(len(items))
        return [function(item) for item in reversed(items)]

    for options in ({}, {"run": backwards}):
        rng = np.random.default_rng(0)
        weight, bias = Free("ip.weight", rng.standard_normal(50)), Free("ip.bias", np.ones(3))
        state = optimizer.init([weight, bias])
        for _ in range(3):
            grads = [rng.standard_normal(50), rng.standard_normal(3)]
            optimizer.update([weight, bias], grads, state, 0.1, **options)
        results.append([weight.value, bias.value, *state.values()])
    assert counts == [2, 2, 2]
    for one, other in zip(*results, strict=True):
        assert (one == other).all()


ODD = np.array([0, -0.0, 1e-42, -3e38, np.inf, np.nan, 1e-20], np.float32)  # to start a gradient


@pytest.mark.skipif(gateway._load()[0] is None, reason="no C kernels here")
@pytest.mark.parametrize("size", [7, 1000, 300_001])
@pytest.mark.parametrize(
    "optimizer", [SGD(l2=0.1), SGD(momentum=0.0), Adam(l2=0.1), Adam(epsilon=0.0)]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_c_takes_the_steps_of_numpy(optimizer, size):
    """Bit for bit, whatever the threads: with a bias, which has no L2, and odd numbers."""
    results = []
    for backend, threads in (("reference", 1), ("native", 1), ("native", 2)):
        rng = np.random.default_rng(0)
        weight, bias = (
            Free(name, rng.standard_normal(count).astype(np.float32))
            for name, count in (("ip.weight", size), ("ip.bias", 3))
        )
        state = optimizer.init([weight, bias])
        for _ in range(3):
            grads = [rng.standard_normal(n).astype(np.float32) for n in (size, 3)]
            grads[0][:7] = ODD
            with native.use(backend):
                optimizer.update([weight, bias], grads, state, 0.1, threads=threads)
        results.append([one.tobytes() for one in (weight.value, bias.value, *state.values())])
    assert results[0] == results[1] == results[2]


def test_numpy_steps_where_c_has_no_kernel():
    """Centroids, whose decay differs, beside a weight; double precision; a rate of NumPy."""
    rng = np.random.default_rng(0)
    for dtype, rate in ((np.float64, 0.1), (np.float32, np.float64(0.1))):
        shared, weight = figure_3(), Free("ip.weight", rng.standard_normal(9).astype(dtype))
        optimizer, before = SGD(l2=0.1, momentum=0.0), weight.value.copy()
        state = optimizer.init([weight, shared])
        grads = [np.ones(9, dtype), shared.gather(GRADIENT)]
        optimizer.update([weight, shared], grads, state, rate)
        np.testing.assert_allclose(weight.value, before - 0.1 * (1 + 0.1 * before), rtol=1e-6)
        dense = CENTROIDS[LABELS]
        expected = CENTROIDS - 0.1 * figure_3().gather(GRADIENT + 0.1 * dense)
        np.testing.assert_allclose(shared.value, expected)


def test_gradients_of_a_wrong_size_are_an_error():
    weight = Free("ip.weight", np.ones(4, np.float32))
    with pytest.raises(ValueError, match="broadcast"):
        SGD().update([weight], [np.ones(3, np.float32)], SGD().init([weight]), 0.1)
    assert (weight.value == 1).all()
