"""Programs of random graphs, whose memory is used again as soon as nobody needs a value."""

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from support.graphs import graphs
from support.networks import exact, random_params
from test_spmv import isas
from threadpoolctl import threadpool_limits

from deepcompress import CompressedNetwork, native
from deepcompress.native import program as native_program
from deepcompress.nn.wiring import INPUT
from deepcompress.runtime import program

pytestmark = pytest.mark.usefixtures("kernels")


@pytest.mark.slow
@settings(max_examples=100)
@given(
    network=graphs(),
    density=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
    seed=st.integers(0, 2**32 - 1),
    batches=st.lists(st.sampled_from([1, 2, 3, 9, 33]), min_size=1, max_size=3),
    isa=st.sampled_from([*isas()]),
)
def test_random_graphs_agree_with_float64(network, density, seed, batches, isa):
    packed, dense = random_params(network, density, seed)
    params = {name: (packed if index % 3 else dense)[name] for index, name in enumerate(packed)}
    predicts = CompressedNetwork(network, params).predict
    rng = np.random.default_rng(seed)
    with native.use("native", isa):
        for batch in batches:  # which one network takes in turns
            x = rng.standard_normal((batch, *network.input_shape), np.float32)
            expected, bound = exact(network, dense, x)
            assert (np.abs(predicts(x) - expected) <= bound).all()
            results = _in_tasks(network, params, network.columns(x))
            for y in results:
                assert (np.abs(np.moveaxis(y, -1, 0) - expected) <= bound).all()
                np.testing.assert_array_equal(y, results[0])


def _in_tasks(network, params, x):
    """Return what runs of a program, if there is one, make of x, in as many tasks as can be."""
    made = program.compiled(network.stages, params, x.shape, INPUT)
    if made is None:  # nothing is computed
        return []
    cut = tuple(replace(operation, work=1e12) for operation in made.operations)
    session = native_program.Session(replace(made, operations=cut))
    results = []
    for threads in (1, 3, 3):
        session._memory[:] = np.nan  # nobody may need what was there
        with threadpool_limits(threads):
            results.append(session.run(x))
    return results
