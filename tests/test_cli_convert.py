"""The command ``convert``: .net files to .dcnn and back, the authors' own too."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails
from support.net_files import SMALL, Contents, assert_decodes, decode, layers_of, net_bytes

import deepcompress as dc
from deepcompress import pipeline, relindex
from deepcompress.container.records import CODERS
from deepcompress.formats import net
from deepcompress.formats.layers import WeightLayer


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Give a .net file and its layers."""
    source, layers = tmp_path / "in.net", tmp_path / "layers.json"
    source.write_bytes(net_bytes(SMALL))
    conv = {"type": "Convolution", "in_channels": 1, "out_channels": 2, "kernel": 3}
    dense = {"type": "InnerProduct", "in_channels": 9, "out_channels": 2}
    relu = {"name": "relu", "type": "ReLU"}
    entries = [conv | {"name": "fire0/conv"}, relu, dense | {"name": "fire1/conv"}]
    layers.write_text(json.dumps(entries))
    return source, layers


def test_convert_there_and_back(tmp_path: Path, files: tuple[Path, Path]) -> None:
    source, layers = files
    packed, back, dense = (tmp_path / name for name in ("out.dcnn", "back.NET", "out.npz"))
    status, text, error = call("convert", source, "--layers", layers, "-o", packed)
    assert (status, error) == (0, "")
    sizes = [file.stat().st_size for file in (packed, source)]
    assert text.startswith(f"{packed}: {sizes[0]:,} bytes, {source} has {sizes[1]:,} ")
    assert text.endswith("tensors: 4\n")
    status, text, error = call("convert", packed, "-o", back, "--json")
    assert (status, error) == (0, "")
    assert json.loads(text) == {
        "file": str(packed),
        "file_bytes": sizes[0],
        "out": str(back),
        "out_bytes": sizes[1],
        "ratio": sizes[0] / sizes[1],
        "tensors": list(net.read(net_bytes(SMALL), layers_of(SMALL))),
    }
    assert back.read_bytes() == source.read_bytes()
    assert call("verify", packed)[0] == 0
    assert call("decompress", packed, "-o", dense)[0] == 0
    with np.load(dense, allow_pickle=False) as arrays:
        expected = decode(net_bytes(SMALL), [one.shape for one in SMALL])
        for array, wanted in zip(arrays.values(), expected, strict=True):
            np.testing.assert_array_equal(array, wanted, strict=True)


@pytest.mark.parametrize("coder", CODERS)
def test_convert_with_another_coder(tmp_path: Path, coder: str) -> None:
    source, layers, packed, back = (
        tmp_path / name for name in ("in.net", "layers.json", "out.dcnn", "back.net")
    )
    labels = [2 if index % 20 == 0 else 1 for index in range(2000)]  # one in each place
    one = Contents((20, 100), [0.0, *map(float, range(1, 16))], [1.0] * 20, labels, [0] * 2000)
    source.write_bytes(net_bytes([one]))
    layer = {"name": "fire0/conv", "type": "InnerProduct", "in_channels": 100, "out_channels": 20}
    layers.write_text(json.dumps([layer]))
    arguments = ("convert", source, "--layers", layers, "--coder", coder, "-o", packed)
    assert call(*arguments)[0] == 0
    assert {how.label_coder for how in dc.load(packed).storage.values()} == {CODERS.index(coder)}
    assert call("convert", packed, "-o", back)[0] == 0
    assert back.read_bytes() == source.read_bytes()
    error = fails(2, "convert", packed, "--coder", coder, "-o", back)
    assert error.startswith("--coder is for writing a .dcnn file")


