"""A network without its dead units computes what the whole one does."""

import numpy as np
import pytest

from deepcompress.errors import ArgumentError
from deepcompress.nn import zoo
from deepcompress.nn.compact import compact, live_masks
from deepcompress.nn.layers import Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import BatchNorm


def pruned(network, density, seed=0):
    """Return random parameters and the masks of their survivors; dead units have no bias."""
    rng = np.random.default_rng(seed)
    params = {n: rng.standard_normal(s) for n, s in network.param_shapes.items()}
    names = [name for name in params if name.endswith(".weight")]
    masks, units = live_masks([rng.random(params[name].shape) < density for name in names])
    for name, mask, alive in zip(names, masks, units[1:], strict=True):
        params[name] *= mask
        params[name.replace("weight", "bias")] *= alive
    return params, dict(zip(names, masks, strict=True)), units


@pytest.mark.parametrize(("name", "density"), [("lenet-300-100", 0.004), ("lenet-5", 0.01)])
def test_what_is_left_computes_the_same(name, density):
    network = zoo.build(name)
    params, masks, units = pruned(network, density)
    part = compact(network, masks)
    assert [len(part.inputs), *(np.count_nonzero(one) for one in units[1:])] == [
        np.count_nonzero(units[0]),
        *(shape[0] for n, shape in part.network.param_shapes.items() if n.endswith(".weight")),
    ]
    assert sum(map(np.prod, part.network.param_shapes.values())) < 0.5 * sum(
        map(np.prod, network.param_shapes.values())
    )
    x = np.random.default_rng(1).random((5, *network.input_shape))
    small = part.network.predict(part.take(params), x[:, part.inputs])
    assert small == pytest.approx(network.predict(params, x))


def test_places_are_put_back_and_nothing_else_changes():
    network = zoo.build("lenet-5")
    params, masks, _ = pruned(network, 0.01)
    part = compact(network, masks)
    small = part.take(params)
    assert {name: one.shape for name, one in small.items()} == part.network.param_shapes
    changed = part.put({name: one + 1 for name, one in small.items()}, params)
    for name, places in part.places.items():
        assert (np.diff(places.reshape(-1)) > 0).all()
        expected = params[name].reshape(-1).copy()
        expected[places.reshape(-1)] += 1
        assert (changed[name].reshape(-1) == expected).all()
        assert changed[name].shape == params[name].shape
    assert all((part.take(changed)[name] == one + 1).all() for name, one in small.items())


def test_dead_units_lose_their_other_weights_layer_after_layer():
    """Unit 1 of the middle has no weight behind it, so unit 0 before it feeds nobody."""
    first = np.array([[True, False], [True, True]])
    middle = np.array([[False, True], [True, False]])
    last = np.array([[True, False]])
    masks, units = live_masks([first, middle, last])
    assert [one.tolist() for one in masks] == [
        [[False, False], [True, True]],
        [[False, True], [False, False]],
        [[True, False]],
    ]
    assert [one.tolist() for one in units] == [
        *([True, True], [False, True], [True, False], [True]),
    ]
    assert first.sum() == 3  # masks that are passed in stay as they are


@pytest.mark.parametrize(
    ("layers", "mask", "message"),
    [
        ((Linear("ip", 2, 1),), [[False, False]], "no path of weights leads through it"),
        ((Linear("ip", 2, 1), BatchNorm("norm", 1)), [[True, True]], "isn't a chain of plain"),
    ],
)
def test_what_cannot_be_made_smaller(layers, mask, message):
    network = Network("odd", (*layers, ReLU("relu")), (2,))
    with pytest.raises(ArgumentError, match=message):
        compact(network, {"ip.weight": np.array(mask)})
