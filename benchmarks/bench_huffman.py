"""Time Huffman coding and rANS against zstd's Huffman stage and coders that Python has.

``python -m benchmarks.bench_huffman [--rounds N] [--json FILE]``

Symbols as the project has them, drawn independently: positions at the paper's densities, as gaps
of 5 bits and in the form that a file would have (of which gaps of 5 bits are one; chosen by
`deepcompress.coding.prices`, for labels of 5 bits); labels of 5 and of 8 bits. Forms differ in how
many symbols they need, and fillers cost labels as well: they compare by the bits of a file per
weight, labels and all, beside the entropy of a weight and its place.

One thread. Ours are eight streams, as of the blocks of a tensor, coded and decoded by one call; the
largest share of their time is C's. zstd's level 1 splits the same bytes into four streams to
128 KB; as it is to code literals and nothing else, its search for matches is made as weak as it
can be, and at least 98 % of its output must be coded literals. `constriction`'s Huffman codes,
`bitarray` and the pure Python coder have a small part of the symbols, in one stream each. Rows of
rANS have zstd, our Huffman codes and the rANS of `constriction` beside it. All give the symbols
back, which is checked first. Seconds are for 2**20 symbols, of the processor's time, so that what
else runs counts little.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from deepcompress import container, huffman
from deepcompress.coding import prices, rans_levels, rans_states
from deepcompress.coding.symbols import block_symbols
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.tensors import Survivors

from .harness import machine, medians, require_kernels, row
from .huffman_peers import (
    Coder,
    in_python,
    with_bitarray,
    with_constriction,
    with_constriction_rans,
    zstd,
)

DRAWN, STREAMS, FEW = 3 << 20, 8, 1 << 13
UNIT = 1 << 20  # symbols that seconds are for


@dataclass(frozen=True)
class Sample:
    """Symbols, as many as streams can have equal parts of.

    Attributes
    ----------
    form : str
        What a symbol is.
    symbols : ndarray of uint8
    per_weight : dict of str to float
        For each coder the bits of a file per weight, and the entropy of the same; empty for labels.
    """

    form: str
    symbols: np.ndarray
    per_weight: dict[str, float]


def entropy(counts: np.ndarray) -> float:
    """Return the entropy of symbols with these counts, in bits."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def draw_labels(bits: int) -> np.ndarray:
    """Return labels of normal weights, centroids spread evenly."""
    values = np.random.default_rng(0).standard_normal(DRAWN)
    k = 2**bits - 1
    return (1 + np.clip((values + 3) / 6 * k, 0, k - 1)).astype(np.uint8)


def labels(bits: int) -> Sample:
    """Return labels, all independent."""
    return Sample(f"{bits}-bit labels", draw_labels(bits), {})


