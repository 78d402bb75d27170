"""Records -> the bytes of a ``.dcnn`` file, as ``docs/format.md`` specifies."""

import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import dtypes, native
from ..dtypes import FLOAT32, NAMES, ElementType
from ..errors import ArgumentError
from ..native import pages as native_pages
from ..tensors import FIXED_WIDTH, RANS
from .checksum import crc32
from .cursor import common_bytes, varint
from .grids import grid_of
from .header import needed_version
from .records import (
    CONTEXT,
    CRC,
    DELTA,
    DENSE,
    GRID,
    GROUPED,
    HALF,
    MAGIC,
    MAX_COMMON_BYTES,
    MAX_NAME_BYTES,
    MAX_RANK,
    PLANES,
    PREFIX,
    RAW,
    RAW_CHUNK_BYTES,
    RELATIVE,
    TIED,
    TRELLIS,
    UNROTATED,
    WIDE_DTYPE,
    Coding,
    DeltaRecord,
    GroupedRecord,
    PlaneCoding,
    PlanesRecord,
    PlannedPlanes,
    SharedRecord,
    TiedRecord,
    ToWrite,
)
from .sizes import chunk_crc_start, codebook_bytes

Chunk = tuple[bytes | memoryview, ...]  # its pieces, which nothing lies between


@dataclass(frozen=True)
class Unwritten:
    """Bytes that aren't there yet; `write_to` takes memory of as many and writes them."""

    size_bytes: int
    write_to: Callable[[memoryview], None]

    def __len__(self) -> int:
        return self.size_bytes


Piece: TypeAlias = bytes | memoryview | Unwritten


def pack(records: Mapping[str, ToWrite], metadata: Mapping[str, Any] | None = None) -> bytes:
    """Write tensors as one file.

    Parameters
    ----------
    records : mapping of str to ToWrite
        An ndarray is stored raw; its dtype is one of `dtypes.NAMES`, in any byte order.
    metadata : mapping, optional
        Stored as canonical JSON (keys sorted, no spaces).

    Returns
    -------
    bytes
        Equal records give equal bytes on every machine.

    Raises
    ------
    ArgumentError
        If a name, shape or dtype has no place in the format, or the metadata isn't JSON.
    """
    parts: list[TensorPart] = []
    previous = ""
    for name, record in records.items():
        parts.append(tensor_part(name, previous, record))
        previous = name
    version = max((part.version for part in parts), default=1)
    start = file_start([part.header for part in parts], metadata_text(metadata), version)
    return _joined([start, *(piece for part in parts for piece in part.data)])


def _joined(pieces: Sequence[Piece]) -> bytes:
    """Return pieces as one, each written where it is to be."""
    # What getvalue returns is the one bytes object that is made here: to copy a large file would
    # take about as long as to code it.
    whole = io.BytesIO(bytes(sum(map(len, pieces))))
    with whole.getbuffer() as view:
        if native.active():
            native_pages.want_large(view)
        end = 0
        for piece in pieces:
            begin, end = end, end + len(piece)
            if isinstance(piece, Unwritten):
                piece.write_to(view[begin:end])
            else:
                view[begin:end] = piece
    return whole.getvalue()


@dataclass(frozen=True)
class TensorPart:
    """A tensor's ``Tensor_Header``, and its ``Tensor_Data`` in pieces.

    `version` is the lowest that has such a tensor.
    """

    header: bytes
    data: list[Piece]
    version: int = 1

    def written(self) -> list[bytes | memoryview]:
        """Return the data with all of them written."""
        return [_joined([piece]) if isinstance(piece, Unwritten) else piece for piece in self.data]


def tensor_part(name: str, previous: str, record: ToWrite) -> TensorPart:
    """Write one tensor; `previous` is the name of the tensor before it, "" for the first.

    Raises
    ------
    ArgumentError
        As `pack`.
    """
    encoded = checked_name(name, record.shape)
    chunks: list[Chunk] = []
    if isinstance(record, SharedRecord):
        encoding, dtype, chunks = record.coding.encoding, record.dtype, shared_chunks(record)
    elif isinstance(record, PlanesRecord):
        encoding, dtype, chunks = PLANES, record.dtype, planes_chunks(record)
    elif isinstance(record, PlannedPlanes):
        encoding, dtype = PLANES, record.dtype
    elif isinstance(record, TiedRecord):
        encoding, dtype, chunks = TIED, record.dtype, [(varint(record.index),)]
    elif isinstance(record, DeltaRecord):
        encoding, dtype, chunks = DELTA, record.dtype, _delta_chunks(record)
    elif isinstance(record, GroupedRecord):
        encoding, dtype, chunks = GROUPED, record.dtype, _grouped_chunks(record)
    else:
        encoding, dtype = RAW, stored_dtype(name, record)
        chunks = _raw_chunks(record, dtype)
    data_bytes = sum(len(piece) for chunk in chunks for piece in chunk) + CRC.size * len(chunks)
    if isinstance(record, PlannedPlanes):
        data_bytes = record.data_bytes
    # > Common_Bytes is as large as it can be, but at most 255, and 0 for the first name.
    common = common_bytes(previous.encode(errors="surrogatepass")[:MAX_COMMON_BYTES], encoded)
    header = b"".join(
        [
            varint(common) + varint(len(encoded) - common) + encoded[common:],
            tensor_descriptor(encoding, dtype) + bytes([len(record.shape)]),
            *map(varint, record.shape),
            varint(data_bytes),
        ]
    )
    data: list[Piece] = []
    if isinstance(record, PlannedPlanes):
        data.append(Unwritten(data_bytes, partial(record.write_to, zlib.crc32(header))))
    for index, pieces in enumerate(chunks):
        crc = chunk_crc_start(header, index)
        for piece in pieces:
            crc = crc32(piece, crc)
        data += [*pieces, CRC.pack(crc)]
    return TensorPart(header, data, max(needed_version(encoding, dtype), _coding_version(record)))


