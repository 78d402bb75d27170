"""Random models for our writer, and random files as another writer may make them."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np

from deepcompress import dtypes, relindex
from deepcompress.coding.delta import DeltaCoding
from deepcompress.coding.grouped import GroupedCoding
from deepcompress.container.records import BITMASK, DENSE, RELATIVE, WIDE_DTYPE, Coding, PlaneCoding
from deepcompress.model import CompressedModel
from deepcompress.packed.grouped import GroupedTensor
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS, RANS1, SharedWeights
from support.file_parts import Parts, varint
from support.reference_reader import reader

HAS_ML_DTYPES = find_spec("ml_dtypes") is not None
HELD = [one for one in dtypes.TYPES if HAS_ML_DTYPES or one.name not in dtypes.NUMPY_LACKS]
SHAREABLE = [one for one in HELD if one.is_shareable]
NAME_PARTS = ["conv", "1", ".w", "é", "è", "\0", "𝕎", "x" * 150]


def random_shape(rng, most):
    """Return a shape of rank 0 to 4 and at most `most` elements, rarely with an axis of 0."""
    rank = int(rng.integers(0, 5))
    side = max(1, int(most ** (1 / max(rank, 1))))
    return tuple(int(n) for n in rng.integers(rng.random() > 0.1, side + 1, rank))


def random_raw(rng):
    """Return an array of any dtype, whose bytes may be anything, or of few values."""
    element_type = HELD[rng.integers(0, len(HELD))]
    shape = random_shape(rng, 300) if rng.random() < 0.995 else (2**17 + int(rng.integers(-1, 2)),)
    size = int(np.prod(shape)) * element_type.itemsize
    data = np.frombuffer(rng.bytes(size), np.uint8)
    data = data // np.uint8(rng.choice([1, 1, 3, 50, 255]))
    data = data % 2 if element_type.kind == "b" else data
    return element_type.array(data.view(element_type.bits)).reshape(shape)


def random_planes(array, rng):
    """Return how an array is stored in planes."""
    coders = rng.integers(0, 4, dtypes.named(array.dtype).word_bytes)
    unrotated = bool(dtypes.named(array.dtype).kind in "fc" and rng.random() < 0.3)
    return PlaneCoding(tuple(coders.tolist()), int(rng.choice([0, 3, 7, 16, 62])), unrotated)


def random_delta(array, rng):
    """Return how an array is stored as the difference to a random base."""
    element_type = dtypes.named(array.dtype)
    bits = dtypes.bits_of(array, element_type).copy().view(np.uint8)
    changed = rng.random(len(bits)) < rng.choice([0, 0.02, 0.5])
    if element_type.kind == "b":
        bits[changed] ^= 1
    else:
        bits[changed] = rng.integers(0, 256, int(changed.sum()), dtype=np.uint8)
    base = element_type.array(bits.view(element_type.bits)).reshape(array.shape)
    planes = random_planes(array, rng) if rng.random() < 0.6 else None
    return DeltaCoding(base, planes)


def bases_of(model):
    """Return the base that the deltas of a model need."""
    how = model.storage.items()
    return {name: one.base for name, one in how if isinstance(one, DeltaCoding)}


def random_shared(rng):
    """Return shared weights: any codebook, density, width of gaps and skew of the labels."""
    shape = random_shape(rng, 2 ** int(rng.integers(0, 12)))
    size = int(np.prod(shape))
    bits, gap_bits = (int(n) for n in rng.integers(1, 9, 2))
    k = int(rng.integers(0, 2**bits))
    codebook = np.concatenate([[0], np.sort(rng.normal(size=k))]).astype(np.float32)
    positions = np.flatnonzero(
        rng.random(size) < rng.choice([0, 0.003, 0.05, 0.3, 0.9, 1]) * (k > 0)
    )
    skew = rng.dirichlet(np.full(max(k, 1), rng.choice([0.01, 0.3, 10])))
    labels = (1 + rng.choice(max(k, 1), positions.size, p=skew)).astype(np.uint8)
    element_type = dtypes.FLOAT32
    if rng.random() < 0.2:  # so that float16 has them
        codebook = codebook.astype(np.float16).astype(np.float32)
    elif rng.random() < 0.4:
        element_type = SHAREABLE[rng.integers(0, len(SHAREABLE))]
        codebook = element_type.rounded(np.abs(8 * codebook))
    shared = SharedWeights(codebook, labels, bits)
    gaps = relindex.encode(positions, size, gap_bits)
    return CompressedTensor.from_parts(shape, shared, gaps).of_type(element_type)


def random_groups(tensor, rng):
    """Return a tensor cut into groups of rows, and how these are stored."""
    group_rows = int(rng.integers(1, tensor.rows))
    starts = range(0, tensor.rows, group_rows)
    groups = tuple(tensor[start : start + group_rows] for start in starts)
    codings = tuple(replace(random_coding(rng), block_bits=20) for _ in groups)
    codings = tuple(replace(one, half=bool(rng.random() < 0.2)) for one in codings)
    return GroupedTensor(tensor.shape, group_rows, groups), GroupedCoding(codings)


def random_coding(rng):
    """Return how shared weights are stored."""
    encoding = rng.choice([RELATIVE, DENSE, BITMASK])
    coders = [FIXED_WIDTH, HUFFMAN, RANS1, RANS]
    label_coder, position_coder = (coders[i] for i in rng.integers(0, 4, 2))
    block_bits = int(rng.integers(2, 12)) if rng.random() < 0.6 else 20
    if encoding == DENSE:
        return Coding(DENSE, label_coder, FIXED_WIDTH, block_bits=block_bits)
    if encoding == BITMASK:
        return Coding(BITMASK, label_coder, position_coder, block_bits=block_bits)
    gap_bits = int(rng.integers(1, 9))
    return Coding(RELATIVE, label_coder, position_coder, gap_bits, block_bits)


def random_model(rng):
    """Return a model of up to four tensors, whose names often begin alike."""
    tensors, storage = {}, {}
    for _ in range(rng.integers(rng.random() > 0.05, 5)):
        name = "".join(NAME_PARTS[i] for i in rng.integers(0, len(NAME_PARTS), rng.integers(1, 6)))
        if name in tensors:
            continue
        if rng.random() < 0.3:
            tensors[name] = random_raw(rng)
            if rng.random() < 0.5:
                storage[name] = random_planes(tensors[name], rng)
            elif rng.random() < 0.5:
                storage[name] = random_delta(tensors[name], rng)
        else:
            tensors[name] = random_shared(rng)
            storage[name] = replace(random_coding(rng), half=bool(rng.random() < 0.3))
            if tensors[name].rows > 1 and len(tensors[name].shape) > 1 and rng.random() < 0.3:
                tensors[name], storage[name] = random_groups(tensors[name], rng)
    for name in list(tensors)[: rng.integers(0, 3)]:
        twin = name[:200] + "'"
        if twin not in tensors:
            tensors[twin] = tensors[name]
            storage |= {twin: storage[name]} if name in storage and rng.random() < 0.9 else {}
    values = [None, True, 1, -0.5, 1e300, "é\n", [], {"a": [2**70]}]
    metadata = {str(i): values[rng.integers(0, len(values))] for i in range(rng.integers(0, 3))}
    return CompressedModel(tensors, metadata, storage=storage)


# What our writer doesn't do --------------------------------------------------------------------


def packed(bits):
    """Return a string of bits as bytes, the first bit the lowest."""
    return bytes(int(bits[i : i + 8][::-1], 2) for i in range(0, len(bits), 8))


def table_of(values, previous):
    """Return the table of lengths or levels."""
    bits, i = "", 0
    while i < len(values):
        run = next((n for n, value in enumerate(values[i:]) if value), len(values) - i)
        if run:
            digits = f"{run:b}"
            bits += "110" + "0" * (len(digits) - 1) + digits
            i += run
            continue
        step, previous = values[i] - previous, values[i]
        if abs(step) < 2:
            bits += ["0", "100", "101"][step]
        else:
            bits += "111" + str(int(step < 0)) + "1" * (abs(step) - 2) + "0"
        i += 1
    return packed(bits)


def random_lengths(n, rng):
    """Return the lengths of a complete code of n symbols."""
    lengths = [1] if n == 1 else [0]
    while len(lengths) < n:
        i = int(rng.choice([i for i, length in enumerate(lengths) if length < 12]))
        lengths[i] += 1
        lengths.append(lengths[i])
    return lengths


def coded(coder, streams, alphabet, width, rng):
    """Return a table that may have symbols that don't occur, and the coded streams."""
    if coder == FIXED_WIDTH:
        return b"", [packed("".join(f"{s:0{width}b}"[::-1] for s in stream)) for stream in streams]
    occur = {s for stream in streams for s in stream}
    occur |= {int(s) for s in range(alphabet) if rng.random() < 0.02}
    values = [0] * alphabet
    if coder == HUFFMAN:
        for symbol, length in zip(occur, random_lengths(len(occur), rng), strict=bool(occur)):
            values[symbol] = length
        table = table_of(values, 4)
        codes = reader.read_code(coder, width, alphabet, table)
        codes = {s: f"{code:0{n}b}" for (n, code), s in codes.items()}
        return table, [packed("".join(codes[s] for s in stream)) for stream in streams]
    for symbol in occur:
        values[symbol] = int(rng.integers(1, 32))
    table = table_of(values, 24)
    slots = reader.read_code(coder, width, alphabet, table)
    slots = {symbol: (start, f) for symbol, start, f in slots}
    return table, [one_state(stream, slots, coder) for stream in streams]


