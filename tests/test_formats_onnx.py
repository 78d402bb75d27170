"""ONNX models: their weights go through a .dcnn file, and the graph is whole again."""

import base64
import json
import shutil
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import call, fails

onnx = pytest.importorskip("onnx", reason="the extra onnx isn't installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime isn't installed")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from support import onnx_models  # noqa: E402
from support.onnx_models import FC, TABLE, B, W, model, of_initializers, save  # noqa: E402

import deepcompress as dc  # noqa: E402
from deepcompress.errors import ArgumentError, DataError, FormatError, OutputError  # noqa: E402
from deepcompress.formats import onnx as onnx_format  # noqa: E402
from deepcompress.formats import registry  # noqa: E402
from deepcompress.formats.onnx import OnnxFile, write  # noqa: E402

NAMES = ["w", "b", "table", "fc", "six"]
RAW = {"default": {"method": "raw"}}


def through(given: Path, config: dict[str, Any] | None = None) -> Path:
    """Compress and restore a model by the commands; return the restored file."""
    folder = given.parent / "through"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config or {}))
    packed, out = folder / "x.dcnn", folder / "out.onnx"
    assert call("compress", given, "-o", packed, "--config", folder / "config.json")[0] == 0
    assert call("decompress", packed, "-o", out)[0] == 0
    onnx.checker.check_model(str(out), full_check=True)
    return out


def answer(path: Path, x: np.ndarray | None = None) -> np.ndarray:
    """Run a model."""
    session = ort.InferenceSession(path)
    (wanted,) = session.get_inputs()
    shape = [axis if isinstance(axis, int) else 1 for axis in wanted.shape]
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32) if x is None else x
    result: np.ndarray = session.run(None, {wanted.name: x})[0]
    return result


def same_weights(a: Path, b: Path) -> bool:
    first, second = OnnxFile(a), OnnxFile(b)
    return (
        list(first) == list(second)
        and first.skeleton == second.skeleton
        and all(
            first[name].tobytes() == second[name].tobytes()
            and first[name].dtype == second[name].dtype
            and first[name].shape == second[name].shape == first.shapes[name]
            for name in first
        )
    )


def test_weights_of_a_model(tmp_path: Path) -> None:
    source = OnnxFile(save(tmp_path / "a.onnx", model()))
    assert list(source) == NAMES
    for name, array in zip(NAMES, (W, B, TABLE, FC, np.float32(6)), strict=True):
        np.testing.assert_array_equal(source[name], array, strict=name != "six")
        assert source.shapes[name] == array.shape
    assert [tensor.name for tensor in source.skeleton.graph.initializer] == [
        "w",
        "b",
        "shape",
        "table",
    ]
    assert source.skeleton.ByteSize() < 1000  # small integers and all else but the weights


def test_without_loss_the_model_is_the_same(tmp_path: Path) -> None:
    given = save(tmp_path / "a.onnx", model())
    out = through(given, RAW)
    assert out.read_bytes() == model().SerializeToString(deterministic=True)
    np.testing.assert_array_equal(answer(given), answer(out))
    assert same_weights(given, out)


def test_with_loss_it_runs(tmp_path: Path) -> None:
    given = save(tmp_path / "a.onnx", model())
    out = through(given)
    source = OnnxFile(out)
    assert len(np.unique(source["fc"])) <= 32
    assert source["fc"].dtype == np.float32
    packed = dc.load(out.parent / "x.dcnn")
    for name in NAMES:
        values = packed[name]
        dense = values.to_dense() if isinstance(values, dc.CompressedTensor) else values
        np.testing.assert_array_equal(source[name], dense, strict=True)
    assert np.isfinite(answer(out)).all()
    assert not np.array_equal(answer(out), answer(given))


def test_float16_becomes_the_dtype_of_the_graph(tmp_path: Path) -> None:
    given = save(tmp_path / "a.onnx", model())
    source = OnnxFile(through(given, {"by_name": {"fc": {"method": "float16"}}}))
    np.testing.assert_array_equal(source["fc"], FC.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("is_large", [False, True])
def test_external_data(tmp_path: Path, monkeypatch, is_large: bool) -> None:
    given = tmp_path / "a.onnx"
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 100}
    onnx.save(model(), given, **options)
    with registry.open_source(given) as source:
        assert source.files == [tmp_path / "weights.bin"]
    if is_large:
        monkeypatch.setattr(onnx_format, "MOST_BYTES", 5000)
    out = through(given, RAW)
    assert same_weights(given, out)
    np.testing.assert_array_equal(answer(given), answer(out))
    names = sorted(path.name for path in out.parent.glob("out.*"))
    assert names == (["out.onnx", "out.onnx.data"] if is_large else ["out.onnx"])
    if is_large:
        small = [
            one.name
            for one in onnx.load(out, load_external_data=False).graph.initializer
            if one.raw_data
        ]
        assert small == ["w", "b", "shape", "table"]  # below a KB, if not w
        before = {path: path.read_bytes() for path in out.parent.iterdir()}
        message = fails(2, "decompress", out.parent / "x.dcnn", "-o", out)
        assert "out.onnx.data: is there already" in message
        assert {path: path.read_bytes() for path in out.parent.iterdir()} == before


