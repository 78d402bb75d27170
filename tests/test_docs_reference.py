"""The reference has every public name, and the site's pages are all in its contents."""

import importlib
import inspect
import re
from pathlib import Path

import pytest

import deepcompress

DOCS = Path(__file__).parents[1] / "docs"
PAGES = {path: path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
REFERENCE = "\n".join(text for path, text in PAGES.items() if path.parent.name == "reference")
DESCRIBED = re.findall(r"automodule:: (deepcompress[\w.]*)\n   :(no-)?members:", REFERENCE)
WITH_MEMBERS = {module for module, no in DESCRIBED if not no}
LEFT_OUT = ("deepcompress.native", "deepcompress.commands", "deepcompress.cli")
LEFT_OUT += ("deepcompress.moved", "deepcompress.__main__")
PACKAGE = Path(deepcompress.__file__).parent
# By their files, as what needs an extra can't be walked through without it.
NAMES = [
    ".".join(["deepcompress", *path.relative_to(PACKAGE).with_suffix("").parts])
    for path in sorted(PACKAGE.rglob("*.py"))
]
MODULES = sorted({name.removesuffix(".__init__") for name in NAMES} - {"deepcompress"})
MODULES = [name for name in MODULES if not name.startswith(LEFT_OUT)]


def test_each_module_is_described_once() -> None:
    described = sorted(module for module, _ in DESCRIBED)
    doors = ["deepcompress", "deepcompress.native.gateway", "deepcompress.native.pool"]
    assert described == sorted([*MODULES, *doors])


@pytest.mark.parametrize("name", ["deepcompress", *MODULES])
def test_public_names_are_in_the_reference(name: str) -> None:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"could not import {name}: {error}")
    for public in getattr(module, "__all__", ()):
        found = getattr(module, public)
        if not getattr(found, "__module__", "deepcompress").startswith("deepcompress"):
            continue  # of another package
        if inspect.isclass(found) or inspect.isfunction(found):
            assert found.__module__ in WITH_MEMBERS, public
            assert inspect.getdoc(found), public
        else:  # a constant has a row
            assert re.search(rf"^\| .*`{public}`.* \|", REFERENCE, re.M), public


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_are_documented(name: str) -> None:
    """What has no docstring would be left out by Sphinx."""
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        pytest.skip(f"could not import {name}: {error}")
    for own, found in vars(module).items():
        is_ours = getattr(found, "__module__", None) == name and not own.startswith("_")
        if is_ours and (inspect.isclass(found) or inspect.isfunction(found)):
            assert inspect.getdoc(found), own


def test_the_package_page_has_its_names() -> None:
    package = PAGES[DOCS / "reference" / "package.md"]
    listed = re.findall(r"\{py:obj\}`(\w+) <([\w.]+)>`", package)
    assert [name for name, _ in listed] == deepcompress.__all__
    for name, target in listed:
        found = getattr(deepcompress, name)
        assert target == f"{found.__module__}.{found.__qualname__}"


def test_each_page_is_in_the_contents() -> None:
    seen = {DOCS / "index.md"}
    pending = list(seen)
    while pending:
        page = pending.pop()
        for block in re.findall(r"```\{toctree\}\n(.*?)```", PAGES[page], re.DOTALL):
            entries = [line for line in block.splitlines() if line and not line.startswith(":")]
            found = {page.parent / f"{entry}.md" for entry in entries} - seen
            seen |= found
            pending += found
    assert seen == set(PAGES)
