"""The verb ``diff``: two ``.dcnn`` files, tensor by tensor."""

import json
from collections.abc import Mapping
from typing import Any

from ..coding.reading import Tensor
from ..container.records import CODERS, ENCODINGS, Coding, PlaneCoding
from ..files.reading import read_file
from ..model_file import ModelFile
from ..packed.tensor import CompressedTensor
from ..reports.distance import differing_labels, distance
from ..reports.tables import align, as_cells, printable, shape_text
from .verb import Answer, Subparsers, add_verb, opened_base

SAME_BYTES, SAME_TENSORS, DIFFER = "same bytes", "same tensors, stored otherwise", "differ"
STORED = ("shape", "dtype", "encoding", "gap_bits", "coders", "K", "bytes")
COLUMNS = (
    ("name", "tensor", "{}"),
    *((key, key, "{}") for key in STORED),
    ("labels_differ", "labels differ", "{:,}"),
    ("weights_differ", "weights differ", "{:,}"),
    ("largest", "largest", "{:.3g}"),
    ("rms", "rms", "{:.3g}"),
)


def add_parser(subparsers: Subparsers) -> None:
    """Add ``diff`` to the command line."""
    parser = add_verb(subparsers, diff, "compare two files, tensor by tensor")
    parser.add_argument("a", metavar="A", help="a .dcnn file")
    parser.add_argument("b", metavar="B", help="another one")
    base = "the model that they were compressed against, if they were, or one of them"
    parser.add_argument("--base", metavar="OTHER", help=base)


def diff(a: str, b: str, base: str | None = None) -> Answer:
    """Compare two files; the answer has failed where their tensors differ.

    Tensors are the same if their shapes, dtypes and values are, NaN being equal to NaN;
    neither their order counts, nor the metadata, nor how they are stored.

    Parameters
    ----------
    a, b : str
    base : str, optional
        The base model of those that have one, a file for `formats.registry.open_tensors`.

    Raises
    ------
    FormatError
        If one of them isn't a valid file.
    ArgumentError
        If one of them needs a base, or another one.
    """
    data = {side: read_file(file) for side, file in (("a", a), ("b", b))}
    with opened_base(base) as tensors:
        values = _compare(data, {"a": a, "b": b}, tensors)
    return Answer(values, _format(values), failed=not values["same_tensors"])


def _compare(
    data: dict[str, bytes], files: dict[str, str], base: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what the answer has."""
    models = {side: ModelFile(data[side], file, base=base) for side, file in files.items()}
    rows = [_row(name, models) for name in models["a"] if name in models["b"]]
    only_a = [name for name in models["a"] if name not in models["b"]]
    only_b = [name for name in models["b"] if name not in models["a"]]
    for side, only in (("a", only_a), ("b", only_b)):  # these have to be valid, too
        for name in only:
            models[side][name]
    same = not only_a and not only_b and all(row["same"] for row in rows)
    same_bytes = data["a"] == data["b"]
    return {
        **files,
        "a_bytes": len(data["a"]),
        "b_bytes": len(data["b"]),
        "verdict": SAME_BYTES if same_bytes else SAME_TENSORS if same else DIFFER,
        "same_bytes": same_bytes,
        "same_tensors": same,
        "only_a": only_a,
        "only_b": only_b,
        "same_order": [row["name"] for row in rows] == [n for n in models["b"] if n in models["a"]],
        "metadata": _metadata_differences(models["a"].metadata, models["b"].metadata),
        "tensors": rows,
    }


def _row(name: str, models: dict[str, ModelFile]) -> dict[str, Any]:
    """Compare the tensors of a name that is in both files."""
    tensors = models["a"][name], models["b"][name]
    row: dict[str, Any] = {"name": name}
    for tensor, (side, model) in zip(tensors, models.items(), strict=True):
        row[side] = _stored(name, model, tensor)
    same_form = all(row["a"][key] == row["b"][key] for key in ("shape", "dtype"))
    row |= dict.fromkeys(("labels_differ", "weights_differ", "unmeasured", "largest", "rms"))
    if row["a"]["shape"] == row["b"]["shape"]:
        far = distance(*tensors)
        row["weights_differ"], row["unmeasured"] = far.differing, far.unmeasured
        row["largest"], row["rms"] = far.largest, far.rms
        if isinstance(tensors[0], CompressedTensor) and isinstance(tensors[1], CompressedTensor):
            row["labels_differ"] = differing_labels(tensors[0], tensors[1])
    row["same"] = same_form and row["weights_differ"] == 0
    return row


def _stored(name: str, model: ModelFile, tensor: Tensor) -> dict[str, Any]:
    """Return how a file holds a tensor; a raw one has None in most fields."""
    entry, coding = model.entries[name], model.coding(name)
    values: dict[str, Any] = dict.fromkeys(STORED)
    values |= {
        "shape": list(entry.shape),
        "dtype": entry.dtype.name,
        "encoding": ENCODINGS[entry.encoding],
        "bytes": len(entry.header) + entry.data_bytes,
    }
    if isinstance(coding, Coding) and isinstance(tensor, CompressedTensor):
        values["gap_bits"] = coding.gap_bits or None
        values["coders"] = coding.coders
        values["K"] = len(tensor.codebook)
    elif isinstance(coding, PlaneCoding):
        values["coders"] = "/".join(CODERS[coder] for coder in coding.coders)
    return values


def _metadata_differences(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the keys whose values differ; a side that lacks one lacks it here too."""
    rows = []
    for key in sorted(a.keys() | b.keys()):
        sides = {side: values[key] for side, values in (("a", a), ("b", b)) if key in values}
        texts = [json.dumps(value, sort_keys=True) for value in sides.values()]  # 1 isn't true
        if len(texts) == 1 or texts[0] != texts[1]:
            rows.append({"key": key} | sides)
    return rows


def _format(values: dict[str, Any]) -> str:
    """Return the answer as text."""
    lines = [
        f"{values['a']}, {values['b']}: {values['verdict']} "
        f"({values['a_bytes']:,} and {values['b_bytes']:,} bytes)"
    ]
    for side in "ab":
        if only := values[f"only_{side}"]:
            lines.append(f"only in {values[side]}: {', '.join(map(printable, only))}")
    for row in values["metadata"]:
        texts = [json.dumps(row[side]) if side in row else "absent" for side in "ab"]
        lines.append(f"metadata {json.dumps(row['key'])}: {' -> '.join(texts)}")
    if not values["same_order"]:
        lines.append("the tensors are in another order")
    rows = []
    for row in values["tensors"]:
        stored = {key: _change(key, row["a"][key], row["b"][key]) for key in STORED}
        rows.append(row | stored | {"name": printable(row["name"])})
    return "\n".join([*lines, *(["", align(as_cells(rows, COLUMNS))] if rows else [])])


def _change(key: str, a: Any, b: Any) -> str:
    """Return the value of both sides, or ``a -> b``."""
    as_text = {"shape": shape_text, "bytes": "{:,}".format}.get(key, str)
    texts = ["-" if one is None else as_text(one) for one in (a, b)]
    return texts[0] if a == b else " -> ".join(texts)
