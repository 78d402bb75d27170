"""What is asked for a tensor by its name is done, whatever it is; zero has one code."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.ways import compressed, is_same

import deepcompress as dc
from deepcompress.pipeline.weights import priced, survivors_of
from deepcompress.tensors import SharedWeights

RNG = np.random.default_rng(0)
FLOATS = ["float16", "float32", "float64"]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (1,), (0,), (0, 3), (7,), (5000,), (10, 12), (2, 1, 3, 3)])
@pytest.mark.parametrize(
    "fields",
    [
        *({"bits": 2}, {"bits": 8, "sparsity": 0.5}, {"sparsity": 0.9}, {"threshold": 0.1}),
        *({"sensitivity": 0.5}, {"method": "shared"}, {"init": "density"}, {"coder": "rans"}),
        *({"encoding": "bitmask"}, {"gap_bits": 3}, {"max_iterations": 0}),
        {"method": "float16", "sparsity": 0.9},
    ],
    ids=str,
)
def test_what_is_asked_for_by_name_is_done(
    tmp_path: Path, dtype: str, shape: tuple[int, ...], fields: dict[str, Any]
) -> None:
    """Whatever the size, the rank, and the default."""
    tensor = RNG.normal(size=shape).astype(dtype)
    expected = []
    for default in (dc.TensorConfig(), dc.TensorConfig(method="raw")):
        config = dc.Config(default, by_name={"w": fields})
        model = compressed(tmp_path, {"w": tensor}, config)
        assert model.kept == {}
        dense = np.asarray(model["w"])
        survivors = np.count_nonzero(dense)
        if "sparsity" in fields:
            assert survivors <= round((1 - fields["sparsity"]) * tensor.size)
        if "threshold" in fields:
            assert survivors == np.count_nonzero(np.abs(tensor) > 0.1)
        if fields.get("method") == "float16":
            assert dense.dtype == np.float16
        else:
            assert isinstance(model["w"], dc.CompressedTensor)
            assert len(model["w"].codebook) <= 2 ** fields.get("bits", 5)
        expected.append(model.to_bytes())
    assert expected[0] == expected[1]


def test_a_size_that_is_asked_for_by_name_counts(tmp_path: Path) -> None:
    by_name = {"w": {"bits": 2, "min_size": 100}, "v": {"bits": 2, "min_size": 9}}
    tensors = {"w": np.eye(9), "v": np.eye(9)}
    assert compressed(tmp_path, tensors, dc.Config(by_name=by_name)).kept == {"w": "too small"}
    for_bias = dc.Config(by_name={"b": {"min_size": 0}})
    assert compressed(tmp_path, {"b": np.ones(9)}, for_bias).kept == {"b": "bias"}


@pytest.mark.parametrize("rule", ["sparsity", "threshold", "sensitivity"])
@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_rounded_is_pruned_first(tmp_path: Path, rule: str, dtype: str) -> None:
    tensor = RNG.normal(size=(30, 40)).astype(dtype)
    mask = getattr(dc.prune, f"{rule}_mask")(tensor, 0.7)
    config = dc.Config(dc.TensorConfig(method="float16", **{rule: 0.7}))
    model = compressed(tmp_path, {"w": tensor}, config)
    assert is_same(model["w"], np.where(mask, tensor, 0).astype(np.float16))


def test_a_raw_default_with_a_rule_is_told(tmp_path: Path) -> None:
    config = dc.Config(dc.TensorConfig(method="raw", sparsity=0.9), {"conv": {"bits": 4}})
    assert compressed(tmp_path, {"w": np.ones((20, 20))}, config).kept == {"w": "method raw"}


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("bits", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(80, 50), (4000,), (10, 4, 10, 10)])
def test_a_centroid_of_zero_is_pruned(
    tmp_path: Path, dtype: str, bits: int, shape: tuple[int, ...]
) -> None:
    half = np.abs(RNG.normal(size=2000)).astype(np.float32) + np.float32(1e-3)
    tensor = np.concatenate([half, -half]).reshape(shape).astype(dtype)
    config = dc.Config(by_name={"w": {"bits": bits}})
    model = compressed(tmp_path, {"w": tensor}, config)
    dense = model["w"].to_dense()
    assert np.count_nonzero(model["w"].codebook == 0) == 1
    assert model["w"].density == np.count_nonzero(dense) / dense.size
    assert dc.compress({"w": dense}, config).to_bytes() == model.to_bytes()


@given(
    hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=15),
        elements=st.sampled_from([0, 1e-45, -1e-45, 1, -1, 0.5, -0.5, 2, -2, 3, -3]),
    ),
    st.integers(1, 4),
)
def test_compressing_again_changes_nothing(tensor: np.ndarray, bits: int) -> None:
    config = dc.Config(dc.TensorConfig(bits=bits), by_name={"w": {"min_size": 0, "bits": bits}})
    model = dc.compress({"w": tensor}, config)
    dense = model["w"].to_dense()
    assert np.count_nonzero(model["w"].codebook == 0) == 1
    assert dc.compress({"w": dense}, config).to_bytes() == model.to_bytes()


def test_a_survivor_trained_to_zero_survives() -> None:
    """In experiments, where the codebook was trained, zero is a weight as any other."""
    mask = RNG.random((40, 40)) < 0.5
    labels = RNG.integers(1, 4, np.count_nonzero(mask), np.uint8)
    shared = SharedWeights(np.array([0, -1, 0, 1], np.float32), labels, 2)
    values = np.zeros((40, 40), np.float32)
    values[mask] = shared.codebook[labels]
    weights = priced(values, mask, survivors_of(mask, shared), dc.TensorConfig())
    assert len(weights.survivors.positions) == np.count_nonzero(mask)
