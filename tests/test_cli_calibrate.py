"""``compress --calibrate``: pictures and arrays, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command import call, fails
from test_formats_registry import save_safetensors

import deepcompress
from deepcompress.calibrate import calibrate
from deepcompress.nn import zoo

NETWORK = zoo.build("digits")
PARAMS = NETWORK.init(np.random.default_rng(0))
X = np.random.default_rng(1).random((60, 64), np.float32)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    save_safetensors(tmp_path / "in.safetensors", PARAMS)
    return tmp_path / "in.safetensors"


def test_inputs_of_a_file(file: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    out = tmp_path / "out.dcnn"
    options = ["--calibrate", tmp_path / "x.npy", "--network", "digits", "--lam", "1e-5"]
    status, text, error = call("compress", file, "-o", out, *options, "--json")
    assert (status, error) == (0, "")
    expected = calibrate(NETWORK, PARAMS, X, lam=1e-5, half=True, metadata={"network": "digits"})
    assert out.read_bytes() == expected.model.to_bytes()
    values = json.loads(text)
    assert values["out_bytes"] == out.stat().st_size
    assert (values["inputs"], list(values["layers"])) == (60, ["ip1", "ip2", "ip3"])
    assert values["divergence"] == pytest.approx(expected.divergence)
    network = deepcompress.CompressedNetwork.load(out)
    assert network.predict(X).shape == (60, 10)
    text = call("compress", file, "-o", out, *options)[1]
    assert "calibrated with 60 inputs: a divergence of" in text


def test_a_folder_of_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcompress.commands import calibration

    rule = {"size": [28, 28], "channels": "L", "scale": 1 / 255}
    monkeypatch.setitem(calibration.PREPROCESSING, "lenet-5", rule)
    network = zoo.build("lenet-5")
    params = network.init(np.random.default_rng(0))
    save_safetensors(tmp_path / "in.safetensors", params)
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (12, 28, 28)).astype(np.uint8)
    for index, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{index:02}.png")
    (folder / "notes.txt").write_text("no picture")
    out = tmp_path / "out.dcnn"
    options = ["--calibrate", folder, "--network", "lenet-5"]
    status, _, error = call("compress", tmp_path / "in.safetensors", "-o", out, *options)
    assert (status, error) == (0, "")
    model = deepcompress.load(out)
    x = pixels[:, None] * np.float32(1 / 255)
    expected = calibrate(network, params, x, half=True, metadata=model.metadata)
    assert model.metadata["preprocessing"] == rule
    assert out.read_bytes() == expected.model.to_bytes()


def test_what_is_refused(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.dcnn"
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "other.npy", X[:, :5])
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "empty").mkdir()
    digits = ["--network", "digits"]
    text = ["--calibrate", tmp_path / "text.npy", *digits]
    message = fails(1, "compress", file, "-o", out, *text)
    assert "neither a folder of pictures nor" in message
    for options, message in (
        (["--calibrate", tmp_path / "x.npy"], "doesn't say which network it is"),
        (["--calibrate", tmp_path / "x.npy", "--network", "alexnet-2"], "choose from"),
        (["--calibrate", tmp_path / "x.npy", "--network", "lenet-5"], "is missing"),
        (["--calibrate", tmp_path / "absent", *digits], "absent: No such file"),
        (["--calibrate", tmp_path / "other.npy", *digits], "inputs of shape (60, 5)"),
        (["--calibrate", tmp_path / "empty", *digits], "has no pictures"),
        (["--calibrate", tmp_path / "x.npy", *digits, "--lam", "0"], "lam must be"),
        (["--lam", "1e-7"], "--network and --lam are for --calibrate"),
    ):
        assert message in fails(2, "compress", file, "-o", out, *options)
        assert not out.exists()
