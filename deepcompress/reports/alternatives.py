"""The ways to store a tensor with their bytes, the chosen one among them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from ..coding.prices import Choice, prices
from ..container.cursor import varint
from ..container.records import CODERS, ENCODINGS, RAW, PlanesRecord, SharedRecord
from ..container.sizes import raw_size
from .ledger import Inspected


@dataclass(frozen=True)
class Alternative:
    """One way to store a tensor.

    Attributes
    ----------
    encoding : str
        One of `container.ENCODINGS`; ``"raw"`` is dense, in the tensor's dtype.
    gap_bits : int or None
        Only where the encoding is ``"relative"``.
    coder : str or None
        The strongest one allowed, each stream having the cheapest up to it; None for raw.
    bytes : int
        Size of the tensor in the file, its record in the header included.
    chosen : bool
        Whether the file has it so; of several that would give the same bytes, the first.
    """

    encoding: str
    gap_bits: int | None
    coder: str | None
    bytes: int
    chosen: bool


def alternatives(inspected: Inspected) -> list[dict[str, Any]]:
    """Return every way to store a tensor of a file, priced.

    Parameters
    ----------
    inspected : Inspected

    Returns
    -------
    list of dict
        The fields of `Alternative`: raw, then by coder, encoding and gap width. An encoding
        that is sure to cost more than another isn't priced (see `coding.prices`). Exactly one
        is chosen.
    """
    entry, record, tensor = inspected.entry, inspected.record, inspected.tensor
    own_bytes = len(entry.header) + entry.data_bytes

    without_size = len(entry.header) - len(varint(entry.data_bytes))

    def total(data_bytes: int) -> int:
        return without_size + len(varint(data_bytes)) + data_bytes

    raw_bytes = raw_size(entry.dtype.itemsize * math.prod(entry.shape))
    rows = [Alternative("raw", None, None, total(raw_bytes), entry.encoding == RAW)]
    if isinstance(record, PlanesRecord):
        coder = CODERS[max(record.coding.coders)]
        rows.append(Alternative("planes", None, coder, own_bytes, True))
    if not isinstance(record, SharedRecord) or tensor is None:
        return [asdict(row) for row in rows]
    coding = record.coding
    is_found = False
    for coder in CODERS:
        for price in prices(tensor, Choice(coder, block_bits=coding.block_bits)):
            encoding, gap_bits = ENCODINGS[price.coding.encoding], price.coding.gap_bits or None
            is_chosen = not is_found and price.coding == coding
            is_found |= is_chosen
            rows.append(Alternative(encoding, gap_bits, coder, total(price.size_bytes), is_chosen))
    if not is_found:  # coders that aren't the cheapest, or blocks of an odd size
        strongest = CODERS[max(coding.label_coder, coding.position_coder)]
        name, gap_bits = ENCODINGS[coding.encoding], coding.gap_bits or None
        rows.append(Alternative(name, gap_bits, strongest, own_bytes, True))
    return [asdict(row) for row in rows]


def table(rows: list[dict[str, Any]]) -> list[list[str]]:
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
