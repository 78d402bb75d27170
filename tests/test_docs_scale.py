"""The commands and the program of docs/scale.md run as they stand."""

import importlib.util
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from support.command import call
from support.npz import npz_bytes

import deepcompress as dc
from deepcompress.formats import safetensors

TEXT = (Path(__file__).parents[1] / "docs" / "scale.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with three models, as the current one."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "small").mkdir()
    rng = np.random.default_rng(0)
    arrays = {"w": rng.normal(size=(40, 100)).astype(np.float32)}
    safetensors.write("models/first.safetensors", arrays.items())
    for name in ("second", "third"):
        (tmp_path / "models" / f"{name}.npz").write_bytes(npz_bytes(arrays))
    return tmp_path


def test_commands(folder: Path) -> None:
    (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    answers = []
    for line in block.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "deepcompress"
        paths = [
            path
            for argument in arguments
            for path in (sorted(map(str, Path().glob(argument))) if "*" in argument else [argument])
        ]
        status, text, error = call(*paths)
        assert (status, error) == (0, "")
        answers.append([line.endswith("(done before)") for line in text.splitlines()])
    assert answers == [[False, False], [True, True, False]]
    journal = ".deepcompress-journal"
    assert f"`small/{journal}`" in TEXT
    assert sorted(os.listdir("small")) == [journal, "first.dcnn", "second.dcnn", "third.dcnn"]


if importlib.util.find_spec("distributed"):

    @pytest.mark.slow
    def test_the_program(folder: Path) -> None:
        (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
        names = {"__name__": "__main__"}
        exec(compile(block, "docs/scale.md", "exec"), names)
        assert Path("model.dcnn").read_bytes() == dc.compress(names["tensors"]).to_bytes()
        for name in ("first", "third"):
            assert call("verify", f"small/{name}.dcnn")[0] == 0
