"""The lists that ``inspect`` shows on demand: a tensor's codes, and what else it could cost."""

import math
from typing import Any

import numpy as np

from ..coding.prices import Choice, prices
from ..coding.symbols import alphabets
from ..container.cursor import varint
from ..container.records import (
    BITMASK,
    CODERS,
    CONTEXT,
    DELTA,
    ENCODINGS,
    GROUPED,
    RAW,
    TIED,
    PlanesRecord,
    SharedRecord,
)
from ..container.sizes import raw_size
from .ledger import Inspected


def codes(inspected: Inspected) -> list[dict[str, Any]]:
    """List the cost of each symbol.

    Returns
    -------
    list of dict
        One for each stream, none for a raw tensor or one coded by contexts: ``stream``
        (``"labels"``, ``"gaps"`` or ``"mask"``), ``coder``, ``table_bytes``, and ``symbols``,
        rows of ``symbol``, ``count`` and ``bits``. Bits are the length of a Huffman code, the
        width at fixed width, and under rANS the probability p of the code as ``-log2(p)``, to
        three digits. Symbols that neither occur nor have a code are left out.
    """
    record = inspected.record
    if not isinstance(record, SharedRecord) or record.coding.encoding == CONTEXT:
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


def codes_table(streams: list[dict[str, Any]]) -> list[list[str]]:
    """Return lines of stream, symbol, count and bits."""
    return [
        [one["stream"], one["coder"], str(row["symbol"]), f"{row['count']:,}", f"{row['bits']:g}"]
        for one in streams
        for row in one["symbols"]
    ]


def alternatives(inspected: Inspected) -> list[dict[str, Any]]:
    """Return every way to store a tensor of a file, priced.

    Returns
    -------
    list of dict
        Raw, then by coder, encoding and gap width. An encoding that is sure to cost more than
        another isn't priced (see `coding.prices`). The keys are

        - ``encoding``, one of `container.ENCODINGS`; ``"raw"`` is dense float32, or a raw
          tensor's own dtype;
        - ``gap_bits``, None where the encoding isn't ``"relative"``;
        - ``coder``, the strongest one allowed, each stream having the cheapest up to it; None
          for raw and context;
        - ``bytes`` of the tensor in the file, its record in the header included;
        - ``chosen``, whether the file has it so: exactly one, the first that gives these bytes.
    """
    entry, record, tensor = inspected.entry, inspected.record, inspected.tensor
    own_bytes = len(entry.header) + entry.data_bytes
    without_size = len(entry.header) - len(varint(entry.data_bytes))

    def total(data_bytes: int) -> int:
        return without_size + len(varint(data_bytes)) + data_bytes

    raw_bytes = raw_size(entry.dtype.itemsize * math.prod(entry.shape))
    rows = [_row("raw", None, None, total(raw_bytes), entry.encoding == RAW)]
    if isinstance(record, PlanesRecord):
        rows.append(_row("planes", None, CODERS[max(record.coding.coders)], own_bytes, True))
    if entry.encoding in (TIED, DELTA, GROUPED):
        rows.append(_row(ENCODINGS[entry.encoding], None, None, own_bytes, True))
    if not isinstance(record, SharedRecord) or tensor is None:
        return rows
    coding = record.coding
    is_found = coding.encoding == CONTEXT
    if is_found:
        rows.append(_row(ENCODINGS[CONTEXT], None, None, own_bytes, True))
    block_bits = None if is_found else coding.block_bits
    for coder in CODERS:
        for price in prices(tensor, Choice(coder, block_bits=block_bits)):
            encoding, gap_bits = ENCODINGS[price.coding.encoding], price.coding.gap_bits or None
            is_chosen = not is_found and price.coding == coding
            is_found |= is_chosen
            rows.append(_row(encoding, gap_bits, coder, total(price.size_bytes), is_chosen))
    if not is_found:  # coders that aren't the cheapest, or blocks of an odd size
        strongest = CODERS[max(coding.label_coder, coding.position_coder)]
        name, gap_bits = ENCODINGS[coding.encoding], coding.gap_bits or None
        rows.append(_row(name, gap_bits, strongest, own_bytes, True))
    return rows


def _row(*values: Any) -> dict[str, Any]:
    """Return a way's encoding, gap width, coder, bytes, and whether it is chosen, by key."""
    return dict(zip(("encoding", "gap_bits", "coder", "bytes", "chosen"), values, strict=True))


def alternatives_table(rows: list[dict[str, Any]]) -> list[list[str]]:
    """Return lines of encoding, gap width and bytes by coder; a star marks the chosen one."""
    cells: dict[tuple[str, int | None], dict[str, str]] = {}
    for row in rows:
        text = f"{row['bytes']:,}{'*' if row['chosen'] else ' '}"
        line = cells.setdefault((row["encoding"], row["gap_bits"]), {})
        line[row["coder"] or CODERS[0]] = text
    return [
        [encoding, str(gap_bits or "-"), *(line.get(coder, "- ") for coder in CODERS)]
        for (encoding, gap_bits), line in cells.items()
    ]
