"""The sensitivity scan of the earlier paper (Han et al. 2015, figure 6): layers pruned alone."""

from typing import TYPE_CHECKING, Any

from .bench import Bench
from .networks import trained
from .points import pruned_alone, spread_over
from .sheet import BLACK, claim, named, panels, plain_errors, style, ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DENSITIES = (1.0, 0.8, 0.6, 0.4, 0.3, 0.2, 0.15, 0.1, 0.06, 0.04, 0.02)
LOST = 1.0  # points of error
PAPER = (
    "Layers differ in how far they can be pruned, convolutions are more sensitive than fully "
    "connected layers, and the first layer is the most sensitive of all."
)


def compute(bench: Bench) -> dict[str, Any]:
    """Return errors by density, for each weight tensor, without retraining."""
    found = []
    for network in bench.networks:
        net = trained(bench, network)
        one: dict[str, Any] = {
            "network": network,
            "reference_error": net.errors["reference"],
            "densities": DENSITIES,
            "error": {},
            "kept_at_loss": {},
        }
        for name in net.masks:
            points = [(network, name, density) for density in DENSITIES]
            errors = [point["error"] for point in spread_over(bench, pruned_alone, points)]
            one["error"][name] = errors
            one["kept_at_loss"][name] = _needed(errors, net.errors["reference"])
        found.append(one)
    held = all(
        max(one["kept_at_loss"], key=one["kept_at_loss"].get) == next(iter(one["kept_at_loss"]))
        for one in found
    )
    sentence = "; ".join(
        f"{named(one['network'])} loses no more than {LOST:g} point with "
        + ", ".join(
            f"{100 * kept:g} % of {name.removesuffix('.weight')}"
            for name, kept in one["kept_at_loss"].items()
        )
        for one in found
    )
    settings = bench.described()
    return {"settings": settings, "networks": found, "claim": claim(PAPER, held, sentence + ".")}


def _needed(errors: list[float], reference: float) -> float:
    """Return the least density from which on the error isn't lost."""
    kept = DENSITIES[0]
    for density, error in zip(DENSITIES, errors, strict=True):
        if error > reference + LOST:
            break
        kept = density
    return kept


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a panel for each network, a line for each weight tensor."""
    networks = data["networks"]
    figure, axes = panels(1, len(networks), 3.2)
    for axis, one in zip(axes[0], networks, strict=True):
        for index, (name, errors) in enumerate(one["error"].items()):
            percent = [100 * density for density in one["densities"]]
            axis.plot(percent, errors, label=name.removesuffix(".weight"), **style(index))
        reference = one["reference_error"]
        axis.axhline(reference, color=BLACK, linewidth=0.8, linestyle="--", label="dense network")
        axis.set(title=named(one["network"]), xscale="log", yscale="log")
        axis.set_xlabel("weights of the layer that are kept, %")
        ticks(axis, (2, 5, 10, 20, 40, 100))
        plain_errors(axis)
        axis.legend(frameon=False, fontsize=8)
    axes[0, 0].set_ylabel("test error, %, without retraining")
    return figure
