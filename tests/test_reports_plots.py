"""The command ``plot``: which files it makes, and what it refuses."""

import builtins
import json
import struct
from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails

import deepcompress
from deepcompress.files import atomic

NAMES = ["codebooks", "counts", "layers"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with odd names, and its original beside it."""
    rng = np.random.default_rng(0)
    tensors = {
        "$x^$": rng.normal(size=(40, 50)).astype(np.float32),
        "名\n" + "n" * 60: rng.normal(size=(18, 30, 3)).astype(np.float32),
        "b": np.ones(3, np.float32),
        "empty": np.zeros((40, 50), np.float32),
    }
    np.savez(tmp_path / "original.npz", **{"b": tensors["b"], "$x^$": tensors["$x^$"]})
    kept = {"bits": 4, "sparsity": 0.7}
    config = deepcompress.Config(by_name=dict.fromkeys([n for n in tensors if n != "b"], kept))
    deepcompress.compress(tensors, config).save(tmp_path / "model.dcnn")
    return tmp_path / "model.dcnn"


@pytest.mark.slow
def test_pictures_are_made_and_named(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    status, text, error = call("plot", file, "-o", out)
    assert (status, error) == (0, "")
    assert sorted(path.stem for path in out.iterdir()) == NAMES
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    for name, content in first.items():
        assert f"{out / name}: {len(content):,} bytes" in text
        assert content.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", content[16:24])
        assert width == 1350
        assert height > 200
    status, text, error = call("plot", file, "-o", out, "--json")
    values = json.loads(text)
    assert len(values["layers"]) == 3
    assert sorted(row["file"] for row in values["pictures"]) == sorted(map(str, out.iterdir()))
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_svg_of_chosen_layers_against_the_original(file: Path, tmp_path: Path) -> None:
    command = ["plot", file, "-o", tmp_path / "out", "--format", "svg", "--layer", "$x^$"]
    original = ["--against", tmp_path / "original.npz"]
    assert call(*command, *original)[0] == 0
    pictures = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    assert sorted(pictures) == [f"{name}.svg" for name in NAMES]
    assert all("<svg" in text and "</svg>" in text for text in pictures.values())
    assert call(*command)[0] == 0  # without the original, the histogram is gone
    again = (tmp_path / "out" / "codebooks.svg").read_text()
    assert len(again) < len(pictures["codebooks.svg"])
    assert (tmp_path / "out" / "counts.svg").read_text() == pictures["counts.svg"]
    many = [part for i in range(17) for part in ("--layer", f"l{i}")]
    assert "at most 16 layers fit, not 17" in fails(2, "plot", file, "-o", tmp_path / "x", *many)


def test_what_can_not_be_drawn(file: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["plot", file, "-o", out]
    for name in ("b", "none"):
        assert f"shared weights is named '{name}'" in fails(2, *command, "--layer", name)
    against = ["--against", tmp_path / "original.npz"]
    assert "original.npz: the original has no tensor" in fails(2, *command, *against)
    assert "--format" in fails(2, *command, "--format", "jpg")
    assert "isn't there" not in fails(2, "plot", tmp_path / "absent", "-o", out)
    damaged = bytearray(file.read_bytes())
    damaged[-9] ^= 1
    (tmp_path / "damaged").write_bytes(damaged)
    fails(1, "plot", tmp_path / "damaged", "-o", out)
    assert not out.exists()
    assert "can't make the folder" in fails(2, "plot", file, "-o", file)


def test_nothing_is_written_before_all_is_drawn(file: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic.os, "replace", full)
    assert "No space left" in fails(1, "plot", file, "-o", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_without_matplotlib(file: Path, tmp_path: Path, monkeypatch) -> None:
    original = builtins.__import__

    def absent(name: str, *arguments: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(f"No module named {name!r}")
        return original(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", absent)
    message = fails(2, "plot", file, "-o", tmp_path / "out")
    assert message.startswith("pictures need matplotlib, the extra 'plot' of deepcompress-nn")
    assert not (tmp_path / "out").exists()
