"""``.dcnn`` files: `from_bytes` on both backends, rows, and the way back."""

import math
import zlib
from random import Random

import numpy as np

from deepcompress import native
from deepcompress.container import planes
from deepcompress.container.cursor import Cursor, varint
from deepcompress.container.groups import GroupsHead, parse_groups_head
from deepcompress.container.header import TensorEntry, parse_tensor_header
from deepcompress.container.planes import PlanesHead
from deepcompress.container.records import (
    CRC,
    DELTA,
    GROUPED,
    MAGIC,
    PLANES,
    PREFIX,
    RAW,
    RAW_CHUNK_BYTES,
    TIED,
    VERSION,
)
from deepcompress.container.references import DeltaHead, TiedHead, parse_delta, parse_tied
from deepcompress.container.shared_weights import SharedHead, parse_head
from deepcompress.container.sizes import chunk_crc_start
from deepcompress.errors import DeepCompressError
from deepcompress.model import CompressedModel
from deepcompress.model_file import ModelFile
from deepcompress.packed.grouped import GroupedTensor
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.pipeline import from_bytes

from .limits import MAX_BYTES, backends, limited, outcome, require
from .make_seeds import BASE

MAX_DENSE = 1 << 16  # elements of a tensor that is looked at as a whole


def test_one_input(data: bytes) -> None:
    results = []
    for backend in backends:
        with native.use(backend), limited("reading"):
            results.append(outcome(lambda: from_bytes(data, max_bytes=MAX_BYTES, base=BASE)))
    (model, refusal), (other, other_refusal) = results[0], results[-1]
    if any("max_bytes is" in one for one in (refusal, other_refusal)):
        return  # NumPy takes more memory for the same
    require(refusal == other_refusal, f"{refusal!r} or, in C, {other_refusal!r}")
    if model is None:
        return
    _require_equal(model, other, "backends")
    _check_rows(ModelFile(data, max_bytes=MAX_BYTES, base=BASE), model)
    _check_way_back(model)


def _check_way_back(model: CompressedModel) -> None:
    try:
        written = model.to_bytes()
    except DeepCompressError as error:
        raise AssertionError("what was read can't be written") from error
    again = from_bytes(written, base=BASE)
    _require_equal(model, again, "model and what was written of it")
    require(again.metadata == model.metadata, "metadata differs")
    require(again.to_bytes() == written, "a second copy differs from the first")


def _require_equal(one: CompressedModel, two: CompressedModel, what: str) -> None:
    require(list(one) == list(two), f"{what}: names differ")
    for name, tensor in one.items():
        require(_weights(tensor) == _weights(two[name]), f"{what}: {name!r} differs")


def _weights(tensor: object) -> tuple[object, ...]:
    """Return a tensor's weights, not how they are stored, as bytes that compare NaN too."""
    if isinstance(tensor, CompressedTensor):
        labels = tensor.labels()
        places = tensor.positions()[labels != 0]
        codebook = tensor.codebook
        return (
            tensor.shape,
            tensor.element_type,
            codebook.tobytes(),
            places.tobytes(),
            labels[labels != 0].tobytes(),
        )
    if isinstance(tensor, GroupedTensor):
        return tensor.shape, tensor.group_rows, *map(_weights, tensor.groups)
    assert isinstance(tensor, np.ndarray)
    return tensor.shape, tensor.dtype, tensor.tobytes()


