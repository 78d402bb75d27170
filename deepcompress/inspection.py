"""What the command ``inspect`` shows of a file: its tensors, and where its bytes go."""

import json
from typing import Any

from .container import CODERS, ENCODINGS, MAGIC, Record, SharedRecord
from .container_layout import stream_bits
from .container_reader import parse
from .ledger import FP32_BYTES, PARTS, LayerRow, account, ledger
from .report import align, printable

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


def describe(data: bytes, what: str = "file") -> dict[str, Any]:
    """Describe a ``.dcnn`` file in JSON's types.

    Parameters
    ----------
    data : bytes
        The whole file.
    what : str
        Its name, for messages.

    Returns
    -------
    dict
        ``format_version``, ``file_bytes``, ``network`` (None if the metadata names none),
        ``metadata``; ``tensors``, a row for each (see `TENSOR_COLUMNS`; None where a raw
        tensor has no such thing; ``coders`` are those of labels and gaps; ``ratio`` is
        against dense fp32); ``ledger``, rows of ``tensor``, ``part`` and ``bytes`` as from
        `ledger.ledger`; ``parts``, the sum of each; ``stages``, ``reference_bytes`` and
        ``ratio`` as from `ledger.account`.

    Raises
    ------
    FormatError
        As `pipeline.load`.
    """
    books = account(data, what)
    contents = parse(data, what)
    rows = ledger(data, what)
    parts = dict.fromkeys(PARTS, 0)
    for row in rows:
        parts[row.part] += row.size_bytes
    records = contents.records.values()
    return {
        "format_version": data[len(MAGIC)],
        "file_bytes": len(data),
        "network": contents.metadata.get("network"),
        "metadata": contents.metadata,
        "tensors": [_tensor(*pair) for pair in zip(books.layers, records, strict=True)],
        "ledger": [
            {"tensor": row.tensor, "part": row.part, "bytes": row.size_bytes} for row in rows
        ],
        "parts": parts,
        "stages": books.stages,
        "reference_bytes": books.reference_bytes,
        "ratio": books.ratio,
    }


def format_description(description: dict[str, Any]) -> str:
    """Return as text what `describe` returned, all but the rows of the ledger."""
    size, reference = description["file_bytes"], description["reference_bytes"]
    tensors = [[header for _, header, _ in TENSOR_COLUMNS]]
    for row in description["tensors"]:
        row = row | {"name": printable(row["name"]), "shape": "x".join(map(str, row["shape"]))}
        tensors.append(
            ["-" if row[key] is None else form.format(row[key]) for key, _, form in TENSOR_COLUMNS]
        )
    parts = [["part", "bytes", "share"]]
    for part, part_bytes in description["parts"].items():
        parts.append([part, f"{part_bytes:,}", f"{100 * part_bytes / size:.1f} %"])
    parts.append(["total", f"{size:,}", "100.0 %"])
    stages = [["stage", "bytes", "ratio"], ["dense fp32", f"{reference:,}", "1.0x"]]
    for stage, stage_bytes in description["stages"].items():
        stages.append([stage, f"{stage_bytes:,}", f"{reference / stage_bytes:.1f}x"])
    head = (
        f"format version {description['format_version']}, {size:,} bytes, "
        f"{description['ratio']:.1f}x smaller than dense fp32\n"
        f"metadata: {json.dumps(description['metadata'])}"
    )
    return "\n\n".join([head, *map(align, (tensors, parts, stages))])


def _tensor(row: LayerRow, record: Record) -> dict[str, Any]:
    values = {
        "name": row.layer,
        "shape": row.shape,
        "kept_percent": row.kept_percent,
        "bytes": row.bytes_PQH,
        "ratio": FP32_BYTES * row.weights / row.bytes_PQH,
    }
    if not isinstance(record, SharedRecord):
        only_shared = ("K", "label_bits", "gap_bits", "coders", "entries", "fillers")
        raw = {"dtype": record.dtype.name, "encoding": "raw"}
        return raw | dict.fromkeys(only_shared) | values
    coding = record.coding
    return {
        "dtype": record.codebook.dtype.name,
        "encoding": ENCODINGS[coding.encoding],
        "K": len(record.codebook),
        "label_bits": stream_bits(coding, len(record.codebook) - 1)[0],
        "gap_bits": coding.gap_bits or None,
        "coders": f"{CODERS[coding.label_coder]}/{CODERS[coding.position_coder]}",
        "entries": sum(block.count for block in record.blocks),
        "fillers": row.fillers,
    } | values
