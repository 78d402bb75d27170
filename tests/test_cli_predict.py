"""The command ``predict``: what it prints of pictures, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.command import call, fails

import deepcompress
from deepcompress.commands.predict import read_labels, softmax
from deepcompress.nn import zoo
from deepcompress.nn.definition import to_definition
from deepcompress.runtime.preprocessing import Preprocessing

CLASSES = 10


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return save(tmp_path)


def save(folder: Path, factor: float = 1, **metadata: object) -> Path:
    """Write LeNet-5 untrained, the weights of its last layers times a factor."""
    params = zoo.build("lenet-5").init(np.random.default_rng(0))
    for name in ("ip1.weight", "ip2.weight"):
        params[name] *= np.float32(factor)
    preprocessing = Preprocessing((28, 28), "L", scale=(1 / 255,)).to_metadata()
    about = {"network": "lenet-5", "preprocessing": preprocessing} | metadata
    deepcompress.compress(params, metadata=about).save(folder / "net.dcnn")
    return folder / "net.dcnn"


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    rng = np.random.default_rng(0)
    paths = [tmp_path / "a.png", tmp_path / "b.jpg", tmp_path / "c.gif"]
    for path in paths:
        Image.fromarray(rng.integers(0, 256, (28, 28)).astype(np.uint8)).save(path)
    return paths


def test_classes_of_golden_pictures(
    squeezenet_file: Path, squeezenet_folder: Path, tmp_path: Path
) -> None:
    with np.load(squeezenet_folder / "golden.npz", allow_pickle=False) as golden:
        images, logits = golden["images"][:2], golden["logits"][:2]
    paths = [tmp_path / f"{index}.png" for index in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image).save(path)
    status, out, error = call("predict", squeezenet_file, *paths, "--json", "--batch-size", 1)
    values = json.loads(out)
    assert (status, error) == (0, "")
    assert (values["file"], values["network"]) == (str(squeezenet_file), "squeezenet")
    expected = softmax(logits)
    for row, path, of_image in zip(values["predictions"], paths, expected, strict=True):
        best = np.argsort(-of_image)[:5]
        assert row["image"] == str(path)
        assert [one["class"] for one in row["classes"]] == best.tolist()
        shown = [one["probability"] for one in row["classes"]]
        assert shown == pytest.approx(of_image[best].tolist(), rel=1e-3)


def test_text_and_labels(file: Path, pictures: list[Path], tmp_path: Path) -> None:
    values = json.loads(call("predict", file, *pictures, "--top", 2, "--json")[1])
    labels = tmp_path / "labels.txt"
    names = [f"Ziffer {digit} \N{EN DASH} ü" for digit in range(CLASSES)]
    labels.write_bytes("\r\n".join([*names, ""]).encode("utf-8-sig"))
    options = ("--top", 2, "--labels", labels)
    status, out, error = call("predict", file, *pictures, *options)
    assert (status, error) == (0, "")
    lines = out.splitlines()
    assert len(lines) == 3 * len(pictures)
    for index, row in enumerate(values["predictions"]):
        heading, *rest = lines[3 * index : 3 * index + 3]
        assert heading == f"{pictures[index]}:"
        for line, one in zip(rest, row["classes"], strict=True):
            percent = f"{100 * one['probability']:.2f}"
            assert line.split() == [percent, "%", str(one["class"]), *names[one["class"]].split()]
    labelled = json.loads(call("predict", file, *pictures, *options, "--json")[1])
    for row in labelled["predictions"]:
        assert all(one["label"] == names[one["class"]] for one in row["classes"])


def test_more_classes_than_there_are_means_all(file: Path, pictures: list[Path]) -> None:
    values = json.loads(call("predict", file, pictures[0], "--top", 99, "--json")[1])
    classes = values["predictions"][0]["classes"]
    assert sorted(one["class"] for one in classes) == list(range(CLASSES))
    assert sum(one["probability"] for one in classes) == pytest.approx(1)


def test_softmax_of_large_numbers() -> None:
    probabilities = softmax(np.array([[1000, 1000], [-1000, 0], [0, 0]], np.float32))
    assert np.array_equal(probabilities, np.array([[0.5, 0.5], [0, 1], [0.5, 0.5]], np.float32))
    assert softmax(np.zeros((0, 3), np.float32)).shape == (0, 3)


def test_what_is_refused(file: Path, pictures: list[Path], tmp_path: Path) -> None:
    picture = pictures[0]
    assert "absent.png: No such file" in fails(2, "predict", file, tmp_path / "absent.png")
    assert "required" in fails(2, "predict", file)
    for option in (["--top", 0], ["--batch-size", 0], ["--top", "all"]):
        assert "whole number" in fails(2, "predict", file, picture, *option)
    (tmp_path / "text.png").write_text("x", encoding="utf-8")
    assert "text.png: not a picture" in fails(1, "predict", file, picture, tmp_path / "text.png")
    picture.write_bytes(picture.read_bytes()[:-100])
    assert f"{picture}: the picture is damaged" in fails(1, "predict", file, picture)
    assert "not a .dcnn file" in fails(1, "predict", pictures[1], pictures[1])


def test_labels_that_do_not_fit(file: Path, pictures: list[Path], tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    arguments = "predict", file, pictures[1], "--labels", labels
    assert "labels.txt: No such file" in fails(2, *arguments)
    for content, lines in ((b"", 0), (b"a\nb\n", 2), (b"\n" * 11, 11)):
        labels.write_bytes(content)
        assert f"has {lines} lines, the network 10 classes" in fails(1, *arguments)
    labels.write_bytes(b"\xff" * CLASSES)
    assert "labels.txt: not text in UTF-8" in fails(1, *arguments)
    labels.write_bytes(b"a\n" * 10)
    assert read_labels(labels, CLASSES) == ("a",) * CLASSES


def test_networks_that_do_not_fit(pictures: list[Path], tmp_path: Path) -> None:
    path = save(tmp_path, network="lenet-300-100")
    assert "ip1.weight" in fails(2, "predict", path, pictures[1])
    replace(deepcompress.load(path), metadata={"network": "lenet-5"}).save(path)
    lacking = fails(2, "predict", path, pictures[1])
    assert lacking == f"{path}: its metadata has no preprocessing of pictures"
    path = save(tmp_path, preprocessing=5)
    assert "preprocessing must be an object" in fails(1, "predict", path, pictures[1])
    path = save(tmp_path, factor=1e20)
    assert "b.jpg aren't finite" in fails(1, "predict", path, pictures[1])
    open_end = to_definition(zoo.build("lenet-5"))
    open_end["layers"] = [one for one in open_end["layers"] if not one["name"].startswith("ip")]
    open_end["layers"] = open_end["layers"][:3]
    params = {
        name: value
        for name, value in zoo.build("lenet-5").init(np.random.default_rng(0)).items()
        if name.startswith("conv1")
    }
    preprocessing = Preprocessing((28, 28), "L").to_metadata()
    about = {"network": open_end, "preprocessing": preprocessing}
    deepcompress.compress(params, metadata=about).save(path)
    assert "no single row of classes" in fails(2, "predict", path, pictures[1])
