"""Read `.dcnn` files by NumPy alone: ``python docs/reader.py FILE`` lists what is in one.

Written from the text of format.md, whose names it uses and whose sentences it quotes (``# >``), to
be read beside it. It shares no code with the package, and prefers few lines to speed.
"""

import json
import sys
from functools import partial
from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np

# One by one; the last three, which NumPy lacks, as the integers of their bits.
DTYPES = np.dtype("?,i1,<i2,<i4,<i8,u1,<u2,<u4,<u8,<f2,<f4,<f8,<c8,<c16,<u2,u1,u1")
FLOAT32, BFLOAT16, FLOAT8_E4M3FN, FLOAT8_E5M2 = 10, 14, 15, 16
RAW, RELATIVE, DENSE, BITMASK, PLANES = range(5)
FIXED_WIDTH, HUFFMAN, RANS = range(3)
bits_of = partial(np.unpackbits, bitorder="little")


def require(condition: bool | np.bool_, reason: str) -> None:
    """Refuse the file for `reason` unless `condition` holds."""
    if not condition:
        raise ValueError(reason)


class Cursor:
    """Bytes, or bits that have a byte each, which are read from the first to the last."""

    def __init__(self, data: bytes, tensor_header: bytes = b"") -> None:
        self.data, self.tensor_header = data, tensor_header
        self.at = self.chunk = self.chunk_start = 0

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
        # > Each group takes a byte, whose high bit is set where another byte follows. A varint is
        # > written in the fewest bytes.
        value = 0
        for shift in range(0, 63, 7):
            byte = self.next()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                require(byte > 0 or shift == 0, "a varint is longer than needed")
                return value
        raise ValueError("a varint is 2**63 or more")

    def check_crc(self) -> None:
        """Compare the CRC that is next, which ends a chunk, with that of the chunk."""
        # > Chunk_CRC of chunk 0 is CRC(chunk, CRC(Tensor_Header)). Chunk_CRC of chunk i > 0 is
        # > CRC(chunk, CRC(varint i, CRC(Tensor_Header))).
        crc, number = crc32(self.tensor_header), self.chunk
        while number:  # as a varint
            crc = crc32(bytes([number & 0x7F | (0x80 if number >= 0x80 else 0)]), crc)
            number >>= 7
        crc = crc32(self.data[self.chunk_start : self.at], crc)
        require(crc == int.from_bytes(self.take(4), "little"), "a CRC doesn't match")
        self.chunk, self.chunk_start = self.chunk + 1, self.at

    def end(self, unused: int = 0) -> None:
        """Refuse anything that is left, but for up to `unused` zeros."""
        rest = self.data[self.at :]
        require(len(rest) <= unused and not any(rest), "unused bits aren't 0, or bytes left over")


def read(data: bytes) -> tuple[dict[str, np.ndarray], dict]:
    """Return a file's tensors, dense, and its metadata; ValueError if it breaks a rule.

    A bfloat16 or float8 tensor is returned as float32.
    """
    file, tensors = Cursor(data), {}
    metadata, entries = read_header(file)
    for name, (encoding, code, shape, data_bytes, tensor_header) in entries.items():
        chunks, n = Cursor(file.take(data_bytes), tensor_header), prod(shape)
        if encoding in (RAW, PLANES):
            how = read_raw if encoding == RAW else read_planes
            elements = widened(how(chunks, code, n), code)
        else:
            elements = read_shared(chunks, encoding, code, n)
        chunks.end()
        tensors[name] = elements.reshape(shape)
    file.end()
    return tensors, metadata


