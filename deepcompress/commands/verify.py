"""The verb ``verify``: whether a file is as it should be, and how far it is from an original."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ..errors import ArgumentError, FormatError
from ..files.reading import read_file
from ..formats.registry import open_tensors
from ..inputs import flat
from ..model_file import ModelFile
from ..pipeline import from_bytes
from ..reports.distance import distance
from ..reports.tables import align, as_cells, printable, shape_text
from .verb import ORIGINAL, Answer, Subparsers, add_file, add_verb, opened_base

CHECKS = (
    "structure, sizes and checksums",
    "every code decodes, every label and position is in range",
    "encoding again gives the very same bytes",
)
SAME_TENSORS = "the original's tensors, in their shapes"
COLUMNS = (
    ("name", "tensor", "{}"),
    ("elements", "elements", "{:,}"),
    ("differing", "differing", "{:,}"),
    ("unmeasured", "not finite", "{:,}"),
    ("largest", "largest", "{:.3g}"),
    ("rms", "rms", "{:.3g}"),
    ("relative_rms", "rms / original's", "{:.3g}"),
)


def add_parser(subparsers: Subparsers) -> None:
    """Add ``verify`` to the command line."""
    parser = add_verb(subparsers, verify, "check a file: checksums, decoding, encoding again")
    add_file(parser)
    against = f"{ORIGINAL}: also say how far the tensors are from those in it"
    parser.add_argument("--against", metavar="ORIGINAL", help=against)
    base = "the model that the file was compressed against, if it was"
    parser.add_argument("--base", metavar="OTHER", help=base)


def verify(file: str, against: str | None = None, base: str | None = None) -> Answer:
    """Check a file in every way there is.

    Parameters
    ----------
    file : str
    against : str, optional
        The tensors as they should be, in a file for `formats.registry.open_tensors`; those that
        ``compress`` takes together are one here, too. Values that differ are only told; a tensor
        that is missing, too many or of another shape fails.
    base : str, optional
        The base model, a file for `formats.registry.open_tensors`.

    Raises
    ------
    FormatError
        If it breaks a rule of the format, or differs from the bytes that this
        version writes for its tensors; or if `against` isn't a valid file.
    ArgumentError
        If the file needs a base, or another one.
    """
    data = read_file(file)
    checks = list(CHECKS)
    lines: list[str] = []
    with opened_base(base) as base_tensors:
        count = _check(data, file, base_tensors)
        values = {"file": file, "ok": True, "file_bytes": len(data), "tensors": count}
        if against is not None:
            compared = _compare(ModelFile(data, file, base=base_tensors), file, against)
            values |= {"against": against} | compared
            differs = compared["missing"] or compared["extra"] or compared["other_shapes"]
            values["ok"] = not differs
            checks += [SAME_TENSORS] if values["ok"] else []
            lines = _format_comparison(compared, against)
    verdict = "ok" if values["ok"] else "not ok"
    text = f"{verdict}: {file}, {len(data):,} bytes, tensors: {count}; checked:"
    text = "\n".join([text, *(f"- {check}" for check in checks), *lines])
    return Answer(values | {"checks": checks}, text, failed=not values["ok"])


def _check(data: bytes, what: str, base: Mapping[str, Any] | None) -> int:
    """Check a file by itself, and its base; return its number of tensors."""
    model = from_bytes(data, what, base=base)
    try:
        again = model.to_bytes()
    except ArgumentError as error:
        raise FormatError(f"{what}: what it holds can't be encoded again: {error}") from error
    if again != data:
        raise FormatError(
            f"{what}: decodes, but encoding its tensors again gives other bytes: "
            "it was not written by this version of deepcompress"
        )
    return len(model)


def _compare(model: ModelFile, file: str, against: str) -> dict[str, Any]:
    """Compare a file's tensors with an original's, no more than one pair in memory at a time."""
    with open_tensors(against) as opened:
        together = flat(opened)
        is_combined = together.combined and all(name in model for name in together.combined)
        original = together if is_combined else opened
        shapes = {name: original.shapes[name] for name in original}
        rows, other_shapes, own_bytes = [], [], 0
        for name in model:
            if name not in shapes:
                continue
            if model.shape(name) != shapes[name]:
                pair = {"shape": list(model.shape(name)), "original": list(shapes[name])}
                other_shapes.append({"name": name} | pair)
                continue
            own = original[name]
            if isinstance(original, ModelFile):
                own_bytes += original.entries[name].dtype.itemsize * own.size
            else:
                own_bytes += together.own_bytes.get(name, own.nbytes)
            try:
                far = distance(model[name], own)
            except ArgumentError as error:
                raise ArgumentError(f"{file}: tensor {name!r}: {error}") from None
            rows.append({"name": name} | asdict(far))
        return {
            "missing": [name for name in shapes if name not in model],
            "extra": [name for name in model if name not in shapes],
            "other_shapes": other_shapes,
            "differences": rows,
            "original_bytes": own_bytes,
        }


def _format_comparison(compared: dict[str, Any], against: str) -> list[str]:
    """Return the lines that tell how far tensors are from the original."""
    lines = [f"against {against}:"]
    if compared["differences"]:
        lines.append(f"- {compared['original_bytes']:,} bytes as the tensors are there, dense")
    for key, what in (("missing", "missing"), ("extra", "not in the original")):
        if compared[key]:
            lines.append(f"- {what}: {', '.join(map(printable, compared[key]))}")
    for row in compared["other_shapes"]:
        shapes = (shape_text(row[key]) for key in ("shape", "original"))
        lines.append(f"- {printable(row['name'])} has shape {' and the original '.join(shapes)}")
    rows = [row | {"name": printable(row["name"])} for row in compared["differences"]]
    return [*lines, "", align(as_cells(rows, COLUMNS))] if rows else lines
