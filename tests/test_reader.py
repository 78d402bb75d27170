"""The reference reader, written from the specification alone, agrees with the package."""

import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from campaigns.agreement import as_bits, bits_of, compare
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support import strategies
from support.file_parts import Parts, damaged, small_enough, take_apart, varint
from support.golden import base_of
from support.random_files import bases_of, foreign, packed, random_model
from support.reference_reader import READER, reader
from support.spec import spec_example

import deepcompress as dc
from deepcompress.container.records import (
    BITMASK,
    CODERS,
    DENSE,
    DTYPES,
    RELATIVE,
    SHARED_ENCODINGS,
    Coding,
)
from deepcompress.dtypes import NUMPY_LACKS
from deepcompress.tensors import FIXED_WIDTH, HUFFMAN, RANS, RANS1

GOLDENS = sorted((Path(__file__).parent / "golden").glob("*.dcnn"))
ONE = np.float32(1).tobytes()
STATE = (2**23).to_bytes(4, "little")
NO_BYTES = packed("110" + "0" * 8 + f"{256:b}")  # the table of 256 symbols that don't occur


@pytest.mark.parametrize("path", GOLDENS, ids=lambda path: path.stem)
def test_golden_files(path: Path) -> None:
    data, base = path.read_bytes(), base_of(path)
    tensors, metadata = reader.read(data, base)
    if path.stem == "v2-lacking":
        pytest.importorskip("ml_dtypes")
    else:
        with np.load(path.with_suffix(".npz")) as arrays:
            assert bits_of(tensors) == bits_of(arrays)
    model = dc.load(path, base=base)
    assert bits_of(tensors) == bits_of(model.to_dense())
    assert metadata == model.metadata
    assert take_apart(data).to_bytes() == data


def test_the_worked_example() -> None:
    tensors, metadata = reader.read(spec_example())
    assert metadata == {}
    assert {name: array.tolist() for name, array in tensors.items()} == {
        "w": [[0, 1.5, 0], [0, 0, -2]],
        "b": [0.5],
    }


def test_it_lists_what_is_in_a_file() -> None:
    command = [sys.executable, READER, GOLDENS[0].with_stem("v1-huffman")]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[:2] == [
        "conv1.weight (20, 1, 5, 5) float32",
        "conv1.bias (20,) float32",
    ]


coders = st.sampled_from([FIXED_WIDTH, HUFFMAN, RANS1, RANS])
blocks = st.integers(2, 12) | st.just(20)
codings = st.one_of(
    st.builds(Coding, st.just(RELATIVE), coders, coders, st.integers(1, 8), blocks),
    st.builds(Coding, st.just(DENSE), coders, block_bits=blocks),
    st.builds(Coding, st.just(BITMASK), coders, coders, block_bits=blocks),
)
raw = hnp.arrays(st.sampled_from(DTYPES), hnp.array_shapes(min_dims=0, max_dims=4, min_side=0))
names = st.text(st.sampled_from("ab.éè\0𝕎"), min_size=1, max_size=5)


@st.composite
def models(draw: st.DrawFn) -> dc.CompressedModel:
    tensors, storage = {}, {}
    for name in draw(st.lists(names, max_size=4, unique=True)):
        if draw(st.booleans()):
            tensors[name] = draw(raw)
        else:
            tensors[name] = draw(strategies.compressed()).packed
            storage[name] = draw(codings)
    metadata = draw(st.dictionaries(st.text(max_size=3), st.none() | st.floats(0, 1), max_size=2))
    return dc.CompressedModel(tensors, metadata, storage=storage)


def too_many_symbols_to_a_byte(data: bytes) -> bool:
    """Say whether rANS, where it was asked for, codes more symbols than a reader takes."""
    try:
        reader.read(data)
    except ValueError as refusal:
        return "symbols in" in str(refusal)
    return False