def _check_rows(file: ModelFile, model: CompressedModel) -> None:
    for name, tensor in model.items():
        rows = tensor.shape[0] if tensor.shape else 0
        for start, stop in {(0, rows), (rows // 3, rows - rows // 3), (rows, rows)}:
            if not tensor.shape:
                continue
            with limited("reading rows"):
                part, refusal = outcome(lambda n=name, r=(start, stop): file.rows(n, *r))
            if isinstance(tensor, GroupedTensor) and "cut groups" in refusal:
                continue
            require(part is not None, f"rows of a tensor that can be read: {refusal}")
            require(part.shape == (stop - start, *tensor.shape[1:]), "rows of another shape")
            if math.prod(tensor.shape) > MAX_DENSE:
                continue
            if isinstance(tensor, CompressedTensor | GroupedTensor):
                dense, _ = outcome(tensor.to_dense)  # that of a huge empty shape is refused
                same = dense is None or np.array_equal(part.to_dense(), dense[start:stop])
            else:
                same = part.tobytes() == tensor[start:stop].tobytes()
            require(same, f"rows {start} to {stop} of {name!r} differ")


def mutate(data: bytes, max_size: int, random: Random, mutate_bytes: object) -> bytes:
    """Change the header, the data of a tensor, or anything, and mend sizes and checksums."""
    choice = random.random()
    if choice < 0.05:
        return mutate_bytes(data, max_size)
    header, entries, start = _walk(data)
    if choice < 0.7 and entries:
        entry = random.choice(entries)
        begin, end = start + entry.offset, start + entry.offset + entry.data_bytes
        part = data[begin:end]  # may have less than its header says
        room = len(part) + max(1, max_size - len(data))
        data = data[:begin] + mutate_bytes(part, room) + data[end:]
        grown = len(data) - (start + sum(entry.data_bytes for entry in entries))
        return mend(data, entry.name, grown)[:max_size]
    head = mutate_bytes(header, len(header) + max(1, max_size - len(data)))
    version = random.choice([1, 2, VERSION]) if random.random() < 0.1 else _version(data)
    return mend(PREFIX.pack(MAGIC, version, 0) + head + data[PREFIX.size + len(header) :])[
        :max_size
    ]


def _version(data: bytes) -> int:
    """Return a file's version, or the newest where it has none that is known."""
    version = data[len(MAGIC)] if len(data) > len(MAGIC) else VERSION
    return version if 1 <= version <= VERSION else VERSION


def _walk(data: bytes) -> tuple[bytes, list[TensorEntry], int]:
    """Return the header as far as it can be read, its entries, and where their data begins.

    Offsets of entries are from there. The size that the prefix says doesn't count.
    """
    cursor = Cursor(memoryview(data)[PREFIX.size :], "file")
    entries: list[TensorEntry] = []
    try:
        cursor.take(cursor.varint("metadata"), "metadata")
        offset, previous = 0, b""
        for _ in range(cursor.varint("tensors")):
            entry, previous = parse_tensor_header(cursor, previous, offset, _version(data))
            offset += entry.data_bytes
            entries.append(entry)
    except DeepCompressError:
        pass
    return data[PREFIX.size :][: cursor.offset], entries, PREFIX.size + cursor.offset + CRC.size


def mend(data: bytes, changed: str = "", grown: int = 0) -> bytes:
    """Make sizes and checksums right, as far as the header can be read.

    Parameters
    ----------
    data : bytes
    changed : str
        A tensor whose data has `grown` bytes more than its header says.
    """
    header, entries, start = _walk(data)
    version = _version(data)
    whole_header = bytearray(header[: len(header) - sum(len(e.header) for e in entries)])
    contents = bytearray()
    for index, entry in enumerate(entries):
        begin = (
            start + entry.offset + (grown if any(e.name == changed for e in entries[:index]) else 0)
        )
        size = entry.data_bytes + (grown if entry.name == changed else 0)
        chunks = _chunks(entry, data[begin : begin + max(size, 0)])
        size = sum(map(len, chunks)) + CRC.size * len(chunks)
        tensor_header = entry.header[: -len(varint(entry.data_bytes))] + varint(size)
        whole_header += tensor_header
        for number, chunk in enumerate(chunks):
            contents += chunk + CRC.pack(zlib.crc32(chunk, chunk_crc_start(tensor_header, number)))
    file = PREFIX.pack(MAGIC, version, len(whole_header)) + whole_header
    return file + CRC.pack(zlib.crc32(file)) + contents


def _chunks(entry: TensorEntry, data: bytes) -> list[bytes]:
    """Cut a tensor's data as its head says, or else at the end alone."""
    if entry.encoding == RAW:
        need = min(math.prod(entry.shape) * entry.dtype.itemsize, RAW_CHUNK_BYTES)
        return [data[: need if need <= len(data) else max(len(data) - CRC.size, 0)]]
    try:
        cursor = Cursor(memoryview(data), "file")
        head: SharedHead | PlanesHead | DeltaHead | TiedHead | GroupsHead
        if entry.encoding == TIED:
            head = parse_tied(cursor)
        elif entry.encoding == GROUPED:
            head = parse_groups_head(cursor, entry.shape)
        elif entry.encoding == DELTA:
            head = parse_delta(cursor, entry.shape, entry.dtype)
        elif entry.encoding == PLANES:
            head = planes.parse_head(cursor, entry.shape, entry.dtype)
        else:
            head = parse_head(cursor, entry.shape, entry.encoding, entry.dtype)
    except DeepCompressError:
        return [data[: max(len(data) - CRC.size, 0)]]
    if len(head.spans) == 1:
        return [data[: head.spans[0][1]]]
    return [data[: head.bytes], *(data[begin:end] for begin, end in head.spans)]
