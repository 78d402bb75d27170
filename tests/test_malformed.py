"""Files that break one rule each, made from the worked example of docs/format.md.

Every vector names its change. Checksums are mended where the rule under test lies
behind them, so that this rule answers.
"""

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from support.spec import spec_example

from deepcompress.container.reader import parse
from deepcompress.container.records import (
    BITMASK,
    CRC,
    DENSE,
    PREFIX,
    RELATIVE,
    Block,
    Coding,
    SharedRecord,
)
from deepcompress.container.writer import pack
from deepcompress.errors import (
    ChecksumError,
    DeepCompressError,
    FormatError,
    TruncatedError,
    VersionError,
)
from deepcompress.pipeline import compress, from_bytes
from deepcompress.tensors import HUFFMAN

EXAMPLE = spec_example()
HEADER = slice(PREFIX.size, PREFIX.size + 19)
CHUNK = slice(HEADER.stop + 4, HEADER.stop + 4 + 15)
W_TENSOR_HEADER = slice(HEADER.start + 4, HEADER.start + 12)


def changed(offset: int, new: str, old_bytes: int | None = None) -> bytes:
    """Put bytes in the place of as many, or of `old_bytes`, and mend every checksum."""
    replacement = bytes.fromhex(new)
    end = offset + (len(replacement) if old_bytes is None else old_bytes)
    data = bytearray(EXAMPLE[:offset] + replacement + EXAMPLE[end:])
    growth = len(data) - len(EXAMPLE)
    header_growth = growth if offset < HEADER.stop else 0
    header_bytes = HEADER.stop - HEADER.start + header_growth
    data[9:13] = header_bytes.to_bytes(4, "little")
    header_end = PREFIX.size + header_bytes
    data[header_end : header_end + 4] = CRC.pack(zlib.crc32(data[:header_end]))
    chunk = slice(CHUNK.start + header_growth, CHUNK.stop + growth)
    tensor_header = data[W_TENSOR_HEADER.start : W_TENSOR_HEADER.stop]
    crc = zlib.crc32(data[chunk], zlib.crc32(tensor_header))
    data[chunk.stop : chunk.stop + 4] = CRC.pack(crc)
    return bytes(data)


H, C = HEADER.start, CHUNK.start