def test_convert_used_wrongly(tmp_path: Path, files: tuple[Path, Path]) -> None:
    source, layers = files
    packed, link = tmp_path / "out.dcnn", tmp_path / "link.dcnn"
    link.symlink_to(source)
    before = source.read_bytes()
    with_layers = ("--layers", layers)
    assert "--layers" in fails(2, "convert", source, "-o", packed)
    assert "suffix" in fails(2, "convert", source, *with_layers, "-o", tmp_path / "out")
    assert "choose another" in fails(2, "convert", source, *with_layers, "-o", link)
    assert "choose another" in fails(2, "convert", source, *with_layers, "-o", source)
    absent = tmp_path / "absent.json"
    assert str(absent) in fails(2, "convert", source, "--layers", absent, "-o", packed)
    assert str(absent) in fails(2, "convert", absent, *with_layers, "-o", packed)
    assert not packed.exists()
    assert call("convert", source, *with_layers, "-o", packed)[0] == 0
    out = tmp_path / "out.net"
    assert "--layers" in fails(2, "convert", packed, *with_layers, "-o", out)
    assert "already" in fails(2, "convert", packed, *with_layers, "-o", tmp_path / "x.dcnn")
    again = ("convert", packed, "--coder", "fixed", "-o", tmp_path / "x.dcnn")
    assert "--layers is for reading a .net" in fails(2, *again, *with_layers)
    dc.compress({"w": np.ones(1, np.float32)}).save(packed)
    assert f"{packed}: " in (error := fails(2, "convert", packed, "-o", out))
    assert "tensor 'w'" in error
    assert source.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == sorted([source, layers, packed, link])


def test_convert_invalid_files(tmp_path: Path, files: tuple[Path, Path]) -> None:
    source, layers = files
    packed, out = tmp_path / "out.dcnn", tmp_path / "out.net"
    call("convert", source, "--layers", layers, "-o", packed)
    packed.write_bytes(packed.read_bytes()[:-1])
    assert f"{packed}: " in fails(1, "convert", packed, "-o", out)
    assert "not a .dcnn file" in fails(1, "convert", source, "-o", out)
    source.write_bytes(source.read_bytes()[:-1])
    before = packed.read_bytes()
    arguments = ("convert", source, "--layers", layers, "-o", packed)
    assert f"{source}: 1 bytes are missing" in fails(1, *arguments)
    layers.write_text("[{}]")
    assert f"{layers}: entry 0" in fails(1, *arguments)
    assert packed.read_bytes() == before
    assert not out.exists()


@pytest.mark.slow
def test_the_authors_squeezenet(tmp_path: Path, squeezenet_folder: Path) -> None:
    source, listed = (
        squeezenet_folder / name for name in ("compressed_SqueezeNet.net", "layers.json")
    )
    data = source.read_bytes()
    layers = [
        WeightLayer(
            one["name"], (one["out_channels"], one["in_channels"], one["kernel"], one["kernel"])
        )
        for one in json.loads(listed.read_bytes())
        if one["type"] == "Convolution"
    ]
    model = net.read(source, layers)
    weights = [tensor for tensor in model.values() if isinstance(tensor, dc.CompressedTensor)]
    assert len(weights) == 26
    assert sum(one.size for one in weights) == 1_244_448
    assert sum(one.count for one in weights) == 422_083
    assert_decodes(model, data, layers)
    again = pipeline.from_bytes(model.to_bytes())
    assert_decodes(again, data, layers)
    assert net.write(model) == net.write(again) == data
    for one in weights:  # so it comes back even if only the survivors' positions were kept
        gaps = relindex.encode(one.positions()[one.labels() != 0], one.size, 4)
        assert gaps.gaps.tobytes() == one.gaps().tobytes()
    packed, back = tmp_path / "out.dcnn", tmp_path / "back.net"
    assert call("convert", source, "--layers", listed, "-o", packed)[0] == 0
    mean = [104, 117, 123]
    metadata = {
        "network": "squeezenet",
        "preprocessing": {
            "size": [227, 227],
            "channels": "BGR",
            "mean": mean,
            "scale": 1.0,
            "resize": [256, 256],
        },
    }
    assert packed.read_bytes() == replace(model, metadata=metadata).to_bytes()
    assert packed.stat().st_size <= 559_000
    assert call("convert", packed, "-o", back)[0] == 0
    assert back.read_bytes() == data
    arguments = ("convert", source, "--layers", listed, "--coder", "rans", "-o", packed)
    assert call(*arguments)[0] == 0
    assert packed.stat().st_size <= 544_000
    assert dc.load(packed).metadata == metadata
