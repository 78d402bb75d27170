"""Networks that branch: the order of layers, values and gradients, and memory."""

import re
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.gradients import check_gradient

from deepcompress.errors import ArgumentError
from deepcompress.nn.conv import Conv2D
from deepcompress.nn.layers import Concat, Dropout, Flatten, Linear, ReLU
from deepcompress.nn.network import Network
from deepcompress.nn.norm import Scale
from deepcompress.nn.wiring import INPUT


def branching(dropout=0.0):
    """A network that takes an output thrice, joins one with itself, and skips layers."""
    layers = (
        Linear("ip1", 3, 4),
        Dropout("drop", dropout),
        ReLU("relu"),
        Linear("ip2", 4, 2),
        Concat("join"),
        Linear("ip3", 17, 3),
    )
    sources = {"ip2": ["ip1"], "join": [INPUT, "relu", "ip2", "relu", "ip1"]}
    return Network("branching", layers, (3,), sources)


def test_values_follow_the_sources():
    network, rng = branching(), np.random.default_rng(0)
    params, x = network.init(rng, dtype=np.float64), rng.standard_normal((5, 3))
    widths = {INPUT: 3, "ip1": 4, "drop": 4, "relu": 4, "ip2": 2, "join": 17, "ip3": 3}
    assert network.shapes == {name: (width,) for name, width in widths.items()}
    ip1 = x @ params["ip1.weight"].T
    relu, ip2 = np.maximum(ip1, 0), ip1 @ params["ip2.weight"].T
    expected = np.concatenate([x, relu, ip2, relu, ip1], axis=1) @ params["ip3.weight"].T
    np.testing.assert_allclose(network.predict(params, x), expected)
    np.testing.assert_allclose(network.forward(params, x.T)[0].T, expected)


def test_gradients_of_outputs_that_are_taken_twice_add_up():
    network, rng = branching(dropout=0.5), np.random.default_rng(0)
    params, x = network.init(rng, dtype=np.float64), rng.standard_normal((4, 3))
    labels = np.arange(4) % 3

    def loss():
        return network.loss_and_grads(params, x, labels, np.random.default_rng(7))[0]

    grads = network.loss_and_grads(params, x, labels, np.random.default_rng(7))[1]
    assert set(grads) == set(network.param_shapes)
    for name, grad in grads.items():
        check_gradient(loss, params[name], grad)


def test_layers_without_anything_to_learn_before_them_give_no_gradient():
    asked = []

    class Watched(Scale):
        def backward(self, params, cache, dy, need_dx=True):
            asked.append((self.name, need_dx))
            return super().backward(params, cache, dy, need_dx)

    class Silent(ReLU):
        def backward(self, params, cache, dy, need_dx=True):
            raise AssertionError("nothing before it learns")

    layers = (Silent("relu"), Watched("a", 2), Watched("b", 2), Silent("side"), Concat("join"))
    sources = {"side": [INPUT], "join": ["side", "b", "relu"]}
    network = Network("net", (*layers, Watched("c", 6)), (2,), sources)
    params = network.init(np.random.default_rng(0))
    grads = network.loss_and_grads(params, np.ones((1, 2), np.float32), np.zeros(1, int))[1]
    assert asked == [("c", True), ("b", True), ("a", False)]
    assert list(grads) == ["c.weight", "c.bias", "b.weight", "b.bias", "a.weight", "a.bias"]


def test_sources_that_only_say_what_goes_without_saying_are_left_out():
    layers = (ReLU("a"), ReLU("b"), Concat("c"))
    plain = Network("net", layers, (2,))
    assert plain.sources == {}
    assert plain == Network("net", layers, (2,), {"a": [INPUT], "b": ["a"], "c": ("b",)})
    other = Network("net", layers, (2,), {"c": ["b", "a"]})
    assert other.sources == {"c": ("b", "a")}
    assert other != plain
    assert other.with_dropout({}).sources == other.sources