VECTORS = [
    # the prefix
    ("empty", b"", FormatError, "it begins empty"),
    ("another file's magic", b"PK\3\4" + EXAMPLE[4:], FormatError, "not a .dcnn file"),
    ("only a part of the magic", EXAMPLE[:5], TruncatedError, "only 5 bytes"),
    ("line ends changed", EXAMPLE.replace(b"\r\n", b"\n", 1), FormatError, "not a .dcnn file"),
    ("version 5", EXAMPLE[:8] + b"\5" + EXAMPLE[9:], VersionError, "version 5 is newer than 4"),
    ("version 0", EXAMPLE[:8] + b"\0" + EXAMPLE[9:], FormatError, "no format version 0"),
    ("header of 4 GiB", EXAMPLE[:9] + b"\xff" * 4 + EXAMPLE[13:], TruncatedError, "4294967295"),
    # the header
    ("a header byte", EXAMPLE[:H] + b"\3" + EXAMPLE[H + 1 :], ChecksumError, "of the header"),
    ("metadata not JSON", changed(H + 1, "7b7b"), FormatError, "isn't JSON"),
    ("metadata no object", changed(H + 1, "3132"), FormatError, "isn't a JSON object"),
    ("metadata not UTF-8", changed(H + 1, "ffff"), FormatError, "isn't JSON"),
    ("metadata NaN", changed(H, "097b2261223a4e614e7d", 3), FormatError, "NaN has no JSON form"),
    ("metadata in UTF-16", changed(H, "067b0022002200", 3), FormatError, "isn't JSON"),
    ("three tensors", changed(H + 3, "03"), TruncatedError, "common bytes of a name"),
    ("one tensor", changed(H + 3, "01"), FormatError, "bytes more than declared"),
    ("name of no bytes", changed(H + 5, "00"), FormatError, "a name can't have 0 bytes"),
    ("name not UTF-8", changed(H + 6, "ff"), FormatError, "isn't UTF-8"),
    ("more common than there is", changed(H + 12, "02"), FormatError, "2 bytes of the one before"),
    ("common bytes not said", changed(H + 14, "77"), FormatError, "more in common"),
    ("two tensors of one name", changed(H + 12, "0100", 3), FormatError, "are named 'w'"),
    ("encoding 4", changed(H + 7, "4a"), FormatError, "'w': unknown encoding 4"),
    ("dtype 14", changed(H + 15, "0e"), FormatError, "'b': dtype 14"),
    ("shared float64", changed(H + 7, "1b"), FormatError, "'w': dtype 11 can't be relative"),
    ("rank 33", changed(H + 16, "21"), FormatError, "'b': rank 33 is above 32"),
    ("2**126 elements", changed(H + 16, "02" + "ffffffffffffffff7f" * 2, 2), FormatError, "2.*63"),
    ("a GB of elements", changed(H + 17, "8080808001", 1), FormatError, "8 bytes for 268435456 x"),
    # the chunk of the relative tensor
    ("a chunk's byte", EXAMPLE[: C + 13] + b"\0" + EXAMPLE[C + 14 :], ChecksumError, "tensor 'w'"),
    ("coder 3", changed(C, "03"), FormatError, "unknown coder"),
    ("coder 3 of gaps", changed(C, "30"), FormatError, "unknown coder"),
    ("blocks of 2**63", changed(C + 1, "3f"), FormatError, r"blocks of 2\*\*63"),
    ("more blocks than bytes", changed(C + 1, "00"), FormatError, "'w'"),
    ("gaps of 9 bits", changed(C + 2, "09"), FormatError, "gaps of 9 bits"),
    ("gaps of no bits", changed(C + 2, "00"), FormatError, "gaps of 0 bits"),
    ("256 centroids", changed(C + 3, "8002"), FormatError, "256 centroids, 255 is the most"),
    ("4 centroids, bytes of 2", changed(C + 3, "04"), TruncatedError, "codebook .* needs 16 bytes"),
    ("7 entries of 6", changed(C + 4, "07"), FormatError, "7 stored entries in 6"),
    ("bytes left over", changed(C + 4, "05"), FormatError, "data of 19 bytes, its chunks take 21"),
    ("infinite centroid", changed(C + 5, "0000807f"), FormatError, "isn't finite"),
    ("label 3 of 0 to 2", changed(C + 13, "07"), FormatError, "'w'.*label"),
    ("padding of the labels", changed(C + 13, "16"), FormatError, "'w'.*padding"),
    ("an entry beyond the end", changed(C + 14, "0e"), FormatError, "'w'.*entry|position"),
    # after the end
    ("a byte too many", EXAMPLE + b"\0", FormatError, "1 bytes follow the last tensor"),
]


@pytest.mark.parametrize(
    ("data", "error", "words"), [pytest.param(*vector[1:], id=vector[0]) for vector in VECTORS]
)
def test_each_broken_rule_has_its_error(data: bytes, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words) as caught:
        from_bytes(data, "x.dcnn")
    assert type(caught.value) is error
    assert str(caught.value).startswith("x.dcnn: ")


def test_mending_checksums_alone_changes_nothing() -> None:
    assert changed(H, EXAMPLE[H : H + 1].hex()) == EXAMPLE


def small_file() -> bytes:
    rng = np.random.default_rng(0)
    w = rng.choice([1.0, 2, 3, -1], p=[0.7, 0.1, 0.1, 0.1], size=(40, 60))
    w *= rng.random((40, 60)) < np.where(np.arange(40) < 8, 0.6, 0.02)[:, np.newaxis]
    model = compress({"w": w, "b": np.ones(3, np.float32)}, metadata={"a": 1})
    data = model.to_bytes()
    record = parse(data).records["w"]
    assert isinstance(record, SharedRecord)
    assert record.coding.label_coder == record.coding.position_coder == HUFFMAN
    return data


@pytest.mark.parametrize("make", [lambda: EXAMPLE, small_file], ids=["example", "huffman"])
class TestDamage:
    def test_every_prefix_is_refused(self, make: Callable[[], bytes]) -> None:
        data = make()
        for size in range(1, len(data)):
            with pytest.raises(TruncatedError):
                from_bytes(data[:size])

    def test_every_changed_byte_is_noticed(self, make: Callable[[], bytes]) -> None:
        data = make()
        for offset in range(len(data)):
            for flip in (0x01, 0x80, 0xFF):
                damaged = bytearray(data)
                damaged[offset] ^= flip
                with pytest.raises(DeepCompressError):
                    from_bytes(bytes(damaged))


