"""Read `.dcnn` files by NumPy alone: ``python docs/reader.py FILE`` lists what is in one.

Written from the format's text (the docstring of `deepcompress.container`), to be read beside it.
It shares no code with the package, and prefers few lines to speed.
"""

import json
import sys
from collections.abc import Callable
from functools import partial
from math import isfinite, prod
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import numpy as np

DTYPE_CODES = "?,i1,<i2,<i4,<i8,u1,<u2,<u4,<u8,<f2,<f4,<f8,<c8,<c16"
DTYPES = [np.dtype(code) for code in DTYPE_CODES.split(",")]
FLOAT32 = DTYPES[10]
RAW, RELATIVE, DENSE, BITMASK = range(4)
FIXED_WIDTH, HUFFMAN, RANS = range(3)


def require(condition: bool | np.bool_, reason: str) -> None:
    """Refuse the file for `reason` unless `condition` holds."""
    if not condition:
        raise ValueError(reason)


def finite(text: str) -> float:
    """Return a number of the metadata, which a float64 must have room for."""
    require(isfinite(float(text)), f"{text} is too large a number")
    return float(text)


class Cursor:
    """Bytes, or bits that have a byte each, which are read from the first to the last."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        require(size <= len(self.data) - self.at, f"{size} bytes at {self.at} are missing")
        self.at += size
        return self.data[self.at - size : self.at]

    def next(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def varint(self) -> int:
        """Return the number in the next groups of seven bits."""
        value = 0
        for shift in range(0, 63, 7):
            byte = self.next()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(byte > 0 or shift == 0, "a varint is longer than needed")
                return value
        raise ValueError("a varint is 2**63 or more")

    def check_crc(self, first: int, start: int = 0) -> None:
        """Compare the CRC that is next with that of the bytes from `first` on."""
        actual = crc32(self.data[first : self.at], start)
        require(actual == int.from_bytes(self.take(4), "little"), "a CRC doesn't match")

    def end(self, unused: int = 0) -> None:
        """Refuse anything that is left, but for up to `unused` zeros."""
        rest = self.data[self.at :]
        require(len(rest) <= unused and not any(rest), "unused bits aren't 0, or bytes left over")


class Record(NamedTuple):
    """What the header says of a tensor, and the CRC of the record itself."""

    name: bytes
    dtype: np.dtype
    encoding: int
    shape: tuple[int, ...]
    data_bytes: int
    crc: int

    def crc_start(self, chunk: int) -> int:
        """Return what the CRC of a chunk continues from."""
        number = bytearray()  # as a varint
        while chunk:
            number.append(chunk & 0x7F | (0x80 if chunk >= 0x80 else 0))
            chunk >>= 7
        return crc32(number, self.crc)


def read(data: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """Return the tensors of a file, dense, and its metadata.

    Parameters
    ----------
    data
        The file's bytes.

    Returns
    -------
    tensors
        Arrays by name, in the order of the file.
    metadata
        The JSON object.

    Raises
    ------
    ValueError
        If the file breaks a rule of the format.
    """
    file = Cursor(data)
    metadata, records = read_header(file)
    tensors = {}
    for record in records:
        chunks = Cursor(file.take(record.data_bytes))
        elements = (read_shared if record.encoding else read_raw)(chunks, record)
        chunks.end()
        tensors[record.name.decode()] = elements.reshape(record.shape)
    file.end()
    return tensors, metadata


def read_header(file: Cursor) -> tuple[dict, list[Record]]:
    """Read what comes before the first tensor: the metadata, a record per tensor."""
    require(file.take(8) == b"\x89DCNN\r\n\x1a", "this isn't a .dcnn file")
    require(file.next() == 1, "the version isn't 1")
    header = Cursor(file.take(int.from_bytes(file.take(4), "little")))
    file.check_crc(0)
    text = header.take(header.varint()).decode()
    try:
        metadata = json.loads(text, parse_constant=partial(require, False), parse_float=finite)
    except RecursionError:
        raise ValueError("the metadata is nested too deeply") from None
    require(isinstance(metadata, dict), "the metadata isn't an object")
    records: list[Record] = []
    for _ in range(header.varint()):
        records.append(read_record(header, records[-1].name if records else b""))
    header.end()
    require(len({record.name for record in records}) == len(records), "two of one name")
    return metadata, records


def read_record(header: Cursor, previous: bytes) -> Record:
    """Read one tensor's record; `previous` is the name before its own."""
    first = header.at
    previous = previous[:255]  # no more of it counts
    common = header.varint()
    require(common <= len(previous), "more bytes in common than the name before has")
    rest = header.take(header.varint())
    require(not rest or rest[:1] != previous[common : common + 1], "more bytes are in common")
    name = previous[:common] + rest
    name.decode()  # a UnicodeDecodeError is a ValueError
    require(1 <= len(name) <= 65535, f"a name of {len(name)} bytes")
    encoding, dtype = divmod(header.next(), 16)
    require(dtype < len(DTYPES) and encoding <= BITMASK, "unknown dtype or encoding")
    require(encoding == RAW or DTYPES[dtype] == FLOAT32, "shared weights that aren't float32")
    rank = header.next()
    require(rank <= 32, f"rank {rank}")
    shape = tuple(header.varint() for _ in range(rank))
    unit = DTYPES[dtype].itemsize if encoding == RAW else 1
    require(unit * prod(axis for axis in shape if axis) < 2**63, f"the shape {shape} is too large")
    data_bytes = header.varint()
    crc = crc32(header.data[first : header.at])
    return Record(name, DTYPES[dtype], encoding, shape, data_bytes, crc)


