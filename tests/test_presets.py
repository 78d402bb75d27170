"""Configurations by their names; without loss, every tensor comes back bit for bit, and smaller."""

from collections.abc import Iterator

import numpy as np
import pytest

import deepcompress as dc
from deepcompress.dtypes import NUMPY_LACKS, bits_of, named
from deepcompress.pipeline import from_bytes
from deepcompress.presets import PRESETS

RNG = np.random.default_rng(0)


def test_the_presets() -> None:
    assert list(PRESETS) == ["paper", "small", "lossless"]
    assert dc.preset("paper") == dc.paper_config()
    assert dc.Config.from_dict(dc.preset("small").to_dict(brief=True)) == dc.preset("small")
    assert dc.preset("lossless").to_dict(brief=True) == {
        "default": {"method": "lossless"},
        "by_kind": {"bias": {"method": "lossless"}},
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lossles", "'lossles'; the choices are paper, small, lossless; did you mean 'lossless'?"),
        ("x", "unknown preset 'x'; the choices are paper, small, lossless$"),
        (3, "unknown preset 3; the choices"),
    ],
)
def test_another_name_is_refused(name: str, words: str) -> None:
    with pytest.raises(dc.ConfigError, match=words):
        dc.preset(name)


def awkward(dtype: np.dtype) -> Iterator[tuple[str, np.ndarray]]:
    """Yield arrays that a lossy way would change."""
    random = np.frombuffer(RNG.bytes(dtype.itemsize * 3000), np.uint8).copy()
    if dtype.kind == "b":
        random %= 2
    anything = random.view(dtype).reshape(60, 50)
    yield "anything", anything  # NaNs of any payload
    yield "few", anything.reshape(-1)[RNG.integers(0, 5, 2000)].reshape(2, -1)
    yield "one", np.broadcast_to(anything[3, 7], (40, 50)).copy()
    yield "zeros", np.zeros((40, 50), dtype)
    yield "vector", np.ones(300, dtype)
    yield "scalar", anything[0, 0].reshape(())
    yield "empty", np.zeros((0, 7), dtype)
    if named(dtype).kind == "f":
        signed = np.zeros(500, dtype)
        signed[::3], signed[::7] = -0.0, 1
        yield "signed", signed
        yield "small", RNG.normal(size=(50, 60)).astype(dtype)
    elif dtype.kind in "iu":
        largest = np.full(1000, np.iinfo(dtype).max)
        largest[::2] = np.iinfo(dtype).min
        yield "ends", largest


def dtypes() -> list[str]:
    names = ["bool", "int8", "uint16", "int32", "uint64", "int64", "float16", "float32", "float64"]
    return [*names, "complex64", "complex128", *NUMPY_LACKS]


@pytest.mark.parametrize("dtype", dtypes())
def test_without_loss_all_comes_back(dtype: str) -> None:
    if dtype in NUMPY_LACKS:
        pytest.importorskip("ml_dtypes")
    element_type = named(dtype)
    arrays = dict(awkward(element_type.numpy()))
    data = dc.compress(arrays, dc.preset("lossless")).to_bytes()
    model = from_bytes(data)
    assert list(model) == list(arrays)
    for name, dense in model.to_dense().items():
        assert (dense.dtype, dense.shape) == (arrays[name].dtype, arrays[name].shape), name
        assert (
            bits_of(dense, element_type).tobytes() == bits_of(arrays[name], element_type).tobytes()
        ), name
    assert model.to_bytes() == data


def test_tensors_of_few_values_share_them() -> None:
    rng = np.random.default_rng(1)
    few = rng.choice(np.array([0, 0.5, 3e-40, -2], np.float32), (70, 80))
    normal = rng.normal(size=(70, 80)).astype(np.float32)
    many = rng.integers(0, 1 << 20, 5000, dtype=np.int64)
    signs = np.where(rng.random(5000) < 0.5, 0.0, -0.0)
    tensors = {"few": few, "ids": many % 7, "normal": normal, "many": many, "signs": signs}
    model = dc.compress(tensors, dc.preset("lossless"))
    shared = [name for name in model if isinstance(model[name], dc.CompressedTensor)]
    assert shared == ["few", "ids"]
    sizes = {
        n: len(dc.CompressedModel({n: t}, {}, model.storage).to_bytes()) for n, t in model.items()
    }
    assert sizes["few"] < few.nbytes / 14
    assert sizes["normal"] < 0.9 * normal.nbytes  # though it is small


def test_the_small_preset_is_smaller_than_the_default() -> None:
    rng = np.random.default_rng(2)
    w = (rng.normal(size=(300, 200)) * (rng.random((300, 200)) < 0.4)).astype(np.float32)
    tensors = {"w.weight": w, "w.bias": np.zeros(3000, np.float32)}
    small = dc.compress(tensors, dc.preset("small"))
    assert len(small.to_bytes()) < len(dc.compress(tensors).to_bytes()) - 2900
    assert not np.asarray(small["w.bias"]).any()
