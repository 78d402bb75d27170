"""Read `.dcnn` files by NumPy alone: ``python docs/reader.py FILE`` lists what is in one.

Written from the text of format.md, whose names it uses and whose sentences it quotes (``# >``), to
be read beside it. It shares no code with the package, and prefers few lines to speed.
"""

import json
import sys
from functools import partial
from hashlib import sha256
from math import prod
from pathlib import Path
from zlib import crc32

import numpy as np

# One by one; the last three, which NumPy lacks, as the integers of their bits.
DTYPES = np.dtype("?,i1,<i2,<i4,<i8,u1,<u2,<u4,<u8,<f2,<f4,<f8,<c8,<c16,<u2,u1,u1")
FLOAT16, FLOAT32, FLOAT64, BFLOAT16, FLOAT8_E4M3FN, FLOAT8_E5M2 = 9, 10, 11, 14, 15, 16
RAW, RELATIVE, DENSE, BITMASK, PLANES, TIED, DELTA, CONTEXT, GROUPED = range(9)
FIXED_WIDTH, HUFFMAN, RANS1, RANS = range(4)
# At logits of 0, 128 … 2048.
S = [32768, 40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357]
S += [64816, 65097, 65269, 65374, 65438, 65476, 65500, 65514]
# What follows each state after an even number, and after an odd one.
FOLLOWING = [(0, 2), (7, 5), (1, 3), (6, 4), (2, 0), (5, 7), (3, 1), (4, 6)]
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


def read(
    data: bytes, base: dict[str, np.ndarray] | None = None
) -> tuple[dict[str, np.ndarray], dict]:
    """Return a file's tensors, dense, and its metadata; ValueError if it breaks a rule.

    A bfloat16 or float8 tensor is returned as float32; those of a `base` are given as their bits.
    """
    file, tensors = Cursor(data), {}
    metadata, entries = read_header(file)
    order = list(entries)
    for name, (encoding, code, shape, data_bytes, tensor_header) in entries.items():
        chunks, n = Cursor(file.take(data_bytes), tensor_header), prod(shape)
        if encoding == TIED:
            # > Tensor_Index is the number, from 0, of a tensor before this one. It has the same
            # > Dtype and shape, and isn't tied itself.
            index = chunks.varint()
            chunks.check_crc()
            require(index < len(tensors), f"no tensor {index} before it")
            other = entries[order[index]]
            require(other[0] != TIED and other[1:3] == (code, shape), "another kind of tensor")
            elements = tensors[order[index]]
        elif encoding == DELTA:
            require(base is not None and name in base, "this needs a base")
            elements = widened(read_delta(chunks, code, shape, base[name]), code)
        elif encoding == GROUPED:
            elements = read_grouped(chunks, code, shape)
        elif encoding in (RAW, PLANES):
            elements = (
                read_raw(chunks, code, n)
                if encoding == RAW
                else read_planes(chunks, code, n, data[8])
            )
            elements = widened(elements, code)
        elif encoding == CONTEXT:
            elements = read_context(chunks, code, shape, data[8])
        else:
            elements = read_shared(chunks, encoding, code, n, data[8])
        chunks.end()
        tensors[name] = elements.reshape(shape)
    file.end()
    return tensors, metadata


def read_header(file: Cursor) -> tuple[dict, dict[str, tuple]]:
    """Return the metadata, and the fields of each Tensor_Header by the tensor's name."""
    # > A reader refuses a Format_Version that it doesn't know.
    require(file.take(8) == b"\x89DCNN\r\n\x1a", "this isn't a .dcnn file")
    version = file.next()
    require(1 <= version <= 4, f"version {version} is unknown")
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
        require(code < len(DTYPES) and encoding <= GROUPED, "unknown dtype or encoding")
        shared, kind = (RELATIVE, DENSE, BITMASK, CONTEXT, GROUPED), DTYPES[code].kind
        is_shared = encoding in shared
        # > Version 1 has the dtypes 0 to 13, shares weights of float32 alone, and has no planes.
        # > Versions 1 and 2 have no tied tensors, no deltas, no contexts and no grouped tensors.
        in_first = code == FLOAT32 if is_shared else code < BFLOAT16 and encoding == RAW
        is_there = encoding <= PLANES if version == 2 else in_first
        require(version > 2 or is_there, f"a dtype or encoding that version {version} hasn't got")
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


