"""The dtypes of a file: those that NumPy lacks, and tensors that come back in their own."""

import copy
import pickle
import sys
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp

import deepcompress as dc
from deepcompress import dtypes
from deepcompress.cli import main
from deepcompress.container.records import DENSE, Coding
from deepcompress.dtypes import NUMPY_LACKS, TYPES, ElementType
from deepcompress.packed.survivors import pack
from deepcompress.pipeline import from_bytes
from deepcompress.reports.inspection import describe
from deepcompress.tensors import Survivors

LACKING = sorted(NUMPY_LACKS)
SHAREABLE = [one.name for one in TYPES if one.is_shareable]


def every(name: str) -> np.ndarray:
    """Return each element that a dtype of NUMPY_LACKS has, as its bits."""
    one = ElementType(name)
    return np.arange(1 << 8 * one.itemsize).astype(one.bits)


@pytest.mark.parametrize("name", LACKING)
def test_widening_is_that_of_ml_dtypes(name: str) -> None:
    pytest.importorskip("ml_dtypes")
    one, bits = ElementType(name), every(name)
    widened = one.widened(bits)
    assert widened.dtype == np.float32
    np.testing.assert_array_equal(widened, one.array(bits).astype(np.float32))
    assert (np.signbit(widened) == (bits >> (8 * one.itemsize - 1) == 1)).all()


@pytest.mark.parametrize("name", LACKING)
@given(values=hnp.arrays(np.float32, 20, elements=st.floats(-500, 500, width=32)))
def test_rounding_is_that_of_ml_dtypes(name: str, values: np.ndarray) -> None:
    pytest.importorskip("ml_dtypes")
    one = ElementType(name)
    values = np.clip(values, -440, 440)
    expected = values.astype(one.numpy())
    assert one.narrowed(values).tobytes() == expected.tobytes()
    np.testing.assert_array_equal(one.rounded(values), expected.astype(np.float32))


@pytest.mark.parametrize("name", LACKING)
def test_halves_are_rounded_to_even(name: str) -> None:
    one, bits = ElementType(name), every(name)
    positive = bits[: len(bits) // 2]
    finite = positive[np.isfinite(one.widened(positive))]
    values = one.widened(finite).astype(np.float64)
    middle = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    is_exact = middle.astype(np.float64) == (values[1:] + values[:-1]) / 2
    even = np.where(finite[:-1] % 2 == 0, finite[:-1], finite[1:])
    assert is_exact.mean() > 0.9
    assert (one.narrowed(middle) == even)[is_exact].all()


@pytest.mark.parametrize(
    ("name", "largest", "beyond"),
    [
        ("bfloat16", 3.3895314e38, 3.4e38),
        ("float8_e4m3fn", 464, 465),  # halfway to 480 is rounded to 448, which is even
        ("float8_e5m2", 61439, 61440),
        ("float16", 65519, 65520),
        ("int8", 127, 128),
        ("uint8", 255, -1),
        ("int64", 2.0**62, 2.0**63),
    ],
)
def test_what_is_beyond_a_range_is_refused(name: str, largest: float, beyond: float) -> None:
    one = ElementType(name)
    assert np.isfinite(one.rounded(np.float32([0, largest]))).all()
    with pytest.raises(dc.ArgumentError, match=f"is beyond the range of {name}"):
        one.rounded(np.float32([0, beyond]))


def tensor_of(name: str) -> dc.CompressedTensor:
    codebook = np.array([0, 1, 3], np.float32)
    positions, labels = np.array([1, 5, 6]), np.array([2, 1, 2], np.uint8)
    return pack(Survivors((3, 3), codebook, positions, labels, ElementType(name)))


@pytest.mark.parametrize("name", SHAREABLE)
def test_a_shared_tensor_has_its_dtype(name: str) -> None:
    if name in NUMPY_LACKS:
        pytest.importorskip("ml_dtypes")
    w = tensor_of(name)
    expected = np.array([[0, 3, 0], [0, 0, 1], [3, 0, 0]]).astype(w.dtype)
    data = dc.CompressedModel({"w": w}, {}, {"w": Coding(DENSE)}).to_bytes()
    assert data[8] == (1 if name == "float32" else 2)
    back = from_bytes(data)["w"]
    for one in (w, back, copy.deepcopy(back), pickle.loads(pickle.dumps(back))):
        assert one.dtype.name == name
        for array in (one.to_dense(), np.asarray(one), one[0:3].to_dense()):
            assert array.dtype == one.dtype
            assert array.tobytes() == expected.tobytes()
    assert from_bytes(data).to_bytes() == data
    assert (back @ np.ones(3)).dtype == np.float32
    assert (back @ np.ones(3)).tolist() == [3, 1, 3]
    assert back.to_float32().dtype == np.float32
    assert dc.ModelFile(data).rows("w", 0, 1).to_dense().tobytes() == expected[:1].tobytes()
    assert ("dtype" in repr(w)) == (name != "float32")


def test_dtypes_that_a_tensor_cant_have() -> None:
    w = tensor_of("float32")
    arguments = w.__reduce__()[1][:-1]
    assert dc.CompressedTensor(*arguments, element_type=np.int16).dtype == np.int16
    for dtype, words in (
        ("complex64", "weights of complex64 can't be shared"),
        (bool, "weights of bool can't be shared"),
        ("text", "dtype text can't be stored; can: bool"),
        (",f4", "dtype ,f4 can't be stored; can: bool"),
    ):
        with pytest.raises(dc.ArgumentError, match=words):
            dc.CompressedTensor(*arguments, element_type=dtype)
    halves = pack(Survivors((2,), np.float32([0, 0.5]), np.array([1]), np.uint8([1])))
    with pytest.raises(dc.ArgumentError, match="a centroid is no int8"):
        halves.of_type(ElementType("int8"))


@pytest.mark.parametrize("name", ["float16", "float64", *LACKING])
def test_compress_gives_tensors_back_in_their_dtype(tmp_path: Path, name: str) -> None:
    if name in NUMPY_LACKS:
        pytest.importorskip("ml_dtypes")
    one = ElementType(name)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(60, 50)).astype(one.numpy())
    bias = rng.normal(size=50).astype(one.numpy())
    model = dc.compress({"w": weights, "b": bias}, dc.Config(dc.TensorConfig(bits=4)))
    back = from_bytes(model.to_bytes())
    for held in (model, back):
        assert {array.dtype for array in held.to_dense().values()} == {weights.dtype}
        assert held["b"].tobytes() == bias.tobytes()
        dense = held["w"].to_dense()
        assert dense.tobytes() == model["w"].to_dense().tobytes()
        # What is read back is what products are computed with.
        np.testing.assert_array_equal(dense.astype(np.float32), held["w"].to_float32())
    far = np.abs(np.float32(dense) - np.float32(weights))
    assert far.max() < (1.5 if "float8" in name else 0.75)
    assert dc.compress_to(
        {"w": weights, "b": bias}, tmp_path / "m.dcnn", dc.Config(dc.TensorConfig(bits=4))
    ) == len(model.to_bytes())
    assert (tmp_path / "m.dcnn").read_bytes() == model.to_bytes()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_sharing_would_make_larger_is_kept_bit_for_bit(dtype: str) -> None:
    weights = np.random.default_rng(0).normal(size=(12, 12)).astype(dtype)
    weights[0, :3] = [0, -0.0, 1e-7]
    kept = dc.compress({"w": weights}, dc.Config(dc.TensorConfig(bits=8)))["w"]
    if isinstance(kept, np.ndarray):
        assert kept.dtype == dtype
        assert kept.tobytes() == weights.tobytes()
    assert isinstance(kept, np.ndarray) == (dtype != "float64")
    pruned = dc.compress({"w": weights}, dc.Config(dc.TensorConfig(bits=8, threshold=0.01)))["w"]
    dense = np.asarray(pruned)
    assert dense.dtype == dtype
    assert dense[0, 2] == 0