def read_header(file: Cursor) -> tuple[dict, dict[str, tuple]]:
    """Return the metadata, and the fields of each Tensor_Header by the tensor's name."""
    # > A reader refuses a Format_Version that it doesn't know.
    require(file.take(8) == b"\x89DCNN\r\n\x1a", "this isn't a .dcnn file")
    version = file.next()
    require(1 <= version <= 2, f"version {version} is unknown")
    # > Header_CRC covers every byte before it, from Magic_Number to the end of Header.
    header = Cursor(file.take(int.from_bytes(file.take(4), "little")))
    file.check_crc()
    # > Metadata is a JSON object in UTF-8, without a byte order mark. It has no NaN, no Infinity
    # > and no number beyond the range of float64.
    text = header.take(header.varint()).decode()
    try:
        metadata = json.loads(text)
        json.dumps(metadata, allow_nan=False)  # refuses NaN, Infinity and numbers too large
    except RecursionError:
        raise ValueError("the metadata is nested too deeply") from None
    require(isinstance(metadata, dict), "the metadata isn't an object")
    entries, name = {}, b""
    for _ in range(header.varint()):
        # > Common_Bytes is as large as it can be, but at most 255, and 0 for the first name.
        start, common, name = header.at, header.varint(), name[:255]
        require(common <= len(name), "more bytes in common than the name before has")
        suffix = header.take(header.varint())
        require(not suffix or suffix[:1] != name[common : common + 1], "more bytes are in common")
        # > A name has 1 to 65535 bytes and is UTF-8. All names differ
        name = name[:common] + suffix
        require(1 <= len(name) <= 65535, f"a name of {len(name)} bytes")
        require(name.decode() not in entries, "two tensors of one name")  # UTF-8, or ValueError
        encoding, code = divmod(header.next(), 16)  # Tensor_Descriptor
        # > Where the descriptor has 15, Wide_Dtype follows: the dtype, 15 or more.
        if code == 15 and version > 1:
            code = header.next()
            require(code >= 15, f"a byte for the dtype {code}")
        require(code < len(DTYPES) and encoding <= PLANES, "unknown dtype or encoding")
        is_shared, kind = encoding not in (RAW, PLANES), DTYPES[code].kind
        # > Version 1 has the dtypes 0 to 13, shares weights of float32 alone, and has no planes.
        in_first = code == FLOAT32 if is_shared else code < BFLOAT16 and encoding == RAW
        require(version > 1 or in_first, f"a dtype or encoding that version {version} hasn't got")
        # > Weights of bool, complex64 and complex128 can't be shared.
        require(not is_shared or kind in "iuf", "weights of this dtype can't be shared")
        # > The product of the axes that aren't 0, times the bytes of an element unless weights are
        # > shared, is below 2**63.
        rank = header.next()
        shape = tuple(header.varint() for _ in range(rank))
        most = prod(axis for axis in shape if axis) * (1 if is_shared else DTYPES[code].itemsize)
        require(rank <= 32 and most < 2**63, f"the shape {shape} is too large")
        fields = encoding, code, shape, header.varint()
        entries[name.decode()] = *fields, header.data[start : header.at]
    header.end()
    return metadata, entries


def widened(bits: np.ndarray, code: int) -> np.ndarray:
    """Return elements as they are, but those that NumPy lacks as float32."""
    # > a sign, then 8, 4 or 5 bits of exponent, then the mantissa
    if code < BFLOAT16:
        return bits
    if code == BFLOAT16:
        return (bits.astype(np.uint32) << 16).view(np.float32)
    mantissa_bits = 3 if code == FLOAT8_E4M3FN else 2
    mantissa = bits % 2**mantissa_bits
    exponent = bits >> mantissa_bits & 2 ** (7 - mantissa_bits) - 1
    bias = 2 ** (6 - mantissa_bits) - 1
    size = mantissa + 2.0**mantissa_bits * (exponent > 0)
    size *= 2.0 ** (np.maximum(exponent, 1).astype(int) - bias - mantissa_bits)
    # > float8_e4m3fn has no infinity, and one NaN of each sign.
    if code == FLOAT8_E4M3FN:
        size[bits & 127 == 127] = np.nan
    else:
        size[exponent == 31] = np.where(mantissa[exponent == 31] > 0, np.nan, np.inf)
    return np.where(bits >= 128, -size, size).astype(np.float32)


