"""What decoding takes: below the estimate, within `max_bytes`, and nothing for what can't be."""

import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import deepcompress as dc
from deepcompress import coding, memory, native
from deepcompress.container import BITMASK, CODERS, CRC, DENSE, MAGIC, PREFIX, RAW, RELATIVE, Coding
from deepcompress.container_reader import Reader
from deepcompress.container_writer import pack, shared_head
from deepcompress.cursor import varint
from deepcompress.errors import ArgumentError, DeepCompressError, FormatError
from deepcompress.pipeline import from_bytes

BACKENDS = ["reference", *(["native"] if native.info()["compiler"] else [])]


def peak_of(call: Callable[[], object]) -> int:
    """Return the most bytes that a call had allocated at once, its result included."""
    tracemalloc.start()
    try:
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
        del result
    finally:
        tracemalloc.stop()
    return peak


def model(size: int, density: float, k: int, how: Coding, seed: int = 0) -> dc.CompressedModel:
    """Return a matrix of ten columns, or as many elements in one row."""
    rng = np.random.default_rng(seed)
    positions = np.flatnonzero(rng.random(size) < density)
    uneven = rng.integers(0, k, positions.size) * rng.random(positions.size)
    labels = (1 + uneven.astype(np.int64)).astype(np.uint8)
    shape = (size // 10, 10) if size % 10 == 0 else (1, size)
    codebook = np.arange(k + 1, dtype=np.float32)
    tensor = coding.from_survivors(shape, codebook, positions, labels, how.gap_bits or 4)
    return dc.CompressedModel({"w": tensor}, {}, {"w": how})


codings = st.builds(
    lambda encoding, label_coder, position_coder, gap_bits, block_bits: Coding(
        encoding,
        label_coder,
        0 if encoding == DENSE else position_coder,
        gap_bits if encoding == RELATIVE else 0,
        block_bits,
    ),
    st.integers(1, 3),
    st.sampled_from(range(len(CODERS))),
    st.sampled_from(range(len(CODERS))),
    st.integers(1, 8),
    st.sampled_from([5, 8, 11, 20]),
)


def check_estimates(data: bytes, path: Path) -> tuple[float, float]:
    """Compare all that is allocated with the estimates; return how far they are above."""
    path.write_bytes(data)
    reader = Reader(data)
    entry = reader.entries["w"]
    head = reader.shared_head(entry)
    file = dc.ModelFile(data)
    whole = memory.decoding_bytes(head, entry.shape)
    file["w"]  # what is imported or cached at first use is not its own
    took = peak_of(lambda: file["w"])
    assert took <= whole
    assert peak_of(lambda: dc.load(path)) <= whole + memory.OVERHEAD_BYTES
    rows, cols = entry.shape
    start, stop = rows // 3, rows - rows // 4
    part = took_part = 1
    if start < stop:
        bits = head.coding.block_bits
        span = start * cols >> bits, ((stop * cols - 1) >> bits) + 1
        part = memory.decoding_bytes(head, entry.shape, *span)
        took_part = peak_of(lambda: file.rows("w", start, stop))
        assert took_part <= part
    return whole / took, part / took_part


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(
    how=codings,
    size=st.integers(1, 400).map(lambda n: 10 * n),
    density=st.sampled_from([0.0, 0.001, 0.05, 0.4, 1.0]),
    k=st.sampled_from([1, 2, 31, 255]),
    seed=st.integers(0, 9),
)
def test_the_peak_is_below_the_estimate(
    tmp_path_factory, backend: str, how: Coding, size: int, density: float, k: int, seed: int
) -> None:
    with native.use(backend):
        try:
            data = model(size, density, k, how, seed).to_bytes()
        except ArgumentError:  # more symbols to a byte than a file may have
            return
        check_estimates(data, tmp_path_factory.getbasetemp() / "m.dcnn")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("how", "density", "k"),
    [
        (Coding(RELATIVE, 0, 0, 8, 62), 1, 255),
        (Coding(RELATIVE, 0, 0, 4, 12), 0.5, 255),
        (Coding(RELATIVE, 1, 1, 4, 62), 0.5, 255),
        (Coding(RELATIVE, 2, 2, 4, 12), 0.5, 255),
        (Coding(DENSE, 0), 1, 1),
        (Coding(DENSE, 1), 1, 255),
        (Coding(DENSE, 2, block_bits=12), 1, 255),
        (Coding(BITMASK, 0, 0), 0, 1),
        (Coding(BITMASK, 1, 1), 0.5, 255),
        (Coding(BITMASK, 2, 2, block_bits=12), 0.5, 255),
    ],
)
def test_the_estimate_isnt_far_above(
    tmp_path: Path, backend: str, how: Coding, density: float, k: int
) -> None:
    """Large enough that what is constant doesn't hide an error in what isn't."""
    is_slow = backend == "reference" and (how.label_coder or how.position_coder)
    with native.use(backend):
        data = model(20_000 if is_slow else 200_000, density, k, how).to_bytes()
        for ratio in check_estimates(data, tmp_path / "m.dcnn"):
            assert ratio < 4


