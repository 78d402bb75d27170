"""Draws `reports.series` and timings with matplotlib, which is loaded only here and only then.

The colours are Paul Tol's "high contrast": told apart by the colour-blind, and in print
without colours by their lightness.
"""

import io
import warnings
from collections.abc import Callable, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ArgumentError
from .product_timing import CrossOver, Timing
from .series import CodebookSeries, CountSeries, LayerSeries, shown_gaps
from .tables import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("png", "svg")
DARK, MIDDLE, LIGHT, PALE = "#004488", "#BB5566", "#DDAA33", "#BBBBBB"
WIDTH = 9.0  # inches, at 150 dots per inch
MAX_NAME = 32
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # a tensor may be named $x$
    "svg.hashsalt": "deepcompress",  # the same bytes each time
    "figure.dpi": 150,
    "savefig.dpi": 150,
}


def check_matplotlib() -> None:
    """Raise ArgumentError unless matplotlib is there."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ArgumentError(
            f"pictures need matplotlib, the extra 'plot' of deepcompress-nn: {error}"
        ) from error


def render(draw: Callable[..., "Figure"], *arguments: Any, format: str = "png") -> bytes:
    """Return a picture as the bytes of a file; the same each time.

    Parameters
    ----------
    draw : callable
        One of the functions below.
    *arguments
        Its arguments.
    format : {"png", "svg"}
    """
    import matplotlib

    file = io.BytesIO()
    metadata = {"Software": None} if format == "png" else {"Date": None, "Creator": None}
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)  # a name in a script without font
        draw(*arguments).savefig(file, format=format, metadata=metadata)
    return file.getvalue()


def draw_layers(series: LayerSeries) -> "Figure":
    """Draw density, bits per entry and bytes, a row for each tensor."""
    figure = _figure(1.5 + 0.24 * len(series.names))
    axes = figure.subplots(1, 3, sharey=True)
    rows = np.arange(len(series.names))
    axes[0].barh(rows, series.density_percent, color=DARK)
    axes[0].set(xlabel="density, % of weights kept", xlim=(0, 100))
    _stack(axes[1], rows, {"labels": series.label_bits, "positions": series.position_bits})
    axes[1].set_xlabel("bits per weight kept, coded")
    kilobytes = {part: np.array(sizes) / 1000 for part, sizes in series.bytes_of.items()}
    _stack(axes[2], rows, kilobytes)
    axes[2].set_xlabel("size in the file, kB")
    axes[0].set_yticks(rows, [_short(name) for name in series.names])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    for each in axes:
        each.tick_params(axis="y", length=0)
        each.grid(axis="x", color=PALE, linewidth=0.5)
        each.set_axisbelow(True)
    handles, labels = axes[2].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    return figure


def draw_counts(series: Sequence[tuple[str, CountSeries]]) -> "Figure":
    """Draw how often labels and gaps occur, a row for each tensor: the paper's figure 5."""
    figure = _figure(0.5 + 2.1 * len(series))
    axes = figure.subplots(len(series), 2, squeeze=False)
    for (name, counts), (left, right) in zip(series, axes, strict=True):
        left.bar(np.arange(1, len(counts.labels)), counts.labels[1:], width=0.9, color=DARK)
        left.set_title(f"{_short(name)}: labels of {counts.labels[1:].sum():,} weights", loc="left")
        weights = counts.gaps - counts.filler_gaps
        gaps = np.arange(len(counts.gaps))
        right.bar(gaps, weights, width=0.9, color=DARK, label="weights")
        fillers, end = counts.filler_gaps.sum(), shown_gaps(counts)
        if counts.filler_gaps[:end].any():
            above = {"bottom": weights, "label": "fillers"}
            right.bar(gaps, counts.filler_gaps, width=0.9, color=LIGHT, **above)
            right.legend(frameon=False)
        right.set_title(f"{_short(name)}: gaps, {fillers:,} of them before fillers", loc="left")
        beyond = 100 * weights[end:].sum() / max(weights.sum(), 1)
        more = f"; {beyond:.1f} % of weights beyond" if beyond else ""
        xlabel = f"gap: zeros before the entry{more}"
        left.set(ylabel="count", xlabel="label", xlim=(0, len(counts.labels)))
        right.set(xlabel=xlabel, xlim=(-1, end))
    return figure


