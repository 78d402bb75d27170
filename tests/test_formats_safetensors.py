"""Safetensors files as they are written; `test_formats_registry` reads them."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails

import deepcompress as dc
from deepcompress import dtypes
from deepcompress.errors import ArgumentError, FormatError, OutputError
from deepcompress.formats import safetensors
from deepcompress.formats.safetensors import DTYPES, SafetensorsFile


def test_the_bytes_of_a_file(tmp_path: Path) -> None:
    arrays = {"b": np.array([[1, 2]], ">u2"), "é": np.array(True), "none": np.zeros((0, 3), "f4")}
    size = safetensors.write(tmp_path / "x.safetensors", arrays.items())
    header = (
        '{"b":{"dtype":"U16","shape":[1,2],"data_offsets":[0,4]},'
        '"é":{"dtype":"BOOL","shape":[],"data_offsets":[4,5]},'
        '"none":{"dtype":"F32","shape":[0,3],"data_offsets":[5,5]}}'
    ).encode()
    header += b" " * (-len(header) % 8)
    expected = struct.pack("<Q", len(header)) + header + b"\1\0\2\0\1"
    assert (tmp_path / "x.safetensors").read_bytes() == expected
    assert size == len(expected)


@pytest.mark.parametrize("shape", [(), (0,), (3, 5)])
@pytest.mark.parametrize("code", DTYPES)
def test_every_dtype_comes_back_bit_for_bit(tmp_path: Path, code: str, shape: tuple) -> None:
    kind = DTYPES[code]
    raw = np.random.default_rng(0).integers(
        0, 2 if code == "BOOL" else 256, (*shape, kind.itemsize)
    )
    array = raw.astype(np.uint8).view(kind.numpy()).reshape(shape)
    path = tmp_path / "x.safetensors"
    safetensors.write(path, [("w", array), ("v", array)])
    file = SafetensorsFile(path)
    assert list(file) == ["w", "v"]
    for name in file:
        assert file[name].dtype == array.dtype
        assert file[name].shape == shape
        assert file[name].tobytes() == array.tobytes()


@pytest.mark.parametrize("dtype", ["complex128", "U3", "O"])
def test_what_the_format_has_not_is_named_and_nothing_written(tmp_path: Path, dtype: str) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(ArgumentError, match="'w': a safetensors file has no dtype"):
        safetensors.write(path, [("v", np.zeros(3)), ("w", np.zeros(3, dtype))])
    for name in ("__metadata__", "\ud800"):
        with pytest.raises(ArgumentError, match="name"):
            safetensors.write(path, [(name, np.zeros(3))])
    with pytest.raises(OutputError, match="absent"):
        safetensors.write(tmp_path / "absent" / "x.safetensors", [("w", np.zeros(3))])
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(OutputError) as raised:
        safetensors.write(tmp_path / "folder.safetensors", [("w", np.zeros(3))])
    assert str(raised.value).count("can't write") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["folder.safetensors"]


def test_a_16_bit_checkpoint_and_back_from_the_command_line(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    bfloat16 = dtypes.ElementType("bfloat16").numpy()
    arrays = {"w": rng.normal(size=(40, 50)).astype(bfloat16), "norm": np.ones(9, bfloat16)}
    paths = [tmp_path / name for name in ("in.safetensors", "x.dcnn", "out.safetensors")]
    safetensors.write(paths[0], arrays.items())
    assert call("compress", paths[0], "-o", paths[1])[0] == 0
    assert call("decompress", paths[1], "-o", paths[2])[0] == 0
    back, model = SafetensorsFile(paths[2]), dc.load(paths[1])
    assert list(back) == list(arrays)
    for name in arrays:
        assert back[name].dtype == bfloat16
        assert back[name].tobytes() == np.asarray(model[name]).tobytes()
    assert back["norm"].tobytes() == arrays["norm"].tobytes()


@pytest.mark.parametrize("name", ["out", "out.txt", "out.dcnn", "out.gz"])
def test_a_suffix_that_decides_nothing_is_refused_before_the_file_is_read(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "x.dcnn").write_bytes(b"nothing that could be read")
    message = fails(2, "decompress", tmp_path / "x.dcnn", "-o", tmp_path / name)
    assert f"{name}: the suffix must be .npz or .safetensors" in message


def test_metadata_goes_through_a_dcnn_file(tmp_path):
    names = ("a.safetensors", "b.dcnn", "c.safetensors")
    given, packed, back = (str(tmp_path / name) for name in names)
    origin = {"metadata": {"format": "pt", "step": "3"}}
    safetensors.write(given, [("w", np.eye(3, dtype=np.float32))], origin)
    call("compress", given, "-o", packed)
    call("decompress", packed, "-o", back)
    assert SafetensorsFile(back).metadata == {"origin": {"format": ".safetensors", **origin}}


@pytest.mark.parametrize("metadata", [[], {"a": 1}, None])
def test_metadata_other_than_texts_is_refused(tmp_path, metadata):
    header = json.dumps({"__metadata__": metadata}).encode()
    (tmp_path / "x.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(FormatError, match="__metadata__ isn't a mapping of texts"):
        SafetensorsFile(tmp_path / "x.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("name", ["squeezenet-1.1", "alexnet-convolutions", "vgg16-convolutions"])
def test_real_weights_come_back_bit_for_bit(
    tmp_path: Path, real_weights_folder: Path, name: str, dtype: str
) -> None:
    given, packed, out = (tmp_path / name for name in ("a.safetensors", "b.dcnn", "c.safetensors"))
    source = SafetensorsFile(real_weights_folder / f"{name}.safetensors")
    kind = dtypes.ElementType(dtype).numpy()
    arrays = {tensor: array.astype(kind) for tensor, array in source.items()}
    safetensors.write(given, arrays.items(), {"metadata": source.texts})
    (tmp_path / "raw.json").write_text('{"default": {"method": "raw"}}')
    assert call("compress", given, "-o", packed, "--config", tmp_path / "raw.json")[0] == 0
    assert packed.stat().st_size < given.stat().st_size
    assert call("decompress", packed, "-o", out)[0] == 0
    assert out.read_bytes() == given.read_bytes()
    back = SafetensorsFile(out)
    assert list(back) == list(source)
    for tensor, array in arrays.items():
        assert (back[tensor].dtype, back.shapes[tensor]) == (kind, array.shape)
