"""Resumes a long run: the results of its phases are kept in the output folder.

A run is a sequence of named phases. The result of each is written to a record
when the phase ends; the same run, started again after a kill or a power cut,
takes finished phases from their records and goes on from there. A phase always
returns its record as read back, so that a resumed run works on the very same
objects as an undisturbed one and writes the same bytes.

The folder, while the run goes on::

    config.json            the run's options; another run may not use the folder
    journal/01-train.record
    journal/02-prune.record
    …                      the caller's results, written through `atomic`

`Journal.finish` takes ``journal/`` away; only config.json and the results stay.

Format notes (a record is private to one run, so it carries no version):

- 64 hex digits and a newline: the SHA-256 of all that follows. A record that
  doesn't match is recomputed, with a warning in the log;
- one line of JSON: the result with null for each array, the seconds, and the place of each
  array in the result, as a list of keys: so a name may hold any character;
- the arrays in order, each in NumPy's npy format, without pickle.
"""

import functools
import hashlib
import io
import json
import logging
import operator
import os
import re
import reprlib
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ArgumentError, OutputError
from ..files import strict_json
from ..files.atomic import TEMPORARY_SUFFIX, as_python, canonical_json, write_bytes, write_text
from ..files.folder_lock import lock_folder

CONFIG_NAME = "config.json"
RECORDS_NAME = "journal"
RECORD_SUFFIX = ".record"

_log = logging.getLogger(__name__)


