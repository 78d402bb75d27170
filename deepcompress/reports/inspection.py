"""A file as the command ``inspect`` shows it: its tensors, and where its bytes go."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any

from ..container.records import (
    CODERS,
    ENCODINGS,
    MAGIC,
    DeltaRecord,
    GroupedRecord,
    PlanesRecord,
    SharedRecord,
    TiedRecord,
)
from ..container.sizes import stream_bits
from . import listings
from .ledger import PARTS, Inspected, LayerRow, account
from .reasons import why
from .tables import align, as_cells, format_stages, printable, shape_text

TENSOR_COLUMNS = (
    ("name", "tensor", "{}"),
    ("shape", "shape", "{}"),
    ("dtype", "dtype", "{}"),
    ("encoding", "encoding", "{}"),
    ("kept_percent", "kept %", "{:.1f}"),
    ("K", "K", "{}"),
    ("label_bits", "label bits", "{}"),
    ("gap_bits", "gap bits", "{}"),
    ("coders", "coders", "{}"),
    ("entries", "entries", "{:,}"),
    ("fillers", "fillers", "{:,}"),
    ("bytes", "bytes", "{:,}"),
    ("ratio", "ratio", "{:.1f}x"),
)
PRICES = ["tensor", "encoding", "gap bits", *CODERS]
CODES = ["tensor", "stream", "coder", "symbol", "count", "bits"]


def describe(
    data: bytes, what: str = "file", *, codes: bool = False, prices: bool = False
) -> dict[str, Any]:
    """Describe a ``.dcnn`` file in JSON's types.

    Parameters
    ----------
    data, what
        As for `ledger.account`.
    codes, prices : bool
        Whether tensors have ``codes`` and ``alternatives``, as from `listings`; the latter take
        the longest.

    Returns
    -------
    dict
        ``format_version``, ``file_bytes``, ``network`` (None if the metadata names none),
        ``metadata``, ``config`` (that of the metadata or None); ``tensors``, a row for each (see
        `TENSOR_COLUMNS`; None where a raw tensor has no such thing; ``coders`` are those of labels
        and gaps, or of planes, or ``"trellis"`` where contexts are along one; ``ratio`` is against
        the dense tensor in the dtype it has here; ``why`` is as from `reasons.why`; a tied tensor
        has ``tied_to``, a grouped one ``group_rows`` and ``codebooks``, and the difference to a
        base's ``base_digest``);
        ``ledger``, rows of ``tensor``, ``part`` and ``bytes`` as from `ledger.ledger`; ``parts``,
        the sum of each; ``stages``, ``reference_bytes`` and ``ratio`` as from `ledger.account`.

    Raises
    ------
    FormatError
        As `pipeline.load`.
    """
    tensors: list[dict[str, Any]] = []
    reasons: list[Callable[[float], str | None]] = []  # from the ratio of the whole file

    def look(row: LayerRow, inspected: Inspected) -> None:
        tensor = _tensor(row, inspected, [one["name"] for one in tensors])
        if codes:
            tensor["codes"] = listings.codes(inspected)
        if prices:
            tensor["alternatives"] = listings.alternatives(inspected)
        tensors.append(tensor)
        reasons.append(partial(why, row, inspected, inspected.parts))

    books = account(data, what, look)
    for tensor, reason in zip(tensors, reasons, strict=True):
        tensor["why"] = reason(books.ratio)
    parts = dict.fromkeys(PARTS, 0)
    for section in books.sections:
        parts[section.part] += section.size_bytes
    return {
        "format_version": data[len(MAGIC)],
        "file_bytes": len(data),
        "network": books.metadata.get("network"),
        "metadata": books.metadata,
        "config": books.metadata.get("config"),
        "tensors": tensors,
        "ledger": [
            {"tensor": one.tensor, "part": one.part, "bytes": one.size_bytes}
            for one in books.sections
        ],
        "parts": parts,
        "stages": books.stages,
        "reference_bytes": books.reference_bytes,
        "ratio": books.ratio,
    }


def format_description(description: dict[str, Any]) -> str:
    """Return a description as text, all but the rows of the ledger."""
    size, reference = description["file_bytes"], description["reference_bytes"]
    rows = [
        row | {"name": printable(row["name"]), "shape": shape_text(row["shape"])}
        for row in description["tensors"]
    ]
    parts = [["part", "bytes", "share"]]
    for part, part_bytes in description["parts"].items():
        parts.append([part, f"{part_bytes:,}", f"{100 * part_bytes / size:.1f} %"])
    parts.append(["total", f"{size:,}", "100.0 %"])
    stages = format_stages("dense", reference, description["stages"])
    head = (
        f"format version {description['format_version']}, {size:,} bytes, "
        f"{_against_dense(description['ratio'], reference)}\n"
        f"metadata: {json.dumps(description['metadata'])}"
    )
    if description["config"] is not None:
        head += f"\nconfig: {json.dumps(description['config'])}"
    blocks = [head, align(as_cells(rows, TENSOR_COLUMNS)), align(parts), stages]
    reasons = [f"{row['name']}: {row['why']}" for row in rows if row["why"]]
    if reasons:
        blocks.append("\n".join(["what shrank little, and why:", *reasons]))
    ties = [row for row in description["tensors"] if "tied_to" in row]
    if ties:
        same = [f"{printable(row['name'])} is {printable(row['tied_to'])}" for row in ties]
        blocks.append("\n".join(["tied tensors:", *same]))
    prices = "bytes by the strongest coder (* the file's):"
    for key, title, header, lines in (
        ("alternatives", prices, PRICES, listings.alternatives_table),
        ("codes", "code tables:", CODES, listings.codes_table),
    ):
        cells = [[row["name"], *line] for row in rows for line in lines(row.get(key, []))]
        if cells:
            blocks.append(f"{title}\n{align([header, *cells])}")
    return "\n\n".join(blocks)


def _against_dense(ratio: float, reference: int) -> str:
    if ratio == 0:
        return "no elements"
    size, word = (ratio, "smaller") if ratio >= 1 else (1 / ratio, "larger")
    return f"{size:.1f}x {word} than the dense tensors, {reference:,} bytes in their dtypes"


def _tensor(row: LayerRow, inspected: Inspected, names: list[str]) -> dict[str, Any]:
    """Return a tensor's row, None in the columns that it has nothing for.

    `names` are those of the tensors before it.
    """
    values = dict.fromkeys(key for key, _, _ in TENSOR_COLUMNS) | {
        "name": row.layer,
        "shape": row.shape,
        "kept_percent": row.kept_percent,
        "bytes": row.bytes_PQH,
        "ratio": row.dense_bytes / row.bytes_PQH,
    }
    record, entry = inspected.record, inspected.entry
    stored: dict[str, Any] = {"dtype": entry.dtype.name, "encoding": ENCODINGS[entry.encoding]}
    if not isinstance(record, SharedRecord):
        planes = record.words if isinstance(record, DeltaRecord) else record
        if isinstance(planes, PlanesRecord):
            stored["coders"] = "/".join(CODERS[coder] for coder in planes.coding.coders)
        elif isinstance(record, GroupedRecord):
            stored["K"] = max(len(group.codebook) for group in record.groups)
            stored["group_rows"] = record.group_rows
            stored["codebooks"] = len(record.groups)
        elif isinstance(record, TiedRecord):
            stored["tied_to"] = names[record.index]
        if isinstance(record, DeltaRecord):
            stored["base_digest"] = record.digest.hex()
        return values | stored
    coding = record.coding
    return (
        values
        | stored
        | {
            "K": len(record.codebook),
            "label_bits": stream_bits(coding, len(record.codebook) - 1)[0],
            "gap_bits": coding.gap_bits or None,
            "coders": coding.coders,
            "entries": sum(block.count for block in record.blocks),
            "fillers": row.fillers,
        }
    )
