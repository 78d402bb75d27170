"""Trials on disk: a file of JSON lines, from which a search goes on after it was killed.

The first line says which search it is, each other one is a trial: its key, and its outcome.
The file is replaced as a whole with every trial (see `files.atomic`), so that a kill leaves that of
the trial before. Floats come back as the very same.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..files import strict_json
from ..files.atomic import as_python, write_text

Record = dict[str, Any]


class TrialJournal:
    """Outcomes by key, kept in a file if there is one.

    Parameters
    ----------
    path : path-like or None
    identity : mapping
        All that outcomes depend on, in JSON's types.

    Raises
    ------
    OutputError
        If the file can't be read, isn't a journal, or is that of another search.
    """

    def __init__(self, path: str | os.PathLike[str] | None, identity: Mapping[str, Any]) -> None:
        self.path = path
        self.records: dict[str, Record] = {}
        self._lines = [_line(dict(identity))]
        if path is not None and os.path.lexists(path):
            self._read(path)

    def add(self, key: str, record: Record) -> Record:
        """Keep an outcome, and return it."""
        self.records[key] = record
        self._lines.append(_line({"key": key, **record}))
        if self.path is not None:
            write_text(self.path, "".join(self._lines))
        return record

    def _read(self, path: str | os.PathLike[str]) -> None:
        try:
            with open(path, encoding="utf-8") as file:
                lines = file.read().splitlines(keepends=True)
        except OSError as error:
            raise OutputError(f"{os.fspath(path)}: can't read it: {error.strerror}") from error
        except UnicodeDecodeError as error:
            raise OutputError(f"{os.fspath(path)}: not the journal of a search") from error
        if lines[:1] != self._lines:
            raise OutputError(
                f"{os.fspath(path)}: not the journal of this search (of the same tensors, options "
                "and budget); choose another or delete it"
            )
        for number, line in enumerate(lines[1:], start=2):
            try:
                record = strict_json.parse(line)
                self.records[record.pop("key")] = _checked(record)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                what = f"{os.fspath(path)}: line {number} isn't a trial"
                raise OutputError(f"{what}; delete the journal") from error
            self._lines.append(line)


def fingerprint(tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """Return the SHA-256, in hex, of names, dtypes, shapes and elements."""
    digest = hashlib.sha256()
    for name, values in tensors.items():
        digest.update(json.dumps([name, str(values.dtype), list(values.shape)]).encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def _line(value: Record) -> str:
    return json.dumps(value, default=as_python, sort_keys=True, allow_nan=False) + "\n"


def _checked(record: Record) -> Record:
    for name, kind in (("bytes", int), ("score", float), ("seconds", float)):
        if type(record[name]) is not kind:
            raise TypeError(name)
    return record
