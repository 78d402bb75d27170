"""Time Huffman coding against zstd's Huffman stage and coders that Python has.

``python -m benchmarks.bench_huffman [--rounds N] [--json FILE]``

Symbols as the project has them, drawn independently: gaps of 5 bits at the paper's densities,
labels of 5 and of 8 bits. One thread. Ours are eight streams, as of the blocks of a tensor, coded
and decoded by one call; the largest share of their time is C's. zstd's level 1 splits the same
bytes into four streams to 128 KB; as it is to code literals and nothing else, its search for
matches is made as weak as it can be, and at least 98 % of its output must be coded literals.
`constriction`, `bitarray` and the pure Python coder have a small part of the symbols, in one
stream each. All give the symbols back, which is checked first. Seconds are for 2**20 symbols, of
the processor's time, so that what else runs counts little.
"""

import argparse
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import constriction
import numpy as np
import zstandard
from bitarray import bitarray, decodetree

from deepcompress import huffman

from .harness import machine, medians, require_kernels, row

SYMBOLS, STREAMS, FEW = 3 << 20, 8, 1 << 13
UNIT = 1 << 20  # symbols that seconds are for


def gaps(density: float) -> np.ndarray:
    """Return gaps of 5 bits with their fillers."""
    rng = np.random.default_rng(0)
    runs = rng.geometric(density, SYMBOLS) - 1
    fillers = runs >> 5
    symbols = np.full((fillers + 1).sum(), 31, np.uint8)
    symbols[np.cumsum(fillers + 1) - 1] = runs & 31
    return rng.permutation(symbols)[:SYMBOLS]  # so that none depends on the one before


def labels(bits: int) -> np.ndarray:
    """Return labels of normal weights, centroids spread evenly."""
    values = np.random.default_rng(0).standard_normal(SYMBOLS)
    k = 2**bits - 1
    return (1 + np.clip((values + 3) / 6 * k, 0, k - 1)).astype(np.uint8)


CASES: dict[str, Callable[[], np.ndarray]] = {
    "5-bit gaps, density 4 %": lambda: gaps(0.04),
    "5-bit gaps, density 9 %": lambda: gaps(0.09),
    "5-bit gaps, density 25 %": lambda: gaps(0.25),
    "5-bit labels": lambda: labels(5),
    "8-bit labels": lambda: labels(8),
}

# A coder: how many symbols it is given, and what encodes and decodes them.
Coder = tuple[int, Callable[[], Any], Callable[[], Any]]


def literals_in(frame: bytes) -> int:
    """Return how many bytes of a zstd frame's contents are Huffman coded (RFC 8878, 3.1.1)."""
    at = zstandard.frame_header_size(frame)
    coded, is_last = 0, False
    while not is_last:
        header = int.from_bytes(frame[at : at + 3], "little")
        is_last, kind, size = bool(header & 1), header >> 1 & 3, header >> 3
        at += 3
        literals = int.from_bytes(frame[at : at + 5], "little")
        if kind == 2 and literals & 3 >= 2:  # a compressed block that begins with coded literals
            bits = (10, 10, 14, 18)[literals >> 2 & 3]
            coded += literals >> 4 & (1 << bits) - 1
        at += 1 if kind == 1 else size
    return coded


