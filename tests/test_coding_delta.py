"""Differences of words to those of a base, there and back."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import deepcompress as dc
from deepcompress.coding.delta import DeltaCoding, choose, difference, restored
from deepcompress.container.records import ENCODINGS, PlaneCoding
from deepcompress.dtypes import NUMPY_LACKS, TYPES, bits_of
from deepcompress.pipeline import from_bytes

unsigned = st.sampled_from(["u1", "u2", "u4", "u8"])


@given(
    unsigned.flatmap(
        lambda t: st.tuples(*[hnp.arrays(t, 7, elements=hnp.from_dtype(np.dtype(t)))] * 2)
    )
)
def test_restored_is_the_inverse_of_difference(pair: tuple[np.ndarray, np.ndarray]) -> None:
    words, base = pair
    stored = difference(words, base)
    assert stored.dtype == words.dtype
    assert restored(stored, base).tobytes() == words.tobytes()
    for one, word, other in zip(stored.tolist(), words.tolist(), base.tolist(), strict=True):
        step = (word - other + (half := 1 << 8 * words.itemsize - 1)) % (2 * half) - half
        assert one == (2 * step if step >= 0 else -2 * step - 1)


def nudge(array: np.ndarray, element_type, rng: np.random.Generator, share: float) -> np.ndarray:
    bits = bits_of(array, element_type).copy().view(np.uint8)
    bits[:: element_type.itemsize] ^= (rng.random(array.size) < share).astype(np.uint8)
    return element_type.array(bits.view(element_type.bits)).reshape(array.shape)


@pytest.mark.parametrize("element_type", TYPES, ids=str)
@pytest.mark.parametrize("share", [0, 0.01, 0.5])
def test_each_dtype_comes_back(element_type, share: float) -> None:
    if element_type.name in NUMPY_LACKS:
        pytest.importorskip("ml_dtypes")
    rng = np.random.default_rng(0)
    base = np.abs(9 * rng.normal(size=(60, 50))).astype(element_type.numpy())
    tensors = {"w": nudge(base, element_type, rng, share), "new": base[:5]}
    data = dc.compress(tensors, base={"w": base, "new": base}).to_bytes()
    model = from_bytes(data, base={"w": base})
    dense = bits_of(model.to_dense()["w"], element_type)
    assert dense.tobytes() == bits_of(tensors["w"], element_type).tobytes()
    assert model.to_bytes() == data
    entries = dc.ModelFile(data).entries
    if share == 0 or element_type.itemsize > 1:
        assert ENCODINGS[entries["w"].encoding] == "delta"
        assert ENCODINGS[entries["new"].encoding] != "delta"
    if share == 0:
        assert entries["w"].data_bytes == 21
    elif share == 0.01 and element_type.itemsize > 1:
        assert entries["w"].data_bytes < base.nbytes / 8


def test_rows_and_threads_and_lazy_reading(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    base = {f"w{i}": rng.normal(size=(300, 400)).astype(np.float16) for i in range(4)}
    tuned = {name: (w * 1.001).astype(np.float16) for name, w in base.items()}
    for jobs in (1, 3):
        dc.compress_to(tuned, tmp_path / "m.dcnn", base=base, jobs=jobs)
        assert (tmp_path / "m.dcnn").read_bytes() == dc.compress(tuned, base=base).to_bytes()
    dc.compress(base, dc.preset("lossless")).save(tmp_path / "base.dcnn")
    with (
        dc.open_file(tmp_path / "base.dcnn") as packed_base,
        dc.open_file(tmp_path / "m.dcnn", base=packed_base) as file,
    ):
        assert file.rows("w2", 7, 9).tobytes() == tuned["w2"][7:9].tobytes()
        assert {name: array.tobytes() for name, array in file.items()} == {
            name: array.tobytes() for name, array in tuned.items()
        }
    assert (tmp_path / "m.dcnn").stat().st_size < 0.6 * sum(w.nbytes for w in tuned.values())


@pytest.mark.parametrize(
    ("base", "words"),
    [
        (None, "'w': it is stored as the difference to a base model: give that as base"),
        ({}, "'w': it is stored as the difference to a base, which has none of it"),
        ({"w": np.zeros((60, 50), np.float32)}, "'w': the base's has other elements"),
        ({"w": np.zeros((60, 50))}, "'w': the base's is float64 of shape .60, 50., it is float32"),
        ({"w": np.zeros(9, np.float32)}, r"'w': the base's is float32 of shape .9,., it is"),
    ],
)
def test_another_base_is_refused(tmp_path: Path, base: dict | None, words: str) -> None:
    w = np.random.default_rng(0).normal(size=(60, 50)).astype(np.float32)
    path = tmp_path / "m.dcnn"
    dc.compress({"w": w}, base={"w": w * np.float32(1.0001)}).save(path)
    with pytest.raises(dc.ArgumentError, match=f"m.dcnn: tensor {words}"):
        dc.load(path, base=base)
    with dc.open_file(path, base=base) as file, pytest.raises(dc.ArgumentError, match=words):
        file.rows("w", 0, 1)


def test_a_wish_by_name_is_stronger_than_a_base() -> None:
    w = np.random.default_rng(0).normal(size=(60, 50)).astype(np.float32)
    config = dc.Config(by_name={"w": {"bits": 2}, "*": {"bits": 3}})
    model = dc.compress({"w": w, "v": w + 0}, config, base={"w": w, "v": w})
    assert len(model["w"].codebook) == 4
    assert model["v"].tobytes() == w.tobytes()


def test_what_isnt_smaller_isnt_a_difference() -> None:
    rng = np.random.default_rng(0)
    w, other = (rng.normal(size=(60, 50)).astype(np.float32) for _ in range(2))
    assert choose(w, other, "huffman")[0] is None
    assert dc.compress({"w": w}, base={"w": other})["w"].tobytes() == w.tobytes()


def test_a_coding_that_doesnt_fit_is_replaced_or_refused() -> None:
    base = np.zeros(40, np.int32)
    large = base + 70_000
    how = DeltaCoding(base, PlaneCoding((0,)))
    for coding in (how, DeltaCoding(base, None)):
        data = dc.CompressedModel({"w": large}, {}, {"w": coding}).to_bytes()
        assert from_bytes(data, base={"w": base})["w"].tolist() == large.tolist()
    with pytest.raises(dc.ArgumentError, match=r"'w': float64 of shape .40,. has no difference"):
        dc.CompressedModel({"w": large.astype(float)}, {}, {"w": how}).to_bytes()
