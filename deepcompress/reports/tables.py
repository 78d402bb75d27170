"""The tables of a run as text, in the paper's columns and beside the paper's figures."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..files import strict_json
from .paper import PAPER

LAYER_COLUMNS = (
    ("layer", "layer", "{}"),
    ("weights", "weights", "{:,}"),
    ("kept_percent", "kept %", "{:.1f}"),
    ("weight_bits_PQ", "weight bits P+Q", "{:.1f}"),
    ("weight_bits_PQH", "P+Q+H", "{:.1f}"),
    ("gap_bits_PQ", "gap bits P+Q", "{:.1f}"),
    ("gap_bits_PQH", "P+Q+H", "{:.1f}"),
    ("rate_PQ_percent", "rate % P+Q", "{:.2f}"),
    ("rate_PQH_percent", "P+Q+H", "{:.2f}"),
)

RUN_COLUMNS = (
    ("network", "network", "{}"),
    ("reference_error", "reference error", "{:.2f} %"),
    ("pruned_error", "pruned error", "{:.2f} %"),
    ("quantized_error", "quantized error", "{:.2f} %"),
    ("compressed_error", "compressed error", "{:.2f} %"),
    ("reference_bytes", "fp32 bytes", "{:,}"),
    ("file_bytes", "file bytes", "{:,}"),
    ("ratio", "ratio", "{:.1f}x"),
)


def format_tables(report: Mapping[str, Any]) -> str:
    """Return the paper-style tables of a run.

    Parameters
    ----------
    report : mapping
        The contents of ``report.json``.

    Returns
    -------
    str
        Table 1's line, the bytes per stage, and the layers' table, each beside the
        paper's where the paper has it. Bytes are those of files, everything included;
        the paper's leave out biases, code tables and headers.
    """
    paper = PAPER.get(report["network"])
    runs, theirs = [report], ""
    if paper is not None:
        unstated = {"network": "the paper", "pruned_error": None, "quantized_error": None}
        runs.append(asdict(paper) | unstated)
        theirs = f"\n\nThe paper's table:\n{format_layers([asdict(row) for row in paper.rows])}"
    summary = align(as_cells(runs, RUN_COLUMNS))
    return f"{summary}\n\n{_stages(report)}\n\n{format_layers(report['layers'])}{theirs}\n"


def read_report(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a ``report.json``; raise OutputError if it isn't one."""
    try:
        report = strict_json.parse(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise OutputError(f"{os.fspath(path)}: can't be read as a report: {error}") from error
    if not isinstance(report, dict):
        raise OutputError(f"{os.fspath(path)}: not a report")
    return report


def format_layers(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows with the fields of `ledger.LayerRow` in the columns of tables 2 and 3."""
    return align(as_cells(rows, LAYER_COLUMNS))


def as_cells(
    rows: Iterable[Mapping[str, Any]], columns: Sequence[tuple[str, str, str]]
) -> list[list[str]]:
    """Return headers, and each row's values as text, by columns of key, header and format."""
    cells = [[header for _, header, _ in columns]]
    for row in rows:
        cells.append(
            ["-" if row[key] is None else form.format(row[key]) for key, _, form in columns]
        )
    return cells


def format_stages(dense: str, reference: int, sizes: Mapping[str, int]) -> str:
    """Return the bytes after each stage, and their ratios against the dense ones, by that name."""
    cells = [["stage", "bytes", "ratio"], [dense, f"{reference:,}", "1.0x"]]
    for stage, size in sizes.items():
        cells.append([stage, f"{size:,}", f"{reference / size:.1f}x"])
    return align(cells)


def align(cells: Sequence[Sequence[str]]) -> str:
    """Return a table as text: a header row, the first column to the left, others to the right."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        others = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
        lines.append("  ".join([row[0].ljust(widths[0]), *others]).rstrip())
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def printable(name: str) -> str:
    """Escape characters that could change the terminal or a table."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()


def shape_text(shape: Sequence[int]) -> str:
    """Return a shape as tables show it.

    Examples
    --------
    >>> shape_text((20, 1, 5, 5)), shape_text(())
    ('20x1x5x5', '()')
    """
    return "x".join(map(str, shape)) or "()"


def _stages(report: Mapping[str, Any]) -> str:
    """Return the bytes after each stage, with pruned weights in plain formats too."""
    sizes = {}
    plain = [row for row in report["layers"] if row["csr_bytes"] is None]
    for form in ("csr", "csc"):
        sizes[f"pruned, plain {form.upper()}"] = sum(row["bytes_P"] for row in plain) + sum(
            row[f"{form}_bytes"] for row in report["layers"] if row not in plain
        )
    return format_stages("dense fp32", report["reference_bytes"], sizes | report["stages"])