def _coding_version(record: ToWrite) -> int:
    """Return the lowest version that has a record's coding, its encoding left aside."""
    is_third = False
    if isinstance(record, SharedRecord):
        coding = record.coding
        if coding.trellis or coding.grid:
            return 4
        is_third = coding.half or RANS in (coding.label_coder, coding.position_coder)
    if isinstance(record, PlanesRecord | PlannedPlanes):
        is_third = record.coding.unrotated or RANS in record.coding.coders
    return 3 if is_third else 1


def tensor_descriptor(encoding: int, dtype: ElementType) -> bytes:
    """Return ``Tensor_Descriptor``, and ``Wide_Dtype`` where there is one."""
    number = dtype.number
    if number < WIDE_DTYPE:
        return bytes([encoding << 4 | number])
    return bytes([encoding << 4 | WIDE_DTYPE, number])


def metadata_text(metadata: Mapping[str, Any] | None) -> bytes:
    """Return metadata as canonical JSON; raise ArgumentError if it isn't JSON."""
    try:
        return json.dumps(
            dict(metadata or {}), sort_keys=True, separators=(",", ":"), allow_nan=False
        ).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ArgumentError(f"metadata can't be written as JSON: {error}") from None


def file_start(tensor_headers: Sequence[bytes], metadata: bytes, version: int = 1) -> bytes:
    """Return the bytes of a file before the first tensor's data.

    Raises
    ------
    ArgumentError
        If the header is too long.
    """
    header = varint(len(metadata)) + metadata
    header += varint(len(tensor_headers)) + b"".join(tensor_headers)
    if len(header) >= 1 << 32:
        raise ArgumentError(f"the header would take {len(header)} bytes, 4 GiB are too many")
    start = PREFIX.pack(MAGIC, version, len(header)) + header
    return start + CRC.pack(crc32(start))


def shared_chunks(record: SharedRecord) -> list[Chunk]:
    """Return the chunks of a tensor of shared weights, without their CRCs."""
    head = shared_head(
        record.coding,
        len(record.codebook) - 1,
        (len(record.label_table), len(record.position_table)),
        [(block.count, len(block.labels), len(block.positions)) for block in record.blocks],
    )
    head += _codebook(record)
    head += record.label_table + record.position_table
    blocks = [(block.labels, block.positions) for block in record.blocks]
    # > If Block_Count is 1, there is one chunk: the head followed by the block. Otherwise the head
    # > is chunk 0 and block i is chunk i + 1.
    return [(head, *blocks[0])] if len(blocks) == 1 else [(head,), *blocks]


def _codebook(record: SharedRecord) -> bytes:
    centroids = record.codebook[1:]
    if record.coding.grid and (found := grid_of(record.codebook)):
        step, below = found
        return bytes([below]) + np.array(step, "<f4").tobytes()
    stored = centroids.astype("<f2") if record.coding.half else record.dtype.narrowed(centroids)
    return stored.tobytes()


def planes_chunks(record: PlanesRecord) -> list[Chunk]:
    """Return the chunks of a tensor in planes, without their CRCs."""
    sizes = [[len(plane) for plane in planes] for planes in record.blocks]
    head = planes_head(record.coding, [len(table) for table in record.tables], sizes)
    head += b"".join(record.tables)
    blocks = record.blocks
    return [(head, *blocks[0])] if len(blocks) == 1 else [(head,), *blocks]


def _delta_chunks(record: DeltaRecord) -> list[Chunk]:
    head = record.digest + bytes([record.words.dtype.itemsize if record.words else 0])
    first, *others = planes_chunks(record.words) if record.words else [()]
    return [(head, *first), *others]