def test_a_truncated_file_says_what_is_whole() -> None:
    data = pack({"a": np.ones(2, np.float32), "b": np.ones(100, np.float32)})
    with pytest.raises(TruncatedError, match=r"10 of \d+ bytes are missing; 1 of 2 .* whole: 'a'"):
        from_bytes(data[:-10])


def test_chunks_that_changed_places_are_noticed() -> None:
    a, b = (pack({name: np.full(2, v, np.float32)}) for name, v in (("a", 1), ("b", 2)))
    assert len(a) == len(b)
    with pytest.raises(ChecksumError, match="'a'"):
        from_bytes(a[:-12] + b[-12:])


def test_a_code_table_that_is_too_long_is_refused() -> None:
    """The size of the gaps' table is in the chunk; its own bits end earlier."""
    record = parse(small_file()).records["w"]
    assert isinstance(record, SharedRecord)
    for table in ("label_table", "position_table"):
        longer = replace(record, **{table: getattr(record, table) + b"\0"})
        with pytest.raises(FormatError, match="1 bytes too many in a code table"):
            from_bytes(pack({"w": longer}))


def shared(coding: Coding, shape: tuple[int, ...], *blocks: Block) -> bytes:
    """Return a file of one tensor "w" with the centroids 1 and 2, checksums right."""
    codebook = np.array([0, 1, 2], np.float32)
    return pack({"w": SharedRecord(shape, codebook, coding, b"", b"", blocks)})


def test_the_encodings_in_their_smallest_form() -> None:
    """The vectors below break files that are valid without the change."""
    for data, dense in [
        (shared(Coding(DENSE), (3,), Block(3, b"\x24", b"")), [0, 1, 2]),
        (shared(Coding(BITMASK), (3,), Block(2, b"\2", b"\5")), [1, 0, 2]),
        (
            shared(
                Coding(BITMASK, block_bits=1), (3,), Block(1, b"\1", b"\2"), Block(0, b"", b"\0")
            ),
            [0, 2, 0],
        ),
    ]:
        assert from_bytes(data)["w"].to_dense().tolist() == dense


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (shared(Coding(DENSE), (3,), Block(3, b"\x27", b"")), "no centroid"),
        (shared(Coding(DENSE), (3,), Block(3, b"\x64", b"")), "padding"),
        (shared(Coding(DENSE, 0, 1), (3,), Block(3, b"\x24", b"")), "no positions to code"),
        (shared(Coding(BITMASK), (3,), Block(2, b"\2", b"\1")), "mask of 1 bits for 2 entries"),
        (shared(Coding(BITMASK), (3,), Block(2, b"\2", b"\x09")), "beyond its elements"),
        (shared(Coding(BITMASK), (3,), Block(4, b"\2", b"\7")), "4 stored entries in 3"),
        (shared(Coding(BITMASK, 1), (3,), Block(2, b"\2", b"\5")), "no symbol|code is empty|ends"),
        (
            shared(
                Coding(RELATIVE, 0, 0, 1, 1), (3,), Block(1, b"\1", b"\0"), Block(1, b"\1", b"\1")
            ),
            "outside",
        ),
    ],
)
def test_broken_streams(data: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words) as caught:
        from_bytes(data, "x.dcnn")
    assert str(caught.value).startswith("x.dcnn: tensor 'w': ")


def test_a_stream_of_too_many_symbols_is_refused_unseen() -> None:
    """At most 64 symbols to a byte: so reading takes time in proportion to the file."""
    block = Block(65 * 8, b"\0" * 8, b"\0" * 65)
    data = shared(Coding(BITMASK, 1), (65 * 8,), block)
    with pytest.raises(FormatError, match="520 symbols in a stream of 8 bytes"):
        from_bytes(data)


def test_blocks_that_changed_places_are_noticed() -> None:
    blocks = Block(1, b"\0", b"\1"), Block(1, b"\0", b"\2")
    coding = Coding(BITMASK, block_bits=1)
    data = shared(coding, (4,), *blocks)
    first, second = data[-12:-6], data[-6:]
    assert from_bytes(data)["w"].to_dense().tolist() == [1, 0, 0, 1]
    with pytest.raises(ChecksumError, match=r"'w'.*chunk 1"):
        from_bytes(data[:-12] + second + first)
