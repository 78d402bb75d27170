"""The C kernels give the bits of their NumPy twins, on buffers of exactly the size they need.

Reads past the end show up in a build with AddressSanitizer (see ``setup.py``).
"""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given
from support.strategies import (
    compressed,
    counts,
    packable,
    rans_payloads,
    sparse,
    symbols,
    widths,
)

from deepcompress import huffman, native, relindex
from deepcompress.bits import packing
from deepcompress.coding import rans, rans_levels
from deepcompress.errors import FormatError
from deepcompress.native import gateway
from deepcompress.native import layout as native_layout
from deepcompress.packed.tensor import CompressedTensor

EXTENSION, REASON = gateway._load()
pytestmark = pytest.mark.skipif(EXTENSION is None, reason=f"no C extension: {REASON}")


def exact(array):
    """A copy in an allocation of its own, of exactly its size."""
    return np.array(array, copy=True)


def outcomes(function, *arguments):
    """What both backends return or raise; arrays as bytes."""
    results = []
    for backend in ("reference", "native"):
        with native.use(backend):
            try:
                result = function(*map(exact, arguments[:2]), *arguments[2:])
            except FormatError as error:
                result = (type(error), str(error))
            results.append(result.tobytes() if isinstance(result, np.ndarray) else result)
    return results


@given(packable())
def test_bitpack(case):
    bits, values = case
    reference, c = outcomes(lambda values, bits: packing.pack(values, int(bits)), values, bits)
    assert c == reference
    packed = np.frombuffer(c, np.uint8)
    reference, c = outcomes(lambda packed, _: packing.unpack(packed, bits, len(values)), packed, 0)
    assert c == reference == values.tobytes()


@given(sparse(), widths, st.integers(-3, 3))
def test_relindex(tensor, gap_bits, more):
    gaps = relindex.encode(tensor.positions, tensor.size, gap_bits).gaps
    end = int(tensor.positions[-1]) + 1 if tensor.positions.size else 0
    reference, c = outcomes(lambda gaps, size: relindex.decode(gaps, int(size)), gaps, end + more)
    assert c == reference


@given(counts(), st.integers(8, 12))
def test_code_lengths(counts, max_bits):
    reference, c = outcomes(lambda counts, _: huffman.code_lengths(counts, max_bits), counts, 0)
    assert c == reference


@given(symbols())
def test_huffman(symbols):
    lengths = huffman.code_lengths(np.bincount(symbols, minlength=1))
    reference, c = outcomes(huffman.encode, symbols, lengths)
    assert c == reference
    payload = np.frombuffer(c, np.uint8)
    reference, c = outcomes(huffman.decode, payload, lengths, len(symbols))
    assert c == reference == symbols.tobytes()


@given(
    st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 1), st.integers(0, 120)), max_size=9),
    symbols(max_symbol=9),
    symbols(max_symbol=200),
)
def test_huffman_on_any_streams(drawn, one, other):
    codes = [huffman.code_lengths(np.bincount(sample, minlength=1)) for sample in (one, other)]

    def decoded(*_):
        streams = [(exact(np.frombuffer(data, np.uint8)), code, n) for data, code, n in drawn]
        outcomes = huffman.decode_streams(codes, streams)
        return [x.tolist() if isinstance(x, np.ndarray) else repr(x) for x in outcomes]

    reference, c = outcomes(decoded, 0, 0)
    assert c == reference


@given(st.binary(max_size=40), symbols(max_symbol=9), st.integers(0, 80))
def test_huffman_on_any_payload(payload, sample, count):
    lengths = huffman.code_lengths(np.bincount(sample, minlength=1))
    payload = np.frombuffer(payload, np.uint8)
    reference, c = outcomes(huffman.decode, payload, lengths, count)
    assert c == reference


@given(symbols())
def test_rans(symbols):
    levels = rans_levels.levels(np.bincount(symbols, minlength=1))
    reference, c = outcomes(rans.encode, symbols, levels)
    assert c == reference
    payload = np.frombuffer(c, np.uint8)
    reference, c = outcomes(rans.decode, payload, levels, len(symbols))
    assert c == reference == symbols.tobytes()


def test_gaps_in_the_largest_tensor_there_can_be():
    """One more than its size has no place in 63 bits, which the sanitizer build notices."""
    gaps = np.array([0, 255], np.uint8)
    reference, c = outcomes(lambda gaps, size: relindex.decode(gaps, 2**63 - 1), gaps, 0)
    assert c == reference == np.array([0, 256]).tobytes()


@given(rans_payloads(), symbols(max_symbol=9), st.integers(0, 80))
def test_rans_on_any_payload(payload, sample, count):
    levels = rans_levels.levels(np.bincount(sample, minlength=1))
    payload = np.frombuffer(payload, np.uint8)
    reference, c = outcomes(rans.decode, payload, levels, count)
    assert c == reference


