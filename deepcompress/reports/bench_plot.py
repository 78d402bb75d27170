"""The picture of ``deepcompress bench``: how the worth of packed weights falls with density.

matplotlib is loaded only here and only then.
"""

import io
import os
from collections.abc import Sequence

from ..errors import ArgumentError
from .plots import check_matplotlib
from .product_timing import CrossOver, Timing

COLOURS = ("#004488", "#BB5566", "#DDAA33")  # of the batches, from small to large
DOTS_PER_INCH = 150


def check(path: str) -> None:
    """Raise ArgumentError unless a picture can be drawn to this file."""
    if not path.lower().endswith(".png"):
        raise ArgumentError(f"--plot {path}: the name of a picture ends with .png")
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise ArgumentError(f"--plot {path}: there is no folder {folder}")
    check_matplotlib()


def render(timings: Sequence[Timing], crossovers: Sequence[CrossOver]) -> bytes:
    """Return the bytes of a PNG file: a panel for each size, a line for each batch.

    Dotted lines are where the model goes over to dense products.
    """
    from matplotlib.figure import Figure

    sizes = list(dict.fromkeys((timing.rows, timing.cols) for timing in timings))
    batches = sorted({timing.batch for timing in timings})
    colours = {batch: COLOURS[i % len(COLOURS)] for i, batch in enumerate(batches)}
    figure = Figure(figsize=(3.4 * len(sizes) + 0.6, 3.4), dpi=DOTS_PER_INCH, layout="constrained")
    panels = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size in zip(panels, sizes, strict=True):
        for batch in batches:
            mine = [t for t in timings if (t.rows, t.cols, t.batch) == (*size, batch)]
            densities = [100 * timing.density for timing in mine]
            ratios = [timing.ratio_dense for timing in mine]
            axes.plot(densities, ratios, marker="o", color=colours[batch], label=f"batch {batch}")
        for crossing in crossovers:
            if (crossing.rows, crossing.cols) == size and crossing.model:
                axes.axvline(100 * crossing.model, color=colours[crossing.batch], ls=":", lw=1)
        axes.axhline(1, color="black", lw=0.8)
        axes.set(xscale="log", yscale="log", xlabel="density, %", title=f"{size[0]} × {size[1]}")
    panels[0].set_ylabel("packed is so many times faster than dense")
    panels[0].legend(title="dotted: the model's cross-over", fontsize=8, title_fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