def read_planes(data: Cursor, code: int, count: int, version: int) -> np.ndarray:
    """Read elements whose bytes are coded plane by plane."""
    # > A word is an element, or either of the two floats of a complex number.
    dtype = DTYPES[code]
    floats = 2 if dtype.kind == "c" else 1
    is_float = dtype.kind in "fc" or code >= BFLOAT16
    elements = read_words(data, count * floats, dtype.itemsize // floats, is_float, version)
    require(code != 0 or elements.max(initial=0) <= 1, "a bool is neither 0 nor 1")
    return elements.view(dtype)


def read_delta(data: Cursor, code: int, shape: tuple[int, ...], base: np.ndarray) -> np.ndarray:
    """Read elements that are those of the base's tensor, but for a difference."""
    dtype = DTYPES[code]
    # > the first 16 bytes of the SHA-256 of the base's elements, as a raw tensor has them
    is_alike = (base.shape, base.dtype) == (shape, dtype)
    own = sha256(base.tobytes()).digest()[:16]
    require(data.take(16) == own and is_alike, "this needs another base")
    width = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    words = np.frombuffer(base.tobytes(), f"<u{width}")
    # > 0 where there is no difference, else 1, 2, 4 or 8, at most the bytes of a word
    stored_bytes = data.next()
    require(stored_bytes in (0, 1, 2, 4, 8) and stored_bytes <= width, "a difference too wide")
    if stored_bytes:
        stored = read_words(data, len(words), stored_bytes, False, 3).astype(words.dtype)
        # > The difference d of a word and the base's, modulo 2**b for words of b bits, is stored as
        # > 2 * d where d is below 2**(b - 1), else as 2 * (2**b - d) - 1.
        half = stored >> stored.dtype.type(1)
        words = words + np.where(stored % 2 == 0, half, ~half)
    else:
        data.check_crc()
    require(code != 0 or words.max(initial=0) <= 1, "a bool is neither 0 nor 1")
    return words.view(dtype)


def read_grouped(data: Cursor, code: int, shape: tuple[int, ...]) -> np.ndarray:
    """Read shared weights of groups of rows, each group for itself."""
    group_rows = data.varint()
    # > A grouped tensor has rank 2 or more, and Group_Rows is at least 1 and below its first axis.
    require(len(shape) > 1 and 1 <= group_rows < shape[0], f"groups of {group_rows} rows")
    starts = range(0, shape[0], group_rows)
    require(len(starts) <= len(data.data), f"too few bytes for {len(starts)} groups")
    sizes = [data.varint() for _ in starts]
    data.check_crc()
    elements = []
    for start, size in zip(starts, sizes, strict=True):
        end = data.at + size
        encoding = data.next()
        require(RELATIVE <= encoding <= BITMASK, "a group that isn't shared")
        rows = min(group_rows, shape[0] - start)
        # > A group has one block, to whose end its data reach.
        elements.append(read_shared(data, encoding, code, prod((rows, *shape[1:])), 3, True))
        require(data.at == end + 4, "a group that doesn't fill its chunk")
    return np.concatenate(elements)


def read_words(data: Cursor, words: int, width: int, is_float: bool, version: int) -> np.ndarray:
    """Read words of so many bytes each, which are coded plane by plane."""
    block_bits, coders = data.next(), [data.next() for _ in range(width)]  # Plane_Coder
    # > Unrotated is 1 where they aren't. It is 0 before version 3, and unless words are floats.
    unrotated = block_bits & 128 if version > 2 and is_float else 0
    block_bits -= unrotated
    # > Versions 1 and 2 have no rANS of several states.
    strongest = RANS if version > 2 else RANS1
    require(block_bits <= 62 and max(coders) <= strongest, "a field of the head is too large")
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
        if is_float and not unrotated:
            word = word >> np.uint64(1) | (word & np.uint64(1)) << np.uint64(8 * width - 1)
        elements.append(word.astype(f"<u{width}"))
    data.check_crc()
    return np.concatenate(elements)


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


def read_shared(
    data: Cursor, encoding: int, code: int, size: int, version: int, one_block: bool = False
) -> np.ndarray:
    """Read shared weights: the head, then each block."""
    # > Half_Centroids is 1 where centroids are float16. It is 0 before version 3, and unless Dtype
    # > is float32 or float64.
    descriptor = data.next()  # Coder_Descriptor
    half = descriptor & 8 if version > 2 and code in (FLOAT32, FLOAT64) else 0
    # > Position_Coder is 0 where Encoding is dense.
    position_coder, label_coder = divmod(descriptor - half, 16)
    # > Versions 1 and 2 have no rANS of several states.
    strongest = RANS if version > 2 else RANS1
    is_known = label_coder <= strongest and position_coder <= strongest * (encoding != DENSE)
    require(is_known, "unknown coder")
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
    require(len(starts) == 1 or not one_block, "a group of several blocks")
    for start in starts:
        # > Entry_Count is at most the number of elements of the block; where Encoding is dense, it
        # > is that number.
        elements = min(2**block_bits, size - start)
        entries = elements if encoding == DENSE else data.varint()
        positions = {RELATIVE: entries, DENSE: 0, BITMASK: -(-elements // 8)}[encoding]
        label_bytes = data.varint() if label_coder else -(-entries * label_bits // 8)
        position_bytes = data.varint() if position_coder else -(-positions * position_bits // 8)
        blocks.append((elements, entries, label_bytes, positions, position_bytes))
    weights = read_centroids(data, code, k, half)[int(encoding == BITMASK) :]  # by symbol
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


def read_centroids(data: Cursor, code: int, k: int, half: int) -> np.ndarray:
    """Return the weight of each label, 0 to k."""
    # > A centroid is an element of Dtype where that has fewer than 4 bytes, else a float32.
    stored = DTYPES[FLOAT16 if half else code if DTYPES[code].itemsize < 4 else FLOAT32]
    # > Label 0 is the weight 0, label i is the i-th centroid.
    weights = np.frombuffer(bytes(stored.itemsize) + data.take(stored.itemsize * k), stored)
    if code >= BFLOAT16:
        weights = widened(weights, code)
    require(np.isfinite(weights).all(), "a centroid isn't finite")
    # > Every centroid is a value of Dtype.
    if DTYPES[code].kind in "iu" and weights.dtype.kind == "f" and code < BFLOAT16:
        limits = np.iinfo(DTYPES[code])
        for w in weights.tolist():
            require(w.is_integer() and limits.min <= int(w) <= limits.max, f"{w} as a centroid")
    return weights.astype(DTYPES[code] if code < BFLOAT16 else np.float32)


def read_context(data: Cursor, code: int, shape: tuple[int, ...], version: int) -> np.ndarray:
    """Read shared weights whose labels are coded by contexts."""
    # > Coder_Descriptor is 0 but for Half_Centroids, Grid and Trellis: there are no other coders.
    descriptor = data.next()
    half, grid, trellis = descriptor & 8, descriptor & 2, descriptor & 1
    require(not (half or grid) or code in (FLOAT32, FLOAT64), "centroids of another dtype")
    # > Trellis is 0 before version 4.
    # > Grid is 0 before version 4, and unless Dtype is float32 or float64.
    require(not (grid or trellis) or version > 3, "a grid or a trellis before version 4")
    # > Half_Centroids and Grid aren't both 1.
    require(descriptor == half + grid + trellis and not (half and grid), "unknown coder")
    k = data.varint()
    require(k <= 255, f"{k} centroids")
    weights = read_grid(data, code, k) if grid else read_centroids(data, code, k, half)
    stream = data.take(max(len(data.data) - data.at - 4, 0))
    # > Element_Count is at most 4096 * (Stream_Bytes + 4).
    require(prod(shape) <= 4096 * (len(stream) + 4), "too many elements for the stream")
    contexts = Contexts(stream, trellis)
    labels = contexts.labels(shape, weights.tolist()) if prod(shape) else []
    require(len(labels) > 0 or not stream, "bytes are left over")
    data.check_crc()
    return weights[np.array(labels, np.int64)]


def read_grid(data: Cursor, code: int, k: int) -> np.ndarray:
    """Return the weight of each label, 0 to k, as multiples of a step."""
    below = data.next()  # Below_Count
    (step,) = np.frombuffer(data.take(4), "<f4").tolist()
    # > Below_Count is at most Centroid_Count, which isn't 0.
    require(below <= k and k > 0, f"{below} centroids below 0, of {k}")
    # > Centroid i is the float32 that is nearest to Step * r, the product of the numbers, where r
    # > is i - 1 - Below_Count for the first Below_Count centroids, and i - Below_Count for others.
    r = [0, *(i - 1 - below if i <= below else i - below for i in range(1, k + 1))]
    with np.errstate(over="ignore", invalid="ignore"):
        weights = (step * np.array(r, np.float64)).astype(np.float32)
    # > Step is above 0, and all centroids are finite.
    require(step > 0 and np.isfinite(weights).all(), f"a step of {step}")
    return weights.astype(DTYPES[code])


class Contexts:
    """The decoder of labels that have contexts."""

    def __init__(self, stream: bytes, trellis: int) -> None:
        self.stream, self.at, self.low, self.high = stream, 0, 0, 2**32 - 1
        self.trellis = trellis
        self.word = int.from_bytes((stream + bytes(4))[:4], "big")
        self.squashed = [self.squash(x) for x in range(-2047, 2048)]
        x, self.stretched = -2047, []
        for p in range(4096):
            while x < 2047 and self.squash(x) < 16 * p + 8:
                x += 1
            self.stretched.append(x)
        self.counters: dict[tuple, list[int]] = {}
        self.sets: dict[int, list[int]] = {}

    def squash(self, x: int) -> int:
        """Return a logit's probability."""
        if x < 0:
            return 65536 - self.squash(-x)
        i, f = x // 128, x % 128
        return (S[i] * (128 - f) + S[i + 1] * f + 64) >> 7

    def density(self, p: int) -> int:
        """Return the density of a counter's probability."""
        return min((self.stretched[p >> 10] + 2048) >> 7, 31)

    @staticmethod
    def learn(counter: list[int], b: int, limit: int) -> None:
        """Have a counter learn a decision."""
        p, n = counter
        rate = 131072 // (2 * n + 3)
        p = p + ((2**22 - p) * rate >> 16) if b else p - (p * rate >> 16)
        counter[:] = p, n + (n < limit)

    def decide(self, number: int, *contexts: tuple) -> int:
        """Return the next decision, given the number of the set and the contexts."""
        counters = [self.counters.setdefault(context, [2**21, 0]) for context in contexts]
        weights = self.sets.setdefault(number, [16384] * len(counters) + [0, 0])
        xs = [self.stretched[p >> 10] for p, _ in counters] + [256]
        y = sum(x * weight for x, weight in zip(xs, weights[:-1], strict=True)) >> 16
        probability = self.squashed[min(max(y, -2047), 2047) + 2047]
        probability = min(max(probability, 96), 65440)
        b = self.bit(probability)
        u = weights[-1]
        e = ((b * 65536 - probability) * (3 + 384 // (16 + u))) >> 4
        for i, x in enumerate(xs):
            weights[i] = min(max(weights[i] + ((x * e + 8192) >> 14), -(2**20)), 2**20)
        weights[-1] = u + (u < 368)
        for counter in counters:
            self.learn(counter, b, 1023)
        return b

    def bit(self, probability: int) -> int:
        """Return the next bit of the arithmetic code."""
        middle = self.low + ((self.high - self.low) * probability >> 16)
        b = int(self.word <= middle)
        if b:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            require(self.at < len(self.stream), "the stream has ended")
            following = self.stream[self.at + 4 : self.at + 5]
            self.word = (self.word << 8) % 2**32 + (following[0] if following else 0)
            self.low, self.high = (self.low << 8) % 2**32, (self.high << 8) % 2**32 + 255
            self.at += 1
        return b

    def end(self) -> None:
        """Refuse another end than the one there must be."""
        # > e bytes of the stream are left in the word, the fewest, 0 to 4, that with zeros behind
        # > give a number within low … high. The word is the least such number.
        for e in range(5):
            unit = 2 ** (32 - 8 * e)
            least = -(-self.low // unit) * unit
            if least <= self.high:
                is_right = len(self.stream) - self.at == e and self.word == least
                return require(is_right, "the stream doesn't end as it must")

    def labels(self, shape: tuple[int, ...], weights: list[float]) -> list[int]:
        """Return the label of each element."""
        rows = shape[0] if shape else 1
        cols, kernel = prod(shape[1:]), prod(shape[2:])
        order = sorted(range(1, len(weights)), key=lambda label: weights[label])
        below = [label for label in order if weights[label] < 0]
        signed = [[0, *order[len(below) :]], [0, *below[::-1]]]  # by sign and magnitude
        level = {0: (0, 0)}
        for sign, group in enumerate(signed):
            for rank, label in enumerate(group[1:], 1):
                # > The magnitude of a label is the number of its rank, (rank + 1) // 2.
                level[label] = sign + 1, (rank + 1) // 2 if self.trellis else rank
        found: list[list[int]] = []
        columns, whole = [[2**21, 0] for _ in range(cols)], [2**21, 0]
        for r in range(rows):
            found.append([])
            row, r1 = [whole[0], min(whole[1], 4)], min(r.bit_length(), 7)
            state = 0
            for c in range(cols):

                def at(up: int, left: int, r: int = r, c: int = c) -> tuple[int, int]:
                    is_inside = up <= r and 0 <= c - left < cols
                    return level[found[r - up][c - left] if is_inside else 0]

                near = [at(0, 1), at(0, 2), at(1, 0), at(1, -1), at(1, 1)]
                near += [at(0, shape[-1]), at(0, kernel)] if kernel > 1 else [at(2, 0), near[4]]
                w, ww, n, ne, _, a, b = (
                    m if m < 4 else min(m.bit_length() + 1, 7) for _, m in near
                )
                beside = (max(c - 1, 0), c, c, min(c + 1, cols - 1))
                around = sum(p * 1024 + count for p, count in map(columns.__getitem__, beside)) >> 2
                dense = self.density(row[0])
                odd = state % 2
                flag = self.decide(
                    153 + r1 if odd else r1,
                    ("column", self.density(columns[c][0]), r1),
                    ("W A B", state, w, a, b),
                    ("flags", *(m > 0 for _, m in near), dense // 4),
                    ("around", self.density(around >> 10), dense),
                    ("WW N NE", ww, n, ne),
                )
                label = m = 0
                if flag:
                    # > Of a sign with N centroids there are M = (N + state % 2) // 2 numbers.
                    most = [len(group) - 1 for group in signed]
                    if self.trellis:
                        most = [(ranks + odd) // 2 for ranks in most]
                    require(any(most), "a label without a centroid")
                    sign = int(most[0] == 0)
                    if all(most):
                        s = [sign for sign, _ in near]
                        first, second = ("signs", s[0], s[2], s[5]), ("signs", s[1], s[6])
                        sign = self.decide(8, first, second, ("sign",))
                    sizes = (w, a), (b, n), (2 * w + ww + n + a + b,)
                    m = self.magnitude((sign, odd), most[sign], *sizes)
                    # > In an even state, number m is that of rank 2 * m, in an odd state that of
                    # > rank 2 * m - 1.
                    label = signed[sign][2 * m - odd if self.trellis else m]
                if self.trellis:
                    state = FOLLOWING[state][m % 2]
                found[r].append(label)
                self.learn(columns[c], flag, 255)
                self.learn(row, flag, 63)
                self.learn(whole, flag, 1023)
        self.end()
        return [label for row in found for label in row]

    def magnitude(self, alone: tuple[int, int], most: int, *sizes: tuple) -> int:
        """Return the next magnitude, 1 to `most`; `alone` are its sign and if its state is odd."""

        def decide(node: int) -> int:
            tables = [(f"m{i}", node, *size) for i, size in enumerate(sizes)]
            return self.decide(9 + node, ("m", *alone, node), *tables)

        more, v = 0, 1
        while more < most.bit_length() - 1 and decide(more):
            more += 1
        for j in reversed(range(more)):
            node = 8 + 16 * more + (v if v < 8 else 8 + j)
            v = 2 * v + (decide(node) if (2 * v + 1) << j <= most else 0)
        return v


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
    n, total, slots = len(weights), sum(weights.values()), []
    if coder == RANS1:
        f = {symbol: 1 + w * (2**14 - n) // total for symbol, w in weights.items()}
        if f:
            f[max(weights, key=weights.__getitem__)] += 2**14 - sum(f.values())
        starts = {symbol: sum(list(f.values())[:i]) for i, symbol in enumerate(f)}
    else:
        # > what a weight has beyond a share of 1 is E = max(0, W * 2**12 - T). The start of the
        # > symbol that has i others of a level before it is i + (2**12 - n) * E_Before // E_Sum,
        # > where E_Before is the sum of the E of these, and E_Sum that of all.
        beyond = [max(0, w * 2**12 - total) for w in weights.values()]
        before = [sum(beyond[:i]) for i in range(n)]
        ends = [i + (2**12 - n) * one // sum(beyond) for i, one in enumerate(before)] + [2**12]
        starts = dict(zip(weights, ends, strict=False))
        f = {symbol: ends[i + 1] - ends[i] for i, symbol in enumerate(weights)}
    for symbol in f:
        slots += [(symbol, starts[symbol], f[symbol])] * f[symbol]
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
    if coder in (RANS1, RANS):
        # > A stream whose coder isn't 0 has at most 64 symbols to a byte.
        require(count <= 64 * len(stream), f"{count} symbols in {len(stream)} bytes")
        require(count == 0 or len(code) > 0, "symbols, but none has a level")
        # > the sum of frequencies is 2**12, a state is at least 2**15, and it takes 16 bits at
        # > once, a word of two bytes.
        bits, lowest, word_bytes = (14, 2**23, 1) if coder == RANS1 else (12, 2**15, 2)
        # > N is the largest power of two for which N * 2**12 <= S, but at least 1 and at most 32.
        number = 1
        while coder == RANS and number < 32 and 2 * number * 2**12 <= count:
            number *= 2
        # > A stream of no symbols has no bytes. Any other begins with the state x, an integer of 4
        # > bytes with 2**23 <= x < 2**31.
        number = min(number, count)
        states = [int.from_bytes(rest.take(4), "little") for _ in range(number)]
        require(all(lowest <= x < 2**31 for x in states), "an initial state out of range")
        for i in range(count):
            # > Symbol i has state i % N
            x = states[i % number]
            # > slot = x % 2**14; the symbol is the one with start <= slot < start + f.
            symbol, start, f = code[x % 2**bits]
            # > x becomes f * (x >> 14) + slot - start.
            x = f * (x >> bits) + x % 2**bits - start
            # > While x < 2**23, x becomes (x << 8) + the next byte.
            while x < lowest:
                x = (x << 8 * word_bytes) + int.from_bytes(rest.take(word_bytes), "little")
            states[i % number] = x
            symbols.append(symbol)
        # > After the last symbol x is exactly 2**23, and no byte is left.
        require(all(x == lowest for x in states), "a last state isn't the lowest")
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
    rest.end(unused=0 if coder in (RANS1, RANS) else 7)
    return np.array(symbols, np.int64)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python reader.py FILE")
    for name, tensor in read(Path(sys.argv[1]).read_bytes())[0].items():
        print(name, tensor.shape, tensor.dtype)