@given(models())
def test_models_stored_in_any_way(model: dc.CompressedModel) -> None:
    data = model.to_bytes()
    if not compare(data):
        assert too_many_symbols_to_a_byte(data)
        return
    assert bits_of(reader.read(data)[0]) == bits_of(model.to_dense())
    assert take_apart(data).to_bytes() == data


@given(
    hnp.arrays(np.float32, st.tuples(st.integers(0, 40), st.integers(0, 40)), fill=st.just(0.0),
               elements=st.sampled_from([0.0, 0.5, -1.0, 2.0])),
    st.sampled_from(CODERS),
    st.sampled_from([None, *SHARED_ENCODINGS]),
)  # fmt: skip
def test_what_compress_stores(w: np.ndarray, coder: str, encoding: str | None) -> None:
    fields = {} if encoding is None else {"encoding": encoding}
    config = dc.Config(dc.TensorConfig(min_size=0, coder=coder, **fields))
    assert compare(dc.compress({"w": w}, config).to_bytes())


seeds = st.integers(0, 2**32 - 1)


@given(models(), seeds)
def test_damaged_files(model: dc.CompressedModel, seed: int) -> None:
    data = model.to_bytes()
    if compare(data):
        worse = damaged(data, np.random.default_rng(seed))
        if small_enough(worse):
            compare(worse)


@given(seeds)
def test_what_only_other_writers_do(seed: int) -> None:
    rng = np.random.default_rng(seed)
    data = foreign(rng)
    if not compare(data):
        assert too_many_symbols_to_a_byte(data)
        return
    assert take_apart(data).to_bytes() == data
    worse = damaged(data, rng)
    if small_enough(worse):
        compare(worse)


@pytest.mark.parametrize("common", [254, 255, 256, 300])
def test_a_name_has_at_most_255_bytes_in_common_with_the_one_before(common: int) -> None:
    names = [b"a" * 400, b"a" * 300 + b"b"]
    second = names[1][common:]
    records = [
        b"\0" + varint(400) + names[0] + b"\0\1\0",
        varint(common) + varint(len(second)) + second + b"\0\1\0",
    ]
    data = Parts(b"{}", records, [[b""], [b""]]).to_bytes()
    assert compare(data) == (common == 255)
    tensors = {name.decode(): np.zeros(0, bool) for name in names}
    assert (dc.CompressedModel(tensors).to_bytes() == data) == (common == 255)


def test_truncated_files_and_files_with_a_tail() -> None:
    data = spec_example()
    assert compare(data)
    for size in range(len(data)):
        assert not compare(data[:size])
    assert not compare(data + b"\0")