def test_pruned_weights_and_their_masks_stay_apart(tmp_path: Path) -> None:
    mask = (W > 0).astype(np.float32)
    made = of_initializers(
        numpy_helper.from_array(W, "c.weight_orig"), numpy_helper.from_array(mask, "c.weight_mask")
    )
    out = through(save(tmp_path / "a.onnx", made), RAW)
    assert list(OnnxFile(out)) == ["c.weight_orig", "c.weight_mask"]


def test_graphs_within_graphs(tmp_path: Path) -> None:
    def branch(name: str, array: np.ndarray, of: str) -> Any:
        tensor = numpy_helper.from_array(array, of)
        nodes = [helper.make_node("Identity", [of], [name])]
        info = helper.make_tensor_value_info(name, TensorProto.FLOAT, array.shape)
        return helper.make_graph(nodes, name, [], [info], [tensor])

    node = helper.make_node(
        "If",
        ["x"],
        ["y"],
        else_branch=branch("else", W, "v"),  # attributes are in alphabetical order
        then_branch=branch("then", 2 * W, "v"),  # of the same name: it stays
    )
    graph = helper.make_graph(
        [node],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, W.shape)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    given = save(tmp_path / "a.onnx", made)
    source = OnnxFile(given)
    assert list(source) == ["v"]
    np.testing.assert_array_equal(source["v"], W)
    out = through(given, RAW)
    for x in (True, False):
        kept = answer(out, np.array(x))
        np.testing.assert_array_equal(kept, answer(given, np.array(x)))
        np.testing.assert_array_equal(kept, 2 * W if x else W)


@pytest.mark.parametrize("graph", [None, {}])
def test_a_file_without_a_graph(tmp_path: Path, graph: object) -> None:
    np.savez(tmp_path / "a.npz", w=np.ones(3))
    call("compress", tmp_path / "a.npz", "-o", tmp_path / "x.dcnn")
    message = fails(2, "decompress", tmp_path / "x.dcnn", "-o", tmp_path / "out.onnx")
    assert "it has no graph, which only a file made from an .onnx has" in message
    assert not (tmp_path / "out.onnx").exists()


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        (3, "can't be read"),
        ("é", "can't be read"),
        ("AAAA", "can't be read"),
        (packed(b"abc" * 1000)[:-8], "isn't whole|can't be read"),
        (packed(bytes(100_001)), "above 100,000 bytes"),
        (packed(b"abc"), "not an ONNX model"),
        (packed(b""), "not an ONNX model"),
    ],
)
def test_graphs_that_are_none(tmp_path: Path, monkeypatch, graph: object, words: str) -> None:
    monkeypatch.setattr(onnx_format, "MOST_GRAPH_BYTES", 100_000)
    with pytest.raises(ArgumentError, match=words):
        write(tmp_path / "a.onnx", [("w", W)], {"graph": graph})
    assert list(tmp_path.iterdir()) == []


def test_arrays_that_the_graph_hasnt(tmp_path: Path) -> None:
    source = OnnxFile(save(tmp_path / "a.onnx", model()))
    origin, arrays = source.metadata["origin"], dict(source.items())
    for changed, words in (
        ({**arrays, "more": W}, "has no tensor 'more'"),
        ({name: arrays[name] for name in NAMES[1:]}, "needs a tensor 'w'"),
        ({**arrays, "w": W[:3]}, r"tensor 'w': float32 of shape \(3, 3, 3, 3\) for a graph"),
        ({**arrays, "w": W.astype(np.int8)}, "tensor 'w': int8 of shape"),
        ({**arrays, "table": TABLE.astype(np.int32)}, "tensor 'table': int32 of shape"),
    ):
        with pytest.raises(ArgumentError, match=words):
            write(tmp_path / "b.onnx", changed.items(), origin)
    external = of_initializers(onnx_models.with_external(numpy_helper.from_array(W, "w"), "x"))
    with pytest.raises(ArgumentError, match="has data in another file"):
        write(tmp_path / "b.onnx", [], {"graph": packed(external.SerializeToString())})
    with pytest.raises(OutputError, match="absent"):
        write(tmp_path / "absent" / "b.onnx", arrays.items(), origin)
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]


