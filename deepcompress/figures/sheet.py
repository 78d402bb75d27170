"""What all pictures have in common: colours, marks, and the size of a page's text.

The colours are those of Okabe and Ito (2008), which the colour-blind can tell apart; each line
has a mark of its own besides.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, BLACK = (
    *("#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9", "#CC79A7", "#000000"),
)
GREY = "#BBBBBB"
COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, BLACK)
MARKS = ("o", "s", "^", "D", "v", "P", "X")
ERRORS = (0.5, 0.6, 0.8, 1, 1.5, 2, 3, 5, 10, 20, 50, 90)  # percent, along logarithmic axes
WIDTH = 7.0  # inches: the text of a page
NAMES = {
    "lenet-300-100": "LeNet-300-100",
    "lenet-5": "LeNet-5",
    "alexnet": "AlexNet",
    "vgg-16": "VGG-16",
    "digits": "digits, 64-500-300-10",
}


def panels(
    rows: int, columns: int, height: float, *, share_x: bool = False, share_y: bool = False
) -> tuple["Figure", Any]:
    """Return a figure and its axes, always as an array of two dimensions, with a quiet grid."""
    from matplotlib.figure import Figure  # no pyplot: neither windows nor global state

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share_x, sharey=share_y)
    for each in axes.flat:
        each.grid(color=GREY, linewidth=0.4, alpha=0.7)
        each.set_axisbelow(True)
    return figure, axes


def style(index: int) -> dict[str, Any]:
    """Return the looks of a figure's line."""
    return {
        "color": COLOURS[index % len(COLOURS)],
        "marker": MARKS[index % len(MARKS)],
        "markersize": 4.5,
        "linewidth": 1.3,
    }


def legend_above(figure: "Figure", axes: Any, columns: int) -> None:
    """Put one legend for all panels above them."""
    handles: dict[str, Any] = {}
    for each in axes.flat:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    where: Any = {"loc": "outside upper center", "ncols": columns, "frameon": False}
    figure.legend(list(handles.values()), list(handles), **where)


def ticks(axes: Any, places: Sequence[float], text: str = "{:g}") -> None:
    """Have plain numbers along a logarithmic x axis, at the places given."""
    axes.set_xticks(list(places), [text.format(place) for place in places])
    axes.set_xticks([], minor=True)


def plain_errors(axes: Any) -> None:
    """Have plain percents along a logarithmic y axis, as far as the data reach."""
    low, high = axes.get_ylim()
    axes.set_yticks(ERRORS, [f"{error:g}" for error in ERRORS])
    axes.set_yticks([], minor=True)
    axes.set_ylim(low, high)


def plain_numbers(axes: Any) -> None:
    """Have plain numbers along a logarithmic y axis, in the place of powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())


def named(network: str) -> str:
    """Return a network's name as it is written."""
    return NAMES.get(network, network)


def claim(paper: str, held: bool, sentence: str) -> dict[str, Any]:
    """Return what the paper says of a figure, whether it held here, and in which numbers."""
    verdict = "The paper's claim held" if held else "The paper's claim didn't hold"
    return {"paper": paper, "held": bool(held), "sentence": f"{verdict}: {sentence}"}