class Journal:
    """Record of one run in its output folder, which it locks against other runs.

    The lock goes with the process, however that ends; `close` lets go of it
    earlier (``with contextlib.closing(Journal(folder, config)) as journal:``).

    Parameters
    ----------
    folder : path
        Absent or empty, or left by a run with the same `config`.
    config : dict
        Everything that the results depend on, as JSON values: options, seed, versions.

    Attributes
    ----------
    folder : pathlib.Path
    seconds : dict of str to float
        How long each phase took when it was computed, in the order of phases.

    Raises
    ------
    OutputError
        If the folder can't be used: it is another run's, or no run's and not
        empty, or in use by a run just now, or can't be written.
    ArgumentError
        If `config` has no JSON form.
    """

    def __init__(self, folder: str | os.PathLike[str], config: Mapping[str, Any]) -> None:
        self.folder = Path(folder)
        self.seconds: dict[str, float] = {}
        self._records = self.folder / RECORDS_NAME
        self._lock: int | None = None
        text = canonical_json(dict(config))
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._lock = lock_folder(self.folder)
            self._claim(text)
        except BaseException as reason:
            self.close()
            if isinstance(reason, OSError) and not isinstance(reason, OutputError):
                raise OutputError(
                    f"{self.folder}: can't use it: {reason.strerror or reason}"
                ) from reason
            raise

    @property
    def finished(self) -> bool:
        """Whether a run with this config has come to `finish` here."""
        return not self._records.exists()

    def phase(self, name: str, function: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Return the result of `function`, computed now or taken from the record.

        Parameters
        ----------
        name : str
            Letters, digits, ``-``, ``_`` and ``.``; each name once per run, and
            phases in the same order each time.
        function : callable without arguments
            Returns a dict of arrays (of any dtype but object), JSON values, and dicts of both.

        Returns
        -------
        dict
            As read back from the record: a tuple has become a list, a NumPy
            scalar a Python one. The arrays are the caller's to change.

        Raises
        ------
        ArgumentError
            If the name is taken or unsuitable, or a value can't be recorded.
        OutputError
            If the record can't be written.
        """
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", name) or name in self.seconds:
            raise ArgumentError(f"phase {name!r}: the name is unsuitable or already taken")
        path = self._records / f"{len(self.seconds) + 1:02}-{name}{RECORD_SUFFIX}"
        record = _read_record(path)
        if record is None:
            _log.info("phase %s", name)
            start = time.perf_counter()
            result = function()
            payload = _encode(name, result, round(time.perf_counter() - start, 3))
            try:
                self._records.mkdir(exist_ok=True)
            except OSError as reason:
                raise OutputError(f"{self._records}: {reason.strerror}") from reason
            write_bytes(path, hashlib.sha256(payload).hexdigest().encode() + b"\n" + payload)
            record = _decode(payload)
        else:
            _log.info("phase %s: taken from %s", name, path)
        values, self.seconds[name] = record
        return values

    def finish(self) -> None:
        """Remove the records, once the results of the run are written."""
        # In one step, so that a kill leaves all of the records or a finished run.
        leftover = self.folder / f".{RECORDS_NAME}{TEMPORARY_SUFFIX}"
        try:
            if self._records.exists():
                self._records.rename(leftover)
                shutil.rmtree(leftover)
        except OSError as reason:
            raise OutputError(f"{self._records}: can't remove it: {reason.strerror}") from reason

    def close(self) -> None:
        """Let other runs use the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _claim(self, text: str) -> None:
        """Make the folder this run's, or check that it is; the lock is held."""
        path = self.folder / CONFIG_NAME
        if path.exists():
            _compare(path, text)
            _remove_stale(self.folder)
            return
        # A start that was killed leaves temporary files and an empty folder of records.
        names = {e.name for e in self.folder.iterdir() if not e.name.endswith(TEMPORARY_SUFFIX)}
        if names - {RECORDS_NAME} or (names and any(self._records.iterdir())):
            raise OutputError(
                f"{self.folder}: not empty, and holds no run of ours; choose another --out"
            )
        _remove_stale(self.folder)
        self._records.mkdir(exist_ok=True)  # before config.json: its absence means finished
        write_text(path, text)


def _compare(path: Path, text: str) -> None:
    """Raise OutputError unless the config at `path` equals that of `text`."""
    advice = "choose another --out or delete it"
    try:
        there, here = strict_json.parse(path.read_bytes()), json.loads(text)
    except ValueError as reason:
        raise OutputError(f"{path}: not the config of a run ({reason}); {advice}") from reason
    if not isinstance(there, dict):
        raise OutputError(f"{path}: not the config of a run; {advice}")
    pairs = {
        key: (there.get(key, "(absent)"), here.get(key, "(absent)"))
        for key in sorted(there.keys() | here.keys())
    }
    differences = [
        f"{key} is {reprlib.repr(old)}, not {reprlib.repr(new)}"
        for key, (old, new) in pairs.items()
        if repr(old) != repr(new)  # True is not 1
    ]
    if differences:
        raise OutputError(
            f"{path.parent}: holds another run; {advice}. There, {'; '.join(differences)}"
        )


def _remove_stale(folder: Path) -> None:
    """Remove leftovers of killed writers and of a killed `finish`; the lock is held."""
    for pattern in (f"*{TEMPORARY_SUFFIX}", f"{RECORDS_NAME}/*{TEMPORARY_SUFFIX}"):
        for path in folder.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def _encode(name: str, result: Mapping[str, Any], seconds: float) -> bytes:
    """Turn a phase's result into a record's bytes, less the checksum."""
    arrays: list[tuple[list[str], np.ndarray[Any, Any]]] = []
    stream = io.BytesIO()
    try:
        header = {"result": _without_arrays(result, [], arrays), "seconds": seconds}
        header["arrays"] = [place for place, _ in arrays]
        stream.write(json.dumps(header, default=as_python).encode() + b"\n")
        for _, array in arrays:
            np.lib.format.write_array(stream, array, allow_pickle=False)
    except (TypeError, ValueError) as reason:
        raise ArgumentError(f"phase {name!r}: a value can't be recorded: {reason}") from reason
    return stream.getvalue()


def _without_arrays(
    values: Mapping[str, Any],
    place: list[str],
    arrays: list[tuple[list[str], np.ndarray[Any, Any]]],
) -> dict[str, Any]:
    """Return a dict, and those in it, with None for each array, which goes to `arrays`."""
    if not all(isinstance(key, str) for key in values):
        raise TypeError(f"keys must be strings: {list(values)}")
    rest: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, np.ndarray):
            arrays.append(([*place, key], value))
            rest[key] = None
        elif isinstance(value, Mapping):
            rest[key] = _without_arrays(value, [*place, key], arrays)
        else:
            rest[key] = value
    return rest


def _decode(payload: bytes) -> tuple[dict[str, Any], float]:
    """Inverse of `_encode`: the result and the seconds; the bytes are known to be ours."""
    stream = io.BytesIO(payload)
    header = json.loads(stream.readline())
    result: dict[str, Any] = header["result"]
    for *outer, key in header["arrays"]:
        functools.reduce(operator.getitem, outer, result)[key] = np.lib.format.read_array(
            stream, allow_pickle=False
        )
    return result, header["seconds"]


def _read_record(path: Path) -> tuple[dict[str, Any], float] | None:
    """Read a record; None if there is none or its bytes aren't those written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as reason:
        raise OutputError(f"{path}: can't read it: {reason.strerror}") from reason
    checksum, _, payload = content.partition(b"\n")
    if checksum != hashlib.sha256(payload).hexdigest().encode():
        _log.warning("%s: damaged; the phase is computed again", path)
        return None
    return _decode(payload)
