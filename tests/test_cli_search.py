"""``compress --max-drop`` and ``--target-size``, and what they refuse."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails
from test_formats_registry import save_safetensors

import deepcompress
from deepcompress.nn import zoo
from deepcompress.search import search

RNG = np.random.default_rng(0)
TENSORS = {name: RNG.normal(size=(30, 20)).astype(np.float32) for name in "ab"}
MODULE = """
import numpy as np
from deepcompress import CompressedModel

ORIGINAL = {name: np.load(f"{name}.npy") for name in "ab"}

def off(name, tensor):
    tensor = tensor if isinstance(tensor, np.ndarray) else tensor.to_dense()
    return float(np.sum((tensor - ORIGINAL[name]) ** 2))

def score(model):
    return -(off("a", model["a"]) + 10 * off("b", model["b"]))

def broken(model):
    raise RuntimeError("out of luck")

def nan(model):
    return float("nan")

number = 3
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    save_safetensors(tmp_path / "in.safetensors", TENSORS)
    for name, values in TENSORS.items():
        np.save(tmp_path / f"{name}.npy", values)
    (tmp_path / "own_scores.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "own_scores", raising=False)
    return tmp_path / "in.safetensors"


def test_a_drop_of_a_score(file: Path) -> None:
    options = ["--max-drop", "100", "--score", "own_scores:score", "--journal", "j.jsonl"]
    status, text, error = call(
        "compress", file, "-o", "out.dcnn", *options, "--frontier", "f.json", "--json"
    )
    assert (status, error) == (0, "")
    values, model = json.loads(text), deepcompress.load("out.dcnn")
    assert values["met"]
    assert values["missed"] == 0
    assert values["reference_score"] - values["score"] <= 100
    assert values["out_bytes"] == Path("out.dcnn").stat().st_size
    from own_scores import score  # type: ignore[import-not-found]

    expected = search(TENSORS, score, max_drop=100)
    assert score(model) == values["score"] == expected.score
    assert values["settings"] == expected.settings
    points = json.loads(Path("f.json").read_text())["points"]
    assert points[-1]["score"] == 0
    assert len(points) > 3
    first = Path("out.dcnn").read_bytes()
    status, text, _ = call("compress", file, "-o", "out.dcnn", *options)
    assert status == 0
    assert Path("out.dcnn").read_bytes() == first
    assert "the budget is met" in text


def test_a_size(file: Path) -> None:
    status, text, _ = call("compress", file, "-o", "out.dcnn", "--target-size", "1K", "--json")
    assert status == 0
    assert 900 < json.loads(text)["out_bytes"] == Path("out.dcnn").stat().st_size <= 1000
    status, text, _ = call("compress", file, "-o", "out.dcnn", "--target-size", "10")
    assert status == 1
    assert "the budget isn't met: missed by" in text
    assert deepcompress.load("out.dcnn")["a"].shape == (30, 20)


if importlib.util.find_spec("matplotlib"):

    def test_a_picture_of_the_frontier(file: Path) -> None:
        options = ["--target-size", "1K", "--max-trials", "20", "--journal", "j.jsonl"]
        pictures = []
        for _ in range(2):
            status, _, error = call(
                "compress", file, "-o", "out.dcnn", *options, "--frontier", "f.png"
            )
            assert (status, error) == (0, "")
            pictures.append(Path("f.png").read_bytes())
        assert pictures[0].startswith(b"\x89PNG")
        assert pictures[0] == pictures[1]


def test_inputs_without_a_score(tmp_path: Path) -> None:
    network = zoo.build("digits")
    save_safetensors(tmp_path / "in.safetensors", network.init(np.random.default_rng(0)))
    np.save(tmp_path / "x.npy", np.random.default_rng(1).random((60, 64), np.float32))
    options = ["--calibrate", tmp_path / "x.npy", "--network", "digits", "--max-trials", "5"]
    status, text, _ = call(
        *("compress", tmp_path / "in.safetensors", "-o", tmp_path / "out.dcnn", *options),
        *("--max-drop", "0.05", "--json"),
    )
    values = json.loads(text)
    assert status == 0
    assert values["met"]
    assert -0.05 <= values["score"] < 0
    assert deepcompress.CompressedNetwork.load(tmp_path / "out.dcnn").name == "digits"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--max-drop", "1"], "add --score or --calibrate"),
        (["--max-drop", "1", "--score", "own_scores"], "must be module:function"),
        (["--max-drop", "1", "--score", "own_scores:none"], "AttributeError"),
        (["--max-drop", "1", "--score", "absent_scores:none"], "ModuleNotFoundError"),
        (["--max-drop", "1", "--score", "own_scores:number"], "isn't a function"),
        (["--max-drop", "1", "--score", "own_scores:broken"], "raised RuntimeError for the orig"),
        (["--max-drop", "1", "--score", "own_scores:nan"], "must be a finite number, not nan"),
        (["--max-drop", "-1"], "isn't a number from 0 on"),
        (["--max-drop", "nan"], "isn't a number from 0 on"),
        (["--max-drop", "x"], "isn't a number from 0 on"),
        (["--target-size", "0"], "isn't a size"),
        (["--target-size", "1X"], "isn't a size"),
        (["--target-size", "1K", "--max-trials", "0"], "isn't a whole number from 1 on"),
        (["--target-size", "1K", "--max-drop", "1"], "not allowed with"),
        (["--target-size", "1K", "--paper"], "leave a search nothing to decide"),
        (["--target-size", "1K", "--network", "digits"], "--network is for --calibrate"),
        (["--score", "own_scores:score"], "--score is for --max-drop or --target-size"),
        (["--target-size", "1K", "--frontier", "f.pdf"], "the suffix of a frontier"),
        (["--target-size", "1K", "--journal", "in.safetensors"], "is the very file to read"),
    ],
)
def test_one_clear_answer(file: Path, options: list[str], message: str) -> None:
    kept = file.read_bytes()
    error = fails(2, "compress", file, "-o", "out.dcnn", *options)
    assert message in error
    assert not Path("out.dcnn").exists()
    assert file.read_bytes() == kept


def test_a_folder_that_is_not_there_is_told_at_once(file: Path) -> None:
    assert "can't write" in fails(2, "compress", file, "-o", "no/out.dcnn", "--target-size", "1K")