def read_planes(data: Cursor, code: int, count: int) -> np.ndarray:
    """Read elements whose bytes are coded plane by plane."""
    # > A word is an element, or either of the two floats of a complex number.
    dtype = DTYPES[code]
    floats = 2 if dtype.kind == "c" else 1
    words, width = count * floats, dtype.itemsize // floats
    block_bits, coders = data.next(), [data.next() for _ in range(width)]  # Plane_Coder
    require(block_bits <= 62 and max(coders) <= RANS, "a field of the head is too large")
    table_bytes = [data.varint() if coder else 0 for coder in coders]
    starts, blocks = range(0, max(1, words), 2**block_bits), []
    require(4 * len(starts) <= len(data.data), f"too few bytes for {len(starts)} blocks")
    for start in starts:
        # > A plane whose coder is 0 takes a byte for each word.
        n = min(2**block_bits, words - start)
        blocks.append((n, [data.varint() if coder else n for coder in coders]))
    tables = [data.take(size) for size in table_bytes]
    codes = [read_code(coder, 8, 256, table) for coder, table in zip(coders, tables, strict=True)]
    elements = []
    for n, sizes in blocks:
        if len(blocks) > 1:
            data.check_crc()
        word = np.zeros(n, np.uint64)
        for p, (coder, plane_code, size) in enumerate(zip(coders, codes, sizes, strict=True)):
            plane = decode(coder, plane_code, data.take(size), n)
            word |= plane.astype(np.uint64) << np.uint64(8 * p)
        # > A word of a float is rotated left by one bit, so that its sign becomes the lowest bit.
        if dtype.kind in "fc" or code >= BFLOAT16:
            word = word >> np.uint64(1) | (word & np.uint64(1)) << np.uint64(8 * width - 1)
        elements.append(word.astype(f"<u{width}"))
    data.check_crc()
    elements = np.concatenate(elements)
    require(code != 0 or elements.max(initial=0) <= 1, "a bool is neither 0 nor 1")
    return elements.view(dtype)


def read_raw(data: Cursor, code: int, count: int) -> np.ndarray:
    """Read elements that are stored as they are."""
    dtype = DTYPES[code]
    # > They are cut into chunks of 2**20 bytes, of which the last may have fewer. Only a tensor
    # > without elements has an empty chunk.
    size, elements = count * dtype.itemsize, bytearray()
    for start in range(0, max(1, size), 2**20):
        elements += data.take(min(2**20, size - start))
        data.check_crc()
    require(code != 0 or not elements.strip(b"\0\1"), "a bool is neither 0 nor 1")
    return np.frombuffer(elements, dtype)


