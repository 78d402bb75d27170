"""The commands on files: what they answer, and that no damaged file gets through."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails

import deepcompress
from deepcompress import cli, native, relindex, tensors
from deepcompress.container.records import DENSE, MAGIC, VERSION, Block, Coding, SharedRecord
from deepcompress.container.writer import pack
from deepcompress.experiments import datasets
from deepcompress.nn import zoo

ON_FILES = ("inspect", "verify", "evaluate", "decompress")


@pytest.fixture(scope="module")
def model() -> deepcompress.CompressedModel:
    """Compress the network of the demo, untrained."""
    params = zoo.build("digits").init(np.random.default_rng(0))
    narrow = {"ip3.weight": {"gap_bits": 3}}  # so that it has fillers
    config = deepcompress.Config(deepcompress.TensorConfig(bits=4, sparsity=0.9), by_name=narrow)
    return deepcompress.compress(params, config, metadata={"network": "digits"})


@pytest.fixture
def file(tmp_path: Path, model: deepcompress.CompressedModel) -> Path:
    model.save(tmp_path / "model.dcnn")
    return tmp_path / "model.dcnn"


@pytest.fixture(scope="module")
def small_file() -> bytes:
    """Give the bytes of a file that has it all: Huffman codes, fillers, a raw tensor, metadata."""
    rng = np.random.default_rng(0)
    w = rng.standard_normal((20, 50)).astype(np.float32) * (rng.random((20, 50)) < 0.1)
    w[3:10] = 0
    config = deepcompress.Config(by_kind={"fc": {"bits": 3, "gap_bits": 3}})
    tensors = {"w": w, "b": np.ones(3, np.float32)}
    return deepcompress.compress(tensors, config, metadata={"network": "digits"}).to_bytes()


def arguments_for(command: str, file: Path) -> list[object]:
    return [command, file, *(["-o", file.with_suffix(".npz")] if command == "decompress" else [])]


def test_inspect(file: Path, model: deepcompress.CompressedModel) -> None:
    status, text, error = call("inspect", file)
    assert (status, error) == (0, "")
    assert text.startswith(f"{file}: format version 1, {file.stat().st_size:,} bytes, ")
    cells = next(line.split() for line in text.splitlines() if line.startswith("ip1.weight "))
    assert cells[:6] == ["ip1.weight", "500x64", "float32", "relative", "10.0", "16"]
    assert "huffman/huffman" in cells
    assert "P+Q+H" in text
    assert "codebooks" in text
    status, text, error = call("inspect", file, "--json")
    values = json.loads(text)
    assert (status, error, values["network"]) == (0, "", "digits")
    assert sum(row["bytes"] for row in values["ledger"]) == file.stat().st_size
    assert set(values["ledger"][0]) == {"tensor", "part", "bytes"}
    assert sum(values["parts"].values()) == values["stages"]["P+Q+H"] == file.stat().st_size
    sizes = [array.size for array in model.to_dense().values()]
    assert values["reference_bytes"] == 4 * sum(sizes)
    rows = {row["name"]: row for row in values["tensors"]}
    for name in ("ip1.weight", "ip3.weight"):
        row, weight, coding = rows[name], model[name], model.storage[name]
        assert row["K"] == len(weight.codebook)
        assert (row["label_bits"], row["gap_bits"]) == (weight.label_bits, coding.gap_bits)
        positions, _ = weight.survivors()
        survivors = len(positions)
        assert row["fillers"] == relindex.filler_count(positions, coding.gap_bits)
        assert row["entries"] == survivors + row["fillers"]
        assert row["kept_percent"] == pytest.approx(100 * survivors / weight.size)
    assert rows["ip3.weight"]["fillers"] > 0
    assert (rows["ip1.bias"]["encoding"], rows["ip1.bias"]["K"]) == ("raw", None)
    assert rows["ip1.bias"].keys() == rows["ip1.weight"].keys()


def test_inspect_escapes_names(tmp_path: Path) -> None:
    deepcompress.compress({"a\x1b[2J\n": [1.0]}, metadata={"x": "\x1b"}).save(tmp_path / "f")
    status, text, _ = call("inspect", tmp_path / "f")
    assert status == 0
    assert "\x1b" not in text
    assert r"a\x1b[2J\n" in text


def test_verify(file: Path) -> None:
    status, text, error = call("verify", file)
    assert (status, error) == (0, "")
    assert text.startswith(f"ok: {file}, ")
    assert "same bytes" in text
    values = json.loads(call("verify", file, "--json")[1])
    assert values["ok"] is True
    assert values["file_bytes"] == file.stat().st_size


def test_verify_finds_what_we_would_not_write(file: Path, monkeypatch) -> None:
    monkeypatch.setattr(deepcompress.CompressedModel, "to_bytes", lambda model: b"")
    assert "gives other bytes" in fails(1, "verify", file)


def test_evaluate(file: Path, model: deepcompress.CompressedModel) -> None:
    status, text, error = call("evaluate", file)
    assert (status, error) == (0, "")
    assert "of 360 test images" in text
    values = json.loads(call("evaluate", file, "--json")[1])
    data = datasets.load_digits()
    columns = data.test_images.reshape(360, 64).T
    for name in ("ip1", "ip2", "ip3"):
        dense = model.to_dense()
        columns = dense[f"{name}.weight"] @ columns + dense[f"{name}.bias"][:, None]
        columns = np.maximum(columns, 0) if name != "ip3" else columns
    expected = 100 * np.mean(columns.argmax(axis=0) != data.test_labels)
    assert values["error_percent"] == pytest.approx(expected, abs=0.01)
    assert (values["images"], values["backend"]) == (360, native.backend())


def test_evaluate_on_mnist(tmp_path: Path, mnist_folder: Path) -> None:
    params = zoo.build("lenet-300-100").init(np.random.default_rng(0))
    deepcompress.compress(params, metadata={"network": "lenet-300-100"}).save(tmp_path / "f")
    status, text, _ = call("evaluate", tmp_path / "f", "--data", mnist_folder)
    assert status == 0
    assert "of 10,000 test images" in text
    assert "MNIST is missing" in fails(2, "evaluate", tmp_path / "f", "--data", tmp_path)


@pytest.mark.parametrize(
    ("metadata", "change", "reason"),
    [
        ({}, {}, "names no network"),
        ({"network": 5}, {}, "names no network"),
        ({"network": "vgg"}, {}, "'vgg'"),
        ({"network": "digits"}, {"ip2.weight": np.ones((2, 2))}, "'ip2.weight' has shape"),
        ({"network": "digits"}, {"ip4.bias": np.ones(2)}, "'ip4.bias'"),
        ({"network": "digits"}, {"ip3.bias": np.ones(10, complex)}, "'ip3.bias' is of complex"),
    ],
)
def test_no_network_to_evaluate(tmp_path: Path, metadata, change, reason) -> None:
    params = zoo.build("digits").init(np.random.default_rng(0)) | change
    config = deepcompress.Config(deepcompress.TensorConfig(method="raw"))
    deepcompress.compress(params, config, metadata=metadata).save(tmp_path / "f")
    error = fails(2, "evaluate", tmp_path / "f")
    assert str(tmp_path / "f") in error
    assert reason in error


def test_biases_may_be_compressed(tmp_path: Path) -> None:
    params = zoo.build("digits").init(np.random.default_rng(0))
    config = deepcompress.Config(by_kind={"bias": {"method": "shared", "min_size": 0}})
    deepcompress.compress(params, config, metadata={"network": "digits"}).save(tmp_path / "f")
    assert call("evaluate", tmp_path / "f")[0] == 0


def test_decompress(file: Path, model: deepcompress.CompressedModel) -> None:
    out = file.with_suffix(".npz")
    status, text, error = call("decompress", file, "-o", out)
    assert (status, error) == (0, "")
    assert text.startswith(f"{out}: ")
    with np.load(out, allow_pickle=False) as arrays:
        assert list(arrays) == list(model)
        for name, array in model.to_dense().items():
            np.testing.assert_array_equal(arrays[name], array, strict=True)
    before = out.read_bytes()
    values = json.loads(call("decompress", file, "--out", out, "--json")[1])
    assert out.read_bytes() == before
    assert values["out_bytes"] == len(before)


def test_decompress_keeps_its_input(file: Path) -> None:
    before = file.read_bytes()
    link = file.with_name("link.npz")
    link.symlink_to(file)
    for out in (file, link):
        assert "choose another" in fails(2, "decompress", file, "-o", out)
    fails(2, "decompress", file, "-o", file.parent)
    fails(2, "decompress", file, "-o", file.parent / "absent" / "x.npz")
    assert file.read_bytes() == before
    assert len(list(file.parent.iterdir())) == 2


def test_too_large_to_be_dense(tmp_path: Path) -> None:
    weights = tensors.SharedWeights(np.zeros(1, np.float32), np.zeros(0, np.uint8), 1)
    gaps = relindex.encode([], 1 << 62, 1)
    tensor = deepcompress.CompressedTensor.from_parts((1 << 31, 1 << 31), weights, gaps)
    deepcompress.CompressedModel({"w": tensor}).save(tmp_path / "f")
    assert "npz" in fails(2, "decompress", tmp_path / "f", "-o", tmp_path / "out.npz")


@pytest.mark.parametrize("command", ON_FILES)
def test_damaged_files(tmp_path: Path, small_file: bytes, command: str, monkeypatch) -> None:
    # To build the parser takes longer than all that it is built for.
    parser = cli._parser()
    monkeypatch.setattr(cli, "_parser", lambda: parser)
    path = tmp_path / "damaged.dcnn"
    damaged = [small_file[:cut] for cut in range(len(small_file))] + [small_file + b"\0"]
    for position in range(len(small_file)):
        changed = bytearray(small_file)
        changed[position] ^= 1 << position % 8
        damaged.append(bytes(changed))
    for content in damaged:
        path.write_bytes(content)
        status, text, error = call(*arguments_for(command, path))
        assert (status, text) == (1, "")
        assert error.startswith(f"deepcompress: error: {path}: ")
        assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("command", ON_FILES)
def test_unfit_files(tmp_path: Path, small_file: bytes, command: str) -> None:
    path = tmp_path / "unfit.dcnn"
    newer = MAGIC + bytes([VERSION + 1]) + small_file[len(MAGIC) + 1 :]
    for content, reason in (
        (b"PK" + small_file[2:], "not a .dcnn file"),
        (newer, "format version 5 is newer than 4"),
        (small_file[:50], "header at offset 13 needs"),
        (small_file[:-5], "5 of "),
    ):
        path.write_bytes(content)
        assert reason in fails(1, *arguments_for(command, path))
    label_3 = Block(4, b"\x0f", b"")
    codebook = np.array([0, 1, 2], np.float32)
    record = SharedRecord((2, 2), codebook, Coding(DENSE), b"", b"", (label_3,))
    path.write_bytes(pack({"w": record}))  # checksums are right, what they cover is not
    error = fails(1, *arguments_for(command, path))
    assert error.startswith(f"{path}: tensor 'w': ")
    assert "no centroid" in error
    assert "No such file" in fails(2, *arguments_for(command, tmp_path / "absent"))
    assert "directory" in fails(2, *arguments_for(command, tmp_path))
