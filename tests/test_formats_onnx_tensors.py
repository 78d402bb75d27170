"""The elements of ONNX's tensors, wherever a model has them."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="the extra onnx isn't installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from support.onnx_models import of_initializers, save, with_external  # noqa: E402

from deepcompress.errors import DataError, FormatError  # noqa: E402
from deepcompress.formats.onnx import OnnxFile, write  # noqa: E402
from deepcompress.formats.onnx_tensors import DTYPES, NUMBERS  # noqa: E402

W = np.random.default_rng(0).normal(size=(4, 30)).astype(np.float32)


def drawn(name: str, size: int = 120) -> np.ndarray:
    """Return elements of a dtype of any bits but those of NaN, which a typed field may change."""
    kind = DTYPES[NUMBERS[name]]
    raw = np.random.default_rng(1).integers(0, 2 if name == "bool" else 120, (size, kind.itemsize))
    return raw.astype(np.uint8).view(kind.numpy()).reshape(4, -1)


def test_numbers_are_those_of_the_package() -> None:
    theirs = {
        name.replace("FLOAT8", "FLOAT8_"): number for name, number in TensorProto.DataType.items()
    }
    ours = {"float32": "FLOAT", "float64": "DOUBLE"}
    for name, number in NUMBERS.items():
        assert theirs[ours.get(name, name.upper())] == number


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("place", ["raw", "field", "external"])
def test_every_dtype(tmp_path: Path, name: str, place: str) -> None:
    array = drawn(name)
    tensor = numpy_helper.from_array(array, "w")
    if place == "field":
        numbers = array.reshape(-1)
        if name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2"):
            numbers = numbers.view(f"u{array.dtype.itemsize}")
            typed = onnx.TensorProto(name="w", data_type=NUMBERS[name], dims=array.shape)
            typed.int32_data.extend(numbers.tolist())
            tensor = typed
        else:
            tensor = helper.make_tensor("w", NUMBERS[name], array.shape, numbers.tolist())
        assert not tensor.raw_data
    elif place == "external":
        (tmp_path / "data").write_bytes(b"before" + array.tobytes())
        tensor = with_external(tensor, "data", offset=6)
    source = OnnxFile(save(tmp_path / "a.onnx", of_initializers(tensor)))
    assert (source["w"].dtype, source["w"].shape) == (array.dtype, array.shape)
    assert source["w"].tobytes() == array.tobytes()
    write(tmp_path / "b.onnx", source.items(), source.metadata["origin"])
    (back,) = onnx.load(tmp_path / "b.onnx").graph.initializer
    assert (back.data_type, back.raw_data) == (NUMBERS[name], array.tobytes())


@pytest.mark.parametrize("is_external", [False, True])
def test_what_a_dcnn_file_hasnt_stays_in_the_graph(tmp_path: Path, is_external: bool) -> None:
    four_bits = helper.make_tensor("q", TensorProto.INT4, [64, 3], bytes(96), raw=True)
    text = helper.make_tensor("s", TensorProto.STRING, [1], [b"text"])
    few = numpy_helper.from_array(np.arange(3), "few")
    if is_external:
        (tmp_path / "data").write_bytes(four_bits.raw_data + few.raw_data)
        four_bits = with_external(four_bits, "data", length=96)
        few = with_external(few, "data", offset=96, length=24)
    source = OnnxFile(save(tmp_path / "a.onnx", of_initializers(four_bits, text, few)))
    assert list(source) == []
    write(tmp_path / "b.onnx", [], source.metadata["origin"])
    back = onnx.load(tmp_path / "b.onnx", load_external_data=False).graph.initializer
    assert [one.raw_data for one in back] == [bytes(96), b"", np.arange(3).tobytes()]
    assert back[1].string_data == [b"text"]


def in_field(data_type: int, field: str, values: list[float], dims: list[int]) -> Any:
    tensor = onnx.TensorProto(name="w", data_type=data_type, dims=dims)
    getattr(tensor, field).extend(values)
    return tensor


def with_both() -> Any:
    tensor = numpy_helper.from_array(W, "w")
    tensor.float_data.append(1)
    return tensor


def raw(data: bytes, dims: list[int], data_type: int = TensorProto.FLOAT) -> Any:
    return onnx.TensorProto(name="w", data_type=data_type, dims=dims, raw_data=data)


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (raw(bytes(7), [2]), "7 bytes for 2 elements of float32"),
        (raw(bytes(8), [-2]), r"no array has the shape \[-2\]"),
        (raw(bytes(4), [1] * 40), "no array has the shape"),
        (raw(b"", [1 << 40, 1 << 40]), "no array has the shape"),
        (raw(b"", [1 << 40, 1 << 40, 0]), "no array has the shape"),
        (with_both(), "480 bytes for 120 elements"),
        (in_field(1, "float_data", [1, 2], [3]), "2 numbers for 3 elements"),
        (in_field(1, "double_data", [1, 2, 3], [3]), "0 numbers for 3 elements"),
        (in_field(14, "float_data", [1, 2, 3], [3]), "3 numbers for 3 elements of complex64"),
        (in_field(3, "int32_data", [200] * 64, [64]), "a number in int32_data that int8 hasn't"),
        (in_field(9, "int32_data", [2] * 64, [64]), "a number in int32_data that bool hasn't"),
        (in_field(10, "int32_data", [-1], [1]), "a number in int32_data that float16 hasn't"),
        (in_field(12, "uint64_data", [1 << 32] * 64, [64]), "in uint64_data that uint32 hasn't"),
    ],
)
def test_tensors_that_cant_be(tmp_path: Path, tensor: Any, words: str) -> None:
    with pytest.raises(FormatError, match=f"a.onnx: tensor 'w': .*{words}"):
        OnnxFile(save(tmp_path / "a.onnx", of_initializers(tensor)))


def test_a_bool_that_is_neither(tmp_path: Path) -> None:
    made = of_initializers(raw(b"\2" * 64, [64], TensorProto.BOOL))
    with pytest.raises(FormatError, match="tensor 'w': a bool is neither 0 nor 1"):
        OnnxFile(save(tmp_path / "a.onnx", made))["w"]


OUTSIDE = "its data lie outside of the model's folder"


@pytest.mark.parametrize(
    ("location", "entries", "words"),
    [
        ("", {}, OUTSIDE),
        ("/etc/passwd", {}, OUTSIDE),
        ("../data", {}, OUTSIDE),
        ("below/../data", {}, OUTSIDE),
        ("link", {}, OUTSIDE),
        ("folder-link/data", {}, OUTSIDE),
        ("circle", {}, OUTSIDE),
        ("a\0b", {}, OUTSIDE),
        ("absent", {}, "absent: No such file"),
        ("below", {"length": 480}, "its data end at 480"),
        ("pipe", {}, "its data end at 480"),
        ("data", {"offset": 1}, "its data end at 481, and .*data has 480 bytes"),
        ("data", {"offset": 1 << 62}, "its data end at"),
        ("data", {"offset": -1}, "its data have the offset '-1'"),
        ("data", {"offset": "٣"}, "its data have the offset"),
        ("data", {"length": "many"}, "its data have the length 'many'"),
        ("data", {"length": 481}, "481 bytes of data, and it needs 480"),
    ],
)
def test_external_data_that_arent_there(
    tmp_path: Path, location: str, entries: dict[str, Any], words: str
) -> None:
    folder = tmp_path / "in"
    (folder / "below").mkdir(parents=True)
    for path in (tmp_path / "data", folder / "data"):
        path.write_bytes(W.tobytes())
    (folder / "link").symlink_to("../data")
    (folder / "folder-link").symlink_to("..")
    (folder / "circle").symlink_to("circle")
    os.mkfifo(folder / "pipe")
    tensor = with_external(numpy_helper.from_array(W, "w"), location, **entries)
    with pytest.raises((FormatError, DataError), match=f"a.onnx: tensor 'w': .*{words}"):
        OnnxFile(save(folder / "a.onnx", of_initializers(tensor)))


def test_links_within_the_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(W.tobytes())
    (tmp_path / "link").symlink_to("data")
    tensor = with_external(numpy_helper.from_array(W, "w"), "link", length=480)
    source = OnnxFile(save(tmp_path / "a.onnx", of_initializers(tensor)))
    np.testing.assert_array_equal(source["w"], W)
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(FormatError, match="was cut short since it was opened"):
        source["w"]


def test_data_without_a_length_of_a_dtype_without_a_size(tmp_path: Path) -> None:
    tensor = with_external(helper.make_tensor("q", TensorProto.INT4, [2], b"\0", raw=True), "data")
    (tmp_path / "data").write_bytes(b"\0")
    with pytest.raises(FormatError, match="tensor 'q': its data don't tell their length"):
        OnnxFile(save(tmp_path / "a.onnx", of_initializers(tensor)))