@given(size=st.integers(0, 400_000), dtype=st.sampled_from(["bool", "float32", "complex128"]))
@settings(max_examples=10)
def test_raw_tensors_take_what_they_are(size: int, dtype: str) -> None:
    file = dc.ModelFile(pack({"w": np.ones(size, dtype)}))
    entry = file._reader.entries["w"]
    assert peak_of(lambda: file["w"]) <= memory.raw_bytes(entry, size)
    start, stop = size // 3, size // 2
    took = peak_of(lambda: file.rows("w", start, stop))
    assert took <= memory.raw_bytes(entry, stop - start)


class TestLimit:
    how = Coding(2, 1, 0, 0, 12)
    shared = model(200_000, 0.5, 31, how).to_bytes()
    raw = pack({"w": np.zeros((20_000, 10))})

    @pytest.mark.parametrize("name", ["shared", "raw"])
    def test_beyond_it_nothing_is_allocated(self, tmp_path: Path, name: str) -> None:
        data = getattr(self, name)
        path = tmp_path / "m.dcnn"
        path.write_bytes(data)
        reader = Reader(data)
        entry = reader.entries["w"]
        if entry.encoding == RAW:
            whole, part = memory.raw_bytes(entry, 200_000), memory.raw_bytes(entry, 10_000)
        else:
            head = reader.shared_head(entry)
            whole = memory.decoding_bytes(head, entry.shape)
            part = memory.decoding_bytes(head, entry.shape, 0, 3)
        assert part < whole

        def with_file(limit: int, read: Callable[[dc.ModelFile], object]) -> Callable[[], object]:
            return lambda: read(dc.ModelFile(data, str(path), max_bytes=limit))

        for limit, needed, read in [
            (whole - 1, whole, lambda: dc.load(path, max_bytes=whole - 1)),
            (whole - 1, whole, lambda: from_bytes(data, str(path), max_bytes=whole - 1)),
            (whole - 1, whole, with_file(whole - 1, lambda file: file["w"])),
            (part - 1, part, with_file(part - 1, lambda file: file.rows("w", 0, 1000))),
        ]:

            def refused(limit: int = limit, needed: int = needed, read=read) -> None:
                words = (
                    rf"m\.dcnn: tensor 'w': decoding it may take {needed:,} bytes, "
                    f"max_bytes is {limit:,}$"
                )
                with pytest.raises(ArgumentError, match=words):
                    read()

            refused()
            assert peak_of(refused) < 100_000 < needed
        assert len(dc.load(path, max_bytes=whole)["w"].shape) == 2
        assert dc.ModelFile(data, max_bytes=part).rows("w", 0, 1000).shape == (1000, 10)


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
    record = coding.SharedRecord(
        (2, 1 << 61),
        codebook,
        Coding(1, 0, 0, gap_bits, 61),
        b"",
        b"",
        tuple(coding.Block(1, b"\1", b"\0") for _ in range(2)),
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

    times = []
    for _ in range(5):
        start = time.perf_counter()
        refused()
        times.append(time.perf_counter() - start)
    assert min(times) < 0.01
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
    tensor = coding.from_survivors(
        (200_001,), np.array([0, 3], np.float32), positions, np.ones(2, np.uint8), 8
    )
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
