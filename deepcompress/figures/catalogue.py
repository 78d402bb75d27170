"""The figures there are, by name."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from . import (
    before_after,
    frontier,
    histograms,
    layer_costs,
    methods,
    sensitivity,
    starts,
    storage,
    widths,
)
from .bench import Bench

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Entry:
    """One figure: its title, what computes its data, and what draws them."""

    title: str
    compute: Callable[[Bench], dict[str, Any]]
    draw: Callable[[dict[str, Any]], "Figure"]


FIGURES = {
    "4": Entry("weights and centroids, before and after", before_after.compute, before_after.draw),
    "5": Entry("labels and gaps, and what Huffman saves", histograms.compute, histograms.draw),
    "6": Entry("error against size, methods compared", methods.compute, methods.draw),
    "7": Entry("bits of labels against error, pruned or not", widths.compute, widths.draw),
    "8": Entry("error by the start of centroids", starts.compute, starts.draw),
    "9": Entry("speed of layers, measured here", layer_costs.speed, layer_costs.draw_speed),
    "10": Entry("energy of layers, by a model", layer_costs.energy, layer_costs.draw_energy),
    "11": Entry("where the bytes go", storage.compute, storage.draw),
    "sensitivity": Entry(
        "each layer pruned alone (Han et al. 2015)", sensitivity.compute, sensitivity.draw
    ),
    "frontier": Entry("error against bytes, with others'", frontier.compute, frontier.draw),
}


def find(name: str) -> Entry:
    """Return a figure by its name.

    Raises
    ------
    ConfigError
        If there is none, naming the choices.
    """
    if name not in FIGURES:
        raise ConfigError(f"unknown figure {name!r}; the choices are {', '.join(FIGURES)}")
    return FIGURES[name]


def stem(name: str) -> str:
    """Return how the files of a figure are called, without their suffix."""
    return f"figure-{name}" if name.isdecimal() else name


def compute(name: str, bench: Bench) -> dict[str, Any]:
    """Return a figure's data, with ``claim``: what the paper says, and whether it held.

    Parameters
    ----------
    name : str
        A key of `FIGURES`.
    bench : Bench
        What it is computed on; what takes long is kept in its cache.

    Returns
    -------
    dict
        JSON's values alone, from which `draw` makes the picture.

    Raises
    ------
    ConfigError
        If there is no such figure, network or recipe.
    DataError
        If MNIST is missing.
    OutputError
        If the cache can't be written.
    """
    entry = find(name)
    return {"figure": name, "title": entry.title} | entry.compute(bench)


def draw(data: dict[str, Any]) -> "Figure":
    """Return the picture of a figure's data, as `compute` gives them.

    Raises
    ------
    ConfigError
        If the data say no figure's name.
    """
    return find(str(data.get("figure"))).draw(data)


def picture_path(folder: str, name: str, format: str) -> str:
    """Return where a figure's picture goes."""
    return os.path.join(folder, f"{stem(name)}.{format}")
