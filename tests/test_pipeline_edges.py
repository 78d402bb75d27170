"""What can't be compressed as its default rules say is kept bit for bit, and told."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ways import compressed, is_same

import deepcompress as dc
from deepcompress import dtypes

RNG = np.random.default_rng(0)
FLOATS = ["float16", "float32", "float64"]
OTHERS = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("complex64", "complex128"),
]
SHAPES = [(), (1,), (0,), (0, 3), (1, 1), (4097,), (60, 50), (4, 3, 5, 5)]
REASONS = dict.fromkeys(OTHERS, "integers") | {"bool": "booleans"}
REASONS |= dict.fromkeys(["complex64", "complex128"], "complex")


def numbers(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Draw numbers that neither float16 nor float32 holds, where the dtype can have such."""
    size = int(np.prod(shape))
    if np.dtype(dtype).kind in "iu":
        return RNG.integers(0, np.iinfo(dtype).max, size, dtype, endpoint=True).reshape(shape)
    values = RNG.normal(size=size).reshape(shape)
    return (values > 0 if dtype == "bool" else values * (1 + 3j)).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", OTHERS)
def test_only_floats_are_rounded_or_shared(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    tensor = numbers(dtype, shape)
    for fields in ({"method": "float16"}, {"method": "float16", "sparsity": 0.5}, {"bits": 2}):
        config = dc.Config(dc.TensorConfig(**fields), by_kind={"bias": fields})
        model = compressed(tmp_path, {"w": tensor}, config)
        assert is_same(model["w"], tensor)
        assert model.kept == {"w": REASONS[dtype]}


@pytest.mark.parametrize("dtype", OTHERS)
@pytest.mark.parametrize("fields", [{"method": "float16"}, {"bits": 4}, {"sparsity": 0.5}])
def test_what_is_asked_for_by_name_is_refused_by_name(dtype: str, fields: dict[str, Any]) -> None:
    (option,) = fields
    words = f"tensor 'ids': {option} .* was asked for by its name: not for {REASONS[dtype]}"
    for shape in ((), (3,), (60, 50)):
        with pytest.raises(dc.ArgumentError, match=words):
            dc.compress({"ids": numbers(dtype, shape)}, dc.Config(by_name={"ids": fields}))


# What sharing would enlarge, or is too small


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("side", [3, 12, 16, 20, 30])
def test_what_is_kept_comes_back_bit_for_bit(
    tmp_path: Path, dtype: str, order: str, side: int
) -> None:
    tensor = RNG.normal(size=(side, side)).astype(dtype)
    tensor[0, 0] = -0.0
    given = tensor.astype(np.dtype(dtype).newbyteorder(order))
    model = compressed(tmp_path, {"w": given}, dc.Config(dc.TensorConfig(bits=8)))
    assert len(model.to_bytes()) <= tensor.nbytes + 50
    if isinstance(model["w"], dc.CompressedTensor):
        assert model.kept == {}
        assert side >= {"float16": 30, "float32": 20, "float64": 12}[dtype]
    else:
        assert is_same(model["w"], tensor)
        assert model.kept == {"w": "too small" if side < 12 else "would grow"}


@pytest.mark.parametrize("dtype", FLOATS)
def test_what_is_pruned_and_kept_has_its_dtype(tmp_path: Path, dtype: str) -> None:
    tensor = RNG.normal(size=(12, 12)).astype(dtype)
    fields = {"bits": 8, "threshold": 0.25, "encoding": "relative", "gap_bits": 8, "coder": "fixed"}
    model = compressed(tmp_path, {"w": tensor[:11]}, dc.Config(dc.TensorConfig(**fields)))
    if dtype == "float64":
        assert isinstance(model["w"], dc.CompressedTensor)
    else:
        assert is_same(model["w"], np.where(np.abs(tensor) > 0.25, tensor, 0).astype(dtype)[:11])
        assert model.kept == {"w": "would grow"}


@pytest.mark.parametrize("dtype", OTHERS)
def test_no_bias_is_what_isnt_floating(tmp_path: Path, dtype: str) -> None:
    tensors = {name: numbers(dtype, shape) for name, shape in (("s", ()), ("v", (300,)))}
    assert compressed(tmp_path, tensors).kept == dict.fromkeys(tensors, REASONS[dtype])


def test_empty_tensors_and_biases_are_told(tmp_path: Path) -> None:
    tensors = {"e": np.zeros((0, 3)), "b": np.ones(500, np.float16), "s": np.array(-0.0)}
    model = compressed(tmp_path, tensors, dc.Config(dc.TensorConfig(sparsity=0.9)))
    assert model.kept == {"e": "too small", "b": "bias", "s": "bias"}
    assert all(is_same(model[name], tensor) for name, tensor in tensors.items())
    raw = {"b": {"method": "raw"}, "e": {"method": "raw"}}
    assert compressed(tmp_path, tensors, dc.Config(by_name=raw)).kept == {"s": "bias"}


# What isn't finite


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("shape", [(20, 20), (4, 5, 5, 5), (400,)], ids=str)
def test_one_infinity_keeps_one_tensor(
    tmp_path: Path, dtype: str, odd: float, shape: tuple[int, ...]
) -> None:
    tensor = RNG.normal(size=shape).astype(dtype)
    tensor.flat[7] = odd
    tensors = {"before": np.eye(40), "w": tensor, "after": np.eye(40)}
    for fields in ({"bits": 4}, {"sparsity": 0.5}, {"method": "float16", "sparsity": 0.5}):
        by_kind = dict.fromkeys(("conv", "fc", "bias"), fields)
        model = compressed(tmp_path, tensors, dc.Config(by_kind=by_kind))
        assert is_same(model["w"], tensor)
        assert model.kept == {"w": "not finite"}
        assert np.any(np.asarray(model["after"]))
        option = list(fields)[-1]
        words = f"tensor 'w': .*{option} .* was asked for by its name: .*NaN or infinity"
        with pytest.raises(dc.ArgumentError, match=words):
            dc.compress(tensors, dc.Config(by_name={"w": fields}))


def test_half_precision_has_infinities(tmp_path: Path) -> None:
    mask = np.triu(np.full((77, 77), -np.inf), 1)
    mask[0, 0] = np.nan
    model = compressed(tmp_path, {"w": mask}, dc.Config(dc.TensorConfig(method="float16")))
    assert is_same(model["w"], mask.astype(np.float16))
    assert model.kept == {}


@pytest.mark.parametrize("value", [1e300, -1e300, 3.5e38])
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_what_float32_cant_hold_is_called_that(tmp_path: Path, value: float, scale: float) -> None:
    wide = RNG.normal(size=(20, 20)) * scale
    wide[3, 3] = value
    model = compressed(tmp_path, {"w": wide})
    assert is_same(model["w"], wide)
    assert model.kept == {"w": "beyond float32"}
    with pytest.raises(dc.ArgumentError, match=r"'w': bits 5 .* float32: they are beyond it"):
        dc.compress({"w": wide}, dc.Config(by_name={"w": {"bits": 5}}))


@pytest.mark.parametrize("scale", [1e-300, 1e-60])
def test_so_are_values_that_would_all_be_zero(tmp_path: Path, scale: float) -> None:
    tiny = RNG.normal(size=(20, 20)) * scale
    model = compressed(tmp_path, {"w": tiny})
    assert is_same(model["w"], tiny)
    assert model.kept == {"w": "beyond float32"}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("scale", [1e-9, 1e6])
def test_what_float16_cant_hold(tmp_path: Path, dtype: str, scale: float) -> None:
    tensor = RNG.normal(size=(20, 20)).astype(dtype) * np.dtype(dtype).type(scale)
    model = compressed(tmp_path, {"w": tensor}, dc.Config(dc.TensorConfig(method="float16")))
    assert is_same(model["w"], tensor)
    assert model.kept == {"w": "beyond float16"}
    with pytest.raises(dc.ArgumentError, match=r"'w': method 'float16' .* for float16"):
        dc.compress({"w": tensor}, dc.Config(by_name={"w": {"method": "float16"}}))


@pytest.mark.parametrize("bits", [2, 5])
@pytest.mark.parametrize("dtype", [*dtypes.NUMPY_LACKS, "float16", "float64"])
def test_centroids_that_a_dtype_can_not_tell_apart_are_one(dtype: str, bits: int) -> None:
    """Some of them are zero: the means of the smallest numbers of either sign, half-way to 0."""
    least = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float8_e4m3fn": 2.0**-9}
    least |= {"float8_e5m2": 2.0**-16, "float64": 2.0**-149}
    rng = np.random.default_rng(0)
    steps = np.concatenate([rng.integers(-1, 2, 3000), rng.integers(-300, 300, 3000)])
    values = (steps * least[dtype]).reshape(60, 100)
    weights = values.astype(dtypes.ElementType(dtype).numpy())
    model = dc.compress({"w": weights}, dc.Config(dc.TensorConfig(bits=bits)))
    tensor = model["w"]
    assert isinstance(tensor, dc.CompressedTensor)
    dense = tensor.to_dense()
    assert dense.dtype == weights.dtype
    assert (np.diff(tensor.codebook[1:]) > 0).all()
    assert np.count_nonzero(tensor.codebook == 0) == 1
    assert tensor.density == np.count_nonzero(dense) / dense.size
    again = dc.compress({"w": dense}, dc.Config(dc.TensorConfig(bits=bits)))
    assert again.to_bytes() == model.to_bytes()
