"""Files that say they hold more than they can: refused before anything is allocated."""

import zlib

import numpy as np
import pytest
from support.peak import calls_of, model, peak_of

import deepcompress as dc
from deepcompress.coding import encoder
from deepcompress.container.cursor import varint
from deepcompress.container.reader import Reader
from deepcompress.container.records import CRC, DENSE, MAGIC, PREFIX, RELATIVE, Coding
from deepcompress.container.writer import pack, shared_head
from deepcompress.errors import ArgumentError, DeepCompressError, FormatError
from deepcompress.packed.survivors import pack as pack_weights
from deepcompress.pipeline import from_bytes
from deepcompress.tensors import Survivors


def by_hand(encoding: int, shape: tuple[int, ...], head: bytes, size: int = 200) -> bytes:
    """Return a file of one float32 tensor "w", checksums right, filled up to `size` bytes."""
    data_bytes = size - 60
    record = b"\0\1w" + bytes([10 | encoding << 4, len(shape)])
    record += b"".join(map(varint, shape)) + varint(data_bytes)
    header = b"\2{}\1" + record
    start = PREFIX.pack(MAGIC, 1, len(header)) + header
    chunk = head + bytes(data_bytes - len(head) - CRC.size)
    crc = CRC.pack(zlib.crc32(chunk, zlib.crc32(record)))
    return start + CRC.pack(zlib.crc32(start)) + chunk + crc


def head_of(how: Coding, k: int, tables: tuple[int, int], *blocks: tuple[int, int, int]) -> bytes:
    return shared_head(how, k, tables, list(blocks)) + bytes(4 * k)


GIGA = (1 << 14, 1 << 14)  # 2**28 elements of float32
N = 1 << 28
BOMBS = {
    "raw": by_hand(0, GIGA, b""),
    "dense at fixed width": by_hand(
        2, GIGA, head_of(Coding(2, block_bits=62), 1, (0, 0), (N, 0, 0))
    ),
    "dense, Huffman": by_hand(2, GIGA, head_of(Coding(2, 1, block_bits=62), 1, (1, 0), (N, 90, 0))),
    "dense, rANS": by_hand(2, GIGA, head_of(Coding(2, 2, block_bits=62), 1, (1, 0), (N, 90, 0))),
    "bitmask, Huffman": by_hand(3, GIGA, head_of(Coding(3, 1, 1, 0, 62), 1, (1, 1), (5, 20, 90))),
    "bitmask at fixed width": by_hand(
        3, GIGA, head_of(Coding(3, block_bits=62), 1, (0, 0), (5, 0, 0))
    ),
    "relative at fixed width": by_hand(
        1, GIGA, head_of(Coding(1, 0, 0, 8, 62), 1, (0, 0), (N, 0, 0))
    ),
    "relative, Huffman": by_hand(1, GIGA, head_of(Coding(1, 1, 1, 8, 62), 1, (1, 1), (N, 40, 40))),
    "relative, rANS": by_hand(1, GIGA, head_of(Coding(1, 2, 2, 8, 62), 1, (1, 1), (N, 40, 40))),
    "streams of 2**60 bytes": by_hand(
        1, GIGA, head_of(Coding(1, 1, 1, 8, 62), 1, (1, 1), (N, 1 << 60, 1 << 60))
    ),
    "tables of 2**60 bytes": by_hand(
        1, GIGA, head_of(Coding(1, 1, 1, 8, 62), 1, (1 << 60, 1 << 60), (5, 1, 1))
    ),
    "blocks of 1 element": by_hand(
        1, (1 << 31, 1 << 31), head_of(Coding(1, 0, 0, 8, 0), 1, (0, 0))
    ),
    "more blocks than have room": by_hand(2, (50,), head_of(Coding(2, block_bits=0), 1, (0, 0))),
}


WORDS = {
    "raw": "data of 140 bytes for 268435456 x float32",
    "dense at fixed width": "a stream of 33554432 bytes, .* are left",
    "relative at fixed width": "a stream of 33554432 bytes, .* are left",
    "bitmask at fixed width": "a stream of 33554432 bytes, .* are left",
    "dense, Huffman": "268435456 symbols in a stream of 90 bytes",
    "dense, rANS": "268435456 symbols in a stream of 90 bytes",
    "bitmask, Huffman": "33554432 symbols in a stream of 90 bytes",
    "relative, Huffman": "268435456 symbols in a stream of 40 bytes",
    "relative, rANS": "268435456 symbols in a stream of 40 bytes",
    "streams of 2**60 bytes": "a stream of 1152921504606846976 bytes, .* are left",
    "tables of 2**60 bytes": "code table of the labels .* needs 1152921504606846976 bytes",
    "blocks of 1 element": "4611686018427387904 blocks in",
    "more blocks than have room": "50 blocks in",
}


