"""Figure 6: error against size for pruning, sharing, both, and singular values."""

from typing import TYPE_CHECKING, Any

from .bench import Bench
from .networks import trained
from .points import factored, pruned, shared, spread_over
from .sheet import BLACK, claim, legend_above, named, panels, plain_errors, style, ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENSITIES = (0.4, 0.2, 0.12, 0.08, 0.05, 0.03, 0.02)  # each on the way to the next
WIDTHS = (8, 6, 4, 3, 2, 1)  # of labels, where sharing is alone
BOTH_BITS = 5  # of labels, where weights are pruned, too
RATES = (0.4, 0.2, 0.1, 0.05, 0.03, 0.02)  # of weights, after factoring
LOST = 0.5  # points of error beyond the dense network's that count as lost
METHODS = {
    "both": "pruning + sharing",
    "pruning": "pruning alone",
    "sharing": "sharing alone",
    "svd": "singular values",
}
PAPER = (
    "Pruning alone and sharing alone lose accuracy below 8 % of the original size; both together "
    "go down to 3 % without loss; singular values do worse."
)


def compute(bench: Bench) -> dict[str, Any]:
    """Return (percent of the dense size, error) for each method and network."""
    chains = [DENSITIES[: count + 1] for count in range(len(DENSITIES))]
    for network in bench.networks:
        trained(bench, network)  # before points ask for it, each on its own
    spread_over(bench, pruned, [(network, DENSITIES) for network in bench.networks])
    found: list[dict[str, Any]] = []
    for network in bench.networks:
        net = trained(bench, network)
        bits = dict.fromkeys(net.masks, BOTH_BITS)
        alone = [(network, (), dict.fromkeys(net.masks, width)) for width in WIDTHS]
        one = {
            "pruning": spread_over(bench, pruned, [(network, chain) for chain in chains]),
            "both": spread_over(bench, shared, [(network, chain, bits) for chain in chains]),
            "sharing": spread_over(bench, shared, alone),
            "svd": spread_over(bench, factored, [(network, rate) for rate in RATES]),
        }
        reference = sum(values.nbytes for values in net.reference.values())
        keys = {"pruning": "bytes_P", "svd": "bytes"}
        curves = {
            method: [
                {
                    "bytes": int(point[keys.get(method, "bytes_PQH")]),
                    "percent": 100 * point[keys.get(method, "bytes_PQH")] / reference,
                    "error": point["error"],
                }
                for point in one[method]
            ]
            for method in METHODS
        }
        smallest = {
            method: _smallest(curve, net.errors["reference"]) for method, curve in curves.items()
        }
        found.append(
            {
                "network": network,
                "reference_bytes": reference,
                "reference_error": net.errors["reference"],
                "curves": curves,
                "smallest_percent": smallest,
            }
        )
    held = all(
        _size(one["smallest_percent"]["both"])
        < min(_size(one["smallest_percent"][method]) for method in ("pruning", "sharing", "svd"))
        for one in found
    )
    sentence = "; ".join(
        f"{named(one['network'])} stays within {LOST} points of its dense error down to "
        + ", ".join(
            f"{_percent(one['smallest_percent'][method])} with {text}"
            for method, text in METHODS.items()
        )
        for one in found
    )
    counts = (
        "Sizes: pruning + sharing and sharing alone are whole files with Huffman codes; pruning "
        "alone is a file of the same form with float32 weights in place of labels; singular "
        "values are float32 numbers without a file around them."
    )
    return {
        "settings": bench.described(),
        "counts": counts,
        "networks": found,
        "claim": claim(PAPER, held, sentence + "."),
    }


def _smallest(curve: list[dict[str, Any]], reference: float) -> float | None:
    """Return the least size, in percent, of the points that haven't lost."""
    sizes = [point["percent"] for point in curve if point["error"] <= reference + LOST]
    return min(sizes, default=None)


def _size(percent: float | None) -> float:
    return 100.0 if percent is None else percent


def _percent(value: float | None) -> str:
    return "none of its points" if value is None else f"{value:.1f} %"


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a panel for each network."""
    networks = data["networks"]
    figure, axes = panels(1, len(networks), 3.4)
    for axis, one in zip(axes[0], networks, strict=True):
        reference = one["reference_error"]
        for index, (method, label) in enumerate(METHODS.items()):
            points = sorted(one["curves"][method], key=lambda point: point["percent"])
            axis.plot(
                [point["percent"] for point in points],
                [max(point["error"], 0.01) for point in points],
                label=label,
                **style(index),
            )
        axis.axhline(reference, color=BLACK, linewidth=0.8, linestyle="--", label="dense network")
        axis.set(xscale="log", yscale="log", title=named(one["network"]))
        axis.set_xlabel("size, % of the dense network's bytes")
        ticks(axis, (1, 2, 3, 5, 8, 20, 40))
        plain_errors(axis)
    axes[0, 0].set_ylabel("test error, %")
    legend_above(figure, axes, 3)
    return figure
