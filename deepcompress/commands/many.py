"""Several models into one folder, each to a file that is named after it."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..errors import ArgumentError, DataError, DeepCompressError
from ..files.resumable import ResumableFolder, digest
from ..formats import registry
from .verb import Answer, refuse_to_replace

SUFFIX = ".dcnn"
DONE_BEFORE = "done before"


def compress_many(
    files: Sequence[str],
    folder: str,
    how: Mapping[str, Any],
    compress_one: Callable[[str, str, str], dict[str, Any]],
    bases: Sequence[str] = (),
) -> Answer:
    """Compress each file into a folder, but those that were finished there before.

    Parameters
    ----------
    files : sequence of str
        As for `formats.registry.open_source`.
    folder : str
        Must exist.
    how : mapping
        All but the files that the results depend on, in JSON's types.
    compress_one : callable
        Takes a file, the path to write to, and a title; returns what is to be told.
    bases : sequence of str
        What is read for each of the files besides.

    Returns
    -------
    Answer
        It has failed if a file has; the others are done all the same.

    Raises
    ------
    ArgumentError
        If two files would be one in the folder, or an output is an input.
    OutputError
        If the folder can't be used.
    """
    names = _names(files, folder, bases)
    done: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    lines = []
    with ResumableFolder(folder) as outputs:
        for index, (name, file) in enumerate(names.items(), start=1):
            out = outputs.path(name)
            title = f"{index}/{len(names)} {os.path.basename(file)}"
            try:
                values = _compress(file, bases, name, outputs, how, compress_one, title)
            except (DeepCompressError, MemoryError) as error:
                message = str(error) if file in str(error) else f"{file}: {error}"
                failed.append({"file": file, "error": message, "kind": type(error).__name__})
                lines.append(f"error: {message}")
            else:
                done.append({"file": file, "out": out} | values)
                lines.append(told(out, values) + f" ({DONE_BEFORE})" * values["done_before"])
    if failed:
        lines.append(f"{len(failed)} of {len(names)} failed")
    values = {"out": folder, "files": done, "failed": failed}
    return Answer(values, "\n".join(lines), failed=bool(failed))


def told(out: str, values: Mapping[str, Any]) -> str:
    """Return a line on a file that was written."""
    return (
        f"{out}: {values['out_bytes']:,} bytes, {values['reference_bytes']:,} as they were "
        f"({values['ratio']:.1f}x); tensors: {len(values['tensors'])}"
    )


def _names(files: Sequence[str], folder: str, bases: Sequence[str]) -> dict[str, str]:
    """Return what each file is to be named in the folder, with the file."""
    names: dict[str, str] = {}
    for file in files:
        name = registry.stem(file) + SUFFIX
        if name == SUFFIX:
            raise ArgumentError(f"{file}: has no name that an output could have")
        if name in names:
            out = os.path.join(folder, name)
            raise ArgumentError(f"{out}: would be made of both {names[name]} and {file}")
        names[name] = file
    to_read = set(map(_identity, [*files, *bases]))
    for out in (folder, *(os.path.join(folder, name) for name in names)):
        if os.path.exists(out) and _identity(out) in to_read:
            raise ArgumentError(f"{out}: is the very file to read; choose another for -o")
    return names


def _identity(path: str) -> tuple[int, int] | None:
    """Return what the system knows a file by, whatever its path; None if it isn't there."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino


def _compress(
    file: str,
    bases: Sequence[str],
    name: str,
    outputs: ResumableFolder,
    how: Mapping[str, Any],
    compress_one: Callable[[str, str, str], dict[str, Any]],
    title: str,
) -> dict[str, Any]:
    """Compress one file unless that was done before."""
    parts: list[str] = []
    for path in (file, *bases):
        with registry.open_tensors(path) as source:
            others = [os.fspath(other) for other in getattr(source, "files", ())]
        parts += others if os.path.isdir(path) else [path, *others]
    refuse_to_replace(outputs.path(name), *parts)
    try:
        before = _states(parts)
        beside = os.path.dirname(os.path.abspath(file))
        places = [os.path.relpath(part, beside) for part in parts]
        made_of = json.dumps({"files": places, "sha256": digest(parts), **how}, sort_keys=True)
    except OSError as error:
        raise DataError(f"{file}: can't be read: {error.strerror or error}") from error
    values = outputs.told(name, made_of)
    if values is not None:
        return values | {"done_before": True}

    def write(path: str) -> dict[str, Any]:
        values = compress_one(file, path, title)
        if _states(parts) != before:
            raise DataError(f"{file}: was changed while it was read")
        return values

    return outputs.make(name, made_of, write) | {"done_before": False}


def _states(paths: Sequence[str]) -> list[tuple[int, int]]:
    """Return sizes and times of files, which are others after a change."""
    return [(state.st_size, state.st_mtime_ns) for state in map(os.stat, paths)]
