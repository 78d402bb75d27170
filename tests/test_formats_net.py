"""The authors' .net files: what they define is read, their bytes come back, nothing else passes."""

import json
import re
import struct
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import hypothesis.strategies as st
import numpy as np
import pytest
from command import call, fails
from hypothesis import HealthCheck, given, settings

import deepcompress as dc
from deepcompress import pipeline, relindex
from deepcompress.container import CODERS
from deepcompress.formats import net
from deepcompress.formats.layers import WeightLayer
from deepcompress.tensors import SharedWeights

fewer = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


class Contents(NamedTuple):
    """What a file holds of a layer, as plain lists."""

    shape: tuple[int, ...]
    codebook: list[float]
    bias: list[float]
    labels: list[int]
    gaps: list[int]


def layers_of(contents: list[Contents]) -> list[WeightLayer]:
    return [WeightLayer(f"fire{i}/conv", one.shape) for i, one in enumerate(contents)]


def nibbles(values: list[int]) -> bytes:
    low, high = values[::2], [*values[1::2], 0]
    return bytes(a | b << 4 for a, b in zip(low, high, strict=False))


def net_bytes(contents: list[Contents]) -> bytes:
    """Write a .net file, independently of the package."""
    data = b"".join(struct.pack("<I", len(one.gaps)) for one in contents)
    for one in contents:
        data += struct.pack(f"<{len(one.codebook)}f", *one.codebook)
        data += struct.pack(f"<{len(one.bias)}f", *one.bias)
        data += bytes(one.labels) if len(one.shape) == 4 else nibbles(one.labels)
        data += nibbles(one.gaps)
    return data


