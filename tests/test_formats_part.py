"""A part of a source, by a prefix of names."""

from pathlib import Path

import numpy as np
import pytest
from support.command import call, fails

import deepcompress as dc
from deepcompress.errors import ArgumentError
from deepcompress.formats import npz, safetensors
from deepcompress.formats.part import Part
from deepcompress.formats.registry import open_source

NAMES = ("model.fc.weight", "model.fc.bias", "model", "models.w", "model/a", "ema.fc.weight")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    arrays = {name: np.full(3, index, np.float32) for index, name in enumerate(NAMES)}
    npz.write(tmp_path / "a.npz", arrays.items())
    return tmp_path / "a.npz"


@pytest.mark.parametrize(
    ("prefix", "chosen"),
    [
        ("model", [0, 1, 2, 4]),
        ("model.fc", [0, 1]),
        ("model.fc.bias", [1]),
        ("ema", [5]),
    ],
)
def test_whole_names_are_below(path: Path, prefix: str, chosen: list[int]) -> None:
    with open_source(path) as source:
        part = Part(source, prefix)
        assert list(part) == [NAMES[index] for index in chosen]
        assert [part[name][0] for name in part] == chosen
        assert part.shapes == dict.fromkeys(part, (3,))


@pytest.mark.parametrize(
    ("prefix", "nearest"),
    [("modle", "'model'"), ("model.fcc", "'model.fc'"), ("zzz", "'model'"), ("", "'model'")],
)
def test_nothing_below_suggests_the_nearest(path: Path, prefix: str, nearest: str) -> None:
    with open_source(path) as source, pytest.raises(ArgumentError) as raised:
        Part(source, prefix)
    assert f"no tensor is below {prefix!r}; nearest: " in str(raised.value)
    assert nearest in str(raised.value)


def test_the_command(path: Path) -> None:
    out = path.parent / "a.dcnn"
    assert call("compress", path, "-o", out, "--only", "model.fc")[0] == 0
    assert list(dc.load(out)) == list(NAMES[:2])
    out.unlink()
    message = fails(2, "compress", path, "-o", out, "--only", "fc")
    assert message.startswith(f"{path}: no tensor is below 'fc'; nearest: ")
    assert not out.exists()


def test_metadata_of_a_safetensors_file_stays(tmp_path: Path) -> None:
    origin = {"metadata": {"format": "pt"}}
    given = tmp_path / "a.safetensors"
    safetensors.write(given, [("a.w", np.ones(3)), ("b", np.ones(3))], origin)
    assert call("compress", given, "-o", tmp_path / "a.dcnn", "--only", "a")[0] == 0
    assert dc.load(tmp_path / "a.dcnn").metadata["origin"]["metadata"] == {"format": "pt"}