def changed(change: Any) -> bytes:
    made = model()
    change(made)
    data: bytes = made.SerializeToString()
    return data


def duplicate(made: Any) -> None:
    made.graph.initializer.append(made.graph.initializer[0])


def duplicate_constant(made: Any) -> None:
    made.graph.node[0].output[0] = "w"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an ONNX model"),
        (b"\xff\xff", "not an ONNX model"),
        (b"text, which is no protobuf", "not an ONNX model"),
        (model().SerializeToString()[:-1], "not an ONNX model"),
        (changed(lambda made: made.ClearField("ir_version")), "it has no version"),
        (changed(lambda made: made.ClearField("graph")), "no graph"),
        (changed(lambda made: made.ClearField("opset_import")), "it has no version"),
        (model(ir_version=1000).SerializeToString(), "IR version 1000 isn't known to onnx"),
        (model(ir_version=-1).SerializeToString(), "IR version -1 isn't known to onnx"),
        (
            model(opset_imports=[helper.make_opsetid("", 1000)]).SerializeToString(),
            "opset 1000 isn't known to onnx [0-9.]+: 1 to ",
        ),
        (changed(duplicate), "tensor 'w' is there twice"),
        (
            model().SerializeToString().replace(b"table", b"tabl\xff"),
            "name of a tensor isn't UTF-8",
        ),
        (changed(duplicate_constant), "tensor 'w' is there twice"),
    ],
)
def test_bad_models(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "a.onnx").write_bytes(content)
    with (
        pytest.raises(FormatError, match=words) as found,
        registry.open_source(tmp_path / "a.onnx"),
    ):
        pass
    assert str(found.value).startswith(str(tmp_path / "a.onnx"))


def test_a_model_that_isnt_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        OnnxFile(tmp_path / "a.onnx")


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch) -> None:
    given = save(tmp_path / "a.onnx", model())
    through(given)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    words = "needs onnx, an extra of deepcompress-nn"
    assert words in fails(2, "compress", given, "-o", tmp_path / "y.dcnn")
    packed = tmp_path / "through" / "x.dcnn"
    assert words in fails(2, "decompress", packed, "-o", tmp_path / "y.onnx")


def exported(folder: Path, dynamo: bool) -> Path:
    """Export a seeded CNN with batch normalization by one of PyTorch's exporters."""
    torch = pytest.importorskip("torch", reason="torch isn't installed")
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU6()]
    layers += [torch.nn.Conv2d(16, 24, 3, stride=2), torch.nn.BatchNorm2d(24), torch.nn.ReLU()]
    layers += [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(24, 10)]
    network = torch.nn.Sequential(*layers)
    for module in network:
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    path = folder / "cnn.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporters: deprecations of their own
        torch.onnx.export(
            network.eval(), (torch.zeros(1, 3, 16, 16),), str(path), dynamo=dynamo, verbose=False
        )
    return path


@pytest.mark.slow
@pytest.mark.parametrize("dynamo", [False, True])
def test_what_pytorch_exports(tmp_path: Path, dynamo: bool) -> None:
    given = exported(tmp_path, dynamo)
    out = through(given, RAW)
    assert same_weights(given, out)
    np.testing.assert_array_equal(answer(given), answer(out))
    (tmp_path / "lossy").mkdir()
    lossy = tmp_path / "lossy" / "a.onnx"
    onnx.save(onnx.load(given), lossy)
    assert np.isfinite(answer(through(lossy))).all()


@pytest.mark.slow
def test_a_network_of_real_weights(tmp_path: Path, real_weights_folder: Path) -> None:
    given = tmp_path / "a.onnx"
    shutil.copy(real_weights_folder / "efficientnet-lite0.onnx", given)
    out = through(given, RAW)
    assert same_weights(given, out)
    np.testing.assert_array_equal(answer(given), answer(out))
    shutil.rmtree(out.parent)
    lossy = through(given)
    assert not np.array_equal(answer(given), answer(lossy))
    assert list(OnnxFile(lossy)) == list(OnnxFile(given))
