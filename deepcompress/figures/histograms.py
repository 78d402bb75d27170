"""Figure 5: how often labels and gaps occur, and what Huffman codes save by it."""

from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import Config
from ..errors import ArgumentError
from ..huffman import code_lengths
from ..model_file import ModelFile
from ..packed.tensor import CompressedTensor
from ..pipeline import compress
from ..reports.paper import PAPER as TABLES
from ..reports.series import count_series
from .bench import CONVOLUTIONS, Bench
from .networks import trained
from .sheet import BLUE, ORANGE, VERMILLION, claim, named, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP_BITS, CONVOLUTION_BITS = 5, 8
SHOWN_GAPS = 32
PAPER = (
    "Labels and index differences are far from equally frequent, most differences are small, and "
    "Huffman coding these saves 20 % to 30 % of the network's storage."
)


def compute(bench: Bench) -> dict[str, Any]:
    """Return counts of labels and gaps of the largest layers, and bits of fixed and coded ones."""
    layers = []
    for network in bench.networks:
        model = ModelFile(trained(bench, network).file, network)
        tensors = {name: one for name, one in model.items() if isinstance(one, CompressedTensor)}
        if not tensors:
            raise ArgumentError(f"{network}: no tensor of its file has shared weights")
        for name in sorted(tensors, key=lambda one: -len(tensors[one].labels()))[:1]:
            layers.append(_layer(network, name, _with_gaps(tensors[name])))
    for network, (_, layer) in CONVOLUTIONS.items():
        convolutions = bench.convolutions(network)
        if convolutions:
            index = list(convolutions).index(layer)
            row = TABLES[network].rows[index]
            config = Config(
                by_name={
                    layer: {
                        "sparsity": 1 - row.kept_percent / 100,
                        "bits": CONVOLUTION_BITS,
                        "encoding": "relative",
                        "gap_bits": GAP_BITS,
                    }
                }
            )
            tensor = compress({layer: convolutions[layer]}, config)[layer]
            layers.append(_layer(network, layer, tensor))
    saved = [layer["saved_percent"] for layer in layers]
    small = min(layer["gaps_below_20_percent"] for layer in layers)
    held = min(saved) >= 20 and max(saved) <= 30 and small > 50
    sentence = (
        f"Huffman codes save {min(saved):.0f} % to {max(saved):.0f} % of the labels' and gaps' "
        f"bits, and at least {small:.0f} % of the gaps are below 20."
    )
    settings = bench.described()
    return {"settings": settings, "layers": layers, "claim": claim(PAPER, held, sentence)}


def _with_gaps(tensor: CompressedTensor) -> CompressedTensor:
    """Return a tensor with gaps of the paper's width, whatever its file has."""
    dense = tensor.to_dense()
    bits = max(len(tensor.codebook) - 1, 1).bit_length()
    config = Config(by_name={"w": {"bits": bits, "encoding": "relative", "gap_bits": GAP_BITS}})
    found = compress({"w": dense}, config)["w"]
    assert isinstance(found, CompressedTensor)
    return found


def _layer(network: str, name: str, tensor: Any) -> dict[str, Any]:
    counts = count_series(tensor)
    label_bits, gap_bits = _coded(counts.labels), _coded(counts.gaps)
    entries = int(counts.gaps.sum())
    width = max(int(len(counts.labels) - 1).bit_length(), 1)
    fixed = width + GAP_BITS
    below = counts.gaps[:20].sum() / entries
    return {
        "network": network,
        "layer": name,
        "labels": counts.labels[1:].tolist(),
        "gaps": counts.gaps.tolist(),
        "fillers": int(counts.filler_gaps.sum()),
        "label_bits": width,
        "label_bits_coded": label_bits,
        "gap_bits": GAP_BITS,
        "gap_bits_coded": gap_bits,
        "saved_percent": float(100 * (1 - (label_bits + gap_bits) / fixed)),
        "gaps_below_20_percent": float(100 * below),
    }


def _coded(counts: Any) -> float:
    """Return the mean length of a symbol's code."""
    return float(np.dot(counts, code_lengths(counts)) / max(counts.sum(), 1))


def draw(data: dict[str, Any]) -> "Figure":
    """Draw a row for each layer: its labels, and its gaps."""
    layers = data["layers"]
    figure, axes = panels(len(layers), 2, 0.3 + 1.9 * len(layers))
    for layer, (left, right) in zip(layers, axes, strict=True):
        name = f"{named(layer['network'])} {layer['layer'].removesuffix('.weight')}"
        labels, gaps = np.array(layer["labels"]), np.array(layer["gaps"])
        left.bar(np.arange(1, len(labels) + 1), labels, width=1.0, color=BLUE)
        left.set(
            title=f"{name}: labels, {layer['label_bits']} → {layer['label_bits_coded']:.2f} bits",
            xlabel="label, by ascending centroid",
            ylabel="weights",
        )
        shown = gaps[:SHOWN_GAPS]
        colours = [ORANGE] * (len(shown) - 1) + [VERMILLION]
        right.bar(np.arange(len(shown)), shown, width=0.9, color=colours)
        right.set(
            title=f"gaps, {layer['gap_bits']} → {layer['gap_bits_coded']:.2f} bits; "
            f"saved in all: {layer['saved_percent']:.0f} %",
            xlabel="gap: zeros before (red: fillers, too)",
            ylabel="entries",
        )
    return figure