def one_state(stream, slots, coder):
    """Return a stream of rANS that has one state, as those of few symbols have."""
    bits, lowest, unit = (14, 2**23, 1) if coder == RANS1 else (12, 2**15, 2)
    x, emitted = lowest, b""
    for symbol in reversed(stream):
        start, f = slots[symbol]
        while x >= f << 31 - bits:
            emitted = (x % 256**unit).to_bytes(unit, "little") + emitted
            x >>= 8 * unit
        x = (x // f << bits) + x % f + start
    return x.to_bytes(4, "little") + emitted if stream else b""


def foreign(rng):
    """Return a file as another writer may make it, of shared weights, by the format's text.

    It has fillers that aren't needed, centroids that no label names, that occur twice, that are 0,
    blocks of any size, codes that are far from the best, and symbols that occur nowhere.
    """
    encoding = int(rng.integers(1, 4))
    label_coder, position_coder = (int(n) for n in rng.integers(0, 4, 2))
    position_coder *= encoding != reader.DENSE
    size, e = int(rng.integers(0, 400)), int(rng.choice([0, 3, 6, 7, 8, 9, 20, 62]))
    k, width = int(rng.choice([0, 1, 2, 3, 4, 7, 255])), int(rng.integers(1, 9))
    centroids = rng.choice([0.0, -0.0, 1e-45, 1, 2, -3e38], k).astype("<f4")
    element_type = dtypes.FLOAT32
    if rng.random() < 0.3:
        element_type = SHAREABLE[rng.integers(0, len(SHAREABLE))]
        values = rng.choice([0, 0, 1, 3, 7, 112], k).astype(np.float32)
        centroids = element_type.narrowed(values)
    most = int(rng.choice([1, 2, 400])) if rng.random() < 0.5 else 0
    labels, positions, entries = [], [], []
    for start in range(0, max(size, 1), 2**e):
        n = min(2**e, size - start)
        if encoding == reader.DENSE:
            labels.append(rng.integers(0, k + 1, n).tolist())
        elif encoding == reader.RELATIVE:
            gaps = rng.integers(0, 2**width, most)
            gaps = gaps[np.cumsum(gaps + 1) <= n]
            positions.append(gaps.tolist())
            labels.append(rng.integers(0, k + 1, len(gaps)).tolist())
        else:
            mask = (rng.random(n) < rng.choice([0.1, 0.9])) & (k > 0)
            positions.append(np.packbits(mask, bitorder="little").tolist())
            labels.append(rng.integers(0, max(k, 1), mask.sum()).tolist())
        entries.append(b"" if encoding == reader.DENSE else varint(len(labels[-1])))
    alphabet = k + (encoding != reader.BITMASK)
    label_bits = max(1, max(alphabet - 1, 0).bit_length())
    if encoding != reader.RELATIVE:
        width = 8
    label_table, labels = coded(label_coder, labels, alphabet, label_bits, rng)
    position_table, positions = coded(position_coder, positions, 2**width, width, rng)
    positions = positions or [b""] * len(labels)
    head = bytes([label_coder | position_coder << 4, e])
    head += bytes([width] if encoding == reader.RELATIVE else []) + varint(k)
    head += varint(len(label_table)) if label_coder else b""
    head += varint(len(position_table)) if position_coder else b""
    for count, label_bytes, position_bytes in zip(entries, labels, positions, strict=True):
        head += count
        head += varint(len(label_bytes)) if label_coder else b""
        head += varint(len(position_bytes)) if position_coder else b""
    chunks = [head + centroids.tobytes() + label_table + position_table]
    chunks += [a + b for a, b in zip(labels, positions, strict=True)]
    if len(chunks) == 2:
        chunks = [b"".join(chunks)]
    number = element_type.number
    wide = bytes([number]) if number >= WIDE_DTYPE else b""
    record = bytes([0, 1, 0x77, min(number, WIDE_DTYPE) | encoding << 4]) + wide + b"\1"
    version = 3 if RANS in (label_coder, position_coder) else 1 + (element_type != dtypes.FLOAT32)
    return Parts(b"{}", [record + varint(size)], [chunks], version).to_bytes()
