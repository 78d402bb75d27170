"""What holds for every coder of the registry."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from deepcompress.coding import coders
from deepcompress.container.records import CODERS
from deepcompress.errors import FormatError
from deepcompress.tensors import FIXED_WIDTH

each_coder = pytest.mark.parametrize("coder", range(len(CODERS)))
some_symbols = st.lists(st.integers(0, 6), max_size=60).map(lambda all: np.array(all, np.uint8))


def test_each_name_of_the_format_has_a_coder() -> None:
    assert len(coders.CODES) == len(CODERS)
    tables = [code.has_table for code in coders.CODES]
    assert tables == [coder != FIXED_WIDTH for coder in range(len(CODERS))]


@each_coder
@given(streams=st.lists(some_symbols, min_size=1, max_size=4))
def test_streams_come_back_and_have_the_sizes_that_counts_tell(
    coder: int, streams: list[np.ndarray]
) -> None:
    counts = np.array([np.bincount(stream, minlength=7) for stream in streams])
    made = coders.CODES[coder].make(counts.sum(axis=0), 3)
    code = coders.read(coder, made.table(), 7, 3)
    assert code.table() == made.table()
    coded = [code.encode(stream) for stream in streams]
    assert list(code.sizes(counts, lambda: streams)) == [len(data) for data in coded]
    assert [code.size_bytes(stream) for stream in streams] == [len(data) for data in coded]
    wanted = [(data, 1, len(stream)) for data, stream in zip(coded, streams, strict=True)]
    fixed = coders.CODES[FIXED_WIDTH].make(counts[0], 3)
    outcomes = coders.decode_streams((fixed, code), [*wanted, (b"\x3f", 0, 2)])
    for outcome, stream in zip(outcomes, [*streams, np.array([7, 7])], strict=True):
        np.testing.assert_array_equal(outcome, stream)
    bits = code.symbol_bits(7)
    assert all(bit > 0 for bit, count in zip(bits, counts.sum(axis=0), strict=True) if count) or (
        np.count_nonzero(counts.sum(axis=0)) == 1  # of rANS, one that is alone costs nothing
    )


@each_coder
def test_a_table_ends_with_its_last_token(coder: int) -> None:
    table = coders.CODES[coder].make(np.array([5, 1, 2]), 2).table()
    with pytest.raises(FormatError, match="1 bytes too many in a code table"):
        coders.read(coder, table + b"\0", 3, 2)


@each_coder
def test_an_error_is_that_of_its_stream_alone(coder: int) -> None:
    symbols = np.array([0, 1, 2, 1, 0, 2, 1, 1, 0], np.uint8)
    code = coders.CODES[coder].make(np.bincount(symbols), 2)
    data = code.encode(symbols)
    streams = [(data, 0, 9), (data + b"\0", 0, 9), (data[:-1], 1, 9), (data, 1, 9)]
    outcomes = coders.decode_streams((code, code), streams)
    assert [isinstance(outcome, FormatError) for outcome in outcomes] == [False, True, True, False]
