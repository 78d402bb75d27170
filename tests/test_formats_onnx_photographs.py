"""Photographs through EfficientNet-Lite0, with trained weights, in its file and in onnxruntime."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from conftest import DATA_FOLDER

from deepcompress import CompressedNetwork, Config, compress, native
from deepcompress.commands.predict import predict
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.runtime.pictures import load_picture

for needed in ("onnx", "onnxruntime"):
    if importlib.util.find_spec(needed) is None:
        pytest.skip(f"no {needed}, an extra", allow_module_level=True)

import onnx  # noqa: E402 -- only where it is there
from support.onnx_graphs import in_runtime, tensors_of  # noqa: E402

from deepcompress.formats import onnx_graph  # noqa: E402

GRAPH = DATA_FOLDER / "real-weights" / "efficientnet-lite0.onnx"
PREPROCESSING = {"size": 224, "channels": "RGB", "mean": 127, "scale": 1 / 128, "resize": 256}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    if not GRAPH.exists():
        pytest.skip(f"no real-weights in {DATA_FOLDER} (set DEEPCOMPRESS_DATA)")
    return onnx.load(GRAPH)


def save(model: onnx.ModelProto, path: Path, config: dict[str, object]) -> dict[str, np.ndarray]:
    """Write the file that ``compress`` writes of it; return its tensors, dense."""
    metadata = onnx_graph.metadata(model) | {"preprocessing": PREPROCESSING}
    options = Config.from_dict({"default": config})
    compressed = compress(tensors_of(model), options, metadata=metadata)
    compressed.save(path)
    shares = any(isinstance(one, CompressedTensor) for one in compressed.values())
    assert shares == (config["method"] == "shared")
    return compressed.to_dense()


@pytest.fixture(scope="module")
def lossless(model: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the file with all tensors as they are."""
    path = tmp_path_factory.mktemp("efficientnet") / "lossless.dcnn"
    save(model, path, {"method": "raw"})
    return path


def photographs(folder: Path, step: int) -> tuple[list[Path], np.ndarray]:
    """Return every so many photographs, and their classes."""
    rows = (folder / "labels.csv").read_text(encoding="utf-8").split()
    names, classes = zip(*(row.split(",") for row in rows if row[0].isdigit()), strict=True)
    return [folder / name for name in names[::step]], np.array(classes[::step], int)


def assert_close(logits: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Check each picture's logits, to `tolerance` of its largest one."""
    largest = np.abs(expected).max(axis=1)
    assert (np.abs(logits - expected).max(axis=1) <= tolerance * largest).all()


def test_a_few_photographs(model, lossless, photographs_folder) -> None:
    """They take a quarter of a second each; NumPy's twins take longer, and see only one."""
    paths, classes = photographs(photographs_folder, 250 if native.active() else 500)
    network = CompressedNetwork.load(lossless)
    inputs = np.stack([load_picture(path, network.preprocessing) for path in paths])
    logits = network.predict_images(paths)
    assert_close(logits, in_runtime(model, inputs), 1e-4)
    rows = predict(str(lossless), [str(path) for path in paths], top=1).values["predictions"]
    assert [row["classes"][0]["class"] for row in rows] == list(logits.argmax(axis=1))
    assert logits.shape == (len(classes), 1000)


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dense", ["auto", "never"])
def test_shared_weights(dense, model, tmp_path, photographs_folder) -> None:
    """The packed network's logits are those of the graph with the decompressed weights."""
    tensors = save(model, tmp_path / "net.dcnn", {"method": "shared", "bits": 8})
    restored = onnx.ModelProto()
    restored.CopyFrom(model)
    for one in restored.graph.initializer:
        one.CopyFrom(onnx.numpy_helper.from_array(tensors[one.name], one.name))
    network = CompressedNetwork.load(tmp_path / "net.dcnn", dense=dense)
    paths, _ = photographs(photographs_folder, 400)
    inputs = np.stack([load_picture(path, network.preprocessing) for path in paths])
    assert_close(network.predict(inputs), in_runtime(restored, inputs), 1e-3)
    packed = {one.name for one in network.params if one.is_packed}
    if dense == "never":
        assert packed
    elif native.info()["isa"] == "avx2":
        assert not packed
    else:  # which layers are faster packed depends on the instruction set, but here few are
        others = CompressedNetwork.load(tmp_path / "net.dcnn", dense="never").params
        assert len(packed) < sum(one.is_packed for one in others) / 4


@pytest.mark.slow
@pytest.mark.usefixtures("kernels")
def test_a_hundred_photographs(model, lossless, photographs_folder) -> None:
    """The first hundred, of which it knows 86; of all 500 it knows 85.6 %, as data's README."""
    paths, classes = (part[:100] for part in photographs(photographs_folder, 1))
    network = CompressedNetwork.load(lossless)
    inputs = np.stack([load_picture(path, network.preprocessing) for path in paths])
    logits, expected = network.predict_images(paths), in_runtime(model, inputs)
    assert_close(logits, expected, 1e-4)
    assert np.array_equal(logits.argmax(axis=1), expected.argmax(axis=1))
    assert (logits.argmax(axis=1) == classes).mean() >= 0.85
