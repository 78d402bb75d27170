"""The page on networks of one's own: its commands and code run, its operators are all there are."""

import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.command import call

from deepcompress.formats import onnx_operators, registry
from deepcompress.nn.definition import TYPES

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
TEXT = PAGE.read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()
]


def test_the_operators_are_those_that_are_known() -> None:
    rows = re.findall(r"^\| (`.*?) \| (.*?) \|", TEXT, re.MULTILINE)
    operators = [name for row in rows for name in re.findall(r"`(\w+)`", row[0])]
    assert sorted(operators) == sorted(onnx_operators.OPERATORS)
    layers = {name for row in rows for name in re.findall(r"`(\w+)`", row[1])}
    assert layers <= TYPES.keys()


if importlib.util.find_spec("onnx") is not None:

    @pytest.fixture
    def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Give a folder, which is the current one, with a graph and a picture."""
        import onnx
        from support.onnx_graphs import draw, model_of, node

        nodes = [
            node("Conv", "x w", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
            node("Relu", "c", "r"),
            node("GlobalAveragePool", "r", "g"),
            node("Flatten", "g", "f"),
            node("Gemm", "f k", "y", transB=1),
        ]
        tensors = {"w": draw(32, 3, 3, 3), "k": draw(10, 32)}
        onnx.save(model_of(nodes, (3, 32, 32), "y", tensors), tmp_path / "network.onnx")
        pixels = np.random.default_rng(0).integers(0, 256, (40, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photograph.png")
        monkeypatch.chdir(tmp_path)
        return tmp_path

    def run_code() -> dict[str, Any]:
        names: dict[str, Any] = {}
        exec(compile("".join(CODE), str(PAGE), "exec"), names)
        return names

    def test_the_code(folder: Path) -> None:
        names = run_code()
        assert names["logits"].shape == (2, 10)
        assert {one.name for one in names["network"].params} > {"c.weight", "y.weight"}

    if ".onnx" in registry.described():

        def test_the_commands(folder: Path) -> None:
            for line in COMMANDS:
                status, text, error = call(*shlex.split(line)[1:])
                assert (status, error) == (0, "")
            assert len(re.findall(r"^ +\d+\.\d\d %", text, re.MULTILINE)) == 3
