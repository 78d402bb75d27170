"""The page on calibration: its commands need photographs, its Python says what happens."""

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "calibration.md").read_text(encoding="utf-8")


def test_its_python_says_what_happens(capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", PAGE, re.DOTALL)
    assert len(blocks) == PAGE.count("```python") == 3
    for code, output in blocks:
        exec(code, names)
        assert capsys.readouterr().out == output
