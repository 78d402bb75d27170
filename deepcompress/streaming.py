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
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, TypeAlias

import numpy.typing as npt
from joblib import Parallel, delayed

from . import dtypes, spreading
from .coding import delta, grouped, planes
from .config import Config
from .container import writer
from .container.records import TiedRecord, ToWrite
from .container.writer import TensorPart
from .dtypes import ElementType
from .errors import OutputError, shown
from .files.atomic import write_parts
from .inputs import Inputs, flat
from .pipeline.models import base_of, checked_config, how_stored
from .pipeline.weights import Encodable, Grouped, Kept, compress_tensor, naming
from .spreading import Parcel
from .ties import Ties

COPY_BYTES = 1 << 20
MAX_JOBS = 256  # more threads than that no machine has a use for, and not each can start

Kind: TypeAlias = tuple[tuple[int, ...], ElementType]  # shape and dtype, as stored


Share: TypeAlias = Callable[[npt.NDArray[Any]], Encodable | Kept]


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
    jobs: int | None = None,
    base: Mapping[str, Any] | None = None,
    progress: Callable[[str, int], object] | None = None,
    share: Share | None = None,
) -> Written:
    """Compress tensors into a file, no more than `jobs` of them in memory at a time.

    The file has the bytes that ``compress(source, config, …).save(path)`` writes, whatever
    `jobs` is. The work is done by threads, or by the workers of the backend that the caller has
    chosen by `joblib.parallel_config`, such as those of a cluster.

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
    config, metadata, seed, base
        As for `pipeline.compress`.
    jobs : int, optional
        How many tensors to compress at once, each in a thread; at most `MAX_JOBS` are. With
        workers in other processes, at most so many times the largest tensor's bytes are on their
        way. By default as `joblib.parallel_config` says, else one.
    progress : callable, optional
        Told the name of each tensor that is done and its bytes as they were, by one thread at a
        time; what it raises ends the call.
    share : callable, optional
        Decides on a tensor in place of `config`, as `calibrate.sharing_alone` makes one: takes the
        array and returns what the pipeline encodes. Not asked about tensors that `config` names,
        nor about those of `base`. With workers in other processes, it can be pickled.

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
    BackendError
        If the chosen workers fail, or there are none.

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
    jobs = spreading.jobs_here(jobs)
    inputs = flat(source)
    config = checked_config(inputs, config, metadata, seed)
    text = writer.metadata_text(metadata)
    bases = None if base is None else flat(base)
    names = list(inputs)
    before = dict(zip(names, ["", *names], strict=False))
    reading, ties = threading.Lock(), Ties()
    tied: dict[str, str] = {}
    with _spool(path) as spool:

        def read_next() -> tuple[str, npt.NDArray[Any], Any, str]:
            name = next(to_read)  # in this order: of equal tensors the first holds the others
            values = inputs[name]
            own_base = base_of(name, values, config, bases)
            first = ties.first(name, values, how_stored(name, values, config, own_base))
            if first != name:
                tied[name] = first
            return name, values, own_base, first

        def keep(name: str, stored: _Stored | None) -> tuple[str, _Stored | None]:
            if progress is not None:
                with reading:
                    progress(name, inputs.own_bytes[name])
            return name, stored

        def compress_next() -> tuple[str, _Stored | None]:
            with reading:
                name, values, own_base, first = read_next()
            if first != name:
                return keep(name, None)
            weights = _decided(name, values, config, seed, own_base, share)
            del values
            coder = config.of(name, weights.shape).coder
            part, record = _encoded(name, before[name], weights, coder)
            return keep(name, spool.add(part, _kind(record), _why_kept(weights)))

        def next_task() -> Parcel | None:
            name, values, own_base, first = read_next()
            if first != name:
                keep(name, None)
                return None
            arguments = name, before[name], values, config, seed, own_base, share
            return Parcel(arguments, values.nbytes * (1 if own_base is None else 2))

        to_read = iter(sorted(names, key=lambda name: -_size(inputs, name)))
        done: list[tuple[str, _Stored | None]]
        if spreading.in_processes():
            tasks = filter(None, (next_task() for _ in names))  # which holds no array
            parts = spreading.spread(_compressed, tasks, jobs)
            done = [keep(name, spool.add(part, kind, why)) for name, part, kind, why in parts]
        else:
            run = Parallel(n_jobs=min(jobs, len(names) or 1, MAX_JOBS), backend="threading")
            done = run(delayed(compress_next)() for _ in names)
        by_name = {name: stored for name, stored in done if stored}
        for name, first in tied.items():
            kind, why = by_name[first].kind, by_name[first].why
            record = TiedRecord(*kind, names.index(first))
            part = writer.tensor_part(name, before[name], record)
            by_name[name] = spool.add(part, kind, why)
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


def _encoded(
    name: str, before: str, weights: Encodable | Grouped | Kept, coder: str
) -> tuple[TensorPart, ToWrite]:
    """Return the part of a file that has the weights, and the record that it holds."""
    with naming(name):
        record: ToWrite
        if isinstance(weights, Grouped):
            parts = weights.shape, weights.group_rows, weights.groups, weights.coding
            record = grouped.encode(*parts)
        elif isinstance(weights, Encodable):
            record = weights.record()
        else:
            found: ToWrite | None
            if weights.coding is not None:
                found = delta.encode(weights.values, weights.coding)
            else:
                found = planes.encode_if_smaller(weights.values, coder, small=weights.small)
            record = weights.values if found is None else found
    return writer.tensor_part(name, before, record), record


def _decided(
    name: str,
    values: npt.NDArray[Any],
    config: Config,
    seed: int,
    own_base: Any,
    share: Share | None,
) -> Encodable | Grouped | Kept:
    """Return what is to be encoded of a tensor."""
    if share is None or own_base is not None or config.asked_for(name):
        return compress_tensor(name, values, config, seed, own_base)
    with naming(name):
        return share(values)


def _compressed(
    name: str,
    before: str,
    values: npt.NDArray[Any],
    config: Config,
    seed: int,
    own_base: Any,
    share: Share | None,
) -> tuple[str, TensorPart, Kind, str]:
    """Return a tensor's name, and what `_Spool.add` takes of it, all from another process."""
    weights = _decided(name, values, config, seed, own_base, share)
    part, record = _encoded(name, before, weights, config.of(name, weights.shape).coder)
    part = replace(part, data=[bytes(piece) for piece in part.written()])  # which can be pickled
    return name, part, _kind(record), _why_kept(weights)


def _why_kept(weights: Encodable | Grouped | Kept) -> str:
    """Return why a tensor is kept; "" if it isn't, or that is as was asked."""
    return weights.why if isinstance(weights, Kept) else ""


def _kind(record: ToWrite) -> Kind:
    return record.shape, dtypes.named(record.dtype)


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
    kind: Kind
    why: str = ""  # it is kept


class _Spool:
    """A temporary file to which threads append; errors name the file that is to be."""

    def __init__(self, file: IO[bytes], path: str | os.PathLike[str]) -> None:
        self._file, self._path = file, path
        self._lock = threading.Lock()
        self._end = 0

    def add(self, part: TensorPart, kind: Kind, why: str) -> _Stored:
        """Append a tensor's data."""
        data = part.written()
        size_bytes = sum(map(len, data))
        with self._lock, _as_ours(self._path):
            stored = _Stored(part.header, self._end, size_bytes, part.version, kind, why)
            self._file.writelines(data)
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
