"""Keeps what took long: a file for each result, named after all that the result depends on.

A result is a dict of arrays and of JSON's values. Files are written whole or not at all, and one
that can't be read is computed again, so that figures may be killed, and share a folder.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import OutputError
from ..files.atomic import canonical_json, write_bytes

JSON_ENTRY, ARRAY = "json", "array:"  # so that no array is called as the other, or as an argument


def digest(key: Mapping[str, Any]) -> str:
    """Return a short name for a key of JSON's values."""
    return hashlib.sha256(canonical_json(dict(key)).encode()).hexdigest()[:16]


def remembered(
    folder: Path, key: Mapping[str, Any], function: Callable[[], Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what a function returns, computed now or read from the file of an earlier call.

    Parameters
    ----------
    folder : path
        Made if it isn't there.
    key : mapping
        All that the result depends on, as JSON's values; ``key["what"]`` begins the file's name.
    function : callable without arguments
        Returns a dict of arrays and JSON's values.

    Returns
    -------
    dict
        As read back: a tuple has become a list.

    Raises
    ------
    OutputError
        If the folder or the file can't be written.
    """
    path = folder / f"{key['what']}-{digest(key)}.npz"
    found = _read(path)
    if found is None:
        result = function()
        arrays: dict[str, Any] = {
            ARRAY + name: a for name, a in result.items() if isinstance(a, np.ndarray)
        }
        rest = {name: one for name, one in result.items() if ARRAY + name not in arrays}
        arrays[JSON_ENTRY] = np.frombuffer(canonical_json(rest).encode(), np.uint8)
        stream = io.BytesIO()
        np.savez_compressed(stream, **arrays)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{folder}: can't make the folder: {error.strerror}") from error
        write_bytes(path, stream.getvalue())
        found = _read(path)
        if found is None:
            raise OutputError(f"{path}: can't be read back")
    return found


def _read(path: Path) -> dict[str, Any] | None:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            found = {name.removeprefix(ARRAY): file[name] for name in file.files}
        rest: dict[str, Any] = json.loads(bytes(found.pop(JSON_ENTRY)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
    return found | rest
