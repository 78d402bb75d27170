"""The worked example of the file format, and the sentences of its document."""

import re
from pathlib import Path

DOCUMENT = Path(__file__).parents[2] / "docs" / "format.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")


def spec_example(heading: str = "## Worked example") -> bytes:
    """Return the bytes of the first example below a heading, as the document prints them."""
    example = TEXT.split(f"{heading}\n")[1].split("```")[1]
    return bytes.fromhex("".join(re.findall(r"^((?:[0-9A-F]{2} +)+)", example, re.MULTILINE)))


def plain(text: str) -> str:
    """Return text without marks of code, each run of white space as one space."""
    return " ".join(text.replace("`", "").split())


def quotations(source: str) -> list[str]:
    """Return the sentences that comments of a module quote: lines that begin with ``# >``."""
    runs = re.findall(r"(?:[^\n]*# > [^\n]*\n)+", source)
    return [plain(" ".join(re.findall(r"# > (.*)", run))) for run in runs]