def _grouped_chunks(record: GroupedRecord) -> list[Chunk]:
    groups: list[Chunk] = []
    for group in record.groups:
        (chunk,) = shared_chunks(group)  # a group has one block
        groups.append((bytes([group.coding.encoding]), *chunk))
    sizes = (sum(map(len, pieces)) for pieces in groups)
    head = varint(record.group_rows) + b"".join(map(varint, sizes))
    return [(head,), *groups]


def planes_head(
    coding: PlaneCoding, table_bytes: Sequence[int], blocks: Sequence[Sequence[int]]
) -> bytes:
    """Return the head of a tensor in planes up to its code tables.

    Parameters
    ----------
    coding : PlaneCoding
    table_bytes : sequence of int
        ``Plane_Table_Bytes`` of each plane.
    blocks : sequence of sequence of int
        ``Plane_Bytes`` of each plane of each block.
    """
    head = bytearray([coding.block_bits | UNROTATED * coding.unrotated, *coding.coders])
    for sizes in [table_bytes, *blocks]:
        for size, coder in zip(sizes, coding.coders, strict=True):
            if coder != FIXED_WIDTH:
                head += varint(size)
    return bytes(head)


def shared_head(
    coding: Coding,
    centroid_count: int,
    table_bytes: tuple[int, int],
    blocks: Sequence[tuple[int, int, int]],
) -> bytes:
    """Return the head of a tensor up to its centroids.

    Parameters
    ----------
    coding : Coding
    centroid_count : int
    table_bytes : (int, int)
        ``Label_Table_Bytes`` and ``Position_Table_Bytes``.
    blocks : sequence of (int, int, int)
        ``Entry_Count``, ``Label_Bytes`` and ``Position_Bytes`` of each block.
    """
    if coding.encoding == CONTEXT:
        descriptor = HALF * coding.half | TRELLIS * coding.trellis | GRID * coding.grid
        return bytes([descriptor]) + varint(centroid_count)
    coders = coding.position_coder << 4 | coding.label_coder | HALF * coding.half
    head = bytearray([coders, coding.block_bits])
    if coding.encoding == RELATIVE:
        head.append(coding.gap_bits)
    head += varint(centroid_count)
    coded = [coder != FIXED_WIDTH for coder in (coding.label_coder, coding.position_coder)]
    for size, is_coded in zip(table_bytes, coded, strict=True):
        if is_coded:
            head += varint(size)
    for count, *sizes in blocks:
        if coding.encoding != DENSE:
            head += varint(count)
        for size, is_coded in zip(sizes, coded, strict=True):
            if is_coded:
                head += varint(size)
    return bytes(head)


def shared_size(
    coding: Coding,
    centroid_count: int,
    table_bytes: tuple[int, int],
    blocks: Sequence[tuple[int, int, int]],
    dtype: ElementType = FLOAT32,
) -> int:
    """Return ``Data_Bytes`` of a tensor with such parts (see `shared_head`)."""
    chunks = 1 if len(blocks) == 1 else len(blocks) + 1
    streams = sum(labels + positions for _, labels, positions in blocks)
    head = len(shared_head(coding, centroid_count, table_bytes, blocks))
    centroids = codebook_bytes(coding, dtype, centroid_count)
    return head + centroids + sum(table_bytes) + streams + CRC.size * chunks


def checked_name(name: str, shape: tuple[int, ...] = ()) -> bytes:
    """Return a name as a file holds it; raise ArgumentError if it, or the rank, can't be."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise ArgumentError(f"a tensor's name can't be written as UTF-8: {name[:40]!r}") from None
    if not 0 < len(encoded) <= MAX_NAME_BYTES:
        raise ArgumentError(f"a tensor's name must have 1 to {MAX_NAME_BYTES} bytes: {name[:40]!r}")
    if len(shape) > MAX_RANK:
        raise ArgumentError(f"tensor {name!r}: rank {len(shape)} is above {MAX_RANK}")
    return encoded


def stored_dtype(name: str, array: npt.NDArray[Any]) -> ElementType:
    """Return the dtype in which a file holds an array; raise ArgumentError if it can't."""
    dtype = dtypes.of(array.dtype)
    if dtype is None:
        names, own = ", ".join(NAMES), str(array.dtype)[:80]
        raise ArgumentError(f"tensor {name!r}: dtype {own} can't be stored; can: {names}")
    return dtype


def _raw_chunks(array: npt.NDArray[Any], dtype: ElementType) -> list[Chunk]:
    # > The elements are stored in row-major order, exactly as they are. They are cut into chunks of
    # > 2**20 bytes, of which the last may have fewer. Only a tensor without elements has an empty
    # > chunk.
    data = dtypes.bits_of(array, dtype).tobytes()
    starts = range(0, max(len(data), 1), RAW_CHUNK_BYTES)
    return [(data[start : start + RAW_CHUNK_BYTES],) for start in starts]