class Torch:
    """What a tensor of PyTorch looks like from outside."""

    def __init__(self, bits: np.ndarray, dtype: str) -> None:
        self.bits, self.dtype, self.calls = bits, f"torch.{dtype}", []

    def detach(self) -> "Torch":
        return self

    cpu = contiguous = detach

    def view(self, dtype: np.dtype) -> "Torch":
        return Torch(self.bits.view(dtype), np.dtype(dtype).name)

    def numpy(self) -> np.ndarray:
        if self.dtype.removeprefix("torch.") in NUMPY_LACKS:
            raise TypeError("Got unsupported ScalarType")
        return self.bits


@pytest.mark.parametrize("name", ["float32", "int64", *LACKING])
def test_tensors_of_pytorch_are_taken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name in NUMPY_LACKS:
        pytest.importorskip("ml_dtypes")
    monkeypatch.setitem(sys.modules, "torch", np)  # which has int16 and uint8 too
    monkeypatch.setattr(Torch, "__module__", "torch")
    one = ElementType(name)
    bits = np.arange(24).astype(one.bits)
    model = dc.compress({"w": Torch(bits, name)})
    assert model["w"].dtype.name == name
    assert model["w"].tobytes() == bits.tobytes()


@pytest.mark.parametrize("name", LACKING)
def test_without_ml_dtypes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    data = (Path(__file__).parent / "golden" / "v2-lacking.dcnn").read_bytes()
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    file = dc.ModelFile(data)
    words = f"arrays of {name} need ml_dtypes, an extra of deepcompress-nn"
    for kind in ("raw", "planes"):
        with pytest.raises(dc.ArgumentError, match=f"tensor '{name}.{kind}': {words}"):
            file[f"{name}.{kind}"]
    shared = file[f"{name}.shared"]
    assert (shared @ np.ones(8)).any()
    with pytest.raises(dc.ArgumentError, match=words):
        shared.to_dense()
    rows = {row["name"]: row for row in describe(data)["tensors"]}
    assert rows[f"{name}.raw"]["dtype"] == rows[f"{name}.shared"]["dtype"] == name
    path = tmp_path / "m.dcnn"
    path.write_bytes(data)
    assert main(["inspect", str(path)]) == 0
    assert main(["decompress", str(path), "-o", str(tmp_path / "m.npz")]) == 2
    assert "need ml_dtypes" in capsys.readouterr().err


def test_an_npz_file_has_no_such_dtype(tmp_path: Path, capsys: Any) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = tmp_path / "m.dcnn"
    dc.compress({"w": np.ones(3, ml_dtypes.bfloat16)}).save(path)
    assert main(["decompress", str(path), "-o", str(tmp_path / "m.npz")]) == 2
    assert "'w': an npz file has no dtype bfloat16" in capsys.readouterr().err
    assert not (tmp_path / "m.npz").exists()


def test_names_and_numbers() -> None:
    assert [one.number for one in TYPES] == list(range(17))
    assert dtypes.of(np.dtype(">f4")) == ElementType("float32")
    assert dtypes.of(np.dtype("V2")) is None
    assert dtypes.of(np.dtype([("bfloat16", "u2")])) is None