@pytest.mark.parametrize(
    ("sources", "message"),
    [
        ({"b": ["x"]}, "layer 'b': takes 'x', which is no layer"),
        ({"b": ["b"]}, "layer 'b': takes 'b', which isn't before it"),
        ({"b": ["c"]}, "layer 'b': takes 'c', which isn't before it"),
        ({"x": ["a"]}, "sources are given for 'x', which is no layer"),
        ({INPUT: ["a"]}, "sources are given for 'input', which is no layer"),
        ({"b": ["a", "a"]}, "layer 'b': its sources must be a name alone, in a sequence, not ["),
        ({"b": "a"}, "layer 'b': its sources must be a name alone, in a sequence, not 'a'"),
        ({"c": "ab"}, "layer 'c': its sources must be names, one or more, not 'ab'"),
        ({"c": []}, "layer 'c': its sources must be names, one or more, not []"),
        ({"b": [INPUT], "c": ["b"]}, "layer 'a': no layer takes its output"),
    ],
)
def test_sources_that_make_no_graph_are_refused(sources, message):
    with pytest.raises(ArgumentError, match=re.escape(f"network 'net': {message}")):
        Network("net", (ReLU("a"), ReLU("b"), Concat("c")), (2,), sources)


def test_layers_that_make_no_network_are_refused():
    with pytest.raises(ArgumentError, match="'net': a network needs a layer"):
        Network("net", (), (2,))
    with pytest.raises(ArgumentError, match="'net': a layer is called 'input', the name"):
        Network("net", (ReLU(INPUT),), (2,))
    branches = (Conv2D("a", 1, 2, 1), Conv2D("b", 2, 2, 2), Concat("c"))
    with pytest.raises(ArgumentError, match=r"layer 'c': input of shape \(2, 2, 2\), expected"):
        Network("net", branches, (1, 3, 3), {"c": ["a", "b"]})
    doubling = [Concat(str(index)) for index in range(40)]
    twice = {str(index): [str(index - 1)] * 2 for index in range(1, 40)}
    with pytest.raises(ArgumentError, match=r"layer '30': an output of shape \(2147483648,\)"):
        Network("net", tuple(doubling), (2,), twice)


@st.composite
def graphs(draw):
    """Networks of layers that compute or hand on what they took, joined at random."""
    kinds = {"r": ReLU, "d": lambda name: Dropout(name, 0.0), "f": Flatten}
    kinds |= {"s": lambda name: Scale(name, 2), "c": Concat}
    layers, sources, unused = [], {}, []
    widths = {INPUT: 2}
    for kind in draw(st.lists(st.sampled_from(sorted(kinds)), max_size=8)):
        name = f"{kind}{len(layers)}"
        fit = [one for one, width in widths.items() if kind != "s" or width == 2]
        taken = draw(st.lists(st.sampled_from(fit), min_size=1, max_size=3 if kind == "c" else 1))
        layers.append(kinds[kind](name))
        sources[name] = taken
        widths[name] = sum(widths[one] for one in taken)
        unused = [one for one in unused if one not in taken] + [name]
    layers.append(Concat("end"))
    sources["end"] = unused or [INPUT]
    return Network("random", tuple(layers), (2,), sources)


@given(graphs(), st.sampled_from([1, 3]))
def test_inference_takes_each_output_while_it_is_there(network, batch):
    rng = np.random.default_rng(0)
    params = {name: rng.standard_normal(shape) for name, shape in network.param_shapes.items()}
    x = rng.standard_normal((batch, 2))
    kept = x.copy()
    expected = network.forward(params, network.columns(kept))[0].T
    np.testing.assert_array_equal(network.infer(params, x), expected)
    np.testing.assert_array_equal(x, kept)
    x.flags.writeable = False
    np.testing.assert_array_equal(network.infer(params, x), expected)


def test_prediction_holds_two_activations_at_a_time():
    """And not those of all layers."""
    size, layers = 1 << 18, []
    for index in range(8):
        layers += [Scale(f"scale{index}", 1), ReLU(f"relu{index}")]
    network = Network("deep", (*layers, Concat("join")), (1, size, 1), {"join": ["relu7"]})
    params = network.init(np.random.default_rng(0))
    x = np.ones((1, 1, size, 1), np.float32)
    tracemalloc.start()
    network.infer(params, x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert x.nbytes < peak < 2.2 * x.nbytes
