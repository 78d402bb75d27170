"""Compression of models larger than memory: tensor by tensor, from a source that is read lazily.

A file's header, which comes first, has the sizes of all tensors. So the bytes of each tensor
wait in a temporary file without a name, in the folder of the file to be, until all are done.
"""

import contextlib
import itertools
import math
import os
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any

import numpy.typing as npt
from joblib import Parallel, delayed

from .checks import is_whole
from .coding import encoder, planes
from .config import Config
from .container import writer
from .container.records import Record
from .container.writer import TensorPart
from .errors import ArgumentError, OutputError, shown
from .files.atomic import write_parts
from .inputs import Inputs, flat
from .pipeline import Encodable, Kept, checked_config, compress_tensor, naming

COPY_BYTES = 1 << 20
MAX_JOBS = 256  # more threads than that no machine has a use for, and not each can start


class Written(int):
    """Size of a written file in bytes, and what there is to tell of its tensors.

    Attributes
    ----------
    own_bytes : int
        Bytes of all tensors as they were, in their own dtypes.
    kept : dict of str to str
    combined : dict of str to (str, str)
        As of a `CompressedModel`.
    """

    own_bytes: int
    kept: dict[str, str]
    combined: dict[str, tuple[str, str]]

    def __new__(
        cls,
        size_bytes: int,
        own_bytes: int = 0,
        kept: dict[str, str] | None = None,
        combined: dict[str, tuple[str, str]] | None = None,
    ) -> "Written":
        """Make an int with attributes."""
        written = super().__new__(cls, size_bytes)
        written.own_bytes, written.kept, written.combined = own_bytes, kept or {}, combined or {}
        return written


def compress_to(
    source: Mapping[str, npt.ArrayLike],
    path: str | os.PathLike[str],
    config: Config | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    seed: int = 0,
    jobs: int = 1,
) -> Written:
    """Compress tensors into a file, no more than `jobs` of them in memory at a time.

    The file has the bytes that ``compress(source, config, …).save(path)`` writes, whatever
    `jobs` is.

    Parameters
    ----------
    source : mapping of str to array_like
        As for `pipeline.compress`. Each tensor is asked for once (what is named as the mask of
        another also before, and without ``shapes`` that other one), by one thread at a time, and
        let go before the next one, so that a mapping which loads, or maps, an array when it is
        asked for it takes little memory. If it has an attribute ``shapes``, a mapping of names to
        shapes, the largest tensors come first, so that the threads end together.
    path : path-like
        The ``.dcnn`` file, which is written whole or not at all.
    config, metadata, seed
        As for `pipeline.compress`.
    jobs : int
        How many tensors to compress at once, each in a thread; at most `MAX_JOBS` are.

    Returns
    -------
    Written
        Size of the file in bytes, an int; its attributes tell of the tensors.

    Raises
    ------
    ArgumentError
        If a tensor can't be compressed as asked, naming it; or if `jobs` isn't positive.
        ConfigError if `config` names a tensor that isn't there.
    OutputError
        If the file can't be written; a file that was at `path` is untouched then.

    Notes
    -----
    Besides a float32 tensor itself, this takes a byte for each of its elements and about 60
    for each weight that survives.

    Examples
    --------
    >>> import deepcompress, numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.dcnn")
    >>> deepcompress.compress_to({"w": np.eye(30)}, path) == os.path.getsize(path)
    True
    """
    if not is_whole(jobs, 1):
        raise ArgumentError(f"jobs must be a positive integer, not {jobs!r}")
    inputs = flat(source)
    config = checked_config(inputs, config, metadata, seed)
    text = writer.metadata_text(metadata)
    names = list(inputs)
    before = dict(zip(names, ["", *names], strict=False))
    reading = threading.Lock()
    with _spool(path) as spool:

        def compress_one(name: str) -> _Stored:
            with reading:
                values = inputs[name]
            weights = compress_tensor(name, values, config, seed)
            del values
            coder = config.of(name, weights.shape).coder
            stored = spool.add(_encoded(name, before[name], weights, coder))
            return replace(stored, why=weights.why) if isinstance(weights, Kept) else stored

        largest_first = sorted(names, key=lambda name: -_size(inputs, name))
        run = Parallel(n_jobs=min(jobs, len(names) or 1, MAX_JOBS), backend="threading")
        stored: list[_Stored] = run(delayed(compress_one)(name) for name in largest_first)
        by_name = dict(zip(largest_first, stored, strict=True))
        in_order = [by_name[name] for name in names]
        version = max((tensor.version for tensor in in_order), default=1)
        start = writer.file_start([tensor.head for tensor in in_order], text, version)
        write_parts(path, itertools.chain([start], *map(spool.read, in_order)))
    return Written(
        len(start) + sum(tensor.size_bytes for tensor in in_order),
        sum(inputs.own_bytes.values()),
        {name: by_name[name].why for name in names if by_name[name].why},
        inputs.combined,
    )


def _encoded(name: str, before: str, weights: Encodable | Kept, coder: str) -> TensorPart:
    """Return the part of a file that has the weights."""
    with naming(name):
        record: Record
        if isinstance(weights, Encodable):
            record = encoder.encode(weights.survivors, weights.coding)
        else:
            coding = planes.choose(weights.values, coder)
            record = planes.encode(weights.values, coding) if coding else weights.values
    return writer.tensor_part(name, before, record)


def _size(inputs: Inputs, name: str) -> int:
    """Return the number of elements if it is known without reading, else 0."""
    return math.prod(inputs.shapes[name]) if name in inputs.shapes else 0


@dataclass(frozen=True)
class _Stored:
    """A tensor's record in the header, and where its data is in the temporary file."""

    head: bytes
    offset: int
    size_bytes: int
    version: int
    why: str = ""  # it is kept


class _Spool:
    """A temporary file to which threads append; errors name the file that is to be."""

    def __init__(self, file: IO[bytes], path: str | os.PathLike[str]) -> None:
        self._file, self._path = file, path
        self._lock = threading.Lock()
        self._end = 0

    def add(self, part: TensorPart) -> _Stored:
        """Append a tensor's data."""
        with self._lock, _as_ours(self._path):
            stored = _Stored(part.header, self._end, sum(map(len, part.data)), part.version)
            self._file.writelines(part.data)
            self._end += stored.size_bytes
        return stored

    def read(self, stored: _Stored) -> Iterator[bytes]:
        """Yield a tensor's data piece by piece."""
        end = stored.offset + stored.size_bytes
        for start in range(stored.offset, end, COPY_BYTES):
            self._file.seek(start)
            yield self._file.read(min(COPY_BYTES, end - start))


@contextlib.contextmanager
def _spool(path: str | os.PathLike[str]) -> Iterator[_Spool]:
    """Give a temporary file in the folder of the one that is to be; it is gone at the end."""
    try:
        folder = os.path.dirname(os.path.realpath(path))
    except (TypeError, ValueError) as error:
        raise OutputError(f"{shown(path)}: can't write: {error}") from error
    with contextlib.ExitStack() as stack:
        with _as_ours(path):
            file = stack.enter_context(tempfile.TemporaryFile(dir=folder))
        yield _Spool(file, path)


@contextlib.contextmanager
def _as_ours(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{os.fspath(path)}: can't write: {error.strerror or error}") from error
