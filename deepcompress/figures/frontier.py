"""The frontier: error against bytes, with the paper's points and its successors'.

Each point says what it counts, as that differs: a whole file that was written and read back, an
estimate from the bits of labels and positions, or the weights alone without tables and biases.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ArgumentError
from ..reports.paper import PAPER as TABLES
from ..reports.tables import read_report
from .bench import Bench
from .sheet import BLUE, GREEN, ORANGE, PURPLE, VERMILLION, claim, legend_above, named, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILE, ESTIMATE, WEIGHTS = "real file", "estimate", "weights only"
UNCHECKED = "as best known, not read again in its table"
# bytes, error in percent, what is counted, and where that stands. A ratio of a paper is taken
# against the float32 weights that its authors count from.
OTHERS: dict[str, list[tuple[str, int, float, str, str]]] = {
    "lenet-300-100": [
        ("SWS", 16_700, 1.94, ESTIMATE, f"Ullrich et al. 2017, 64x; {UNCHECKED}"),
        (
            "ours, calibrated",
            10_844,
            1.59,
            FILE,
            "bench_calibrate_lenet-300-100.json, no retraining",
        ),
        ("NNCodec 2.1.3", 12_195, 1.57, FILE, "measured on our pruned network, uniform steps"),
    ],
    "lenet-5": [
        ("SWS", 10_600, 0.97, ESTIMATE, f"Ullrich et al. 2017, 162x; {UNCHECKED}"),
        ("BC-GNJ", 4_780, 1.0, ESTIMATE, "Louizos et al. 2017, 361x, fixed precision"),
        ("BC-GHS", 4_120, 1.0, ESTIMATE, "Louizos et al. 2017, 419x, fixed precision"),
        ("MIRACLE", 3_030, 0.69, WEIGHTS, "Havasi et al. 2019; decoded by a random generator"),
    ],
}
LOOKS = {FILE: ("o", "full"), ESTIMATE: ("s", "none"), WEIGHTS: ("^", "none")}
COLOURS = {"paper's": ORANGE, "other": PURPLE}
RECIPES = {"paper": BLUE, "gradual": GREEN, "max": VERMILLION}
PAPER = "LeNet-300-100 takes 27 KB at 1.58 % and LeNet-5 takes 44 KB at 0.74 % (table 1)."


def compute(bench: Bench) -> dict[str, Any]:
    """Return the points of each network.

    Raises
    ------
    ArgumentError
        If there is no report of any of the networks.
    """
    points: dict[str, list[dict[str, Any]]] = {}
    for path in bench.reports:
        report = read_report(Path(path))
        if report["network"] in bench.networks:
            points.setdefault(report["network"], []).append(
                {
                    "name": f"recipe {report['recipe']}",
                    "recipe": report["recipe"],
                    "bytes": report["file_bytes"],
                    "error": report["compressed_error"],
                    "counts": FILE,
                    "source": f"{Path(path).name}, seed {report['seed']}",
                }
            )
    if not points:
        raise ArgumentError(
            "the frontier needs report.json of runs, given by --report: see deepcompress run"
        )
    networks: list[dict[str, Any]] = []
    for network in bench.networks:
        ours = points.get(network, [])
        others = [
            dict(zip(("name", "bytes", "error", "counts", "source"), one, strict=True))
            for one in OTHERS.get(network, [])
        ]
        if network in TABLES:
            paper = TABLES[network]
            others.insert(
                0,
                {
                    "name": "Deep Compression",
                    "bytes": paper.file_bytes,
                    "error": paper.compressed_error,
                    "counts": WEIGHTS,
                    "source": "Han et al. 2016, table 1: neither biases nor code tables",
                },
            )
        networks.append({"network": network, "ours": ours, "others": others})
    better = {
        one["network"]: [
            point
            for point in one["ours"]
            if point["bytes"] <= TABLES[one["network"]].file_bytes
            and point["error"] <= TABLES[one["network"]].compressed_error
        ]
        for one in networks
        if one["network"] in TABLES and one["ours"]
    }
    sentence = "; ".join(
        f"{len(found)} of {len(next(o['ours'] for o in networks if o['network'] == name))} runs of "
        f"{named(name)} are at most the paper's bytes, whole files included, at most its error"
        + (f", the smallest with {min(point['bytes'] for point in found):,} bytes" if found else "")
        for name, found in better.items()
    )
    held = bool(better) and all(better.values())
    return {
        "networks": networks,
        "claim": claim(PAPER, held, (sentence or "no such network") + "."),
    }


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a panel for each network."""
    networks = data["networks"]
    figure, axes = panels(1, len(networks), 3.9)
    for axis, one in zip(axes[0], networks, strict=True):
        for index, point in enumerate(sorted(one["others"], key=lambda other: other["bytes"])):
            mark, fill = LOOKS[point["counts"]]
            colour = COLOURS["paper's" if point["name"] == "Deep Compression" else "other"]
            axis.plot(
                point["bytes"] / 1000,
                point["error"],
                mark,
                color=colour,
                fillstyle=fill,
                label=f"{'the paper' if colour == ORANGE else 'others'}: {point['counts']}",
            )
            axis.annotate(
                point["name"],
                (point["bytes"] / 1000, point["error"]),
                xytext=(0, -13 if index % 2 else 7),  # neighbours' names don't meet
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
        for point in one["ours"]:
            colour = RECIPES.get(point["recipe"], BLUE)
            axis.plot(
                point["bytes"] / 1000,
                point["error"],
                "o",
                color=colour,
                markersize=4.5,
                label=f"{point['name']}: real file",
            )
        axis.set(title=named(one["network"]), xscale="log", xlabel="size, kB")
        axis.margins(0.22)
        low, high = axis.get_xlim()
        places = [place for place in (2, 3, 5, 8, 12, 20, 30, 50) if low < place < high]
        axis.set_xticks(places, [str(place) for place in places])
        axis.set_xticks([], minor=True)
    axes[0, 0].set_ylabel("test error, %")
    legend_above(figure, axes, 3)
    return figure
