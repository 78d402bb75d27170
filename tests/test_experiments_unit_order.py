"""The order of hidden units: it changes no output, and brings together what is alike."""

from itertools import pairwise

import numpy as np

from deepcompress.experiments.unit_order import alike_together, arranged
from deepcompress.nn import zoo


def test_neighbours_have_much_in_common() -> None:
    """Units 1 and 3 look at the same inputs, and so do 0 and 4; unit 2 looks at nothing."""
    before = np.array(
        [[0, 0, 2, 0], [1, 3, 0, 1], [0, 0, 0, 0], [1, 2, 0, 0], [0, 0, 1, -1]], np.float32
    )
    behind = np.zeros((3, 5), np.float32)
    assert alike_together(before, behind).tolist() == [1, 3, 0, 4, 2]
    behind[:, 3] = behind[:, 4] = 1  # what units do counts as what they look at
    assert alike_together(before, behind).tolist() == [3, 4, 0, 1, 2]


def test_signs_count_and_equal_units_stay_in_order() -> None:
    before = np.array([[1, 1], [-1, -1], [1, 1], [1, 1]], np.float32)
    assert alike_together(before, np.zeros((1, 4), np.float32)).tolist() == [0, 2, 3, 1]


def test_the_network_computes_the_same() -> None:
    """LeNet-5 has what is hard: four inputs of a linear layer for each map before it."""
    network, rng = zoo.build("lenet-5"), np.random.default_rng(0)
    params = network.init(rng)
    names = [name for name in params if name.endswith(".weight")]
    for name in names:
        params[name] *= rng.random(params[name].shape) < 0.3
        params[name.replace("weight", "bias")] += rng.random(len(params[name]), np.float32)
    orders = [alike_together(params[one], params[two]) for one, two in pairwise(names)]
    assert [sorted(order) for order in orders] == [[*range(count)] for count in (20, 50, 500)]
    chain = arranged([params[name] for name in names], orders)
    moved = {**params, **dict(zip(names, chain, strict=True))}
    for name, order in zip(names, orders, strict=False):
        moved[name.replace("weight", "bias")] = params[name.replace("weight", "bias")][order]
    images = rng.random((20, 1, 28, 28), np.float32)
    before, after = (network.predict(each, images) for each in (params, moved))
    assert np.allclose(before, after, rtol=1e-4, atol=1e-4)
    assert not np.array_equal(moved["conv2.weight"], params["conv2.weight"])
