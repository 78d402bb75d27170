"""Figure 11: where the bytes go."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import Config
from ..pipeline import compress
from ..reports.ledger import account
from .bench import CONVOLUTIONS, Bench
from .networks import trained
from .sheet import BLUE, GREEN, ORANGE, PURPLE, SKY, claim, named, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Parts of the ledger that are one in the picture; what isn't named is overhead.
PARTS = {
    "weights (labels)": ("labels",),
    "index (positions, fillers)": ("gaps", "mask", "fillers"),
    "codebooks": ("codebooks",),
    "biases": ("biases", "raw"),
    "code tables, header, checksums": (),
}
COLOURS = dict(zip(PARTS, (BLUE, ORANGE, GREEN, SKY, PURPLE), strict=True))
CONVOLUTION_BITS = 8
PAPER = "Labels and index take about half each; codebooks are negligible."


def compute(bench: Bench) -> dict[str, Any]:
    """Return the bytes of each part of each network's file."""
    files = {network: trained(bench, network).file for network in bench.networks}
    for network in CONVOLUTIONS:
        convolutions = bench.convolutions(network)
        densities = list(bench.densities(network).values())
        if convolutions:
            by_name = {
                name: {"sparsity": 1 - density, "bits": CONVOLUTION_BITS}
                for name, density in zip(convolutions, densities, strict=False)
            }
            model = compress(convolutions, Config(by_name=by_name))
            files[f"{network}, convolutions"] = model.to_bytes()
    rows = [_row(name, data) for name, data in files.items()]
    weights = [row["share"]["weights (labels)"] for row in rows]
    index = [row["share"]["index (positions, fillers)"] for row in rows]
    books = [row["share"]["codebooks"] for row in rows]
    held = max(books) < 0.05 and min(weights + index) > 0.35 and max(weights + index) < 0.65
    sentence = (
        f"labels take {min(weights):.0%} to {max(weights):.0%} of the bytes, positions "
        f"{min(index):.0%} to {max(index):.0%}, codebooks {min(books):.1%} to {max(books):.1%}."
    )
    settings = bench.described()
    return {"settings": settings, "files": rows, "claim": claim(PAPER, held, sentence)}


def _row(name: str, data: bytes) -> dict[str, Any]:
    books = account(data)
    sizes = dict.fromkeys(PARTS, 0)
    whole = {part: owner for owner, parts in PARTS.items() for part in parts}
    for section in books.sections:
        sizes[whole.get(section.part, list(PARTS)[-1])] += section.size_bytes
    return {
        "file": name,
        "file_bytes": books.file_bytes,
        "ratio": books.ratio,
        "bytes": sizes,
        "share": {part: size / books.file_bytes for part, size in sizes.items()},
    }


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a bar for each file."""
    rows = data["files"]
    figure, axes = panels(1, 1, 1.3 + 0.5 * len(rows))
    axis = axes[0, 0]
    places, left = np.arange(len(rows)), np.zeros(len(rows))
    for part, colour in COLOURS.items():
        shares = np.array([100 * row["share"][part] for row in rows])
        axis.barh(places, shares, left=left, height=0.65, color=colour, label=part)
        for place, share, start in zip(places, shares, left, strict=True):
            if share >= 4:
                text = {"ha": "center", "va": "center", "fontsize": 8}
                white = "white" if colour in (BLUE, GREEN, PURPLE) else "black"
                axis.text(start + share / 2, place, f"{share:.0f} %", color=white, **text)
        left += shares
    labels = []
    for row in rows:
        network, _, rest = row["file"].partition(", ")
        size = f"{row['file_bytes'] / 1000:,.0f} kB, {row['ratio']:.0f}x"
        labels.append(f"{named(network)}{', ' + rest if rest else ''}\n{size}")
    axis.set_yticks(places, labels)
    axis.set(xlabel="share of the file's bytes, %", xlim=(0, 100))
    axis.invert_yaxis()
    axis.grid(axis="y", visible=False)
    handles, names = axis.get_legend_handles_labels()
    where: Any = {"loc": "outside upper center", "ncols": 3, "frameon": False}
    figure.legend(handles, names, **where)
    return figure
