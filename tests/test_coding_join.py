"""From the blocks of a file to one packed stream: the definition, and C against it."""

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from support.strategies import sparse, widths

from deepcompress import native, relindex
from deepcompress.bits import packing
from deepcompress.coding import decoder, encoder, join
from deepcompress.container.records import BITMASK, DENSE, RELATIVE, Coding
from deepcompress.errors import ArgumentError, FormatError
from deepcompress.native import gateway
from deepcompress.packed.stream import has_needed_fillers_only
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.structs import GapBlock, MaskBlock
from deepcompress.tensors import Survivors

EXTENSION, REASON = gateway._load()
BACKENDS = ["reference", *(["native"] if EXTENSION else [])]


def both(call):
    """What each backend returns or raises, which must be the same."""
    outcomes = []
    for backend in BACKENDS:
        with native.use(backend):
            try:
                outcomes.append(call())
            except FormatError as error:
                outcomes.append((type(error), str(error)))
    for one in outcomes[1:]:
        assert plain(one) == plain(outcomes[0])
    return outcomes[0]


def plain(outcome):
    """Arrays as lists, with all that they are in."""
    if isinstance(outcome, GapBlock | MaskBlock):
        return plain(tuple(vars(outcome).values()))
    if isinstance(outcome, tuple):
        return [plain(part) for part in outcome]
    return outcome.tolist() if isinstance(outcome, np.ndarray) else outcome


def exact(array):
    return np.array(array, np.uint8)


@st.composite
def some_blocks(draw):
    """Blocks with fillers anywhere, with zeros at their ends or without, and with no entries."""
    made = []
    for _ in range(draw(st.integers(0, 4))):
        gaps = exact(draw(st.lists(st.integers(0, 7) | st.integers(0, 255), max_size=30)))
        labels = exact(draw(st.lists(st.integers(0, 3), min_size=len(gaps), max_size=len(gaps))))
        end = int((gaps.astype(int) + 1).sum())
        made.append(GapBlock(labels, gaps, end + draw(st.integers(0, 3) | st.integers(0, 5000))))
    return made


@st.composite
def blocks_of_a_file(draw):
    """Blocks with fillers where gaps of a width need them, as `relindex` makes it, or one more."""
    rng, gap_bits = np.random.default_rng(draw(st.integers(0, 99))), draw(widths)
    made = []
    for _ in range(draw(st.integers(1, 4))):
        dense = rng.random(draw(st.integers(0, 3000))) < draw(st.sampled_from([0, 0.01, 0.1, 0.6]))
        stream = relindex.encode(np.flatnonzero(dense), len(dense), gap_bits)
        labels = rng.integers(1, 4, len(stream.gaps)).astype(np.uint8)
        more = draw(st.sampled_from([0, 0, 1]))  # at the end, which none needs
        labels, gaps = (
            np.concatenate([entries, np.full(more, last, np.uint8)])
            for entries, last in ((labels * ~stream.fillers, 0), (stream.gaps, 2**gap_bits - 1))
        )
        made.append(GapBlock(labels, gaps, len(dense) + (more << gap_bits)))
    return made, gap_bits


@given(blocks_of_a_file(), st.sampled_from([0, 0, -1, 1]), widths.filter(lambda bits: bits > 1))
def test_blocks_of_a_file_join_as_any_others(drawn, more_bits, label_bits):
    made, gap_bits = drawn
    check_joined(made, min(max(gap_bits + more_bits, 1), 8), label_bits)


@given(some_blocks(), widths, widths.filter(lambda bits: bits > 1))
def test_joined_blocks_have_the_survivors(made, gap_bits, label_bits):
    check_joined(made, gap_bits, label_bits)


def check_joined(made, gap_bits, label_bits):
    counted = both(lambda: join.survey(made))
    half = both(lambda: join.survey(made[:1]))
    assert both(lambda: join.survey(made[1:], half)) == counted
    fillers = counted.fillers[gap_bits]
    widths = label_bits, gap_bits
    labels, gaps, count = both(lambda: join.join(made, widths, counted.survivors + fillers))
    assert count == counted.survivors + fillers
    with_room = both(lambda: join.join(made, widths, count + 99))
    assert plain(with_room) == plain((labels, gaps, count))
    if count:
        assert both(lambda: join.join(made, widths, count - 1)) is None
    labels = packing.unpack(labels, label_bits, count)
    size = sum(block.elements for block in made)
    positions = relindex.decode(packing.unpack(gaps, gap_bits, count), size)
    dense = np.zeros(size, np.uint8)
    first = 0
    for block in made:
        dense[first + np.cumsum(block.gaps.astype(int) + 1) - 1] = block.labels
        first += block.elements
    np.testing.assert_array_equal(positions[labels != 0], np.flatnonzero(dense))
    np.testing.assert_array_equal(labels[labels != 0], dense[dense != 0])
    expected = relindex.encode(np.flatnonzero(dense), size, gap_bits).gaps
    np.testing.assert_array_equal(packing.unpack(gaps, gap_bits, count), expected)


def test_a_worked_example():
    """Five elements 0 7 0 0 0 and four 0 0 0 9: between the weights are six zeros."""
    made = [join.from_dense(exact(dense)) for dense in ([0, 7, 0, 0, 0], [0, 0, 0, 9])]
    counted = both(lambda: join.survey(made))
    assert (counted.survivors, counted.fillers) == (2, (0, 3, 1, 0, 0, 0, 0, 0, 0))
    labels, gaps, _ = both(lambda: join.join(made, (4, 2), 3))
    assert packing.unpack(labels, 4, 3).tolist() == [7, 0, 9]
    assert packing.unpack(gaps, 2, 3).tolist() == [1, 3, 2]


