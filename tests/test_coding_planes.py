"""Planes: every dtype without loss, on both backends, and only where a file shrinks."""

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from support import teams
from support.peak import peak_of
from support.random_files import HELD, random_planes, random_raw

import deepcompress as dc
from deepcompress import native
from deepcompress.cli import main
from deepcompress.coding import memory, planes
from deepcompress.coding.planes import LEAST_FLOAT32_BYTES
from deepcompress.container.reader import Reader
from deepcompress.container.records import PLANES, PlaneCoding
from deepcompress.container.writer import pack
from deepcompress.errors import ArgumentError, ChecksumError, FormatError
from deepcompress.native import planes as native_planes
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
        again = np.empty_like(words)
        planes.merge(list(made), rotate, again)
        assert again.tolist() == words.tolist()


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
    assert not from_bytes(model.to_bytes()).storage
    assert model.to_bytes()[8] == 1
    coded = from_bytes(dc.compress({"bias": bias}).to_bytes())
    assert isinstance(coded.storage["bias"], PlaneCoding)
    assert dc.compress({"bias": bias}).to_bytes()[8] == 2


def test_a_coding_of_another_dtype_is_refused() -> None:
    model = from_bytes(dc.compress({"w": np.zeros(1000, np.int16)}).to_bytes())
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
            file = dc.ModelFile(data, max_bytes=needed)
            file["w"]
            assert peak_of(lambda file=file: file["w"]) <= needed
            if native.active():  # C decodes it if it may take the scratch memory that it needs
                stored = planes.stored(entry, reader.data(entry), reader.version)
                file = dc.ModelFile(data)
                assert peak_of(lambda file=file: file["w"]) <= memory.stored_planes_bytes(stored)
            with pytest.raises(ArgumentError, match="may take"):
                dc.ModelFile(data, max_bytes=array.nbytes)["w"]


def stored_in(data: bytes) -> list[planes.StoredPlanes]:
    """Return the tensors in planes of a file as C takes them."""
    reader = Reader(data)
    entries = [entry for entry in reader.entries.values() if entry.encoding == PLANES]
    return [planes.stored(entry, reader.data(entry), reader.version) for entry in entries]


def words_by_parts(data: bytes, backend: str = "reference") -> list[bytes | None]:
    """Return the words of the same tensors by the definition, None for those that aren't valid."""
    words: list[bytes | None] = []
    reader = Reader(data)
    with native.use(backend):
        for entry in reader.entries.values():
            try:
                if entry.encoding == PLANES:
                    record = reader.planes(entry, reader.planes_head(entry))
                    words.append(planes.decode(record).tobytes())
            except FormatError:
                words.append(None)
    return words


def in_c(data: bytes, isa: str = "auto") -> list[bytes | None]:
    with native.use("native", isa):
        return [None if w is None else w.tobytes() for w in planes.decode_stored(stored_in(data))]


needs_c = pytest.mark.skipif(len(BACKENDS) < 2, reason="the C kernels aren't built")


def several(rng: np.random.Generator) -> dict[str, npt.NDArray[Any]]:
    """Return tensors of several sizes and dtypes, most of whose planes gain by a code."""
    tensors: dict[str, npt.NDArray[Any]] = {}
    for index in range(int(rng.integers(1, 8))):
        size = int(rng.choice([0, 1, 40, 700, 5000]))
        values = rng.laplace(size=size) * 9
        dtype = rng.choice(["float32", "float16", "int8", "int32", "complex64", "uint64", "bool"])
        with np.errstate(all="ignore"):
            tensors[f"t{index}"] = values.round().astype("int8").astype(dtype)
    return tensors


@needs_c
@settings(max_examples=20)
@given(seeds, st.integers(0, 3))
def test_c_decodes_what_the_definition_does(seed: int, threads: int) -> None:
    rng = np.random.default_rng(seed)
    tensors = several(rng)
    how = {}
    for name, array in tensors.items():
        coders = rng.integers(0, 2, planes.dtypes.named(array.dtype).word_bytes)
        unrotated = array.dtype.kind in "fc" and bool(rng.integers(2))
        how[name] = PlaneCoding(tuple(coders.tolist()), int(rng.integers(17)), unrotated)
    data = dc.CompressedModel({**tensors}, {}, {**how}).to_bytes()
    expected = [array.tobytes() for array in tensors.values()]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(native_planes, "team", teams.always(threads + 1))
        assert in_c(data) == in_c(data, "scalar") == expected
        assert from_bytes(data).to_bytes() == data


@needs_c
@given(seeds)
def test_c_refuses_what_the_definition_does(seed: int) -> None:
    """Records that were changed before their checksums were made."""
    rng = np.random.default_rng(seed)
    array = rng.laplace(size=int(rng.integers(1, 400))).round().astype(rng.choice(["i2", "f4"]))
    coders = tuple(rng.integers(0, 2, array.itemsize).tolist())
    record = planes.encode(array, PlaneCoding(coders, int(rng.integers(5, 10))))
    tables = [bytearray(table) for table in record.tables]
    blocks = [[bytearray(plane) for plane in block] for block in record.blocks]
    parts = [part for part in [*tables, *itertools.chain(*blocks)] if part]
    for _ in range(int(rng.integers(1, 3))):
        part = parts[int(rng.integers(len(parts)))]
        change = int(rng.integers(4))
        if change == 0 and part:
            part[int(rng.integers(len(part)))] ^= 1 << int(rng.integers(8))
        elif change == 1:
            part += rng.bytes(int(rng.integers(1, 3)))
        elif change == 2 and part:
            part.pop()
        elif part:
            part[-1] ^= 128
    changed = dataclasses.replace(
        record,
        tables=tuple(map(bytes, tables)),
        blocks=tuple(tuple(map(bytes, block)) for block in blocks),
    )
    data = pack({"w": changed})
    assert in_c(data) == words_by_parts(data)


@needs_c
@pytest.mark.parametrize("highest", [1, 2])
def test_c_knows_bools(highest: int) -> None:
    bits = np.zeros(900, np.uint8)
    bits[700] = highest
    record = planes.encode(bits, PlaneCoding((1,), 8))
    data = pack({"w": dataclasses.replace(record, dtype=planes.dtypes.named("bool"))})
    assert in_c(data) == words_by_parts(data) == [bits.tobytes() if highest < 2 else None]


@needs_c
def test_c_leaves_to_others_what_it_has_no_way_for() -> None:
    array = np.random.default_rng(0).laplace(size=3000).round().astype(np.int16)
    for how in (PlaneCoding((2, 1), 10), PlaneCoding((1, 1), 17), PlaneCoding((1, 1), 62)):
        data = dc.CompressedModel({"w": array}, {}, {"w": how}).to_bytes()
        assert in_c(data) == [None]
        assert from_bytes(data)["w"].tobytes() == array.tobytes()


@needs_c
@settings(max_examples=30)
@given(seeds, st.integers(1, 3))
def test_c_chooses_and_writes_what_the_definition_does(seed: int, threads: int) -> None:
    rng = np.random.default_rng(seed)
    made = []
    for array in [*several(rng).values(), random_raw(rng)]:
        for backend in BACKENDS:
            with native.use(backend), pytest.MonkeyPatch.context() as patch:
                patch.setattr(native_planes, "team", teams.always(threads))
                patch.setattr(PlaneCoding.__init__, "__defaults__", (8, False))
                record = planes.encode_if_smaller(array, "huffman", small=True)
                price = planes.priced(array, "huffman", small=True)
                made.append((pack({"w": record}) if record else None, price))
        assert made[-1] == made[-2]
