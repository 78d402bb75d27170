"""The commands of docs/formats.md run as they stand, and its table has each format."""

import importlib.util
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from support.command import call

from deepcompress.formats import safetensors, safetensors_shards
from deepcompress.formats.registry import FORMATS, open_source

TEXT = (Path(__file__).parents[1] / "docs" / "formats.md").read_text(encoding="utf-8")
SECTIONS = {
    section.splitlines()[0]: re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    for section in TEXT.split("\n## ")[1:]
}
NEEDS = {"ONNX": "onnx"}
OF_PYTHON = ("NumPy", "SciPy", "PyTorch", "Keras", "scikit-learn")  # test_docs_formats_python's


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a folder with what the commands read, as the current one."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    arrays = {f"w{i}": rng.normal(size=(40, 10_000)).astype(np.float32) for i in range(3)}
    safetensors.write("model.safetensors", arrays.items())
    for name in ("checkpoint", "restored"):
        (tmp_path / name).mkdir()
    safetensors_shards.write("checkpoint/model.safetensors", arrays.items(), {}, 3_000_000)
    if importlib.util.find_spec("onnx"):
        from support.onnx_models import model, save

        save(tmp_path / "model.onnx", model())
    return tmp_path


@pytest.mark.parametrize("title", [title for title in SECTIONS if title not in OF_PYTHON])
def test_commands(folder: Path, title: str) -> None:
    if title in NEEDS:
        pytest.importorskip(NEEDS[title], reason=f"the extra {NEEDS[title]} isn't installed")
    assert SECTIONS[title]
    for line in "".join(SECTIONS[title]).splitlines():
        program, *arguments = shlex.split(line, comments=True)
        assert program == "deepcompress"
        assert call(*arguments)[::2] == (0, ""), line
        out = arguments[arguments.index("-o") + 1]
        if not out.endswith(".dcnn") and Path(out).exists():
            with open_source(out) as source:
                assert len(source) >= 3
    if title == "safetensors":
        names = {path.name for path in folder.iterdir()}
        assert {"cut-00001-of-00003.safetensors", "cut.safetensors.index.json"} <= names
        assert len([*(folder / "restored").iterdir()]) == len([*(folder / "checkpoint").iterdir()])


def test_the_table_has_each_format() -> None:
    first = re.findall(r"^\| (.*?) \| ", TEXT, re.MULTILINE)[1:]
    for one in FORMATS:
        assert [cell for cell in first if f"`{one.suffix}`" in cell], one.suffix


def test_the_table_has_the_extras() -> None:
    rows = re.findall(r"^\| (`.*?) \|$", TEXT, re.MULTILINE)
    for one in FORMATS:
        (row,) = [row for row in rows if f"`{one.suffix}`" in row] or [None]
        if row is not None and not one.is_folder:
            assert row.endswith(f"`{one.requires}`") == (one.requires is not None)
            assert ("yes" in row.split(" | ")[2]) == (one.write is not None)
