"""Figures 9 and 10: speed and energy of the fully connected layers of AlexNet and VGG-16.

Speed is measured, on this machine, with random weights at the paper's densities. Energy is a
model, as no meter is asked: operations and memory accesses, each times what it takes in a 45 nm
process (Horowitz 2014, as Han et al. 2015 have it in table 1). It knows neither caches nor leakage.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..reports.product_timing import random_tensor, time_products
from .bench import Bench
from .sheet import BLUE, GREEN, ORANGE, VERMILLION, claim, legend_above, panels, plain_numbers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Rows, columns and density, of the paper's table 8 and its tables 4 and 5.
LAYERS = {
    "AlexNet fc6": (4096, 9216, 0.09),
    "AlexNet fc7": (4096, 4096, 0.09),
    "AlexNet fc8": (1000, 4096, 0.25),
    "VGG-16 fc6": (4096, 25088, 0.04),
    "VGG-16 fc7": (4096, 4096, 0.04),
    "VGG-16 fc8": (1000, 4096, 0.23),
}
BATCHES = (1, 64)
PICOJOULES = {
    "float add": 0.9,
    "float multiply": 3.7,
    "4 bytes of SRAM": 5.0,
    "4 bytes of DRAM": 640.0,
}
PAPER_SPEED = (
    "At batch 1 pruned layers are 3 to 4 times as fast as dense ones, by CSR; at batch 64 dense "
    "ones are faster."
)
PAPER_ENERGY = "Pruned layers take 3 to 7 times less energy than dense ones at batch 1."


def speed(bench: Bench) -> dict[str, Any]:
    """Time products with packed weights beside dense ones and SciPy's CSR."""
    rows: list[dict[str, Any]] = []
    for name, (height, width, density) in LAYERS.items():
        timings = time_products(bench.threads or 1, [(height, width)], [density], BATCHES)
        for timing in timings:
            rows.append(
                {
                    "layer": name,
                    "batch": timing.batch,
                    "density": density,
                    "packed_microseconds": 1e6 * timing.ours_seconds / timing.batch,
                    "dense_microseconds": 1e6 * timing.dense_seconds / timing.batch,
                    "csr_microseconds": 1e6 * timing.scipy_csr_seconds / timing.batch,
                }
            )
    means = {
        batch: {
            rival: _mean(
                [
                    row[f"{rival}_microseconds"] / row["packed_microseconds"]
                    for row in rows
                    if row["batch"] == batch
                ]
            )
            for rival in ("dense", "csr")
        }
        for batch in BATCHES
    }
    held = means[1]["dense"] >= 3 and means[64]["dense"] < 1
    sentence = (
        f"packed layers are {means[1]['dense']:.1f} times as fast as dense ones at batch 1 and "
        f"{means[64]['dense']:.1f} times at batch 64, and {means[1]['csr']:.1f} and "
        f"{means[64]['csr']:.1f} times as fast as SciPy's CSR (geometric means, "
        f"{bench.threads or 1} thread(s))."
    )
    return {"rows": rows, "claim": claim(PAPER_SPEED, held, sentence)}


def energy(bench: Bench) -> dict[str, Any]:
    """Count operations and bytes of a product, dense and packed, and what they would take."""
    rows: list[dict[str, Any]] = []
    for name, (height, width, density) in LAYERS.items():
        packed = random_tensor((height, width), density)
        stored = packed.nbytes
        operation = PICOJOULES["float add"] + PICOJOULES["float multiply"]
        dense_bytes, kept = 4 * height * width, int(density * height * width)
        word = PICOJOULES["4 bytes of DRAM"] / 4
        look_up = PICOJOULES["4 bytes of SRAM"]  # of a label in the codebook
        on_chip = PICOJOULES["4 bytes of SRAM"] / 4
        rows.append(
            {
                "layer": name,
                "density": density,
                "dense_bytes": dense_bytes,
                "packed_bytes": stored,
                "dense_microjoules": 1e-6 * (height * width * operation + dense_bytes * word),
                "packed_microjoules": 1e-6 * (kept * (operation + look_up) + stored * word),
                "packed_on_chip_microjoules": 1e-6
                * (kept * (operation + look_up) + stored * on_chip),
            }
        )
    ratios = [row["dense_microjoules"] / row["packed_microjoules"] for row in rows]
    chip = [row["dense_microjoules"] / row["packed_on_chip_microjoules"] for row in rows]
    sentence = (
        f"by the model, packed layers take {min(ratios):.0f} to {max(ratios):.0f} times less "
        f"energy than dense ones with both in DRAM, {_mean(chip):.0f} times less where the packed "
        "ones fit into SRAM; the paper's are measured, and with 32-bit weights and indices."
    )
    held = min(ratios) >= 3
    return {
        "model": "a model, not a measurement: operations and bytes times picojoules (45 nm)",
        "picojoules": PICOJOULES,
        "rows": rows,
        "claim": claim(PAPER_ENERGY, held, sentence),
    }


def _mean(ratios: list[float]) -> float:
    return float(np.exp(np.mean(np.log(ratios))))


def draw_speed(data: dict[str, Any]) -> "Figure":
    """Draw microseconds for each layer, a panel for each batch."""
    figure, axes = panels(1, len(BATCHES), 3.4)
    for axis, batch in zip(axes[0], BATCHES, strict=True):
        rows = [row for row in data["rows"] if row["batch"] == batch]
        bars = {"dense": BLUE, "csr": ORANGE, "packed": VERMILLION}
        labels = {"dense": "dense", "csr": "SciPy's CSR", "packed": "packed"}
        for index, (key, colour) in enumerate(bars.items()):
            values = [row[f"{key}_microseconds"] for row in rows]
            places = np.arange(len(rows)) + 0.27 * (index - 1)
            axis.bar(places, values, width=0.25, color=colour, label=labels[key])
        _name_layers(axis, rows)
        axis.set(title=f"batch {batch}", yscale="log")
        plain_numbers(axis)
    axes[0, 0].set_ylabel("microseconds per input")
    legend_above(figure, axes, 3)
    return figure


def draw_energy(data: dict[str, Any]) -> "Figure":
    """Draw microjoules for each layer."""
    figure, axes = panels(1, 1, 3.4)
    bars = {
        "dense": (BLUE, "dense, in DRAM"),
        "packed": (ORANGE, "packed, in DRAM"),
        "packed_on_chip": (GREEN, "packed, in SRAM"),
    }
    for index, (key, (colour, label)) in enumerate(bars.items()):
        values = [row[f"{key}_microjoules"] for row in data["rows"]]
        places = np.arange(len(values)) + 0.27 * (index - 1)
        axes[0, 0].bar(places, values, width=0.25, color=colour, label=label)
    _name_layers(axes[0, 0], data["rows"])
    axes[0, 0].set(yscale="log", ylabel="microjoules per input\n(a model: 45 nm, no caches)")
    plain_numbers(axes[0, 0])
    legend_above(figure, axes, 3)
    return figure


def _name_layers(axis: Any, rows: list[dict[str, Any]]) -> None:
    names = [row["layer"].replace(" ", "\n") for row in rows]
    axis.set_xticks(np.arange(len(rows)), names, fontsize=7)
    axis.grid(axis="x", visible=False)