@given(
    st.lists(st.tuples(rans_payloads(60), st.integers(0, 1), st.integers(0, 120)), max_size=9),
    symbols(max_symbol=9),
    symbols(max_symbol=200),
)
def test_rans_on_any_streams(drawn, one, other):
    codes = [rans_levels.levels(np.bincount(sample, minlength=1)) for sample in (one, other)]

    def decoded(*_):
        streams = [(exact(np.frombuffer(data, np.uint8)), code, n) for data, code, n in drawn]
        outcomes = rans.decode_streams(codes, streams)
        return [x.tolist() if isinstance(x, np.ndarray) else repr(x) for x in outcomes]

    reference, c = outcomes(decoded, 0, 0)
    assert c == reference


@given(symbols(max_size=60).filter(len), st.integers(0, 3))
def test_rans_writes_the_end_of_its_buffer_only(symbols, more):
    ffi, lib = EXTENSION.ffi, EXTENSION.lib
    levels = rans_levels.levels(np.bincount(symbols))
    with native.use("reference"):
        expected = rans.encode(symbols, levels)
    shares = rans_levels.frequencies(levels)
    room = np.full(len(expected) + more, 0xA5, np.uint8)
    size = lib.dc_rans_encode(
        *(ffi.from_buffer("uint8_t[]", symbols), len(symbols)),
        *(ffi.from_buffer("uint16_t[]", shares), len(shares)),
        *(ffi.from_buffer("uint8_t[]", room), len(room)),
    )
    assert size == len(expected)
    assert room.tobytes() == b"\xa5" * more + expected


@given(symbols(3, 40), symbols(3, 40), st.integers(1, 4), st.integers(0, 100))
def test_validate(labels, gaps, centroids, size):
    count = min(len(labels), len(gaps))
    codebook = np.arange(centroids, dtype=np.float32)

    def construct(labels, gaps):
        return bool(CompressedTensor((size,), codebook, 2, 2, count, labels, gaps))

    packed = packing.pack(labels[:count], 2), packing.pack(gaps[:count], 2)
    reference, c = outcomes(construct, *packed)
    assert c == reference


@given(compressed(min_rank=2), st.integers(0, 9), st.integers(1, 5), st.integers(0, 3))
def test_spmm_leaves_what_lies_between_rows_alone(w, seed, n, more):
    ffi, lib = EXTENSION.ffi, EXTENSION.lib
    x = np.random.default_rng(seed).normal(size=(w.packed.cols, n + more)).astype(np.float32)
    y = np.full((w.packed.rows, n + 2 * more), 7, np.float32)
    close = np.empty((w.packed.rows, n), np.float32)  # with nothing between its rows
    with native.use("native"):
        expected = w.packed @ x[:, :n]
        layout = w.packed.layout(columns=n)
        assume(layout is not None)
        weights = gateway._choice().isa, native_layout.layout_struct(layout)
        for of, to in ((np.ascontiguousarray(x[:, :n]), close), (x, y)):
            scratch = ffi.new("char[]", lib.dc_spmm_scratch(*weights))  # of the exact size
            status = lib.dc_spmm(
                *weights,
                *(ffi.from_buffer("float[]", of), of.shape[1]),
                *(ffi.from_buffer("float[]", to), to.shape[1], n, 0, layout.parts, scratch),
            )
            assert status == lib.DC_OK
    np.testing.assert_array_equal(y[:, :n], close)
    if n > 1:  # Python has one column multiplied by dc_spmv, whose sums round otherwise
        np.testing.assert_array_equal(close, expected)
    else:
        dense = np.abs(w.packed.to_dense().reshape(w.packed.rows, w.packed.cols))
        bound = (w.packed.cols + 1) * 2.0**-23 * (dense @ np.abs(x[:, :1]))  # see `spmv`
        assert (np.abs(close - expected) <= 2 * bound).all()
    assert (y[:, n:] == 7).all()


@pytest.mark.parametrize("bits", range(1, 9))
def test_nothing_is_written_past_the_end(bits):
    ffi, lib = EXTENSION.ffi, EXTENSION.lib
    for count in range(40):
        values = np.random.default_rng(count).integers(0, 2**bits, count).astype(np.uint8)
        size = packing.packed_size(bits, count)
        packed, unpacked = np.full(size + 16, 0xA5, np.uint8), np.full(count + 16, 0xA5, np.uint8)
        buffers = [ffi.from_buffer("uint8_t[]", array) for array in (values, packed, unpacked)]
        lib.dc_pack(buffers[0], count, bits, buffers[1])
        lib.dc_unpack(buffers[1], count, bits, buffers[2])
        np.testing.assert_array_equal(unpacked[:count], values)
        assert (packed[size:] == 0xA5).all()
        assert (unpacked[count:] == 0xA5).all()
