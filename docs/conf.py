"""How Sphinx makes the site: the pages of this folder, and the reference from docstrings.

``pip install -e ".[docs]" && sphinx-build -W -b html docs build/site``. It imports
the package, and what the extras `torch` and `onnx` bring, whose parts it describes.
"""

import re
from typing import Any

import deepcompress

project = "deepcompress"
author = "the authors of deepcompress"
version = release = deepcompress.__version__
html_title = f"deepcompress {version}"
html_theme = "furo"
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["examples"]
root_doc = "index"
nitpicky = False

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Links to files of the repository, which aren't pages: they stay as they are.
suppress_warnings = [
    "myst.xref_missing",
    "ref.python",  # a type in words, "of shape (n,)", names no attribute
]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the docstrings, with shapes
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_param = False
napoleon_preprocess_types = False


def _plain(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Have single backticks, which the docstrings use for names, be code, and headings be bold."""
    if what == "module":  # pages have several modules, and headings of their own
        for place in reversed(range(1, len(lines))):
            if lines[place] and set(lines[place]) == {"-"} and lines[place - 1].strip():
                lines[place - 1 : place + 1] = [f"**{lines[place - 1]}**", ""]
    lines[:] = [re.sub(r"(?<![`:\w])`([^`\n]+)`(?![`_])", r"``\1``", line) for line in lines]


def _theirs(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool | None:
    """Leave out what scikit-learn gives its estimators."""
    return True if name.endswith("_request") else None


def setup(app: Any) -> None:
    """Have Sphinx call what is above."""
    app.connect("autodoc-process-docstring", _plain)
    app.connect("autodoc-skip-member", _theirs)