def positions(density: float, gap_bits: int | None) -> Sample:
    """Return positions of weights as gaps of a width, or None for what is in a file."""
    places = np.cumsum(np.random.default_rng(0).geometric(density, DRAWN)) - 1
    codebook, names = np.linspace(0, 1, 32, dtype=np.float32), draw_labels(5)
    tensor = pack_weights(Survivors((int(places[-1]) + 1,), codebook, places, names), 5)
    price = prices.choose(tensor, prices.Choice("huffman", gap_bits=gap_bits))
    encoding, gap_bits = price.coding.encoding, price.coding.gap_bits or None
    same = prices.Choice("rans", container.ENCODINGS[encoding], gap_bits)
    sizes = {"huffman": price.size_bytes, "rans": prices.choose(tensor, same).size_bytes}
    per_weight = {coder: 8 * size / DRAWN for coder, size in sizes.items()}
    per_weight["entropy"] = entropy(np.bincount(names))
    per_weight["entropy"] += entropy(np.array([density, 1 - density])) / density
    symbols = np.concatenate([b.positions for b in block_symbols(tensor, price.coding)])
    if gap_bits:  # so that none depends on the one before, as one that follows a filler does
        symbols = np.random.default_rng(1).permutation(symbols)
    form = f"{gap_bits}-bit gaps" if gap_bits else container.ENCODINGS[encoding]
    return Sample(form, symbols[: len(symbols) // STREAMS * STREAMS], per_weight)


CASES: dict[str, Callable[[], Sample]] = {
    "5-bit gaps, density 4 %": lambda: positions(0.04, 5),
    "5-bit gaps, density 9 %": lambda: positions(0.09, 5),
    "5-bit gaps, density 25 %": lambda: positions(0.25, 5),
    "positions in files, density 4 %": lambda: positions(0.04, None),
    "positions in files, density 9 %": lambda: positions(0.09, None),
    "positions in files, density 25 %": lambda: positions(0.25, None),
    "5-bit labels": lambda: labels(5),
    "8-bit labels": lambda: labels(8),
}


def with_huffman(symbols: np.ndarray, lengths: np.ndarray) -> tuple[Coder, int]:
    """Return our Huffman coder, and the bytes of all streams."""
    parts = np.split(symbols, STREAMS)
    streams = [(huffman.encode(part, lengths), 0, len(part)) for part in parts]

    def encode() -> None:
        for part in parts:
            huffman.encode(part, lengths)

    def decode() -> list[Any]:
        return huffman.decode_streams([lengths], streams)

    if b"".join(map(bytes, decode())) != symbols.tobytes():
        raise SystemExit("ours gives other symbols")
    return (len(symbols), encode, decode), sum(len(payload) for payload, _, _ in streams)


def with_rans(symbols: np.ndarray, levels: np.ndarray) -> tuple[Coder, int]:
    """Return our rANS, and the bytes of all streams."""
    parts = np.split(symbols, STREAMS)
    streams = [(rans_states.encode(part, levels), 0, len(part)) for part in parts]

    def encode() -> None:
        for part in parts:
            rans_states.encode(part, levels)

    def decode() -> list[Any]:
        return rans_states.decode_streams([levels], streams)

    if b"".join(map(bytes, decode())) != symbols.tobytes():
        raise SystemExit("ours gives other symbols")
    return (len(symbols), encode, decode), sum(len(payload) for payload, _, _ in streams)


def times(coders: dict[str, Coder], direction: str, rounds: int) -> dict[str, float]:
    """Return each coder's median seconds for `UNIT` symbols."""
    index = {"encode": 1, "decode": 2}[direction]
    calls = {name: coder[index] for name, coder in coders.items()}
    taken = medians(calls, rounds, time.thread_time)
    return {name: taken[name] * UNIT / coders[name][0] for name in coders}


def measure(case: str, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of a case: Huffman decoding and encoding, then rANS."""
    sample = CASES[case]()
    symbols, few = sample.symbols, sample.symbols[:FEW]
    counts = np.bincount(symbols)
    lengths = huffman.code_lengths(counts)
    numbers = huffman.canonical_codes(lengths)
    codes = {
        symbol: format(numbers[symbol], f"0{length}b")
        for symbol, length in enumerate(lengths.tolist())
        if length
    }
    huffman_coder, huffman_bytes = with_huffman(symbols, lengths)
    rans_coder, rans_bytes = with_rans(symbols, rans_levels.levels(counts, rans_levels.SHARE_BITS))
    peers = {"zstd": zstd(symbols)}
    huffman_peers = {
        "constriction": with_constriction(few, counts),
        "bitarray": with_bitarray(few, codes),
        "python": in_python(few, codes),
    }
    rans_peers = {"constriction": with_constriction_rans(symbols, counts)}
    for name, (count, _, decode) in [*peers.items(), *huffman_peers.items(), *rans_peers.items()]:
        if decode() != symbols[:count].tobytes():
            raise SystemExit(f"{name} gives other symbols")
    rivals: dict[str, tuple[int, dict[str, Coder]]] = {
        "huffman": (huffman_bytes, {"ours": huffman_coder, **peers, **huffman_peers}),
        "rans": (rans_bytes, {"ours": rans_coder, **peers, "huffman": huffman_coder, **rans_peers}),
    }
    rows = []
    for coder, (size_bytes, coders) in rivals.items():
        figures: dict[str, Any] = {
            "form": sample.form,
            "entropy_bits": entropy(counts),
            "ours_bits": 8 * size_bytes / len(symbols),
            "zstd_bits": 8 * len(peers["zstd"][1]()) / len(symbols),
        }
        if sample.per_weight:
            figures["file_bits_per_weight"] = sample.per_weight[coder]
            figures["entropy_bits_per_weight"] = sample.per_weight["entropy"]
        for direction in ("decode", "encode"):
            seconds = times(coders, direction, rounds)
            figures["ours_million_per_second"] = UNIT / seconds["ours"] / 1e6
            name = direction if coder == "huffman" else f"rANS {direction}"
            rows.append(row(f"{name}, {case}", seconds, **figures))
    return rows


def main() -> None:
    """Measure, print the table and write the rows."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--json", type=Path, help="file for the rows")
    options = parser.parse_args()
    require_kernels()
    rows = []
    for case in CASES:
        for line in measure(case, options.rounds):
            ratios = "  ".join(f"{k[6:]} {v:.2f}" for k, v in line.items() if k[:6] == "ratio_")
            print(f"{line['case']:46} {line['ours_million_per_second']:6.0f} M/s  {ratios}")
            bits = f"{line['ours_bits']:.3f} bits, entropy {line['entropy_bits']:.3f}"
            if "file_bits_per_weight" in line:
                bits += f"; with labels {line['file_bits_per_weight']:.3f} bits per weight"
                bits += f", entropy {line['entropy_bits_per_weight']:.3f}"
            print(f"    {line['form']}: {bits}", flush=True)
            rows.append(line)
    if options.json:
        peers = {name: version(name) for name in ("zstandard", "constriction", "bitarray")}
        content = {"machine": machine(**peers), "rows": rows}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
