"""Keras's files, in and out: the network that comes back predicts the same.

Keras is needed to make files, h5py alone to read and write them.
"""

import importlib.util
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command import fails
from support.full_disk import FullDisk
from support.round_trips import assert_same, refused, there, there_and_back

import deepcompress as dc
from deepcompress.errors import ArgumentError, OutputError
from deepcompress.formats import keras as formats
from deepcompress.formats import layouts, zips
from deepcompress.formats.registry import open_source

if not all(map(importlib.util.find_spec, ("keras", "torch", "h5py"))):
    pytest.skip("Keras, PyTorch or h5py isn't installed (extra ci)", allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("ignore")  # Keras's own, of many kinds
RNG = np.random.default_rng(0)
IMAGES = RNG.random((8, 12, 12, 3), np.float32)
VECTORS = RNG.random((16, 20), np.float32)
WORDS = RNG.integers(0, 50, (4, 6))


@pytest.fixture(scope="module")
def keras() -> Iterator[Any]:
    """Give Keras on PyTorch."""
    before = os.environ.get("KERAS_BACKEND")
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    keras.utils.set_random_seed(0)
    yield keras
    if before is None:
        del os.environ["KERAS_BACKEND"]


def mlp(keras: Any) -> Any:
    layers = keras.layers
    network = keras.Sequential(
        [
            *(layers.Input((20,)), layers.Dense(40, "relu", name="first"), layers.Dropout(0.1)),
            *(layers.BatchNormalization(), layers.Dense(5)),
        ]
    )
    network.compile("adam", keras.losses.MeanSquaredError())
    network.fit(VECTORS, RNG.random((16, 5)), verbose=0)
    return network


def cnn(keras: Any) -> Any:
    layers = keras.layers
    inputs = layers.Input((12, 12, 3))
    x = layers.Conv2D(8, 3, padding="same", name="conv")(inputs)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Flatten()(layers.MaxPooling2D()(layers.Add()([x, y])))
    network = keras.Model(inputs, layers.Dense(4, name="head")(x))
    network.compile(keras.optimizers.SGD(momentum=0.9), keras.losses.MeanSquaredError())
    network.fit(IMAGES, RNG.random((8, 4)), verbose=0)
    return network


NETWORKS = {"mlp": (mlp, VECTORS), "cnn": (cnn, IMAGES)}
KINDS = (".keras", ".h5", ".weights.h5")


@pytest.fixture(scope="module")
def saved(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Give the files of trained networks, by the network and the suffix."""
    folder = tmp_path_factory.mktemp("keras")
    paths = {}
    for name, (build, _) in NETWORKS.items():
        network = build(keras)
        for suffix in KINDS:
            paths[name, suffix] = folder / f"{name}{suffix}"
            save = network.save_weights if suffix == ".weights.h5" else network.save
            save(paths[name, suffix])
    return paths


def predicted(keras: Any, name: str, path: Path) -> np.ndarray:
    build, inputs = NETWORKS[name]
    if path.name.endswith(".weights.h5"):
        network = build(keras)
        network.load_weights(path)
    else:
        network = keras.models.load_model(path)
    return network.predict(inputs, verbose=0)


@pytest.mark.parametrize("suffix", KINDS)
@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_comes_back(
    tmp_path: Path, keras: Any, saved: dict, name: str, suffix: str
) -> None:
    given = tmp_path / f"in{suffix}"
    given.write_bytes(saved[name, suffix].read_bytes())
    back = there_and_back(given, f"out{suffix}")
    assert_same(given, back)
    expected = predicted(keras, name, given)
    np.testing.assert_array_equal(predicted(keras, name, back), expected)
    if suffix == ".keras":  # Keras restores an optimizer from no other
        states = [
            [np.asarray(v) for v in keras.models.load_model(path).optimizer.variables]
            for path in (given, back)
        ]
        assert len(states[0]) > 2
        assert all(map(np.array_equal, *states))


@pytest.mark.parametrize("suffix", KINDS)
def test_weights_alone_are_shared(tmp_path: Path, keras: Any, saved: dict, suffix: str) -> None:
    given = tmp_path / f"in{suffix}"
    given.write_bytes(saved["mlp", suffix].read_bytes())
    back = there_and_back(given, f"out{suffix}", "--seed", 0)
    close = predicted(keras, "mlp", back), predicted(keras, "mlp", given)
    np.testing.assert_allclose(*close, atol=0.2)
    assert not np.array_equal(*close)
    with open_source(given) as one, open_source(back) as two:
        changed = [name for name in one if not np.array_equal(one[name], two[name])]
    kernels = {name for name in changed if name.endswith(("/kernel", "/vars/0"))}
    assert set(changed) == kernels
    assert len(changed) == 2


@pytest.mark.parametrize("suffix", KINDS)
def test_layouts(tmp_path: Path, saved: dict, suffix: str) -> None:
    found = {}
    for name in NETWORKS:
        given = tmp_path / f"in{suffix}"
        given.write_bytes(saved[name, suffix].read_bytes())
        origin = dc.load(there(given)).metadata["origin"]
        shapes = dc.load(tmp_path / "packed.dcnn")
        found[name] = [(layout, shapes[key].shape) for key, layout in origin["layouts"].items()]
    assert sorted(found["mlp"]) == [("io", (20, 40)), ("io", (40, 5))]
    assert sorted(found["cnn"]) == [("hwio", (3, 3, 3, 8)), ("io", (288, 4))]


def test_an_embedding_has_no_layout() -> None:
    shapes = {"layers/embedding/vars/0": (50, 8), "layers/dense_3/vars/0": (8, 4)}
    assert layouts.found(shapes, {}, {}) == {"layers/dense_3/vars/0": "io"}
    assert layouts.classes("{") == layouts.classes(None) == layouts.classes("[" * 9999) == {}


def test_bfloat16(tmp_path: Path, keras: Any) -> None:
    layer = keras.layers.Dense(40, dtype="bfloat16")
    network = keras.Sequential([keras.layers.Input((20,)), layer])
    network.save(tmp_path / "a.keras")
    back = there_and_back(tmp_path / "a.keras", "b.keras")
    assert_same(tmp_path / "a.keras", back)
    assert dc.load(tmp_path / "packed.dcnn")["layers/dense/vars/0"].dtype.name == "bfloat16"
    again = keras.models.load_model(back)
    np.testing.assert_array_equal(again.predict(VECTORS), network.predict(VECTORS))


def test_other_formats(tmp_path: Path, saved: dict) -> None:
    given = tmp_path / "in.keras"
    given.write_bytes(saved["mlp", ".keras"].read_bytes())
    assert_same(given, there_and_back(given, "out.npz"))
    for path, options in ((tmp_path / "out.npz", ()), (given, ("--only", "layers", "--paper"))):
        packed = there(path, *options)
        message = fails(2, "decompress", packed, "-o", tmp_path / "no.keras")
        assert "can't be held as a Keras .keras file: it takes a description of" in message
        assert not (tmp_path / "no.keras").exists()


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_the_other_members_are_kept(tmp_path: Path, saved: dict) -> None:
    given = tmp_path / "in.keras"
    given.write_bytes(saved["mlp", ".keras"].read_bytes())
    with zipfile.ZipFile(given, "a") as archive:
        archive.writestr("assets/words.txt", b"\0\xff" * 500)
    one, two = members(given), members(there_and_back(given, "out.keras"))
    assert list(one) == list(two)
    assert {name for name in one if one[name] != two[name]} <= {formats.WEIGHTS}
    assert there_and_back(given, "out.keras").read_bytes() == (tmp_path / "out.keras").read_bytes()


def archive_of(content: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_damaged_files(tmp_path: Path, saved: dict) -> None:
    path = tmp_path / "a.keras"
    data = saved["mlp", ".keras"].read_bytes()
    content = members(saved["mlp", ".keras"])
    for damaged, words in (
        (data[:-9], "not a whole .keras file"),
        (data.replace(content["config.json"][:50], bytes(50), 1), "not a whole .keras file"),
        (archive_of({"config.json": b"{}"}), "a .keras file has model.weights.h5"),
        (archive_of({formats.WEIGHTS: b""}), "a .keras file has config.json"),
        (archive_of({**content, formats.WEIGHTS: b"x"}), "model.weights.h5: not a whole HDF5"),
    ):
        path.write_bytes(damaged)
        message = refused(path)
        assert "a.keras: " in message
        assert words in message


@pytest.mark.parametrize(
    "members", [1, [1], [[1, "x"]], [["a", 1]], [["a", "x"]], [["a", zips.to_text(b"x")[:-4]]]]
)
def test_origins_that_arent_valid(tmp_path: Path, members: Any) -> None:
    origin = {"members": members, "tree": {"group": []}}
    with pytest.raises(ArgumentError):
        formats.write(tmp_path / "a.keras", [], origin)
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_would_fill_the_memory(monkeypatch) -> None:
    text = zips.to_text(bytes(2000))
    assert zips.from_text(text) == bytes(2000)
    monkeypatch.setattr(zips, "MAX_TEXT_BYTES", 1999)
    with pytest.raises(ArgumentError, match="too large"):
        zips.from_text(text)


def test_a_full_disk(tmp_path: Path, saved: dict, monkeypatch) -> None:
    with open_source(saved["mlp", ".keras"]) as source:
        arrays, origin = dict(source), json.loads(json.dumps(source.metadata["origin"]))
    monkeypatch.setattr(zips, "write_by", lambda path, fill: fill(FullDisk(1000)))
    with pytest.raises((OutputError, OSError), match="No space left"):
        formats.write(tmp_path / "a.keras", arrays.items(), origin)
    assert list(tmp_path.iterdir()) == []
