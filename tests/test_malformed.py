"""Files that break one rule each, told from the bytes of the specification's example.

Every vector says what was changed. Checksums are mended where the rule under
test lies behind them, so that it is that rule which answers.
"""

import zlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from spec import spec_example

from deepcompress.container import CRC, PREFIX, SharedRecord, pack
from deepcompress.container_reader import parse
from deepcompress.errors import (
    ChecksumError,
    DeepCompressError,
    FormatError,
    TruncatedError,
    VersionError,
)
from deepcompress.pipeline import compress, from_bytes
from deepcompress.tensors import HUFFMAN, CodedStream

EXAMPLE = spec_example()
HEADER = slice(PREFIX.size, PREFIX.size + 19)
PAYLOAD = slice(HEADER.stop + 4, HEADER.stop + 4 + 14)
W_RECORD = slice(HEADER.start + 4, HEADER.start + 12)


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
    payload = slice(PAYLOAD.start + header_growth, PAYLOAD.stop + growth)
    record = data[W_RECORD.start : W_RECORD.stop]
    crc = zlib.crc32(data[payload], zlib.crc32(record))
    data[payload.stop : payload.stop + 4] = CRC.pack(crc)
    return bytes(data)


H, P = HEADER.start, PAYLOAD.start

VECTORS = [
    # the prefix
    ("empty", b"", FormatError, "it begins empty"),
    ("another file's magic", b"PK\3\4" + EXAMPLE[4:], FormatError, "not a .dcnn file"),
    ("only a part of the magic", EXAMPLE[:5], TruncatedError, "only 5 bytes"),
    ("line ends changed", EXAMPLE.replace(b"\r\n", b"\n", 1), FormatError, "not a .dcnn file"),
    ("version 2", EXAMPLE[:8] + b"\2" + EXAMPLE[9:], VersionError, "version 2 is newer than 1"),
    ("version 0", EXAMPLE[:8] + b"\0" + EXAMPLE[9:], FormatError, "no format version 0"),
    ("header of 4 GiB", EXAMPLE[:9] + b"\xff" * 4 + EXAMPLE[13:], TruncatedError, "4294967295"),
    # the header
    ("a header byte", EXAMPLE[:H] + b"\3" + EXAMPLE[H + 1 :], ChecksumError, "of the header"),
    ("metadata not JSON", changed(H + 1, "7b7b"), FormatError, "isn't JSON"),
    ("metadata no object", changed(H + 1, "3132"), FormatError, "isn't a JSON object"),
    ("metadata not UTF-8", changed(H + 1, "ffff"), FormatError, "isn't JSON"),
    ("metadata NaN", changed(H, "097b2261223a4e614e7d", 3), FormatError, "NaN has no JSON form"),
    ("metadata in UTF-16", changed(H, "067b0022002200", 3), FormatError, "isn't JSON"),
    ("three tensors", changed(H + 3, "03"), TruncatedError, "size of a name"),
    ("one tensor", changed(H + 3, "01"), FormatError, "bytes more than declared"),
    ("name of no bytes", changed(H + 4, "00"), FormatError, "a name can't have 0 bytes"),
    ("name not UTF-8", changed(H + 5, "ff"), FormatError, "isn't UTF-8"),
    ("two tensors of one name", changed(H + 13, "77"), FormatError, "two tensors are named 'w'"),
    ("encoding 2", changed(H + 6, "02"), FormatError, "'w': unknown encoding 2"),
    ("dtype 14", changed(H + 15, "0e"), FormatError, "'b': dtype 14"),
    ("shared float64", changed(H + 7, "0b"), FormatError, "'w': dtype 11"),
    ("rank 33", changed(H + 16, "21"), FormatError, "'b': rank 33 is above 32"),
    ("2**126 elements", changed(H + 16, "02" + "ffffffffffffffff7f" * 2, 2), FormatError, "2.*63"),
    # the payload of the shared tensor
    ("a payload byte", EXAMPLE[:P] + b"\0" + EXAMPLE[P + 1 :], ChecksumError, "tensor 'w'"),
    ("reserved bits", changed(P, "19"), FormatError, "reserved bits"),
    ("coder 2", changed(P + 1, "02"), FormatError, "unknown coder"),
    ("4 centroids for 2 bits", changed(P + 2, "04"), FormatError, "4 centroids don't fit"),
    ("3 centroids, bytes of 2", changed(P + 2, "03"), TruncatedError, "codebook .* needs 12 bytes"),
    ("7 entries of 6", changed(P + 3, "07"), FormatError, "7 stored entries in a tensor of 6"),
    ("infinite centroid", changed(P + 4, "0000807f"), FormatError, "isn't finite"),
    ("label 3 of 0 to 2", changed(P + 12, "07"), FormatError, "'w'.*label"),
    ("padding of the labels", changed(P + 12, "16"), FormatError, "'w'.*padding"),
    ("an entry beyond the end", changed(P + 13, "0e"), FormatError, "'w'.*entry|position"),
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
    w = rng.normal(size=(40, 30)) * (rng.random((40, 30)) < 0.1)
    model = compress({"w": w, "b": np.ones(3, np.float32)}, metadata={"a": 1})
    data = model.to_bytes()
    assert not model.fixed_width  # so that Huffman streams are tried too
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
    with pytest.raises(TruncatedError, match=r"10 of \d+ bytes are missing; 1 of 2 .* whole: a"):
        from_bytes(data[:-10])


def test_payloads_that_changed_places_are_noticed() -> None:
    a, b = (pack({name: np.full(2, v, np.float32)}) for name, v in (("a", 1), ("b", 2)))
    assert len(a) == len(b)
    with pytest.raises(ChecksumError, match="'a'"):
        from_bytes(a[:-12] + b[-12:])


def test_a_code_table_that_is_too_long_is_refused() -> None:
    """The size of the gaps' table is in the payload; its own bits end earlier."""
    record = parse(small_file()).records["w"]
    assert isinstance(record, SharedRecord)
    assert record.gaps.coder == HUFFMAN
    gaps = CodedStream(HUFFMAN, record.gaps.table + b"\0", record.gaps.payload)
    with pytest.raises(FormatError, match="1 bytes too many in a code table"):
        from_bytes(pack({"w": replace(record, gaps=gaps)}))