@given(sparse(), sparse(), widths)
def test_masks_and_labels_of_all_elements_join_as_entries(tensor, other, gap_bits):
    masked, entries = [], []
    for one in (tensor, other):
        dense = np.zeros(one.size, np.uint8)
        dense[one.positions] = 1 + np.arange(len(one.positions)) % 255
        mask, kept = np.packbits(dense != 0, bitorder="little"), exact(dense[dense != 0])
        from_dense = both(lambda dense=dense: join.from_dense(dense))
        assert plain(from_dense) == plain(MaskBlock(mask, kept - np.uint8(1), one.size))
        positions, labels = join.survivors_of([from_dense])
        np.testing.assert_array_equal(positions, one.positions)
        np.testing.assert_array_equal(labels, kept)
        stream = relindex.encode(one.positions, one.size, 8)
        with_fillers = np.zeros(len(stream.gaps), np.uint8)
        with_fillers[~stream.fillers] = kept
        masked.append(from_dense)
        entries.append(GapBlock(with_fillers, stream.gaps, one.size))
    counted = both(lambda: join.survey(masked))
    assert counted == both(lambda: join.survey(entries))
    count = counted.survivors + counted.fillers[gap_bits]
    expected = both(lambda: join.join(entries, (8, gap_bits), count))
    assert plain(both(lambda: join.join(masked, (8, gap_bits), count))) == plain(expected)


@given(st.lists(st.integers(0, 255), max_size=40), st.integers(-3, 3))
def test_gaps_lead_no_further_than_the_elements(gaps, more):
    gaps = exact(gaps)
    elements = max(0, int((gaps.astype(int) + 1).sum()) + more)
    outcome = both(lambda: join.from_gaps(gaps, gaps, elements))
    assert isinstance(outcome, GapBlock) == (len(gaps) + gaps.sum(dtype=int) <= elements)


@pytest.mark.parametrize(
    ("mask", "count", "elements", "words"),
    [
        ([0b101], 3, 8, r"a mask of 2 bits for 3 entries \(block 7\)"),
        ([255] * 9, 71, 72, r"a mask of 72 bits for 71 entries \(block 7\)"),
        ([0b1001], 2, 3, r"a mask has a bit beyond its elements \(block 7\)"),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_masks_that_cant_be(backend, mask, count, elements, words):
    with native.use(backend), pytest.raises(FormatError, match=words):
        join.check_mask(exact(mask), count, elements, 7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_memory_cant_hold_is_refused(backend):
    """Two weights, as far apart as blocks can have them."""
    made = [GapBlock(exact([1]), exact([0]), 1 << 61)] * 2
    with native.use(backend):
        counted = join.survey(made)
        assert counted.fillers[8] == ((1 << 61) - 1) >> 8
        with pytest.raises(ArgumentError, match="entries of 1-bit gaps"):
            join.join(made, (1, 1), 2 + counted.fillers[1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("block_bits", [4, 20])
@pytest.mark.parametrize("encoding", [RELATIVE, DENSE, BITMASK])
def test_what_is_said_of_joined_fillers_is_so(backend, block_bits, encoding):
    """Only a relative tensor of one block keeps fillers as they are, and needs to be looked at."""
    labels, gaps = exact([1, 0, 2, 0, 0, 1]), exact([3, 1, 3, 3, 2, 0])
    parts = (5, 8), np.array([0, 1, 2], np.float32), (labels, 2), (gaps, 2)
    with native.use(backend):
        record = encoder.encode(
            CompressedTensor.from_entries(*parts),
            Coding(encoding, gap_bits=2 * (encoding == RELATIVE), block_bits=block_bits),
        )
        read = decoder.decode(record)
        as_they_are = encoding == RELATIVE and block_bits == 20
        assert read._forms._is_minimal != as_they_are
        needed = has_needed_fillers_only(read.labels(), read.gaps(), read.gap_bits)
        assert read._forms.is_minimal() == needed == (not as_they_are)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("encoding", "gap_bits"), [(RELATIVE, 1), (DENSE, 0)])
def test_many_blocks_are_decoded_twice_with_the_same_result(
    monkeypatch, backend, encoding, gap_bits
):
    """Gaps of one bit are too narrow between these blocks."""
    rng = np.random.default_rng(0)
    positions = np.sort(rng.choice(6000, 200, replace=False))
    labels = rng.integers(1, 4, 200).astype(np.uint8)
    weights = Survivors((60, 100), np.arange(4, dtype=np.float32), positions, labels)
    with native.use(backend):
        record = encoder.encode(weights, Coding(encoding, gap_bits=gap_bits, block_bits=7))
        held = decoder.decode(record)
        passes = []
        decode_blocks = decoder.decode_blocks
        monkeypatch.setattr(decoder, "HELD_BYTES", 0)
        monkeypatch.setattr(
            decoder,
            "decode_blocks",
            lambda *_, **more: passes.append(1) or decode_blocks(*_, **more),
        )
        again = decoder.decode(record)
        assert len(passes) > 1
        from_symbols = decoder.decode(record, list(decoder.decode_symbols(record)))
    for name in ("count", "gap_bits", "labels_packed", "gaps_packed"):
        np.testing.assert_array_equal(getattr(again, name), getattr(held, name))
        np.testing.assert_array_equal(getattr(from_symbols, name), getattr(held, name))
    np.testing.assert_array_equal(again.survivors()[0], positions)
    np.testing.assert_array_equal(again.survivors()[1], labels)
