"""The guide's examples print what stands below them; the lines and claims it names are there."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from threadpoolctl import threadpool_limits

ROOT = Path(__file__).parents[1]
GUIDE = ROOT / "docs" / "guide"
PAGES = sorted(GUIDE.glob("*.md"))
FIGURES = ROOT / "benchmarks" / "results" / "figures"
SECTIONS = [page for page in PAGES if page.name != "index.md"]
each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
each_section = pytest.mark.parametrize("page", SECTIONS, ids=lambda page: page.stem)


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


TRAINS = "experiments"  # the page whose example trains a network
each_example = pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page.stem == TRAINS)) for page in PAGES],
    ids=lambda page: page.stem,
)


@each_example
def test_examples_print_what_stands_below(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {}
    blocks = re.findall(r"```python\n(.*?)```\n\n```text\n(.*?)```", text(page), re.DOTALL)
    assert len(blocks) == text(page).count("```python") > 0
    with threadpool_limits(1):  # as the products are small
        for code, output in blocks:
            exec(compile(code, str(page), "exec"), names)
            assert capsys.readouterr().out == output


def named(page: Path) -> list[tuple[str, Path]]:
    """Return (module.name, file) of each link to a line of the package."""
    links = re.findall(r"\[`([\w.]+)`\]\(([./\w]+\.py)\)", text(page))
    return [(name, (page.parent / target).resolve()) for name, target in links if "." in name]


def defined(path: Path) -> set[str]:
    """Return what a module has at its top."""
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


@each_section
def test_each_section_names_its_lines(page: Path) -> None:
    parts = text(page).split("\n## ")
    code = [part for part in parts if part.startswith("In the code\n")]
    assert len(code) == 1
    assert len(re.findall(r"\]\(\.\./\.\./deepcompress/", code[0])) >= 3
    for name, path in named(page):
        module, _, function = name.rpartition(".")
        assert path.stem == module, name
        assert function in defined(path), name


@each_section
def test_each_section_tells_what_is_open(page: Path) -> None:
    assert re.search(r"^## What (the paper leaves open|is open in the paper)", text(page), re.M)
    assert re.search(r"^\*Sections? \d", text(page), re.M)


@each_page
def test_claims_are_those_of_the_figures(page: Path) -> None:
    """Each figure that was computed is followed by what the paper claims and what came out."""
    flat = " ".join(re.sub(r"^> ?", "", text(page), flags=re.M).split())
    for stem in re.findall(r"results/figures/([\w-]+)\.png\)", text(page)):
        claim = json.loads((FIGURES / f"{stem}.json").read_text(encoding="utf-8"))["claim"]
        assert f"*The paper:* {' '.join(claim['paper'].split())}" in flat
        assert f"*Here:* {' '.join(claim['sentence'].split())}" in flat


def ratios(result: dict[str, Any], method: str, equal: str) -> str:
    """Return the range of bytes against plain k-means' where `equal` is."""
    rows = [row for row in result["compared"] if row["equal"] == equal and row[method]]
    found = [row[method] / row["plain"] for row in rows]
    return f"{min(found):.2f}x to {max(found):.2f}x" if found else ""


def test_the_clustering_that_knows_the_coder_is_as_it_was_measured() -> None:
    """The table of the guide."""
    path = ROOT / "benchmarks" / "results" / "bench_rated.json"
    results = json.loads(path.read_text(encoding="utf-8"))["results"]
    page = text(GUIDE / "beyond.md")
    assert len(results) == 3
    for result, name in zip(results, ("LeNet-300-100", "LeNet-5", "AlexNet"), strict=True):
        cells = [ratios(result, method, "lost") for method in ("rated", "optimal")]
        cells += [ratios(result, "rated", equal) for equal in ("divergence", "loss")]
        row = next(
            line for line in page.splitlines() if line.startswith(f"| {name}") and "x |" in line
        )
        assert [cell.strip() for cell in row.split("|")[2:-1]] == cells


def test_the_guide_shows_what_was_computed() -> None:
    shown = re.findall(r"results/figures/([\w-]+)\.png\)", "".join(map(text, PAGES)))
    assert sorted(shown) == sorted(path.stem for path in FIGURES.glob("*.json"))
    assert {path.name for path in PAGES} == {
        *re.findall(r"^\| \[[\w ]+\]\((\w+\.md)\)", text(GUIDE / "index.md"), re.M),
        "index.md",
    }
