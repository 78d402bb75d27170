"""A ``.dcnn`` file of which single tensors, or some of their rows, are read."""

import math
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from . import coding
from .compressed import CompressedTensor
from .container import BITMASK, RAW, RELATIVE, Coding
from .container_layout import block_size
from .container_reader import Reader, TensorEntry
from .errors import ArgumentError, DataError, FormatError

Tensor = CompressedTensor | npt.NDArray[Any]


class ModelFile(Mapping[str, Tensor]):
    """A mapping of names to tensors, each decoded when it is asked for.

    Parameters
    ----------
    data : bytes-like
        A whole file, such as a memory map.
    what : str
        Its name, for messages.
    max_bytes : int, optional
        The most memory that decoding one tensor may take, by an estimate from above that
        is made before any is allocated.

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
        self, data: bytes | memoryview, what: str = "file", max_bytes: int | None = None
    ) -> None:
        self._reader = Reader(data, what)
        self._what = what
        self._max_bytes = max_bytes
        self.metadata = self._reader.metadata

    def __getitem__(self, name: str) -> Tensor:
        entry = self._reader.entries[name]
        with self._named(entry):
            if entry.encoding == RAW:
                self._check_memory(entry, entry.data_bytes)
                return self._reader.raw(name).reshape(entry.shape)
            self._check_memory(entry, decoding_bytes(self._reader, entry))
            return coding.decode(self._reader.shared(name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._reader.entries)

    def __len__(self) -> int:
        return len(self._reader.entries)

    def shape(self, name: str) -> tuple[int, ...]:
        """Return a tensor's shape, from the header alone."""
        return self._reader.entries[name].shape

    def coding(self, name: str) -> Coding | None:
        """Return how a tensor of shared weights is written, None for a raw one."""
        entry = self._reader.entries[name]
        return None if entry.encoding == RAW else self._reader.shared_head(entry).coding

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Read slices `start` up to `stop` of a tensor's first axis, and nothing else of it.

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
            If what is read isn't valid: the tensor's head, and the blocks (or, of a raw
            tensor, the chunks) in which the rows lie.
        """
        entry = self._reader.entries[name]
        if not entry.shape or not 0 <= start <= stop <= entry.shape[0]:
            raise ArgumentError(f"{name!r} of shape {entry.shape} has no rows {start} to {stop}")
        shape = (stop - start, *entry.shape[1:])
        cols = math.prod(entry.shape[1:])
        begin, end = start * cols, stop * cols
        with self._named(entry):
            if entry.encoding == RAW:
                return self._reader.raw(name, begin, end).reshape(shape)
            head = self._reader.shared_head(entry)
            block_bits = head.coding.block_bits
            first, last = begin >> block_bits, max(begin, end - 1) >> block_bits
            last = min(last, len(head.blocks) - 1)
            self._check_memory(entry, decoding_bytes(self._reader, entry, first, last + 1))
            record = self._reader.shared(name, first, last + 1)
            positions, labels = coding.decode_survivors(record, first)
            inside = slice(*np.searchsorted(positions, [begin, end]).tolist())
            positions, labels = positions[inside] - begin, labels[inside]
            k = len(head.codebook) - 1
            gap_bits = head.coding.gap_bits or coding.narrowest_gap_bits(positions, k.bit_length())
            return coding.from_survivors(shape, head.codebook, positions, labels, gap_bits)

    def _check_memory(self, entry: TensorEntry, needed: int) -> None:
        if self._max_bytes is not None and needed > self._max_bytes:
            raise ArgumentError(
                f"decoding it may take {needed:,} bytes, max_bytes is {self._max_bytes:,}"
            )

    @contextmanager
    def _named(self, entry: TensorEntry) -> Iterator[None]:
        """Put the file's and the tensor's name before a message that lacks them."""
        try:
            yield
        except (FormatError, ArgumentError) as error:
            here = f"{self._what}: tensor {entry.name!r}: "
            if str(error).startswith(f"{self._what}: "):
                raise
            raise type(error)(here + str(error)) from None


def decoding_bytes(
    reader: Reader, entry: TensorEntry, first: int = 0, stop: int | None = None
) -> int:
    """Return how much memory decoding shared weights takes at most, by their head alone."""
    head = reader.shared_head(entry)
    size = math.prod(entry.shape)
    blocks = range(first, len(head.blocks) if stop is None else stop)
    entries = sum(head.blocks[block].count for block in blocks)
    elements = max((block_size(size, head.coding.block_bits, b) for b in blocks), default=0)
    span = sum(block_size(size, head.coding.block_bits, b) for b in blocks)
    scratch = 0 if head.coding.encoding == RELATIVE else elements
    # Labels, gaps and flags of a byte, positions of eight with their copies, per entry.
    entries += _most_fillers(head.coding, span, len(blocks))
    return 64 * entries + 16 * scratch + entry.data_bytes + 65536


def _most_fillers(coding: Coding, span: int, blocks: int) -> int:
    """Return a bound on the fillers that blocks of `span` elements need beyond their own.

    A file needs none from one block to the next, what is in memory does; and a mask has none.
    """
    if coding.encoding == BITMASK:
        return span // 2  # as many as gaps of one bit need; a wider one is taken for fewer bits
    return span >> coding.gap_bits if coding.encoding == RELATIVE and blocks > 1 else 0


@contextmanager
def open_file(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> Iterator[ModelFile]:
    """Open a ``.dcnn`` file to read single tensors, or some of their rows.

    The file is mapped: what isn't asked for isn't read. What was read is a copy and
    outlives the file.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most memory that decoding a tensor may take.

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
    process (SIGBUS). `CompressedModel.save` replaces files as a whole, so that those
    who have the old one open keep it.

    Examples
    --------
    >>> import deepcompress, numpy as np, os, tempfile
    >>> path = os.path.join(tempfile.mkdtemp(), "model.dcnn")
    >>> _ = deepcompress.compress({"w": np.eye(30)}).save(path)
    >>> with deepcompress.open_file(path) as file:
    ...     file.rows("w", 10, 12).to_dense()[:, 10:12]
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    """
    what = os.fspath(path)
    try:
        with open(path, "rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0
            mapped = b"" if empty else mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{what}: {reason}") from error
    yield ModelFile(memoryview(mapped), str(what), max_bytes)
