"""A ``.dcnn`` file of which single tensors, or some of their rows, are read."""

import mmap
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any

from . import native
from .checks import as_count
from .coding.grouped import GroupedCoding
from .coding.reading import How, Tensor, TensorReader, grouped_coding
from .container.groups import GroupsHead
from .container.header import TensorEntry
from .container.reader import Contents, Reader
from .container.records import TIED, Coding, PlaneCoding
from .container.references import DeltaHead, TiedHead
from .errors import ArgumentError, DataError, shown
from .files.mapped import release
from .inputs import flat

NO_WAIT = getattr(os, "O_NONBLOCK", 0)
THREAD_BYTES = 1 << 15  # of a tensor in the file; less is decoded sooner than a thread starts


class ModelFile(Mapping[str, Tensor]):
    """A mapping of names to tensors, each decoded when it is asked for.

    Parameters
    ----------
    data : bytes-like
        A whole file, such as a memory map.
    what : str
        Its name, for messages.
    max_bytes : int, optional
        The most memory that decoding one tensor may take, by a bound (see `coding.memory`)
        that is known before any is allocated. By default, it is 1 GiB or 256 KiB
        for each byte that the tensor has in the file, whichever is more.
    base : mapping of str to array_like, optional
        The base model, where the file was made with one (see `pipeline.compress`).

    Attributes
    ----------
    metadata : dict

    Raises
    ------
    FormatError
        If the header isn't valid or the file isn't whole; the tensors are checked when
        they are read.
    """

    def __init__(
        self,
        data: bytes | memoryview,
        what: str = "file",
        max_bytes: int | None = None,
        base: Mapping[str, Any] | None = None,
    ) -> None:
        if max_bytes is not None:
            as_count(max_bytes, "max_bytes")
        if not isinstance(data, (bytes, bytearray, memoryview, mmap.mmap)):
            raise ArgumentError(f"{what}: bytes are needed, not {shown(data)}")
        reader = Reader(data, what)
        self._what = what
        own_base = None if base is None else flat(base)
        self._open: TensorReader | None = TensorReader(reader, what, max_bytes, own_base)
        self.metadata = reader.metadata

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors.read(self._tensors.entry(name))[0]

    def __contains__(self, name: object) -> bool:
        return name in self._reader.entries  # a Mapping's own would decode the tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.entries)

    def __len__(self) -> int:
        return len(self._reader.entries)

    def read(self) -> dict[str, tuple[Tensor, How | None]]:
        """Return all tensors, each with its `coding`; several threads may decode them.

        Tensors that are tied are one object.

        Raises
        ------
        FormatError, ArgumentError
            As reading the tensors one by one; of several errors, that of the first tensor.
        """
        targets = dict(self._reader.entries)
        for name, entry in targets.items():
            if entry.encoding == TIED:
                targets[name] = self._tensors.entry(name)
        distinct = {one.name: one for one in targets.values()}
        known = self._tensors.planes_at_once(list(distinct.values()))
        sizes = {name: one.data_bytes for name, one in distinct.items() if name not in known}
        large = sum(size >= THREAD_BYTES for size in sizes.values())
        threads = min(native.threads(), large)
        if threads < 2:
            for name in sizes:
                known[name] = self._tensors.read_by_parts(distinct[name])
            return {name: known[target.name] for name, target in targets.items()}
        with ThreadPoolExecutor(threads) as pool:
            # The largest first, so that no thread is left alone with one at the end.
            order = sorted(sizes, key=lambda name: -sizes[name])
            started = {
                name: pool.submit(self._tensors.read_by_parts, distinct[name]) for name in order
            }
            for target in targets.values():  # in the order of which errors are raised
                if target.name in started:
                    known[target.name] = started[target.name].result()
            return {name: known[target.name] for name, target in targets.items()}

    def contents(self) -> Contents:
        """Return records and sections of the whole file, with nothing decoded.

        Raises
        ------
        FormatError, ArgumentError
            As reading the tensors, but for what decoding alone would find.
        """
        return self._reader.contents(self._tensors.check_whole)

    @property
    def entries(self) -> Mapping[str, TensorEntry]:
        """The tensors' entries in the header, in the order of the file."""
        return self._reader.entries

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors' shapes, from the header alone."""
        return {name: entry.shape for name, entry in self._reader.entries.items()}

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, from the header alone."""
        return self._reader.entries[name].shape

    def coding(self, name: str) -> Coding | PlaneCoding | GroupedCoding | None:
        """Return how a tensor, or the one it is tied to, is written.

        It is None for a raw one, and for one that is no different from the base's; else the
        coding of a difference is that of its planes.
        """
        head = self._reader.head(self._tensors.entry(name))
        if isinstance(head, DeltaHead):
            head = head.planes
        if isinstance(head, GroupsHead):
            return grouped_coding(head)
        return None if head is None or isinstance(head, TiedHead) else head.coding

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Read slices `start` up to `stop` of a tensor's first axis, and nothing else.

        Parameters
        ----------
        name : str
        start, stop : int
            ``0 <= start <= stop <= shape[0]``

        Returns
        -------
        CompressedTensor or ndarray, of shape (stop - start, …)

        Raises
        ------
        ArgumentError
            If the tensor has no such rows.
        FormatError
            If the tensor's head isn't valid, or the blocks (of a raw tensor, the chunks) in
            which the rows lie. Nothing else is read.
        """
        return self._tensors.rows(self._tensors.entry(name), start, stop)

    def release(self, name: str) -> None:
        """Take a tensor's bytes out of memory if the file is mapped; they can be read again."""
        entry = self._reader.entries[name]
        release(self._reader.view.obj, entry.offset, entry.offset + entry.data_bytes)

    def close(self) -> None:
        """Let go of the bytes; to read from them is an ArgumentError from now on."""
        if self._open is not None:
            self._open.reader.close()
            self._open = None

    @property
    def _tensors(self) -> TensorReader:
        if self._open is None:
            raise ArgumentError(f"{self._what}: the file is closed")
        return self._open

    @property
    def _reader(self) -> Reader:
        return self._tensors.reader


@contextmanager
def open_file(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    base: Mapping[str, Any] | None = None,
) -> Iterator[ModelFile]:
    """Open a ``.dcnn`` file to read single tensors, or some of their rows.

    The file is mapped, and read only where it is needed. Tensors are copies and outlive
    the file.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most memory that decoding a tensor may take.
    base : mapping of str to array_like, optional
        The base model, where the file was made with one (see `pipeline.compress`). A tensor that
        is stored as the difference to it is an ArgumentError, naming it, without the same base.

    Yields
    ------
    ModelFile

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        As `ModelFile`.

    Notes
    -----
    As with every mapped file, one that is cut short in place while it is open ends the
    process (SIGBUS). `CompressedModel.save` replaces files as a whole, so that an old
    one stays as it is for those that have it open.

    Examples
    --------
    >>> import deepcompress, numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.dcnn")
    >>> _ = deepcompress.compress({"w": np.eye(30)}).save(path)
    >>> with deepcompress.open_file(path) as file:
    ...     file.rows("w", 10, 12).to_dense()[:, 10:12]
    array([[1., 0.],
           [0., 1.]])
    """
    try:
        what = str(os.fspath(path))
    except TypeError as error:
        raise ArgumentError(f"the path of a file: {error}") from None
    try:
        # A pipe would otherwise be waited for; of a regular file the flag means nothing.
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | NO_WAIT)) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{what}: it is not a regular file")
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if status.st_size else b""
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{what}: {getattr(error, 'strerror', None) or error}") from error
    with closing(ModelFile(memoryview(mapped), what, max_bytes, base)) as model:
        yield model