def far_apart(gap_bits: int = 8) -> bytes:
    """Return a sound file of two weights, 2**61 elements apart in two blocks."""
    codebook = np.array([0, 3], np.float32)
    record = encoder.SharedRecord(
        (2, 1 << 61),
        codebook,
        Coding(1, 0, 0, gap_bits, 61),
        b"",
        b"",
        tuple(encoder.Block(1, b"\1", b"\0") for _ in range(2)),
    )
    return pack({"w": record})


@pytest.mark.parametrize(
    ("data", "error", "words"),
    [
        *(pytest.param(data, FormatError, WORDS[name], id=name) for name, data in BOMBS.items()),
        pytest.param(far_apart(), ArgumentError, "decoding it", id="2**53 fillers"),
        pytest.param(far_apart(1), ArgumentError, "decoding it", id="2**60 fillers"),
    ],
)
def test_what_a_file_cant_hold_is_refused_at_once(
    data: bytes, error: type[Exception], words: str
) -> None:
    assert len(data) <= 200

    def refused() -> None:
        with pytest.raises(error, match=f"^file: tensor 'w': .*{words}") as caught:
            from_bytes(data)
        assert not isinstance(caught.value, dc.ChecksumError)

    refused()  # what is imported or cached at first use is not its own
    assert calls_of(refused) < 2000  # nothing is done for each element or block
    assert peak_of(refused) < 10_000_000


def test_weights_that_are_far_apart_can_be_read_one_by_one() -> None:
    file = dc.ModelFile(far_apart())
    for row in range(2):
        part = file.rows("w", row, row + 1)
        assert (part.count, part.positions().tolist()) == (1, [0])


@pytest.mark.parametrize("block_bits", [8, 11])
def test_zeros_between_blocks_dont_make_fillers_of_the_files_width(block_bits: int) -> None:
    """With gaps of one bit, a zero in two would need a filler in memory."""
    how = Coding(RELATIVE, 0, 0, 1, block_bits)
    positions = np.array([0, 200_000])
    codebook, labels = np.array([0, 3], np.float32), np.ones(2, np.uint8)
    tensor = pack_weights(Survivors((200_001,), codebook, positions, labels), 8)
    data = dc.CompressedModel({"w": tensor}, {}, {"w": how}).to_bytes()
    back = from_bytes(data)
    assert back["w"].count < 1000
    np.testing.assert_array_equal(back["w"].to_dense(), tensor.to_dense())
    assert back.to_bytes() == data


class TestHeader:
    """What is made of a header is no more than some times the header."""

    @pytest.mark.parametrize("name_bytes", [300, 65535])
    def test_names(self, name_bytes: int) -> None:
        """With all in common, each name of 65535 bytes would take six in the file."""
        first = b"\0" + varint(name_bytes) + b"a" * name_bytes + b"\x0a\1\0\4"
        others, previous = b"", name_bytes
        for size in range(name_bytes - 1, max(name_bytes - 1000, 0), -1):
            others += varint(size) + b"\0" + b"\x0a\1\0\4"
        header = b"\2{}" + varint(min(1000, name_bytes)) + first + others
        data = PREFIX.pack(MAGIC, 1, len(header)) + header
        data += CRC.pack(zlib.crc32(data))
        with pytest.raises(FormatError, match=f"a name can't have {previous - 1} bytes of the one"):
            Reader(data)

    def test_common_bytes_are_bounded_and_written_so(self) -> None:
        names = ["a" * 1000, "a" * 1000 + "b", "a" * 255, "a" * 300, "a" * 256 + "c"]
        tensors = {name: np.zeros(0, np.bool_) for name in names}
        assert list(Reader(pack(tensors)).entries) == names

    @pytest.mark.parametrize("kind", ["records", "metadata", "blocks"])
    def test_memory_is_in_proportion(self, kind: str) -> None:
        if kind == "records":
            tensors = {"a" * (2000 - i): np.zeros(0, np.bool_) for i in range(1000)}
            data = pack({"b": np.zeros(0), **tensors})
        elif kind == "metadata":
            data = pack({}, {str(i): [{}, [[]]] for i in range(5000)})
        else:
            how = Coding(DENSE, block_bits=0)
            data = model(5000, 1, 1, how).to_bytes()
        reader = Reader(data)

        def read() -> object:
            reader = Reader(data)
            return [reader.shared_head(e) for e in reader.entries.values() if e.encoding]

        assert len(reader.entries) in (0, 1, 1001)
        assert peak_of(read) < 100 * len(data)


def test_every_error_is_ours() -> None:
    for data in BOMBS.values():
        for size in range(0, len(data), 7):
            with pytest.raises(DeepCompressError):
                from_bytes(data[:size])
