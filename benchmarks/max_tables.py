"""Write ``results/max.md``: the committed runs of the recipe ``max``.

``python -m benchmarks.max_tables`` after copying each run's ``report.json`` and ``model.dcnn`` to
``benchmarks/results/<network>-max-seed<N>.json`` and ``.dcnn``.
"""

from pathlib import Path
from statistics import median
from typing import Any

from deepcompress.reports.paper import PAPER
from deepcompress.reports.tables import align, format_tables, read_report

RESULTS = Path(__file__).parent / "results"
HEADERS = ["seed", "dense error", "error of the file", "weights", "file bytes", "ratio", "seconds"]
KEYS = ("reference_error", "compressed_error", "survivors", "file_bytes", "ratio")


def summary(network: str, reports: list[dict[str, Any]]) -> str:
    """Return the runs of one network, their medians, and the paper's line."""

    def row(label: str, values: list[float], seconds: str) -> list[str]:
        dense, compressed, weights, size, ratio = values
        return [
            *(label, f"{dense:.2f} %", f"{compressed:.2f} %", f"{weights:,.0f}"),
            *(f"{size:,.0f}", f"{ratio:.0f}x", seconds),
        ]

    cells = [HEADERS]
    for report in reports:
        total = f"{sum(report['seconds'].values()):.0f}"
        cells.append(row(str(report["seed"]), [report[key] for key in KEYS], total))
    cells.append(row("median", [median(r[key] for r in reports) for key in KEYS], "-"))
    paper = PAPER[network]
    theirs = [f"{paper.reference_error:.2f} %", f"{paper.compressed_error:.2f} %", "-"]
    cells.append(["the paper", *theirs, f"{paper.file_bytes:,}", f"{paper.ratio:.0f}x", "-"])
    return align(cells)


def main() -> None:
    """Read the reports and write the page."""
    parts = [
        "# The recipe max\n\n"
        "Bytes are those of the file, everything included. Errors are of the 10,000 test images,\n"
        "that of the file measured on it as read back, with its weights packed. All 60,000\n"
        "training images are trained on, shifted at random by up to a pixel, and no run chooses\n"
        "anything. The dense network is trained alike: it is what the run begins with, for fewer\n"
        "epochs than pruning takes. How the numbers were chosen stands at the top of\n"
        "`deepcompress/experiments/max_recipe.py`. Seconds are of one thread at a low\n"
        "priority beside much other work, so that they are far more than they need be.\n"
        "Written by `python -m benchmarks.max_tables`."
    ]
    for network in PAPER:
        reports = [read_report(path) for path in sorted(RESULTS.glob(f"{network}-max-seed*.json"))]
        if not reports:
            continue
        parts.append(f"## {network}\n\n`deepcompress run {network} --recipe max --seed N`")
        parts.append(f"```\n{summary(network, reports)}\n```")
        for report in reports:
            parts.append(f"Seed {report['seed']}:\n\n```\n{format_tables(report)}```")
    (RESULTS / "max.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
