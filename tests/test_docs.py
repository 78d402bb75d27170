"""What the documents name exists; docs/paper.md has a row for each part of the paper."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = [ROOT, ROOT / "deepcompress"]  # what a document names is in one of them
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)

PAPER = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
NAMES = sorted(set(re.findall(r"`(deepcompress\.[\w.]+)`", PAPER)))

# The paper's parts, by the headings of docs/paper.md.
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
    table = PAPER.split(f"## {part}\n")[1].split("\n## ")[0]
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


def text(document: Path) -> str:
    return document.read_text(encoding="utf-8")


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text(document))
    assert [target for target in targets if not (document.parent / target).exists()] == []


@each_document
def test_anchors_lead_to_headings(document: Path) -> None:
    headings = re.findall(r"^#+ (.*)$", text(document), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text(document))) <= anchors


@each_document
def test_named_files_and_folders_exist(document: Path) -> None:
    named = re.findall(r"`([\w./-]+(?:/|/[\w.-]+\.(?:py|md|c|h)))`", text(document))
    missing = [name for name in named if not any((folder / name).exists() for folder in FOLDERS)]
    assert missing == []


def test_files_of_the_integration_script_exist() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    patterns = re.findall(r"tests/[\w*/]+\.py", script)
    assert patterns
    assert [pattern for pattern in patterns if not list(ROOT.glob(pattern))] == []
