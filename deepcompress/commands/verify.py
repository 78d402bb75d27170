"""The command ``verify``: whether a file is as it should be, and how far it is from an original."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from ..container.records import MAGIC
from ..errors import ArgumentError, DataError, FormatError
from ..files.reading import read_file
from ..formats.npz import open_npz
from ..formats.registry import open_source
from ..model_file import ModelFile, Tensor, open_file
from ..pipeline import from_bytes
from ..reports.distance import distance
from ..reports.tables import align, printable, shape_text
from . import Answer

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


def verify(file: str, against: str | None = None) -> Answer:
    """Check a file in every way there is.

    Parameters
    ----------
    file : str
    against : str, optional
        Another ``.dcnn`` file, or what `formats.registry.open_source` opens, with what the tensors
        should be. That they differ is only told; that one is missing, is too many or has
        another shape fails.

    Raises
    ------
    FormatError
        If it breaks a rule of the format, or isn't byte for byte what this version
        writes for the tensors in it; or if `against` isn't a valid file.
    """
    data = read_file(file)
    count = _check(data, file)
    values = {"file": file, "ok": True, "file_bytes": len(data), "tensors": count}
    checks = list(CHECKS)
    lines: list[str] = []
    if against is not None:
        compared = _compare(ModelFile(data, file), file, against)
        values |= {"against": against} | compared
        values["ok"] = not (compared["missing"] or compared["extra"] or compared["other_shapes"])
        checks += [SAME_TENSORS] if values["ok"] else []
        lines = _format_comparison(compared, against)
    verdict = "ok" if values["ok"] else "not ok"
    text = f"{verdict}: {file}, {len(data):,} bytes, tensors: {count}; checked:"
    text = "\n".join([text, *(f"- {check}" for check in checks), *lines])
    return Answer(values | {"checks": checks}, text, failed=not values["ok"])


def _check(data: bytes, what: str) -> int:
    """Check a file by itself; return how many tensors it has."""
    model = from_bytes(data, what)
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
    with open_original(against) as (shapes, original):
        rows, other_shapes = [], []
        for name in model:
            if name not in shapes:
                continue
            if model.shape(name) != shapes[name]:
                pair = {"shape": list(model.shape(name)), "original": list(shapes[name])}
                other_shapes.append({"name": name} | pair)
                continue
            try:
                far = distance(model[name], original[name])
            except ArgumentError as error:
                raise ArgumentError(f"{file}: tensor {name!r}: {error}") from None
            rows.append({"name": name} | asdict(far))
        return {
            "missing": [name for name in shapes if name not in model],
            "extra": [name for name in model if name not in shapes],
            "other_shapes": other_shapes,
            "differences": rows,
        }


@contextmanager
def open_original(path: str) -> Iterator[tuple[dict[str, tuple[int, ...]], Mapping[str, Tensor]]]:
    """Open what has tensors: their shapes, and the tensors one by one.

    A ``.dcnn`` file and an npz file are told by how they begin, all else as
    `formats.registry.open_source` does.
    """
    if os.path.isdir(path):
        with open_source(path) as arrays:
            yield arrays.shapes, arrays
        return
    try:
        with open(path, "rb") as stream:
            start = stream.read(len(MAGIC))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if start.startswith(b"PK"):
        with open_npz(path) as arrays:
            yield arrays.shapes, arrays
    elif start == MAGIC:
        with open_file(path) as model:
            yield {name: model.shape(name) for name in model}, model
    elif os.path.splitext(path)[1].lower() == ".safetensors":
        with open_source(path) as arrays:
            yield arrays.shapes, arrays
    else:
        raise FormatError(
            f"{path}: neither a .dcnn, an npz nor a .safetensors file, nor a folder of .npy files"
        )


def _format_comparison(compared: dict[str, Any], against: str) -> list[str]:
    lines = [f"against {against}:"]
    for key, what in (("missing", "missing"), ("extra", "not in the original")):
        if compared[key]:
            lines.append(f"- {what}: {', '.join(map(printable, compared[key]))}")
    for row in compared["other_shapes"]:
        shapes = (shape_text(row[key]) for key in ("shape", "original"))
        lines.append(f"- {printable(row['name'])} has shape {' and the original '.join(shapes)}")
    cells = [[header for _, header, _ in COLUMNS]]
    for row in compared["differences"]:
        row = row | {"name": printable(row["name"])}
        cells.append(
            ["-" if row[key] is None else form.format(row[key]) for key, _, form in COLUMNS]
        )
    return [*lines, "", align(cells)] if len(cells) > 1 else lines
