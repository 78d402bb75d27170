"""The codes of a tensor's streams, symbol by symbol."""

from typing import Any

import numpy as np

from ..coding.decoder import decode_symbols, read_codes
from ..coding.symbols import alphabets
from ..container.records import BITMASK, CODERS, DENSE, Record, SharedRecord


def codes(record: Record) -> list[dict[str, Any]]:
    """List what each symbol costs.

    Parameters
    ----------
    record : Record

    Returns
    -------
    list of dict
        One for each stream, none for a raw tensor: ``stream`` (``"labels"``, ``"gaps"`` or
        ``"mask"``), ``coder``, ``table_bytes``, and ``symbols``, rows of ``symbol``,
        ``count`` and ``bits``. Bits are the length of a Huffman code, the width at fixed
        width, and under rANS the probability p of the code as ``-log2(p)``, to three
        digits. Symbols that neither occur nor have a code are left out.

    Raises
    ------
    FormatError
        If a table or a stream isn't valid.
    """
    if not isinstance(record, SharedRecord):
        return []
    coding = record.coding
    streams = zip(
        ("labels", "mask" if coding.encoding == BITMASK else "gaps"),
        (coding.label_coder, coding.position_coder),
        read_codes(record),
        alphabets(coding, len(record.codebook) - 1),
        strict=True,
    )
    blocks = list(decode_symbols(record))
    listed = []
    for stream, coder, code, alphabet in list(streams)[: 1 if coding.encoding == DENSE else 2]:
        counts = np.zeros(alphabet, np.int64)
        for block in blocks:
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
