"""The authors' .net files: what they define is read, their bytes come back, nothing else passes."""

import re
import struct
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from support.net_files import (
    CONV,
    DENSE,
    SMALL,
    Contents,
    assert_decodes,
    contents,
    layers_of,
    net_bytes,
)

import deepcompress as dc
from deepcompress import pipeline, relindex
from deepcompress.formats import net
from deepcompress.formats.layers import WeightLayer
from deepcompress.tensors import SharedWeights

fewer = settings(max_examples=50, suppress_health_check=[HealthCheck.too_slow])


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
        n: np.float32(a).tobytes() for n, a in model.to_dense().items()
    }
    codebook = read_back["conv1.weight"].codebook
    assert (len(codebook), codebook[len(model["conv1.weight"].codebook) :].any()) == (256, False)


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