def read_raw(chunks: Cursor, record: Record) -> np.ndarray:
    """Read elements that are stored as they are."""
    size = prod(record.shape) * record.dtype.itemsize
    count = max(1, -(-size // 2**20))
    require(size + 4 * count == record.data_bytes, "the elements have another size")
    elements = bytearray()
    for i in range(count):
        elements += chunks.take(min(2**20, size - len(elements)))
        chunks.check_crc(i * (2**20 + 4), record.crc_start(i))
    require(record.dtype != bool or not elements.strip(b"\0\1"), "a bool is neither 0 nor 1")
    return np.frombuffer(elements, record.dtype)


def read_shared(chunks: Cursor, record: Record) -> np.ndarray:
    """Read shared weights: the head, then each block."""
    size, encoding = prod(record.shape), record.encoding
    position_coder, label_coder = divmod(chunks.next(), 16)
    require(max(label_coder, position_coder) <= RANS, "unknown coder")
    require(encoding != DENSE or position_coder == 0, "a coder, but no positions")
    e = chunks.next()
    require(e <= 62, f"blocks of 2**{e} elements")
    position_bits = chunks.next() if encoding == RELATIVE else 8
    require(1 <= position_bits <= 8, f"gaps of {position_bits} bits")
    k = chunks.varint()
    require(k <= 255, f"{k} centroids")
    table_bytes = [chunks.varint() if coder else 0 for coder in (label_coder, position_coder)]
    alphabet = k if encoding == BITMASK else k + 1
    label_bits = max(1, (alphabet - 1).bit_length()) if alphabet else 1
    block_count = max(1, -(-size // 2**e))
    require(4 * block_count <= record.data_bytes, f"too few bytes for {block_count} blocks")
    blocks = []
    for start in range(0, block_count * 2**e, 2**e):
        elements = min(2**e, size - start)
        entries = elements if encoding == DENSE else chunks.varint()
        require(entries <= elements, f"{entries} entries in {elements} elements")
        positions = {RELATIVE: entries, DENSE: 0, BITMASK: -(-elements // 8)}[encoding]
        label_bytes = chunks.varint() if label_coder else -(-entries * label_bits // 8)
        position_bytes = chunks.varint() if position_coder else -(-positions * position_bits // 8)
        blocks.append((elements, entries, label_bytes, positions, position_bytes))
    weights = np.frombuffer(bytes(4) + chunks.take(4 * k), FLOAT32)  # that of label 0, centroids
    require(np.isfinite(weights).all(), "a centroid isn't finite")
    tables = [chunks.take(size) for size in table_bytes]
    decode_labels = decoder(label_coder, label_bits, alphabet, tables[0])
    decode_positions = decoder(position_coder, position_bits, 2**position_bits, tables[1])

    dense, chunk, first = [], 0, 0
    for elements, entries, label_bytes, positions, position_bytes in blocks:
        if block_count > 1:
            chunks.check_crc(first, record.crc_start(chunk))
            chunk, first = chunk + 1, chunks.at
        labels = decode_labels(chunks.take(label_bytes), entries)
        coded = decode_positions(chunks.take(position_bytes), positions)
        where = np.arange(entries)
        if encoding == RELATIVE:
            where = np.cumsum(coded + 1) - 1
            require(entries == 0 or where[-1] < elements, "an entry lies outside its block")
        elif encoding == BITMASK:
            where = np.flatnonzero(np.unpackbits(coded.astype(np.uint8), bitorder="little"))
            require(len(where) == entries, f"a mask of {len(where)} bits for {entries} entries")
            require(entries == 0 or where[-1] < elements, "a mask has bits beyond its elements")
            labels = labels + 1
        dense.append(np.zeros(elements, FLOAT32))
        dense[-1][where] = weights[labels]
    chunks.check_crc(first, record.crc_start(chunk))
    return np.concatenate(dense)


def decoder(coder: int, bits: int, alphabet: int, table: bytes) -> Callable[..., np.ndarray]:
    """Return the function of a stream and the number of its symbols that returns these."""
    if coder == FIXED_WIDTH:
        return partial(decode_fixed_width, width=bits, alphabet=alphabet)
    if coder == HUFFMAN:
        return partial(decode_huffman, codes=huffman_codes(read_table(table, alphabet, 4, 12)))
    return partial(decode_rans, slots=rans_slots(read_table(table, alphabet, 24, 31)))


def bits_of(data: bytes) -> np.ndarray:
    """Return the bits of a stream or table."""
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")


def decode_fixed_width(stream: bytes, count: int, width: int, alphabet: int) -> np.ndarray:
    """Decode numbers of `width` bits."""
    bits = bits_of(stream)
    symbols = bits[: count * width].reshape(count, width) @ (1 << np.arange(width))
    require((symbols < alphabet).all(), "a symbol is outside its alphabet")
    require(not bits[count * width :].any(), "unused bits aren't 0")
    return symbols


def decode_huffman(stream: bytes, count: int, codes: dict[tuple[int, int], int]) -> np.ndarray:
    """Decode a prefix code, whose `codes` are (length, code)."""
    bits, symbols = Cursor(bits_of(stream).tobytes()), []
    for _ in range(count):
        length = code = 0
        while (length, code) not in codes:
            length, code = length + 1, code << 1 | bits.next()
            require(length <= 12, "the code of no symbol")
        symbols.append(codes[length, code])
    bits.end(unused=7)
    return np.array(symbols, np.int64)


def decode_rans(stream: bytes, count: int, slots: list[tuple[int, int, int]]) -> np.ndarray:
    """Decode by an asymmetric numeral system."""
    require(count <= 64 * len(stream), f"{count} symbols in {len(stream)} bytes")
    require(count == 0 or len(slots) > 0, "symbols, but none has a level")
    rest, symbols = Cursor(stream), []
    x = int.from_bytes(rest.take(4), "little") if count else 2**23
    require(2**23 <= x < 2**31, "an initial state out of range")
    for _ in range(count):
        symbol, start, f = slots[x % 2**14]
        x = f * (x >> 14) + x % 2**14 - start
        while x < 2**23:
            x = (x << 8) + rest.next()
        symbols.append(symbol)
    require(x == 2**23, "the last state isn't 2**23")
    rest.end()
    return np.array(symbols, np.int64)


def read_table(table: bytes, alphabet: int, previous: int, highest: int) -> list[int]:
    """Return the length or level of each symbol."""
    bits, values, run_before = Cursor(bits_of(table).tobytes()), [], False

    def count(bit: int) -> int:
        """Pass all bits like `bit` and the one after them."""
        first = bits.at
        while bits.next() == bit:
            pass
        return bits.at - first - 1

    while len(values) < alphabet:
        step, run = 0, 0
        if bits.next():
            if not bits.next():
                step = 1 - 2 * bits.next()
            elif bits.next():
                step = (1 - 2 * bits.next()) * (2 + count(1))
            else:
                run = 1
                for _ in range(count(0)):  # the 1 after the zeros is the first digit
                    run = run << 1 | bits.next()
                require(not run_before, "a run that could be longer")
                require(run <= alphabet - len(values), "a run beyond the alphabet")
        previous, run_before = previous + step, run > 0
        require(1 <= previous <= highest, f"a length or level of {previous}")
        values += [0] * run or [previous]
    bits.end(unused=7)
    return values


def huffman_codes(lengths: list[int]) -> dict[tuple[int, int], int]:
    """Return the symbols by (length, code)."""
    ordered = sorted((length, symbol) for symbol, length in enumerate(lengths) if length)
    full = sum(2 ** (12 - length) for length, _ in ordered) == 2**12
    require(full or sum(lengths) <= 1, "the code isn't complete")
    codes, code, before = {}, 0, 0
    for length, symbol in ordered:
        code <<= length - before
        codes[length, code] = symbol
        code, before = code + 1, length
    return codes


def rans_slots(levels: list[int]) -> list[tuple[int, int, int]]:
    """Return (symbol, start, f) for each slot; none if no symbol has a level."""
    weights = {i: (2 + level % 2) << (level // 2) for i, level in enumerate(levels) if level}
    total = sum(weights.values())
    f = {symbol: 1 + w * (2**14 - len(weights)) // total for symbol, w in weights.items()}
    if f:
        f[max(weights, key=weights.__getitem__)] += 2**14 - sum(f.values())
    slots: list[tuple[int, int, int]] = []
    for symbol in f:
        slots += [(symbol, len(slots), f[symbol])] * f[symbol]
    return slots


if __name__ == "__main__":
    for name, tensor in read(Path(sys.argv[1]).read_bytes())[0].items():
        print(name, tensor.shape, tensor.dtype)