def zstd(symbols: np.ndarray) -> Coder:
    """Return zstd with literals only."""
    data = symbols.tobytes()
    parameters = zstandard.ZstdCompressionParameters.from_level(
        1, min_match=7, hash_log=6, window_log=17, strategy=zstandard.STRATEGY_FAST
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    decompressor = zstandard.ZstdDecompressor()
    frame = compressor.compress(data)
    if literals_in(frame) < 0.98 * len(data):
        raise SystemExit("zstd found matches")
    return len(data), lambda: compressor.compress(data), lambda: decompressor.decompress(frame)


def ours(symbols: np.ndarray, lengths: np.ndarray) -> tuple[Coder, int]:
    """Return our coder, and the bytes of all streams."""
    parts = np.split(symbols, STREAMS)
    streams = [(huffman.encode(part, lengths), 0, len(part)) for part in parts]

    def encode() -> bytes:
        return b"".join(huffman.encode(part, lengths) for part in parts)

    def decode() -> bytes:
        return b"".join(map(bytes, huffman.decode_streams([lengths], streams)))

    def decode_only() -> None:
        huffman.decode_streams([lengths], streams)

    if decode() != symbols.tobytes():
        raise SystemExit("ours gives other symbols")
    return (len(symbols), encode, decode_only), sum(len(payload) for payload, _, _ in streams)


def with_bitarray(few: np.ndarray, codes: dict[int, str]) -> Coder:
    """Return `bitarray` with the same code."""
    code = {symbol: bitarray(bits) for symbol, bits in codes.items()}
    tree, listed = decodetree(code), few.tolist()

    def encode() -> bitarray:
        coded = bitarray()
        coded.encode(code, listed)
        return coded

    coded = encode()
    return len(few), encode, lambda: bytes(coded.decode(tree))


def with_constriction(few: np.ndarray, counts: np.ndarray) -> Coder:
    """Return `constriction` with a Huffman code of its own."""
    trees = constriction.symbol.huffman
    shares = (counts / counts.sum()).astype(np.float32)
    to_bits, from_bits = trees.EncoderHuffmanTree(shares), trees.DecoderHuffmanTree(shares)
    listed = few.tolist()

    def encode() -> Any:
        coder = constriction.symbol.QueueEncoder()
        for symbol in listed:
            coder.encode_symbol(symbol, to_bits)
        return coder.get_compressed()[0]

    coded = encode()

    def decode() -> bytes:
        coder = constriction.symbol.QueueDecoder(coded)
        return bytes(coder.decode_symbol(from_bits) for _ in listed)

    return len(few), encode, decode


def in_python(few: np.ndarray, codes: dict[int, str]) -> Coder:
    """Return what Python does with strings of bits."""
    listed, symbols = few.tolist(), {bits: symbol for symbol, bits in codes.items()}

    def encode() -> str:
        return "".join([codes[symbol] for symbol in listed])

    coded = encode()

    def decode() -> bytes:
        decoded, code = bytearray(), ""
        for bit in coded:
            code += bit
            if code in symbols:
                decoded.append(symbols[code])
                code = ""
        return bytes(decoded)

    return len(few), encode, decode


def measure(case: str, rounds: int) -> list[dict[str, Any]]:
    """Return the rows of a case: decoding, and encoding."""
    symbols = CASES[case]()
    few = symbols[:FEW]
    counts = np.bincount(symbols)
    lengths = huffman.code_lengths(counts)
    numbers = huffman.canonical_codes(lengths)
    codes = {
        symbol: format(numbers[symbol], f"0{length}b")
        for symbol, length in enumerate(lengths.tolist())
        if length
    }
    mine, size_bytes = ours(symbols, lengths)
    coders = {
        "ours": mine,
        "zstd": zstd(symbols),
        "constriction": with_constriction(few, counts),
        "bitarray": with_bitarray(few, codes),
        "python": in_python(few, codes),
    }
    for name, (count, _, decode) in coders.items():
        if name != "ours" and decode() != symbols[:count].tobytes():
            raise SystemExit(f"{name} gives other symbols")
    share = counts[counts > 0] / counts.sum()
    figures = {
        "entropy_bits": float(-(share * np.log2(share)).sum()),
        "ours_bits": 8 * size_bytes / len(symbols),
        "zstd_bits": 8 * len(coders["zstd"][1]()) / len(symbols),
    }
    rows = []
    for index, direction in ((2, "decode"), (1, "encode")):
        calls = {name: coder[index] for name, coder in coders.items()}
        seconds = {
            name: value * UNIT / coders[name][0]
            for name, value in medians(calls, rounds, time.thread_time).items()
        }
        million = UNIT / seconds["ours"] / 1e6
        rows.append(
            row(f"{direction}, {case}", seconds, ours_million_per_second=million, **figures)
        )
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
            print(
                f"{line['case']:34} {line['ours_million_per_second']:6.0f} M/s  {ratios}  "
                f"{line['ours_bits']:.3f} bits, entropy {line['entropy_bits']:.3f}",
                flush=True,
            )
            rows.append(line)
    if options.json:
        peers = {name: version(name) for name in ("zstandard", "constriction", "bitarray")}
        content = {"machine": machine(**peers), "rows": rows}
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
