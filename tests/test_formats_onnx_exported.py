"""Networks that PyTorch exports, by both exporters, run from ``.dcnn`` files as by onnxruntime."""

import importlib.util
import logging

import numpy as np
import pytest

from deepcompress import Config, compress, load
from deepcompress.nn.norm import BatchNorm
from deepcompress.packed.tensor import CompressedTensor

for needed in ("onnx", "onnxruntime", "onnxscript", "torch"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}, an extra", allow_module_level=True)

from onnx import numpy_helper  # noqa: E402 -- only where it is there
from support.onnx_graphs import assert_same, in_file, in_runtime, tensors_of  # noqa: E402
from support.torch_models import KINDS, SIDE, exported  # noqa: E402

IMAGE = 3, SIDE, SIDE


@pytest.fixture(autouse=True)
def _quiet():
    """The new exporter says what isn't installed."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def assert_exported(model, path):
    """Check a network's outputs with its tensors as they are, and with shared weights."""
    network = assert_same(model, path, IMAGE, batch=3)
    config = Config.from_dict({"default": {"bits": 6, "min_size": 0}})
    compressed = compress(tensors_of(model), config)
    assert any(isinstance(tensor, CompressedTensor) for tensor in compressed.values())
    dense = compressed.to_dense()
    for one in model.graph.initializer:
        one.CopyFrom(numpy_helper.from_array(dense[one.name], one.name))
    x = np.random.default_rng(1).standard_normal((4, *IMAGE)).astype(np.float32)
    expected = in_runtime(model, x)
    y = in_file(model, path, dict(compressed)).predict(x)
    assert np.abs(y - expected).max() <= 1e-3 * np.abs(expected).max()
    assert set(load(path)) == set(dense)
    return network


@pytest.mark.parametrize("kind", KINDS)
def test_the_old_exporter(kind, tmp_path):
    network = assert_exported(exported(kind, dynamo=False), tmp_path / "net.dcnn")
    assert any(isinstance(layer, BatchNorm) for layer in network.network.layers)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_new_exporter(kind, tmp_path):
    network = assert_exported(exported(kind, dynamo=True), tmp_path / "net.dcnn")
    assert any(isinstance(layer, BatchNorm) for layer in network.network.layers)


@pytest.mark.slow
def test_the_new_exporter_when_it_optimizes(tmp_path):
    model = exported("vgg", dynamo=True, optimize=True)
    network = assert_exported(model, tmp_path / "net.dcnn")
    assert not any(isinstance(layer, BatchNorm) for layer in network.network.layers)