def draw_codebooks(series: Sequence[tuple[str, CodebookSeries]]) -> "Figure":
    """Draw centroids, as high as they have weights, above the histogram of the original."""
    figure = _figure(0.9 + 2.3 * len(series))
    axes = figure.subplots(len(series), 1, squeeze=False)[:, 0]
    for (name, book), each in zip(series, axes, strict=True):
        thin = 0.5 if len(book.centroids) > 64 else 1.0
        dots = {"color": DARK, "markersize": 3 * thin, "label": "weights of a centroid"}
        each.vlines(book.centroids, 0, book.counts, color=DARK, linewidth=1.2 * thin)
        each.plot(book.centroids, book.counts, "o", **dots)
        each.set(ylabel="weights per centroid", ylim=(0, None), xlabel="value")
        each.axvline(0, color=PALE, linewidth=0.8, zorder=0)
        each.set_title(f"{_short(name)}: {len(book.centroids)} centroids", loc="left")
        if book.originals is not None and book.edges is not None:
            under = each.twinx()
            label = "original weights that survive"
            under.stairs(book.originals, book.edges, fill=True, color=LIGHT, label=label)
            under.set_ylabel("original weights per bin")
            under.set_ylim(0, None)
            under.spines["right"].set_visible(True)
            each.set_zorder(under.get_zorder() + 1)
            each.patch.set_visible(False)
    handles: dict[str, Any] = {}
    for each in figure.axes:
        handles |= dict(zip(*each.get_legend_handles_labels()[::-1], strict=True))
    where: Any = {"loc": "outside upper center", "ncols": len(handles), "frameon": False}
    figure.legend(list(handles.values()), list(handles), **where)
    return figure


def draw_products(timings: Sequence[Timing], crossovers: Sequence[CrossOver]) -> "Figure":
    """Draw how the worth of packed weights falls with density: a panel for each size.

    Each batch has a line. Dotted lines are where the model goes over to dense products.
    """
    sizes = list(dict.fromkeys((timing.rows, timing.cols) for timing in timings))
    batches = sorted({timing.batch for timing in timings})
    colours = dict(zip(batches, cycle((DARK, MIDDLE, LIGHT)), strict=False))
    marks = {batch: "osD"[index // 3 % 3] for index, batch in enumerate(batches)}
    figure = _figure(3.4, 3.4 * len(sizes) + 0.6)
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        for batch in batches:
            mine = [t for t in timings if (t.rows, t.cols, t.batch) == (*size, batch)]
            densities = [100 * timing.density for timing in mine]
            ratios = [timing.ratio_dense for timing in mine]
            style = {"marker": marks[batch], "color": colours[batch]}
            axes.plot(densities, ratios, label=f"batch {batch}", **style)
        for crossing in crossovers:
            if (crossing.rows, crossing.cols) == size and crossing.model:
                axes.axvline(100 * crossing.model, color=colours[crossing.batch], ls=":", lw=1)
        axes.axhline(1, color="black", lw=0.8)
        axes.set(xscale="log", yscale="log", xlabel="density, %", title=f"{size[0]} × {size[1]}")
        for axis in (axes.xaxis, axes.yaxis):  # powers of ten would be formulas
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
    panels[0].set_ylabel("packed is so many times faster than dense")
    panels[0].legend(title="dotted: the model's cross-over", fontsize=8, title_fontsize=8)
    return figure


def draw_frontier(
    points: Sequence[tuple[int, float]], chosen: tuple[int, float] | None = None
) -> "Figure":
    """Draw scores over bytes, each (bytes, score), with the one that was chosen."""
    figure = _figure(3.6, 5.4)
    axes = figure.subplots()
    sizes = [size / 1000 for size, _ in points]
    axes.step(sizes, [score for _, score in points], where="post", color=DARK, linewidth=1)
    axes.plot(sizes, [score for _, score in points], "o", color=DARK, markersize=3)
    if chosen is not None:
        axes.plot(chosen[0] / 1000, chosen[1], "s", color=MIDDLE, label="chosen")
        axes.legend(frameon=False)
    axes.set(xlabel="size of the file, kB", ylabel="score", xscale="log")
    axes.grid(color=PALE, linewidth=0.5)
    axes.set_axisbelow(True)
    return figure


def _figure(height: float, width: float = WIDTH) -> "Figure":
    from matplotlib.figure import Figure  # no pyplot: neither windows nor global state

    return Figure(figsize=(width, height), layout="constrained")


def _stack(axes: Any, rows: Any, series: dict[str, Any]) -> None:
    left = np.zeros(len(rows))
    for (part, values), color in zip(series.items(), (DARK, LIGHT, MIDDLE, PALE), strict=False):
        axes.barh(rows, values, left=left, color=color, label=part)
        left += values


def _short(name: str) -> str:
    """Return a name that fits beside a row: its end says more than its start."""
    name = printable(name)
    return name if len(name) <= MAX_NAME else "…" + name[1 - MAX_NAME :]
