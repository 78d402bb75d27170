"""What README shows runs as it stands, and it names each command there is."""

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from deepcompress import cli

README = Path(__file__).parents[1] / "README.md"
TEXT = README.read_text(encoding="utf-8")
TENSORS, NETWORK = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def run(code: str) -> dict[str, Any]:
    """Run a block in the current folder; return its names."""
    names: dict[str, Any] = {}
    exec(compile(code, str(README), "exec"), names)
    return names


def test_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(TENSORS)
    np.testing.assert_allclose(names["y"], names["dense"].sum(axis=1), atol=1e-3)
    assert names["rows"].shape == (10, 784)
    np.testing.assert_array_equal(names["rows"].to_dense(), names["dense"][10:20])


def test_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, squeezenet_file: Path) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(squeezenet_file, "squeezenet.dcnn")
    Image.fromarray(np.zeros((60, 80, 3), np.uint8)).save("photograph.jpg")
    assert run("import deepcompress\n" + NETWORK)["logits"].shape == (1, 1000)


def test_each_command_is_there() -> None:
    described = set(re.findall(r"^\| `(\w+)", TEXT, re.MULTILINE))
    choices = re.findall(r"choose from ([^)]*)\)", str(_refusal()))[0]
    assert described == set(re.findall(r"\w+", choices))


def _refusal() -> Exception:
    with pytest.raises(ValueError, match="invalid choice") as caught:
        cli._parser().parse_args(["no command"])
    return caught.value
