"""Figure 4: weights before pruning and after, and the centroids that they come to share."""

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import prune, quantize
from ..tensors import Float32Array, Float64Array, Int64Array
from .bench import CONVOLUTIONS, Bench
from .networks import trained
from .sheet import BLACK, BLUE, GREEN, GREY, SKY, VERMILLION, claim, legend_above, named, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BINS = 80
FAR = 0.999  # the histogram reaches to this quantile of magnitudes
STARTS = ("linear", "density", "random")  # the paper's three
BITS = 4  # that the three are shown at: 15 centroids can be told apart
PAPER = (
    "Weights have two peaks after pruning; centroids with a linear start are spread evenly over "
    "their range and move little in fine-tuning, those of the other starts crowd at the peaks."
)


def compute(bench: Bench) -> dict[str, Any]:
    """Return histograms, codebooks before and after fine-tuning, and starts of centroids."""
    layers = [_layer(bench, network) for network in bench.networks]
    starts = [_starts(named(name), *one) for name, one in _alone(bench)]
    valleys = [layer["valley"] for layer in layers]
    spread = [
        np.mean(np.abs(one["starts"]["linear"])) / np.mean(np.abs(one["starts"]["density"]))
        for one in starts
    ]
    moved = [layer["moved_percent"] for layer in layers]
    held = max(valleys) < 0.5 and min(spread, default=2.0) > 1 and max(moved) < 20
    sentence = (
        f"around zero, surviving weights are at most {max(valleys):.2f} times as dense as at their "
        f"peaks, fine-tuning moves centroids by {max(moved):.1f} % of their range at most"
    )
    if spread:
        sentence += (
            f", and centroids of the linear start lie {min(spread):.1f} to {max(spread):.1f} times "
            "as far from zero as those of the density-based one"
        )
    return {
        "settings": bench.described(),
        "layers": layers,
        "starts": starts,
        "claim": claim(PAPER, held, sentence + "."),
    }


def _layer(bench: Bench, network: str) -> dict[str, Any]:
    """Return the largest layer's weights at each stage."""
    net = trained(bench, network)
    name = max(net.shared, key=lambda one: net.masks[one].size)
    dense, mask = net.reference[name], net.masks[name]
    survivors = net.pruned[name][mask]
    reach = float(np.quantile(np.abs(survivors), FAR))
    edges = np.linspace(-reach, reach, BINS + 1)
    before, after = net.clustered[name], net.shared[name]
    change = np.abs(after.codebook - before.codebook)
    counts = np.histogram(survivors, edges)[0]
    return {
        "network": network,
        "layer": name,
        "weights": int(mask.size),
        "survivors": int(np.count_nonzero(mask)),
        "edges": _plain(edges),
        "dense": np.histogram(dense, edges)[0].tolist(),
        "pruned": counts.tolist(),
        "centroids_before": _plain(before.codebook[1:]),
        "centroids_after": _plain(after.codebook[1:]),
        "valley": _valley(counts),
        "moved_percent": float(100 * change.max() / np.ptp(before.codebook[1:])),
    }


def _valley(counts: Int64Array) -> float:
    """Return the count of the middle twentieth against that of the fullest."""
    width = BINS // 20
    sums = np.convolve(counts, np.ones(width), "valid")
    return float(sums[(BINS - width) // 2] / sums.max())


def _alone(bench: Bench) -> list[tuple[str, tuple[str, Float32Array]]]:
    """Return a layer of each real network, pruned to the paper's density."""
    found = []
    for network, (_, layer) in CONVOLUTIONS.items():
        convolutions = bench.convolutions(network)
        if convolutions:
            density = list(bench.densities(network).values())[list(convolutions).index(layer)]
            weights = convolutions[layer]
            found.append((network, (layer, weights[prune.sparsity_mask(weights, 1 - density)])))
    return found


def _starts(network: str, layer: str, survivors: Float32Array) -> dict[str, Any]:
    """Return the distribution of a layer's survivors, and where centroids start."""
    ordered: Float64Array = np.sort(survivors).astype(np.float64)
    reach = float(np.abs(ordered[[0, -1]]).max())
    edges = np.linspace(-reach, reach, 2 * BINS + 1)
    starts = {
        init: _plain(np.sort(quantize.INITS[init](ordered, 2**BITS - 1, np.random.default_rng(0))))
        for init in STARTS
    }
    counts = np.histogram(ordered, edges)[0]
    return {
        "network": network,
        "layer": layer,
        "survivors": len(ordered),
        "edges": _plain(edges),
        "pruned": counts.tolist(),
        "starts": starts,
    }


def _plain(values: Any) -> list[float]:
    return [float(f"{value:.6g}") for value in np.asarray(values, np.float64)]


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a panel for each layer and each of the others' layers."""
    layers, starts = data["layers"], data["starts"]
    rows = max(len(layers), len(starts))
    figure, axes = panels(rows, 2 if starts else 1, 0.5 + 2.5 * rows)
    for axis, layer in zip(axes[:, 0], layers, strict=False):
        edges = np.array(layer["edges"])
        width = 1 / (edges[1] - edges[0])
        for key, colour, label in (
            ("dense", GREY, "dense"),
            ("pruned", SKY, "pruned and retrained"),
        ):
            density = np.array(layer[key]) * width / sum(layer[key])
            axis.stairs(density, edges, fill=True, color=colour, alpha=0.8, label=label)
        top = axis.get_ylim()[1]
        for key, place, mark, colour, label in (
            ("centroids_before", -0.05, "|", BLUE, "centroids, before fine-tuning"),
            ("centroids_after", -0.12, "|", VERMILLION, "centroids, after"),
        ):
            inside = [one for one in layer[key] if abs(one) <= edges[-1]]
            axis.plot(
                inside, [place * top] * len(inside), mark, color=colour, markersize=6, label=label
            )
        layer_name = layer["layer"].removesuffix(".weight")
        kept = 100 * layer["survivors"] / layer["weights"]
        axis.set_yticks([place for place in axis.get_yticks() if place >= 0])
        axis.set(
            title=f"{named(layer['network'])} {layer_name}: {kept:.1f} % kept",
            xlabel="weight",
            ylabel="density of distribution",
            xlim=(edges[0], edges[-1]),
            ylim=(-0.18 * top, top),
        )
    marks = {"linear": ("o", BLUE), "density": ("s", VERMILLION), "random": ("^", GREEN)}
    for axis, one in zip(axes[:, -1] if starts else [], starts, strict=False):
        edges, counts = np.array(one["edges"]), np.array(one["pruned"])
        axis.stairs(counts / counts.max(), edges, fill=True, color=SKY, alpha=0.8)
        axis.plot(
            edges[1:],
            np.cumsum(counts) / counts.sum(),
            color=BLACK,
            linewidth=1,
            label="share of weights below",
        )
        for row, (init, (mark, colour)) in enumerate(marks.items()):
            place = -0.1 - 0.12 * row
            where = one["starts"][init]
            axis.plot(
                where,
                [place] * len(where),
                mark,
                color=colour,
                markersize=3.5,
                label=f"{init} start",
            )
        axis.set(
            title=f"{one['network']} {one['layer']}, real weights",
            xlabel="weight",
            ylabel="share",
            ylim=(-0.42, 1.05),
            yticks=(0, 0.5, 1),
        )
    for axis in axes.flat:
        if not axis.has_data():
            axis.set_visible(False)
    legend_above(figure, axes, 3)
    return figure
