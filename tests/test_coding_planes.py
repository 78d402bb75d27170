"""Planes: every dtype without loss, on both backends, and only where a file shrinks."""

import dataclasses
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.peak import peak_of
from support.random_files import HELD, random_planes, random_raw

import deepcompress as dc
from deepcompress import native
from deepcompress.cli import main
from deepcompress.coding import memory, planes
from deepcompress.coding.planes import LEAST_FLOAT32_BYTES
from deepcompress.container.reader import Reader
from deepcompress.container.records import PlaneCoding
from deepcompress.errors import ArgumentError, ChecksumError, FormatError
from deepcompress.pipeline import from_bytes
from deepcompress.reports.inspection import describe

BACKENDS = ["reference", *(["native"] if native.info()["compiler"] else [])]
seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("width", [1, 2, 4, 8])
@pytest.mark.parametrize("rotate", [False, True])
def test_planes_are_the_bytes_of_words(backend: str, width: int, rotate: bool) -> None:
    words = np.random.default_rng(width).integers(0, 256, 7 * width).astype(np.uint8)
    bits = 8 * width
    starts = range(0, 7 * width, width)
    numbers = [int.from_bytes(words[i : i + width].tobytes(), "little") for i in starts]
    if rotate:
        numbers = [(n << 1 | n >> bits - 1) & (1 << bits) - 1 for n in numbers]
    with native.use(backend):
        made = planes.split(words, width, rotate)
        assert made.tolist() == [[n >> 8 * p & 255 for n in numbers] for p in range(width)]
        assert planes.merge(made, rotate).tolist() == words.tolist()


@given(seeds)
def test_every_array_comes_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = random_raw(rng)
    model = dc.CompressedModel({"w": array}, {}, {"w": random_planes(array, rng)})
    written = []
    for backend in BACKENDS:
        with native.use(backend):
            written.append(model.to_bytes())
            back = from_bytes(written[0])
            assert back["w"].dtype == array.dtype
            assert back["w"].shape == array.shape
            assert back["w"].tobytes() == array.tobytes()
            assert back.to_bytes() == written[0]
            if array.ndim:
                start, stop = sorted(rng.integers(0, len(array) + 1, 2).tolist())
                rows = dc.ModelFile(written[0]).rows("w", start, stop)
                assert rows.tobytes() == array[start:stop].tobytes()
    assert written[0] == written[-1]


@pytest.mark.parametrize("one", HELD, ids=str)
def test_it_takes_planes_where_they_are_smaller(one) -> None:
    steps = np.random.default_rng(0).laplace(scale=1, size=(100, 300)).round()
    array = steps.astype(np.int64).astype(one.numpy())
    for coder in ("fixed", "huffman", "rans"):
        config = dc.Config(dc.TensorConfig(method="raw", coder=coder))
        data = dc.compress({"w": array}, config).to_bytes()
        assert (len(data) < 0.9 * array.nbytes) == (coder != "fixed")
        assert from_bytes(data)["w"].tobytes() == array.tobytes()


def test_noise_and_what_is_small_stays_raw() -> None:
    rng = np.random.default_rng(0)
    bias = rng.normal(size=LEAST_FLOAT32_BYTES // 4).astype(np.float32)
    tensors = {
        "noise": rng.integers(0, 256, (100, 100), dtype=np.uint8),
        "few": np.zeros(60, np.int8),
        "bias": bias[:-1],
        "empty": np.zeros((0, 3), np.int32),
    }
    model = dc.compress(tensors)
    assert not model.storage
    assert model.to_bytes()[8] == 1
    assert isinstance(dc.compress({"bias": bias}).storage["bias"], PlaneCoding)
    assert dc.compress({"bias": bias}).to_bytes()[8] == 2


def test_a_coding_of_another_dtype_is_refused() -> None:
    model = dc.compress({"w": np.zeros(1000, np.int16)})
    other = dataclasses.replace(model, tensors={"w": np.zeros(1000, np.int32)})
    with pytest.raises(ArgumentError, match="tensor 'w': int32 isn't stored in 2 planes"):
        other.to_bytes()


def test_a_file_is_stored_anew_by_another_coder(tmp_path: Path) -> None:
    steps = np.random.default_rng(0).laplace(size=(200, 200)).astype(np.int8)
    model = dc.compress({"steps": steps, "b": np.ones(5, np.float32)})
    model.save(tmp_path / "a.dcnn")
    sizes = {"huffman": model.to_bytes()}
    for coder in ("fixed", "rans", "huffman"):
        out = tmp_path / f"{coder}.dcnn"
        assert main(["convert", str(tmp_path / "a.dcnn"), "-o", str(out), "--coder", coder]) == 0
        assert dc.load(out)["steps"].tobytes() == steps.tobytes()
        assert main(["verify", str(out)]) == 0
        sizes[coder] = out.read_bytes()
    assert sizes["huffman"] == model.to_bytes()
    assert len(sizes["rans"]) < len(sizes["huffman"]) < len(sizes["fixed"])
    assert sizes["fixed"][8] == 1
    assert main(["diff", str(tmp_path / "fixed.dcnn"), str(tmp_path / "rans.dcnn")]) == 0


def test_inspect_attributes_every_byte() -> None:
    rng = np.random.default_rng(0)
    data = dc.compress(
        {"w": rng.normal(size=(300, 300)).astype(np.float16)},
        dc.Config(dc.TensorConfig(method="raw")),
    ).to_bytes()
    description = describe(data, prices=True, codes=True)
    (row,) = description["tensors"]
    assert (row["dtype"], row["encoding"], row["coders"]) == ("float16", "planes", "fixed/huffman")
    assert sum(one["bytes"] for one in description["ledger"]) == len(data)
    assert [one["chosen"] for one in row["alternatives"]] == [False, True]
    assert description["stages"]["P"] == description["stages"]["P+Q"] > len(data)


def test_damage_is_found() -> None:
    array = np.random.default_rng(0).integers(0, 9, 3000, dtype=np.int16)
    data = dc.CompressedModel({"w": array}, {}, {"w": PlaneCoding((1, 1), 10)}).to_bytes()
    for at in range(len(data)):
        with pytest.raises(FormatError):
            from_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    damaged = data[:-5] + bytes([data[-5] ^ 1]) + data[-4:]
    assert dc.ModelFile(damaged).rows("w", 0, 1024).tobytes() == array[:1024].tobytes()
    with pytest.raises(ChecksumError, match="'w'"):
        dc.ModelFile(damaged).rows("w", 2048, 2049)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("coder", [0, 1, 2])
@pytest.mark.parametrize("dtype", ["int8", "float32", "complex128"])
def test_the_estimate_of_memory_bounds_what_is_taken(backend: str, coder: int, dtype: str) -> None:
    array = np.arange(4000).reshape(40, 100).astype(dtype)
    width = planes.dtypes.named(array.dtype).word_bytes
    for block_bits in (7, 10, 20):
        how = PlaneCoding((coder,) * width, block_bits)
        with native.use(backend):
            data = dc.CompressedModel({"w": array}, {}, {"w": how}).to_bytes()
            reader = Reader(data)
            entry = reader.entries["w"]
            needed = memory.planes_bytes(reader.planes_head(entry), entry)
            file = dc.ModelFile(data)
            file["w"]
            assert peak_of(lambda file=file: file["w"]) <= needed
            with pytest.raises(ArgumentError, match="may take"):
                dc.ModelFile(data, max_bytes=array.nbytes)["w"]
