"""The verb ``figure``: the paper's figures, computed anew and drawn."""

import argparse
import os
from typing import Any

from ..errors import ArgumentError, ConfigError, OutputError
from ..figures import bench as benches
from ..figures import catalogue
from ..files import strict_json
from ..files.atomic import write_bytes, write_json
from ..files.reading import read_file
from ..reports import plots
from .run import DATA
from .verb import Answer, Subparsers, add_verb, whole

CACHE = "cache"  # within the folder of the pictures


def add_parser(subparsers: Subparsers) -> None:
    """Add ``figure`` to the command line."""
    help = "compute and draw a figure of the paper on networks that can be trained here"
    parser = add_verb(subparsers, figure, help, resumable=True)
    parser.add_argument("name", nargs="*", metavar="NAME", help="as --list has it, or several")
    parser.add_argument("--list", action="store_true", help="the figures there are")
    parser.add_argument("-o", "--out", metavar="DIR", help="folder for data (JSON) and pictures")
    choices = (*benches.NETWORKS, "digits")
    one = f"{', '.join(choices)}; may be repeated; default: {' and '.join(benches.NETWORKS)}"
    parser.add_argument("--network", action="append", choices=choices, metavar="NETWORK", help=one)
    parser.add_argument("--data", metavar="DIR", help=DATA)
    real = "folder of real convolutions; default: real-weights in $DEEPCOMPRESS_DATA, or none"
    parser.add_argument("--weights", metavar="DIR", help=real)
    parser.add_argument("--recipe", default="paper", metavar="NAME", help="default: paper")
    shorten = "train N times fewer epochs than the recipe says, for a quick look; may be repeated"
    images = "training images for each retraining; default: so many that a figure takes minutes"
    for name, help in (("--shorten", shorten), ("--images", images)):
        parser.add_argument(name, action="append", type=_setting, metavar="[NETWORK=]N", help=help)
    report = "report.json of a run, for the frontier; may be repeated"
    parser.add_argument("--report", action="append", metavar="FILE", help=report)
    parser.add_argument("--seed", type=whole(0), default=0, metavar="N", help="default: 0")
    parser.add_argument("--threads", type=whole(1), metavar="N", help="of a training; default: all")
    jobs = "points of curves at once; default: 1"
    parser.add_argument("-j", "--jobs", type=whole(1), default=1, metavar="N", help=jobs)
    cache = f"folder for trained networks and points, which are kept; default: {CACHE} in DIR"
    parser.add_argument("--cache", metavar="DIR", help=cache)
    parser.add_argument("--format", choices=plots.FORMATS, default="png", help="default: png")
    redraw = "draw the data that lie in DIR, and compute nothing"
    parser.add_argument("--redraw", action="store_true", help=redraw)


def figure(
    name: list[str],
    list: bool = False,
    out: str | None = None,
    network: list[str] | None = None,
    cache: str | None = None,
    report: list[str] | None = None,
    shorten: list[tuple[str, int]] | None = None,
    images: list[tuple[str, int]] | None = None,
    format: str = "png",
    redraw: bool = False,
    **options: Any,
) -> Answer:
    """Compute and draw figures, or tell which there are.

    Parameters
    ----------
    name : list of str
        Keys of `figures.FIGURES`.
    list : bool
        Tell of them, and do nothing.
    out : str
        Folder for a JSON file and a picture of each; made if it isn't there.
    network, report, shorten, images : list, optional
        As `figures.Bench` has them, by default both LeNets, and no reports.
    cache : str, optional
        By default ``cache`` in `out`.
    format : {"png", "svg"}
    redraw : bool
        Draw the data that lie in `out`.
    **options
        As `figures.Bench` has them.

    Raises
    ------
    ArgumentError
        If no figure or folder is named, or matplotlib isn't there.
    ConfigError
        If there is no such figure, network, recipe or format.
    DataError
        If MNIST is missing.
    OutputError
        If a file can't be written.
    """
    if list:
        return _listed()
    if format not in plots.FORMATS:
        raise ConfigError(f"unknown format {format!r}; the choices are {', '.join(plots.FORMATS)}")
    if not name:
        raise ArgumentError(f"name a figure: {', '.join(catalogue.FIGURES)} (see --list)")
    if out is None:
        raise ArgumentError("-o DIR is needed: the folder for data and pictures")
    for one in name:
        catalogue.find(one)
    plots.check_matplotlib()
    bench = benches.Bench(
        cache=cache or os.path.join(out, CACHE),
        networks=tuple(network or benches.NETWORKS),
        reports=tuple(report or ()),
        shorten=tuple(shorten or ()),
        images=tuple(images or ()),
        **options,
    )
    try:
        os.makedirs(out, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: can't make the folder: {error.strerror or error}") from error
    rows = []
    for one in dict.fromkeys(name):
        path = os.path.join(out, f"{catalogue.stem(one)}.json")
        data = _read(path, one) if redraw else catalogue.compute(one, bench)
        picture = plots.render(catalogue.draw, data, format=format)
        if not redraw:
            write_json(path, data)
        drawn = catalogue.picture_path(out, one, format)
        write_bytes(drawn, picture)
        rows.append({"figure": one, "data": path, "picture": drawn, "claim": data["claim"]})
    lines = [f"{row['data']}\n{row['picture']}\n{row['claim']['sentence']}" for row in rows]
    return Answer({"figures": rows}, "\n".join(lines))


def _setting(text: str) -> tuple[str, int]:
    """Parse a number that is for one network, or for all."""
    network, _, number = text.rpartition("=")
    if network and network not in (*benches.NETWORKS, "digits"):
        raise argparse.ArgumentTypeError(f"{network!r} isn't a network")
    return network, whole(1)(number)


def _listed() -> Answer:
    titles = {name: entry.title for name, entry in catalogue.FIGURES.items()}
    width = max(map(len, titles))
    text = "\n".join(f"{name:{width}}  {title}" for name, title in titles.items())
    return Answer({"figures": titles}, text)


def _read(path: str, name: str) -> dict[str, Any]:
    """Return the data of a figure that was computed before."""
    try:
        data = strict_json.parse(read_file(path))
    except ValueError as error:
        raise ArgumentError(f"{path}: not the data of a figure: {error}") from None
    if not isinstance(data, dict) or str(data.get("figure")) != name or "claim" not in data:
        raise ArgumentError(f"{path}: not the data of figure {name}")
    return data