def test_changed_bits() -> None:
    data = spec_example()
    for at in range(8 * len(data)):
        changed = bytearray(data)
        changed[at // 8] ^= 1 << at % 8
        assert not compare(bytes(changed))


def one(
    shape: tuple[int, ...],
    kind: int | tuple[int, int],
    *chunks: bytes,
    name: bytes = b"w",
    version: int = 1,
) -> bytes:
    """Return a file of one tensor, its checksums and sizes right."""
    kinds = (kind,) if isinstance(kind, int) else kind
    record = b"\0" + varint(len(name)) + name + bytes([*kinds, len(shape)])
    record += b"".join(varint(axis) for axis in shape)
    return Parts(b"{}", [record], [list(chunks)], version).to_bytes()


def dense(elements: int, coder: int, table: str, stream: bytes, k: int = 1) -> bytes:
    """Return a file of labels whose code's table is given in bits."""
    table_bytes = packed(table.replace(" ", ""))
    head = bytes([coder, 20, k, len(table_bytes), len(stream)]) + ONE * k
    return one((elements,), 0x2A, head + table_bytes + stream)


def tied(
    *indices: int | bytes, kind: int = 0x52, shape: tuple[int, ...] = (2,), version: int = 3
) -> bytes:
    """Return a file of two int16, and of tensors that are tied to those of a number."""
    records, chunks = [b"\0\1a\2\1\2"], [[b"\1\0\2\0"]]
    for name, index in zip(b"bc", indices, strict=False):
        records.append(bytes([0, 1, name, kind, len(shape), *shape]))
        chunks.append([index if isinstance(index, bytes) else varint(index)])
    return Parts(b"{}", records, chunks, version).to_bytes()


GROUP = b"\2\0\x14\1" + ONE + b"\5"  # dense, three labels at fixed width


def grouped(rows: int, *second: bytes, kind: int = 0x8A, version: int = 3) -> bytes:
    """Return a file of a float32 of two rows, in groups of so many."""
    groups = [GROUP, *(second or [GROUP])]
    head = bytes([rows, *map(len, groups)])
    return one((2, 3), kind, head, *groups, version=version)


def metadata(text: bytes) -> bytes:
    return Parts(text, [], []).to_bytes()


def named(*recorded: tuple[int, bytes]) -> bytes:
    """Return a file of bool scalars, whose names are given as they are stored."""
    records = [varint(p) + varint(len(rest)) + rest + b"\0\0" for p, rest in recorded]
    return Parts(b"{}", records, [[b"\1"]] * len(records)).to_bytes()


ACCEPTED = {
    "white space around metadata": metadata(b" {}\n"),
    "a key twice": metadata(b'{"a": 1, "a": 2}'),
    "a name of 65535 bytes": named((0, b"x" * 65535)),
    "a cut character": named((0, "é".encode()), (1, b"\xa8")),
    "a name that begins the one before": named((0, b"ab"), (1, b"")),
    "rank 32": one((1,) * 32, 1, b"\1"),
    "raw chunks": one((2**20 + 1,), 1, bytes(2**20), b"\1"),
    "version 2 where 1 would do": one((1,), 1, b"\1", version=2),
    "bfloat16": one((1,), 14, b"\x80\x3f", version=2),
    "float8_e5m2": one((2,), (15, 16), b"\x7f\xfc", version=2),
    "planes of int8": one((3,), 0x41, b"\0\0", b"\7", b"\x08", b"\x09", version=2),
    "planes of nothing": one((0, 3), 0x4D, b"\x14" + b"\0" * 8, version=2),
    "the largest int32 of a float32": one((1,), 0x23, b"\0\x14\1\xff\xff\xff\x4e\1", version=2),
    "-0.0 as int32": one((1,), 0x23, b"\0\x14\1\0\0\0\x80\1", version=2),
    "version 3 where 1 would do": one((1,), 1, b"\1", version=3),
    "a tied tensor": tied(0),
    "two groups": grouped(1),
    "float16 centroids": one((1,), 0x2A, b"\x08\x14\1\0\x3c\1", version=3),
    "float16 centroids of float64": one((1,), 0x2B, b"\x08\x14\1\0\x3c\1", version=3),
    "a group of float16 centroids": grouped(1, b"\2\x08\x14\1\0\x3c\5"),
    "groups of one row and of two": one(
        (3, 3), 0x8A, b"\2\x09\x09", GROUP[:-1] + b"\x15", GROUP, version=3
    ),
    "groups of nothing": one((2, 0), 0x8A, b"\1\4\4", *[b"\2\0\x14\0"] * 2, version=3),
    "no elements, a great shape": one((0, 2**60), 10, b""),
    "no symbols": dense(0, HUFFMAN, "110 010", b""),
    "one symbol": dense(1, HUFFMAN, "111 1 10 110 1", b"\0"),
    "a symbol that never occurs": dense(0, HUFFMAN, "111 1 10 110 1", b""),
    "no symbols, but levels": dense(0, RANS1, "0 0", b""),
    "64 symbols to a byte": dense(256, RANS1, "0 110 1", STATE),
    "only label 0": dense(8, HUFFMAN, "111 1 10", b"\0", k=0),
    "no centroids": one((3,), 0x3A, b"\0\x14\0\0\0"),
    "no centroids, an empty table": one((3,), 0x3A, b"\1\x14\0\0\0\0\0"),
    "needless fillers": one((3,), 0x1A, b"\0\x14\1\1\3" + ONE + b"\0\0"),
    "a centroid of -0.0": one((1,), 0x2A, b"\0\x14\1\0\0\0\x80\1"),
    "blocks of 2**62": one((3,), 0x2A, b"\0\x3e\1" + ONE + b"\5"),
}

REFUSED = {
    "metadata of no bytes": metadata(b""),
    "null": metadata(b"null"),
    "a byte order mark": metadata(b"\xef\xbb\xbf{}"),
    "-Infinity": metadata(b'{"a": -Infinity}'),
    "deep metadata": metadata(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "a name of 65536 bytes": named((0, b"x" * 65535), (65535, b"y")),
    "a name twice": named((0, b"ab"), (2, b"")),
    "a name twice, not in turn": named((0, b"a"), (0, b"b"), (0, b"a")),
    "a name of half a surrogate pair": named((0, b"\xed\xa0\x80")),
    "bytes in common with no name": named((1, b"a")),
    "2**63 elements, were none 0": one((0, 2**32, 2**31), 1, b""),
    "2**63 bytes, were no axis 0": one((0, 2**61), 10, b""),
    "2**63 bytes of zeros, when they are made dense": one((0, 2**61), 0x2A, b"\0\x3e\0"),
    "an empty chunk too many": one((2**20,), 1, bytes(2**20), b""),
    "raw chunks of another size": one((2**20 + 1,), 1, bytes(2**20 - 1), b"\1\1"),
    "no chunk": one((0,), 1),
    "an empty table": dense(0, HUFFMAN, "", b""),
    "a run in two parts": dense(0, HUFFMAN, "110 1 110 1", b""),
    "a run that is too long": dense(0, HUFFMAN, "110 011", b""),
    "one symbol of length 4": dense(1, HUFFMAN, "0 110 1", b"\0"),
    "the other bit": dense(1, HUFFMAN, "111 1 10 110 1", b"\1"),
    "length 0 by steps": dense(0, HUFFMAN, "111 1 10 101", b""),
    "a long unary number": dense(0, HUFFMAN, "1" * 900, b""),
    "a long gamma code": dense(0, HUFFMAN, "110" + "0" * 200 + "1" * 201, b""),
    "level 32": dense(0, RANS1, "111 0 1111110 0", b""),
    "more than 64 symbols to a byte": dense(257, RANS1, "0 110 1", STATE),
    "a state of 2**31": dense(1, RANS1, "0 110 1", b"\0\0\0\x80"),
    "a state, but no symbol": dense(0, RANS1, "0 110 1", STATE),
    "symbols, but no level": dense(1, RANS1, "110 010", STATE),
    "an entry, but no centroid": one((3,), 0x3A, b"\0\x14\0\1\0\1"),
    "a mask beyond the elements": one((3,), 0x3A, b"\0\x14\1\1" + ONE + b"\0\x08"),
    "a varint of a byte too many": one((1,), 0x2A, b"\0\x14\x81\0" + ONE + b"\1"),
    "an infinite centroid": one((1,), 0x2A, b"\0\x14\1\0\0\x80\x7f\1"),
    "another last state": dense(1, RANS1, "0 110 1", b"\1\0\x80\0"),
    "a name that says too little in common": named((0, b"ab"), (0, b"ac")),
    "more bits in the mask than entries": one((3,), 0x3A, b"\0\x14\1\1" + ONE + b"\0\3"),
    "a bool of 2": one((1,), 0, b"\2"),
    "a filler outside its block": one((1,), 0x1A, b"\0\x14\1\1\1" + ONE + b"\0\1"),
    "more entries than elements": one((1,), 0x1A, b"\0\x14\1\1\2" + ONE + b"\3\0"),
    "planes in version 1": one((1,), 0x45, b"\0\0\7"),
    "bfloat16 in version 1": one((1,), 14, b"\0\0"),
    "dtype 15 without a byte in version 1": one((1,), 15, b"\0"),
    "shared float16 in version 1": one((1,), 0x29, b"\0\x14\1\0\x3c\1"),
    "a byte for dtype 14": one((1,), (15, 14), b"\0\0", version=2),
    "dtype 17": one((1,), (15, 17), b"\0", version=2),
    "encoding 15": one((1,), 0xF5, b"\0\0\7", version=3),
    "a tied tensor in version 2": tied(0, version=2),
    "tied to itself": tied(1),
    "tied to one that isn't there": tied(2),
    "tied to one that is tied": tied(0, 1),
    "tied to another dtype": tied(0, kind=0x51),
    "tied to another shape": tied(0, shape=(1, 2)),
    "a tie of a byte too many": tied(b"\0\0"),
    "a tie of a long varint": tied(b"\x80\0"),
    "a tie without a number": tied(b""),
    "a tie to 2**63": tied(b"\xff" * 9 + b"\1"),
    "float16 centroids in version 2": one((1,), 0x2A, b"\x08\x14\1\0\x3c\1", version=2),
    "float16 centroids of int32": one((1,), 0x23, b"\x08\x14\1\0\x3c\1", version=3),
    "an infinite centroid of float16": one((1,), 0x2A, b"\x08\x14\1\0\x7c\1", version=3),
    "half a centroid of float16": one((1,), 0x2A, b"\x08\x14\1\0\1", version=3),
    "coder 3 with float16 centroids": one((1,), 0x2A, b"\x0b\x14\1\0\x3c\1", version=3),
    "half positions": one((1,), 0x1A, b"\x80\x14\1\1\1" + ONE + b"\1\0", version=3),
    "groups in version 2": grouped(1, version=2),
    "groups of no rows": grouped(0),
    "groups of all rows": grouped(2),
    "groups of a vector": one((2,), 0x8A, b"\1\x09\x09", GROUP, GROUP, version=3),
    "groups of bools": grouped(1, kind=0x80),
    "a group that is missing": one((2, 3), 0x8A, b"\1\x09\x09", GROUP, version=3),
    "a group too many": one((2, 3), 0x8A, b"\1\x09\x09", *[GROUP] * 3, version=3),
    "a raw group": grouped(1, b"\0" + GROUP[1:]),
    "a group in planes": grouped(1, b"\4" + GROUP[1:]),
    "a group of two blocks": grouped(1, b"\2\0\1\1" + ONE + b"\1\0"),
    "a group of a byte too many": grouped(1, GROUP + b"\0"),
    "a group of a byte too few": grouped(1, GROUP[:-1]),
    "an empty group": grouped(1, b""),
    "a delta in version 2": one((1,), 0x65, bytes(17), version=2),
    "a delta without a base": one((1,), 0x65, bytes(17), version=3),
    "shared bools": one((1,), 0x20, b"\0\x14\0\0", version=2),
    "shared complex64": one((1,), 0x2C, b"\0\x14\1" + ONE + b"\1", version=2),
    "an infinite float16 centroid": one((1,), 0x29, b"\0\x14\1\0\x7c\1", version=2),
    "a NaN as float8_e4m3fn centroid": one((1,), (0x2F, 15), b"\0\x14\1\x7f\1", version=2),
    "half an int32": one((1,), 0x23, b"\0\x14\1\0\0\0\x3f\1", version=2),
    "-1 as uint64": one((1,), 0x28, b"\0\x14\1\0\0\x80\xbf\1", version=2),
    "2**31 as int32": one((1,), 0x23, b"\0\x14\1\0\0\0\x4f\1", version=2),
    "an unknown coder of a plane": one((1,), 0x45, b"\0\3\0\0\7", version=2),
    "blocks of 2**63 words": one((1,), 0x45, b"\x3f\0\7", version=2),
    "a bool of 2 in planes": one((1,), 0x40, b"\0\0\2", version=2),
    "a plane of a byte too many": one((1,), 0x45, b"\0\0\7\7", version=2),
    "a plane of a byte too few": one((2,), 0x45, b"\1\0\7", version=2),
    "more than 64 bytes of a plane to a byte": one((65,), 0x45, b"\7\2\1\1\0\0", version=2),
    "2**63 bytes in planes": one((0, 2**61), 0x44, b"\0" * 9, version=2),
    "planes without a head": one((1,), 0x45, b"", version=2),
    "a coder of no positions": one((1,), 0x2A, b"\x10\x14\1\3\0" + ONE + NO_BYTES + b"\1"),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_both_accept(name: str) -> None:
    if name in NUMPY_LACKS:
        pytest.importorskip("ml_dtypes")
    assert compare(ACCEPTED[name])


@pytest.mark.parametrize("name", REFUSED)
def test_both_refuse(name: str) -> None:
    assert not compare(REFUSED[name])


INT16 = {"w": np.array([1, 2, 0, 3], np.int16), "t": np.array([True, False])}
DIGEST = {name: hashlib.sha256(array.tobytes()).digest()[:16] for name, array in INT16.items()}


def delta(*rest: bytes, kind: int = 0x62, size: int = 4, name: str = "w") -> bytes:
    first, *chunks = rest
    chunks = [DIGEST[name] + first, *chunks]
    return one((size,), kind, *chunks, name=name.encode(), version=3)


DELTAS = {
    "no difference": (delta(b"\0"), [1, 2, 0, 3]),
    "one byte": (delta(b"\1\x10\0\0\0\1\0"), [1, 2, -1, 3]),
    "two bytes": (delta(b"\2\x10\0\0\0\0\xff\0\0\0\xff\0"), [1, 2, -(2**15), 3]),
    "a difference of zeros": (delta(b"\1\x10\0" + bytes(4)), [1, 2, 0, 3]),
    "blocks": (delta(b"\1\1\0", b"\2\0", b"\0\4"), [2, 2, 0, 5]),
    "bools": (delta(b"\1\x10\0\1\2", kind=0x60, size=2, name="t"), [False, True]),
    "a bool of 2": (delta(b"\1\x10\0\2\0", kind=0x60, size=2, name="t"), None),
    "three bytes": (delta(b"\3\x10\0\0\0" + bytes(12)), None),
    "four bytes": (delta(b"\4\x10\0\0\0\0" + bytes(16)), None),
    "two bytes of a bool": (delta(b"\2\x10\0\0" + bytes(4), kind=0x60, size=2, name="t"), None),
    "a byte too many": (delta(b"\0\0"), None),
    "a chunk too many": (delta(b"\0", b""), None),
    "no head": (one((4,), 0x62, DIGEST["w"], version=3), None),
    "half a digest": (one((4,), 0x62, DIGEST["w"][:8], version=3), None),
    "another digest": (one((4,), 0x62, DIGEST["t"] + b"\0", version=3), None),
    "another dtype": (delta(b"\0", kind=0x66), None),
    "another shape": (delta(b"\0", size=3), None),
    "another name": (one((4,), 0x62, DIGEST["w"] + b"\0", name=b"v", version=3), None),
}


@pytest.mark.parametrize("name", DELTAS)
def test_both_read_deltas_or_refuse_them(name: str) -> None:
    data, values = DELTAS[name]
    assert compare(data, INT16) == (values is not None)
    assert not compare(data)
    if values is not None:
        (array,) = reader.read(data, INT16)[0].values()
        assert array.tolist() == values


@given(seeds)
def test_random_models_of_all_encodings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng)
    data, base = model.to_bytes(), bases_of(model)
    if compare(data, base):
        assert bits_of(reader.read(data, as_bits(base))[0]) == bits_of(model.to_dense())
        worse = damaged(data, rng)
        if small_enough(worse):
            compare(worse, base)
