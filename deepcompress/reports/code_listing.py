"""The codes of a tensor's streams, symbol by symbol."""

from typing import Any

import numpy as np

from ..coding.symbols import alphabets
from ..container.records import BITMASK, CODERS, SharedRecord
from .ledger import Inspected


def codes(inspected: Inspected) -> list[dict[str, Any]]:
    """List the cost of each symbol.

    Returns
    -------
    list of dict
        One for each stream, none for a raw tensor: ``stream`` (``"labels"``, ``"gaps"`` or
        ``"mask"``), ``coder``, ``table_bytes``, and ``symbols``, rows of ``symbol``,
        ``count`` and ``bits``. Bits are the length of a Huffman code, the width at fixed
        width, and under rANS the probability p of the code as ``-log2(p)``, to three
        digits. Symbols that neither occur nor have a code are left out.
    """
    record = inspected.record
    if not isinstance(record, SharedRecord):
        return []
    streams = "labels", "mask" if record.coding.encoding == BITMASK else "gaps"
    sizes = alphabets(record.coding, len(record.codebook) - 1)
    listed = []
    coders = record.coding.label_coder, record.coding.position_coder
    for stream, coder, code, alphabet in zip(streams, coders, inspected.codes, sizes, strict=True):
        if not alphabet:  # a dense tensor has no positions
            continue
        counts = np.zeros(alphabet, np.int64)
        for block in inspected.symbols:
            symbols = block.labels if stream == "labels" else block.positions
            counts += np.bincount(symbols, minlength=alphabet)
        listed.append(
            {
                "stream": stream,
                "coder": CODERS[coder],
                "table_bytes": len(code.table()),
                "symbols": [
                    {"symbol": symbol, "count": int(counts[symbol]), "bits": bits}
                    for symbol, bits in enumerate(code.symbol_bits(alphabet))
                    if counts[symbol] or (code.has_table and bits)
                ],
            }
        )
    return listed


def table(streams: list[dict[str, Any]]) -> list[list[str]]:
    """Return lines of stream, symbol, count and bits."""
    return [
        [one["stream"], one["coder"], str(row["symbol"]), f"{row['count']:,}", f"{row['bits']:g}"]
        for one in streams
        for row in one["symbols"]
    ]