def decode(data: bytes, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """Read a .net file into dense weights and biases, independently of the package."""

    def take(dtype: str, count: int) -> np.ndarray:
        nonlocal data
        size = count * np.dtype(dtype).itemsize
        part, data = data[:size], data[size:]
        return np.frombuffer(part, dtype)

    def halves(count: int) -> np.ndarray:
        both = take("u1", (count + 1) // 2)
        return np.stack([both % 16, both // 16], axis=1).ravel()[:count]

    dense = []
    for shape, count in zip(shapes, take("<u4", len(shapes)).tolist(), strict=True):
        is_conv = len(shape) == 4
        codebook, bias = take("<f4", 256 if is_conv else 16), take("<f4", shape[0])
        labels = take("u1", count) if is_conv else halves(count)
        weights = np.zeros(int(np.prod(shape)), np.float32)
        weights[np.cumsum(halves(count).astype(int) + 1) - 1] = codebook[labels]
        dense += [weights.reshape(shape), bias.astype(np.float32)]
    assert data == b""
    return dense


def assert_decodes(model: dc.CompressedModel, data: bytes, layers: list[WeightLayer]) -> None:
    names = [layer.name + kind for layer in layers for kind in (".weight", ".bias")]
    assert list(model) == names
    expected = decode(data, [layer.shape for layer in layers])
    for array, wanted in zip(model.to_dense().values(), expected, strict=True):
        assert (array.dtype, array.shape) == (np.float32, wanted.shape)
        assert array.tobytes() == wanted.tobytes()


floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


@st.composite
def contents(draw, canonical: bool):
    """Layers of either kind; fillers where they must be, or entries of any gap and label."""
    drawn = []
    for _ in range(draw(st.integers(1, 3))):
        small = st.integers(1, 5)
        out, into, kernel = draw(small), draw(small), draw(small)
        shape = (out, into, kernel, kernel) if draw(st.booleans()) else (out, into * 12)
        size, most = int(np.prod(shape)), 256 if len(shape) == 4 else 16
        rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        some = draw(st.lists(floats, min_size=5, max_size=5))
        codebook = [0.0, *rng.choice(np.array(some, np.float32), most - 1).tolist()]
        bias = draw(st.lists(floats, min_size=out, max_size=out))
        labels, gaps = [], []
        if canonical:
            density = draw(st.sampled_from([0, 0.02, 0.1, 1]))
            last = -1
            for position in np.flatnonzero(rng.random(size) < density).tolist():
                run, last = position - last - 1, position
                while run > 15:
                    labels.append(0)
                    gaps.append(15)
                    run -= 16
                labels.append(int(rng.integers(1, most)))
                gaps.append(run)
        else:
            left = size
            while left and len(gaps) < 40:
                gap = min(int(rng.integers(0, draw(st.sampled_from([1, 16])))), left - 1)
                labels.append(int(rng.integers(0, draw(st.sampled_from([1, most])))))
                gaps.append(gap)
                left -= gap + 1
        drawn.append(Contents(shape, codebook, bias, labels, gaps))
    return drawn


@fewer
@given(contents(canonical=False))
def test_any_file_is_read_and_written_again(contents: list[Contents]) -> None:
    data, layers = net_bytes(contents), layers_of(contents)
    model = net.read(data, layers)
    assert_decodes(model, data, layers)
    assert net.write(model) == data
    assert model.metadata == {}
    for layer, one in zip(layers, contents, strict=True):
        weights = model[f"{layer.name}.weight"]
        assert (weights.label_bits, weights.gap_bits) == (8 if len(one.shape) == 4 else 4, 4)
        assert weights.codebook.tolist() == one.codebook
        assert (weights.labels().tolist(), weights.gaps().tolist()) == (one.labels, one.gaps)


@fewer
@given(contents(canonical=True), st.sampled_from([1, 3, 5, 8]))
def test_bytes_come_back_from_dcnn_and_from_other_gaps(
    contents: list[Contents], gap_bits: int
) -> None:
    data, layers = net_bytes(contents), layers_of(contents)
    model = net.read(data, layers)
    again = pipeline.from_bytes(model.to_bytes())
    assert_decodes(again, data, layers)
    assert net.write(again) == data
    changed = dict(model.tensors)
    for name, tensor in model.items():
        if isinstance(tensor, dc.CompressedTensor):
            labels = tensor.labels()
            gaps = relindex.encode(tensor.positions()[labels != 0], tensor.size, gap_bits)
            shared = SharedWeights(tensor.codebook, labels[labels != 0], 8)  # wider at rank 2
            changed[name] = dc.CompressedTensor.from_parts(tensor.shape, shared, gaps)
    assert net.write(replace(model, tensors=changed)) == data


def test_a_compressed_model_can_be_written() -> None:
    rng = np.random.default_rng(0)
    shapes = {"conv1": (8, 3, 5, 3), "ip1": (10, 64)}
    tensors = {f"{name}.weight": rng.standard_normal(shape) for name, shape in shapes.items()}
    biases = {
        f"{name}.bias": np.float32(rng.random(len(tensors[f"{name}.weight"]))) for name in shapes
    }
    config = dc.Config(dc.TensorConfig(sparsity=0.9, bits=4))
    model = dc.compress(biases | tensors, config, metadata={"network": "x"})  # biases come first
    data = net.write(model)
    layers = [WeightLayer(name, shape) for name, shape in shapes.items()]
    read_back = net.read(data, layers)
    assert {n: a.tobytes() for n, a in read_back.to_dense().items()} == {
        n: a.tobytes() for n, a in model.to_dense().items()
    }
    codebook = read_back["conv1.weight"].codebook
    assert (len(codebook), codebook[len(model["conv1.weight"].codebook) :].any()) == (256, False)


CONV = Contents((2, 1, 3, 3), [0.0, *np.arange(1, 256) / 8], [1, -1], [9, 255, 8, 7], [0, 2, 5, 1])
DENSE = Contents((2, 9), [0.0, -1.5, 2, *[0.0] * 13], [3, 4], [1, 0, 2], [0, 15, 0])
SMALL = [CONV, DENSE]


def test_every_strict_prefix_is_refused() -> None:
    data, layers = net_bytes(SMALL), layers_of(SMALL)
    for length in range(len(data)):
        within = "counts of 2 layers" if length < 8 else "fire0" if length < 1046 else "fire1"
        missing = (8 if length < 8 else len(data)) - length
        with pytest.raises(dc.TruncatedError, match=f": {missing} bytes are missing.*{within}"):
            net.read(data[:length], layers)


@pytest.mark.parametrize("contents", [[DENSE, DENSE], SMALL], ids=["dense", "conv"])
def test_every_changed_byte_is_refused_or_read_as_it_is(contents: list[Contents]) -> None:
    data, layers = net_bytes(contents), layers_of(contents)
    values = range(0, 256, 5) if len(data) < 200 else (0x01, 0x7F, 0x80, 0xFF)
    accepted, refused = 0, []
    for position in range(len(data)):
        for value in values:
            changed = data[:position] + bytes([value]) + data[position + 1 :]
            try:
                model = net.read(changed, layers, "x.net")
            except dc.FormatError as error:
                refused.append(str(error))
                continue
            assert_decodes(model, changed, layers)
            assert net.write(model) == changed
            accepted += 1
    assert accepted > 100
    assert len(refused) > 50
    assert all(message.startswith("x.net: ") and "layer" in message for message in refused)


def changed(one: Contents, **fields) -> bytes:
    return net_bytes([CONV, one._replace(**fields)])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "8 bytes are missing: the counts of 2 layers need 8 bytes, only 0 are there"),
        (net_bytes(SMALL)[:1038], "84 bytes are missing: the biases of layer 'fire0/conv'"),
        (net_bytes(SMALL)[:1038], "at offset 1032 need 8, only 6 are left"),
        (net_bytes(SMALL)[:-1], "1 bytes are missing: the gaps of layer 'fire1/conv'"),
        (net_bytes(SMALL) + b"ab", "2 bytes after those of the last layer (offset 1122): "),
        (b"\xff" * 2000, "'fire0/conv' has 4294967295 stored entries for 18 weights (offset 0)"),
        (
            struct.pack("<II", 18, 19),
            "'fire1/conv' has 19 stored entries for 18 weights (offset 4)",
        ),
        (changed(DENSE, codebook=[-0.0] + [0.0] * 15), "(offset 1046): codebook[0] must be 0.0"),
        (changed(DENSE, codebook=[1.0] + [0.0] * 15), "codebook[0] must be 0.0, got 1.0"),
        (changed(DENSE, codebook=[0.0] * 15 + [np.inf]), "centroid 15 isn't finite"),
        (changed(DENSE, codebook=[0.0] * 8 + [np.nan] * 8), "centroid 8 isn't finite"),
        (changed(DENSE, gaps=[1, 15, 1]), "'fire1/conv' (offset 1046): an entry lies outside"),
        (net_bytes(SMALL)[:-1] + b"\x10", "padding bits of the last packed byte 0x10 aren't zero"),
        (net_bytes(SMALL)[:-3] + b"\x12" + net_bytes(SMALL)[-2:], "padding bits"),
    ],
)
def test_a_malformed_file_is_refused_by_name(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "some.net"
    path.write_bytes(data)
    with pytest.raises(dc.FormatError, match=re.escape(message)) as caught:
        net.read(path, layers_of(SMALL))
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize(
    "layers", [[], None, "ab", [WeightLayer("a", (1, 2)), "b"], 2 * [WeightLayer("a", (1, 2))]]
)
def test_unfit_layers_are_refused(layers) -> None:
    with pytest.raises(dc.ArgumentError, match="layers"):
        net.read(b"", layers)


def shared(shape: tuple[int, ...], bits: int = 4, gap_bits: int = 4) -> dc.CompressedTensor:
    weights = SharedWeights(np.arange(2**bits, dtype=np.float32), np.ones(1, np.uint8), bits)
    size = int(np.prod(shape))
    return dc.CompressedTensor.from_parts(
        shape, weights, relindex.encode([size - 1], size, gap_bits)
    )


ONE = np.ones(1, np.float32)
FAR = shared((1, 1 << 20), gap_bits=8)
MANY = shared((1, 1 << 20))


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "without layers"),
        ({"a": ONE}, "tensor 'a': a .net file holds layers"),
        ({"a": ONE, "a.weight": shared((1, 4)), "a.bias": ONE}, "tensor 'a': a .net file"),
        ({"a.bias": ONE}, "tensor 'a.bias': a .net file holds layers"),
        (
            {"a.weight": np.ones((1, 4), np.float32), "a.bias": ONE},
            "'a.weight': its weights aren't",
        ),
        ({"a.weight": shared((1, 4))}, "tensor 'a.bias': is missing"),
        ({"a.weight": shared((4,)), "a.bias": ONE}, "tensor 'a.weight': the shape (4,)"),
        ({"a.weight": shared((1, 4), 5), "a.bias": ONE}, "'a.weight': 32 centroids"),
        (
            {"a.weight": shared((1, 4)), "a.bias": np.ones(2, np.float32)},
            "not float32 of shape (2,)",
        ),
        ({"a.weight": shared((1, 4)), "a.bias": np.ones(1)}, "not float64 of shape (1,)"),
        ({"a.weight": shared((1, 4)), "a.bias": shared((1,))}, "tensor 'a.bias': biases must be"),
        ({"a.weight": MANY, "a.bias": ONE}, "'a.weight': 65536 stored entries"),
        ({"a.weight": FAR, "a.bias": ONE}, "'a.weight': 65536 stored entries, a .net file counts"),
    ],
)
def test_what_the_format_cannot_hold(tensors, message: str, monkeypatch) -> None:
    monkeypatch.setattr(net, "_MAX_COUNT", 65535)
    monkeypatch.setattr(relindex, "encode", None)  # too many entries are refused before they exist
    with pytest.raises(dc.ArgumentError, match=re.escape(message)):
        net.write(dc.CompressedModel(tensors))


def test_a_tensor_without_elements_cannot_be_written() -> None:
    nothing = SharedWeights(np.zeros(1, np.float32), np.zeros(0, np.uint8), 1)
    empty = dc.CompressedTensor.from_parts((0, 4), nothing, relindex.encode([], 0, 4))
    with pytest.raises(dc.ArgumentError, match=r"'a\.weight': the shape \(0, 4\)"):
        net.write(dc.CompressedModel({"a.weight": empty, "a.bias": ONE[:0]}))


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
    dc.compress({"w": ONE}).save(packed)
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
        "preprocessing": {"size": [227, 227], "channels": "BGR", "mean": mean, "scale": 1.0},
    }
    assert packed.read_bytes() == replace(model, metadata=metadata).to_bytes()
    assert packed.stat().st_size <= 559_000
    assert call("convert", packed, "-o", back)[0] == 0
    assert back.read_bytes() == data
    arguments = ("convert", source, "--layers", listed, "--coder", "rans", "-o", packed)
    assert call(*arguments)[0] == 0
    assert packed.stat().st_size <= 544_000
    assert dc.load(packed).metadata == metadata
