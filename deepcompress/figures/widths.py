"""Figure 7: bits of labels against error, pruned and not, convolutions and other layers apart."""

from typing import TYPE_CHECKING, Any

from .bench import Bench
from .methods import DENSITIES
from .networks import trained
from .points import pruned, shared, spread_over
from .sheet import claim, legend_above, named, panels, plain_errors, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTHS = (1, 2, 3, 4, 6, 8)
PRUNED = DENSITIES[:4]  # down to the paper's 8 %
LOST = 0.5  # points of error
KINDS = {"fc": "fully connected layers", "conv": "convolutions"}
PAPER = (
    "Quantization works as well on a pruned network as on a dense one, as that has fewer weights "
    "to quantize; convolutions need at least 4 bits, fully connected layers hold to 2."
)


def compute(bench: Bench) -> dict[str, Any]:
    """Return errors by bits, for each network and kind of layer, dense and pruned."""
    found: list[dict[str, Any]] = []
    for network in bench.networks:
        net = trained(bench, network)
        spread_over(bench, pruned, [(network, PRUNED)])
        kinds = {
            kind: [name for name, mask in net.masks.items() if (mask.ndim > 2) == (kind == "conv")]
            for kind in KINDS
        }
        base = {
            "dense": net.errors["reference"],
            "pruned": pruned(bench, network, PRUNED)["error"],
        }
        for kind, names in kinds.items():
            if not names:
                continue
            one: dict[str, Any] = {
                "network": network,
                "kind": kind,
                "unshared": base,
                "bits": WIDTHS,
            }
            for start, chain in (("dense", ()), ("pruned", PRUNED)):
                points = [(network, chain, dict.fromkeys(names, width)) for width in WIDTHS]
                one[start] = [point["error"] for point in spread_over(bench, shared, points)]
            found.append(one)
    worse = [_least(one, "pruned") <= _least(one, "dense") for one in found]
    needed = {
        kind: [_least(one, "pruned") for one in found if one["kind"] == kind] for kind in KINDS
    }
    held = all(worse) and max(needed["fc"], default=0) <= 2 and min(needed["conv"], default=4) >= 4
    text = "; ".join(
        f"{named(one['network'])}'s {KINDS[one['kind']]} stay within {LOST} points of their error "
        f"from {_least(one, 'dense')} bits on if dense, {_least(one, 'pruned')} if pruned"
        for one in found
    )
    return {"settings": bench.described(), "curves": found, "claim": claim(PAPER, held, text + ".")}


def _least(one: dict[str, Any], start: str) -> int:
    """Return the least width from which on no error is lost."""
    lost = [
        width
        for width, error in zip(one["bits"], one[start], strict=True)
        if error > one["unshared"][start] + LOST
    ]
    wider: list[int] = [width for width in one["bits"] if not lost or width > max(lost)]
    return min(wider, default=one["bits"][-1] + 1)


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a panel for each network and kind of layer."""
    curves = data["curves"]
    figure, axes = panels(1, len(curves), 3.2)
    for axis, one in zip(axes[0], curves, strict=True):
        for index, start in enumerate(("dense", "pruned")):
            axis.plot(one["bits"], one[start], label=f"{start}, shared", **style(index))
            axis.axhline(
                one["unshared"][start],
                color=style(index)["color"],
                linewidth=0.9,
                linestyle="--" if start == "dense" else ":",
                label=f"{start}, not shared",
            )
        axis.set(title=f"{named(one['network'])}\n{KINDS[one['kind']]}", yscale="log")
        axis.set_xlabel("bits of a label")
        axis.set_xticks(one["bits"])
        plain_errors(axis)
    axes[0, 0].set_ylabel("test error, %")
    legend_above(figure, axes, 4)
    return figure