def read_shared(data: Cursor, encoding: int, code: int, size: int) -> np.ndarray:
    """Read shared weights: the head, then each block."""
    # > Position_Coder is 0 where Encoding is dense.
    position_coder, label_coder = divmod(data.next(), 16)  # Coder_Descriptor
    require(label_coder <= RANS and position_coder <= RANS * (encoding != DENSE), "unknown coder")
    block_bits = data.next()
    position_bits = data.next() if encoding == RELATIVE else 8  # Gap_Bits
    k = data.varint()  # Centroid_Count
    in_range = block_bits <= 62 and 1 <= position_bits <= 8 and k <= 255
    require(in_range, "a field of the head is too large")
    table_bytes = [data.varint() if coder else 0 for coder in (label_coder, position_coder)]
    # > w(n) is the number of binary digits of n, at least 1.
    alphabet = k if encoding == BITMASK else k + 1
    label_bits = max(1, (alphabet - 1).bit_length())
    starts, blocks = range(0, max(1, size), 2**block_bits), []
    require(4 * len(starts) <= len(data.data), f"too few bytes for {len(starts)} blocks")
    for start in starts:
        # > Entry_Count is at most the number of elements of the block; where Encoding is dense, it
        # > is that number.
        elements = min(2**block_bits, size - start)
        entries = elements if encoding == DENSE else data.varint()
        positions = {RELATIVE: entries, DENSE: 0, BITMASK: -(-elements // 8)}[encoding]
        label_bytes = data.varint() if label_coder else -(-entries * label_bits // 8)
        position_bytes = data.varint() if position_coder else -(-positions * position_bits // 8)
        blocks.append((elements, entries, label_bytes, positions, position_bytes))
    # > A centroid is an element of Dtype where that has fewer than 4 bytes, else a float32.
    stored = DTYPES[code if DTYPES[code].itemsize < 4 else FLOAT32]
    # > Label 0 is the weight 0, label i is the i-th centroid.
    centroids = bytes(stored.itemsize * (alphabet - k)) + data.take(stored.itemsize * k)
    weights = np.frombuffer(centroids, stored)
    if code >= BFLOAT16:
        weights = widened(weights, code)
    require(np.isfinite(weights).all(), "a centroid isn't finite")
    # > Every centroid is a value of Dtype.
    if DTYPES[code].kind in "iu" and weights.dtype.kind == "f" and code < BFLOAT16:
        limits = np.iinfo(DTYPES[code])
        for w in weights.tolist():
            require(w.is_integer() and limits.min <= int(w) <= limits.max, f"{w} as a centroid")
    weights = weights.astype(DTYPES[code] if code < BFLOAT16 else np.float32)  # by symbol
    label_code = read_code(label_coder, label_bits, alphabet, data.take(table_bytes[0]))
    position_table = data.take(table_bytes[1])
    position_code = read_code(position_coder, position_bits, 2**position_bits, position_table)
    dense = []
    for elements, entries, label_bytes, positions, position_bytes in blocks:
        # > If Block_Count is 1, there is one chunk: the head followed by the block. Otherwise the
        # > head is chunk 0 and block i is chunk i + 1.
        if len(blocks) > 1:
            data.check_crc()
        labels = decode(label_coder, label_code, data.take(label_bytes), entries)
        coded = decode(position_coder, position_code, data.take(position_bytes), positions)
        # > The first entry of a block lies gap elements after the beginning of the block, every
        # > other gap + 1 elements after the entry before it. No entry lies outside its block.
        where = np.cumsum(coded + 1) - 1 if encoding == RELATIVE else np.arange(entries)
        # > Bit i % 8 of byte i // 8 of the mask is 1 where element i of the block has an entry.
        # > Entry_Count bits are 1, and the bits beyond the last element are 0.
        if encoding == BITMASK:
            where = np.flatnonzero(bits_of(coded.astype(np.uint8)))
        require(len(where) == entries, f"a mask of {len(where)} bits for {entries} entries")
        require(entries == 0 or where[-1] < elements, "an entry lies outside its block")
        dense.append(np.zeros(elements, weights.dtype))
        dense[-1][where] = weights[labels]
    data.check_crc()
    return np.concatenate(dense)


def read_code(coder: int, width: int, alphabet: int, table: bytes) -> dict | list:
    """Return the symbols by (length, code), or for rANS (symbol, start, f) by slot."""
    # > Symbol j of width b is the number in bits j*b … j*b + b-1, lowest first.
    if coder == FIXED_WIDTH:
        return {(width, int(f"{s:0{width}b}"[::-1], 2)): s for s in range(alphabet)}
    values = read_table(table, alphabet, *((4, 12) if coder == HUFFMAN else (24, 31)))
    # > Codes are numbered in the order of their lengths and, among those of one length, of their
    # > symbols: the first is 0, the next is the previous plus 1, shifted left by the growth of the
    # > length.
    if coder == HUFFMAN:
        codes, total = {}, 0  # of 2**-length, in units of 2**-12
        for length, symbol in sorted((n, symbol) for symbol, n in enumerate(values) if n):
            codes[length, total >> (12 - length)] = symbol
            total += 2 ** (12 - length)
        require(total == 2**12 or sum(values) <= 1, "the code isn't complete")
        return codes
    # > With n symbols that have a level and T the sum of their weights, the frequency of each is
    # > f = 1 + (W * (2**14 - n)) // T. What is left to 2**14 is added to the frequency of the first
    # > symbol among those of the largest weight.
    weights = {symbol: (2 + n % 2) << (n // 2) for symbol, n in enumerate(values) if n}
    total, slots = sum(weights.values()), []
    f = {symbol: 1 + w * (2**14 - len(weights)) // total for symbol, w in weights.items()}
    if f:
        f[max(weights, key=weights.__getitem__)] += 2**14 - sum(f.values())
    for symbol in f:
        slots += [(symbol, len(slots), f[symbol])] * f[symbol]
    return slots


def read_table(table: bytes, alphabet: int, previous: int, highest: int) -> list[int]:
    """Return the length or level of each symbol: tokens `0`, `1 0 s`, `1 1 1 s u` and `1 1 0 g`."""
    bits, values = Cursor(bits_of(np.frombuffer(table, np.uint8)).tobytes()), []
    while len(values) < alphabet:
        run = 0
        if bits.next():
            if (far := bits.next()) and not bits.next():
                # > The Elias gamma code of n is w - 1 zeros, then the w binary digits of n from the
                # > highest.
                zeros, run = 0, 1
                while not bits.next():  # the 1 after the zeros is the first digit
                    zeros += 1
                for digit in bits.take(zeros):
                    run = run << 1 | digit
                # > A run is as long as it can be: no run follows another.
                require(values[-1:] != [0], "a run that could be longer")
                require(run <= alphabet - len(values), "a run beyond the alphabet")
            else:
                previous += (sign := 1 - 2 * bits.next())
                while far:
                    previous, far = previous + sign, bits.next()
        # > No token leads to 0 or above the highest value.
        require(1 <= previous <= highest, f"a length or level of {previous}")
        values += [0] * run or [previous]
    bits.end(unused=7)
    return values


def decode(coder: int, code: dict | list, stream: bytes, count: int) -> np.ndarray:
    """Return the `count` symbols of a stream."""
    symbols, rest = [], Cursor(stream)
    if coder == RANS:
        # > A stream whose coder isn't 0 has at most 64 symbols to a byte.
        require(count <= 64 * len(stream), f"{count} symbols in {len(stream)} bytes")
        require(count == 0 or len(code) > 0, "symbols, but none has a level")
        # > A stream of no symbols has no bytes. Any other begins with the state x, an integer of 4
        # > bytes with 2**23 <= x < 2**31.
        x = int.from_bytes(rest.take(4), "little") if count else 2**23
        require(2**23 <= x < 2**31, "an initial state out of range")
        for _ in range(count):
            # > slot = x % 2**14; the symbol is the one with start <= slot < start + f.
            symbol, start, f = code[x % 2**14]
            # > x becomes f * (x >> 14) + slot - start.
            x = f * (x >> 14) + x % 2**14 - start
            # > While x < 2**23, x becomes (x << 8) + the next byte.
            while x < 2**23:
                x = (x << 8) + rest.next()
            symbols.append(symbol)
        # > After the last symbol x is exactly 2**23, and no byte is left.
        require(x == 2**23, "the last state isn't 2**23")
    else:
        rest = Cursor(bits_of(np.frombuffer(stream, np.uint8)).tobytes())
        for _ in range(count):
            # > A code is written from its highest bit to its lowest, into bits of the stream that
            # > ascend.
            length = digits = 0
            while (length, digits) not in code:
                length, digits = length + 1, digits << 1 | rest.next()
                require(length <= 12, "the code of no symbol")
            symbols.append(code[length, digits])
    rest.end(unused=0 if coder == RANS else 7)
    return np.array(symbols, np.int64)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python reader.py FILE")
    for name, tensor in read(Path(sys.argv[1]).read_bytes())[0].items():
        print(name, tensor.shape, tensor.dtype)
