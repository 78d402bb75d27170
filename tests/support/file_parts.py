"""Files taken apart, changed, and put together again with right sizes and checksums."""

from dataclasses import dataclass
from zlib import crc32

from support.reference_reader import reader

MOST_ELEMENTS = 2**22  # of a tensor that is made dense here


@dataclass
class Parts:
    """A file taken apart, without its sizes and checksums."""

    metadata: bytes
    tensor_headers: list[bytes]  # each without Data_Bytes at its end
    chunks: list[list[bytes]]
    version: int = 1

    def to_bytes(self):
        """Put the file together, all sizes and checksums right."""
        header = varint(len(self.metadata)) + self.metadata
        header += varint(len(self.tensor_headers))
        data = b""
        for start, chunks in zip(self.tensor_headers, self.chunks, strict=True):
            tensor_header = start + varint(sum(len(chunk) + 4 for chunk in chunks))
            header += tensor_header
            for i, chunk in enumerate(chunks):
                crc = crc32(varint(i) if i else b"", crc32(tensor_header))
                data += chunk + crc32(chunk, crc).to_bytes(4, "little")
        header = (
            b"\x89DCNN\r\n\x1a" + bytes([self.version]) + len(header).to_bytes(4, "little") + header
        )
        return header + crc32(header).to_bytes(4, "little") + data

    def copy(self):
        """Return parts that can be changed alone."""
        chunks = [list(chunks) for chunks in self.chunks]
        return Parts(self.metadata, list(self.tensor_headers), chunks, self.version)


def varint(value):
    """Return a number as a varint."""
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


class NotingCursor(reader.Cursor):
    """A cursor that notes the chunks whose checksums it compares."""

    def __init__(self, data, tensor_header=b""):
        super().__init__(data, tensor_header)
        self.chunks = []

    def check_crc(self):
        self.chunks.append(self.data[self.chunk_start : self.at])
        super().check_crc()


def take_apart(data):
    """Return the parts of a valid file."""
    file = NotingCursor(data)
    entries = reader.read_header(file)[1]
    header = reader.Cursor(file.chunks[0][13:])
    parts = Parts(header.take(header.varint()), [], [], data[8])
    assert header.varint() == len(entries)
    for encoding, dtype, shape, data_bytes, tensor_header in entries.values():
        parts.tensor_headers.append(tensor_header[: -len(varint(data_bytes))])
        cursor = NotingCursor(file.take(data_bytes), tensor_header)
        if encoding == reader.TIED:
            cursor.varint()
            cursor.check_crc()
        elif encoding == reader.DELTA:
            read_difference(cursor, dtype, reader.prod(shape))
        elif encoding == reader.GROUPED:
            reader.read_grouped(cursor, dtype, shape)
        elif encoding == reader.RAW:
            reader.read_raw(cursor, dtype, reader.prod(shape))
        elif encoding == reader.PLANES:
            reader.read_planes(cursor, dtype, reader.prod(shape), data[8])
        elif encoding == reader.CONTEXT:
            reader.read_context(cursor, dtype, shape, parts.version)
        else:
            reader.read_shared(cursor, encoding, dtype, reader.prod(shape), parts.version)
        parts.chunks.append(cursor.chunks)
    return parts


def read_difference(cursor, dtype, count):
    """Read a delta without its base."""
    cursor.take(16)
    if width := cursor.next():
        words = 2 if reader.DTYPES[dtype].kind == "c" else 1
        reader.read_words(cursor, count * words, width, False, 3)
    else:
        cursor.check_crc()


def small_enough(data):
    """Whether no tensor of a file says that it has more elements than fit the memory."""
    try:
        entries = reader.read_header(reader.Cursor(data))[1]
    except ValueError:
        return True
    return all(reader.prod(shape) <= MOST_ELEMENTS for _, _, shape, *_ in entries.values())


def changed_bytes(data, rng):
    """Return bytes with a bit, a byte or a length changed, early ones more often."""
    if not data:
        return rng.bytes(int(rng.integers(1, 3)))
    early = rng.random() < 0.5
    at = int(rng.integers(0, min(len(data), 16) if early else len(data)))
    kind = rng.integers(0, 8)
    if kind < 3:
        return data[:at] + bytes([data[at] ^ 1 << int(rng.integers(0, 8))]) + data[at + 1 :]
    if kind == 3:
        return data[:at] + bytes([(data[at] + int(rng.choice([1, -1]))) % 256]) + data[at + 1 :]
    if kind == 4:
        return data[:at] + rng.bytes(1) + data[at + 1 :]
    if kind == 5:
        return data[:at] + rng.bytes(int(rng.integers(1, 4))) + data[at:]
    if kind == 6:
        return data[:at] + data[at + int(rng.integers(1, 4)) :]
    end = at + int(rng.integers(1, 9))
    return data[:at] + bytes(len(data[at:end])) + data[end:]


def damaged(data, rng):
    """Return a file with something changed: where and how is the random generator's."""
    kind = rng.integers(0, 16)
    if kind == 0:
        return data[: int(rng.integers(0, len(data)))]
    if kind == 1:
        return changed_bytes(data, rng)
    parts = take_apart(data).copy()
    for _ in range(1 if rng.random() < 0.7 else 2):
        if rng.random() < 0.02:
            parts.version = int(rng.choice([one for one in (1, 2, 3) if one != parts.version]))
        elif kind == 2 or not parts.tensor_headers:
            parts.metadata = changed_bytes(parts.metadata, rng)
        elif kind == 3:
            i = int(rng.integers(0, len(parts.tensor_headers)))
            parts.tensor_headers[i] = changed_bytes(parts.tensor_headers[i], rng)
        elif kind == 4:  # chunks or tensors in other places, or missing, or more
            i, j = rng.integers(0, len(parts.tensor_headers), 2)
            chunks = parts.chunks[i]
            a, b = rng.integers(0, len(chunks), 2) if chunks else (0, 0)
            how = rng.integers(0, 4)
            if how == 0:
                parts.chunks[i], parts.chunks[j] = parts.chunks[j], parts.chunks[i]
            elif how == 1 and chunks:
                chunks[a], chunks[b] = chunks[b], chunks[a]
            elif how == 2 and chunks:
                del chunks[a]
            else:
                chunks.insert(a, b"" if rng.random() < 0.5 or not chunks else chunks[b])
        else:
            i = int(rng.integers(0, len(parts.tensor_headers)))
            if parts.chunks[i]:
                a = 0 if rng.random() < 0.5 else int(rng.integers(0, len(parts.chunks[i])))
                parts.chunks[i][a] = changed_bytes(parts.chunks[i][a], rng)
    return parts.to_bytes()
