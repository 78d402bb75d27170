"""docs/paper.md has a row for all that the paper has, and names functions that exist."""

import importlib
import re
from pathlib import Path

import pytest

TABLE = Path(__file__).parents[1] / "docs" / "paper.md"
TEXT = TABLE.read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(deepcompress\.[\w.]+)`", TEXT)))
FILES = sorted(set(re.findall(r"\]\((\.\./[^)]+)\)", TEXT)))

# The paper's parts, by the headings of the document.
PARTS = {
    "Sections": [
        *("1", "2", "3", "3.1", "3.2", "3.3", "4", "5", "5.1", "5.2", "5.3"),
        *("6.1", "6.2", "6.3", "6.4", "7", "8", "9", "A"),
    ],
    "Equations": ["1", "2", "3"],
    "Figures": [str(number) for number in range(1, 12)],
    "Tables": [str(number) for number in range(1, 10)],
}


def rows(part: str) -> list[list[str]]:
    """Return the cells of the table under a heading."""
    table = TEXT.split(f"## {part}\n")[1].split("\n## ")[0]
    lines = re.findall(r"^\| (.*) \|$", table, re.MULTILINE)
    return [line.split(" | ") for line in lines[1:]]


def resolve(name: str) -> object:
    """Return what a dotted name stands for."""
    found: object = importlib.import_module("deepcompress")
    path = "deepcompress"
    for step in name.split(".")[1:]:
        path += f".{step}"
        if not hasattr(found, step):
            importlib.import_module(path)
        found = getattr(found, step)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_named_functions_exist(name: str) -> None:
    assert resolve(name) is not None


@pytest.mark.parametrize("part", PARTS)
def test_every_part_of_the_paper_has_a_row(part: str) -> None:
    assert list(dict.fromkeys(row[0] for row in rows(part))) == PARTS[part]


@pytest.mark.parametrize("part", PARTS)
def test_rows_say_where_or_why_not(part: str) -> None:
    for row in rows(part):
        assert re.search(r"`deepcompress\.|\]\(\.\./|not reproduced: \w+", row[2]), row


@pytest.mark.parametrize("file", FILES)
def test_linked_files_exist(file: str) -> None:
    assert (TABLE.parent / file).is_file()
