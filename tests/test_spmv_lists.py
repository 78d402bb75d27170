"""The layout in lists: its bytes, and when it is chosen."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.layouts import LISTS, arrange, laid_out
from test_spmv import assert_product, draw_x, isas, random_tensor
from test_spmv_lanes import needs_extension, tensor

from deepcompress import ArgumentError, native
from deepcompress.native import layout as native_layout
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.runtime import costs
from deepcompress.spmv import choose, lanes, lists


def test_a_worked_example() -> None:
    dense = np.zeros((34, 300), np.uint8)
    dense[0, [1, 299]] = 2, 1
    dense[2, :21] = 3  # five fours, and one more
    dense[2, 30:32] = 2
    dense[33, 7] = 3
    w = tensor(dense)
    laid = arrange(w, LISTS)
    codebook = w.codebook.astype("<f4")

    def two_bytes(columns: list[int]) -> list[int]:
        return [*np.array(columns, "<u2").tobytes()]

    def eight(columns: list[int], labels: list[int]) -> list[int]:
        more = [0] * (8 - len(columns))
        return [*two_bytes([*columns, *more]), *codebook[[*labels, *more]].tobytes()]

    def heads(*counts: tuple[int, int, int]) -> list[int]:
        bits = [sixteens | eights << 10 | row << 20 for sixteens, eights, row in counts]
        others = [row << 20 for row in range(32) if row not in [row for _, _, row in counts]]
        return [*np.array([*bits, *others], "<u4").tobytes()]

    sixteen = [*two_bytes([*range(16)]), 3, 3, 3, 3]
    eights = [*eight([30, 31, *range(16, 21)], [2, 2, 3, 3, 3, 3, 3]), *eight([299, 1], [1, 2])]
    labels = [2, 2, 3, 3, 3, 3, 3, 0, 1, 2, *[0] * 6]
    first = [*heads((1, 1, 2), (0, 1, 0)), *sixteen, *eights, *labels]
    second = [*heads((0, 1, 1)), *eight([7], [3]), 3, *[0] * 7]
    assert laid.data.tolist() == [*first, *second, *[0] * 64]
    assert laid.starts.tolist() == [0, len(first), len(first) + len(second)]
    assert (laid.kind, laid.label_bits, laid.order.tolist()) == ("lists", 8, [23])
    assert laid.work_bytes == len(laid.data) // 4


def test_blocks_are_as_wide_as_each_other() -> None:
    assert lists.blocks_of(0) == (1, 1)
    assert lists.blocks_of(5120) == (1, 5120)
    assert lists.blocks_of(5121) == (2, 2561)
    assert lists.blocks_of(25088) == (5, 5018)


@pytest.mark.parametrize("shape", [(70, 5121), (33, 11000), (1, 20000)])
def test_columns_of_several_blocks(shape: tuple[int, int]) -> None:
    w = random_tensor(shape, 0.05, 3)
    positions, labels = w.packed.survivors()
    for backend in ["reference", "native"] if isas() else ["reference"]:
        found, also = lists.entries(arrange(w.packed, LISTS, backend))
        np.testing.assert_array_equal(found, positions)
        np.testing.assert_array_equal(also, labels)
    for isa in isas():
        with native.use("native", isa):
            laid = w._replace(packed=laid_out(w.packed[:], LISTS))
            for x in (draw_x(1, shape[1]), draw_x(2, shape[1], 5), draw_x(2, shape[1], 70)):
                assert_product(laid, x)


@needs_extension
def test_elements_of_x_are_multiplied_before_they_are_added() -> None:
    """Four of them, which meet the same weight, may exceed what a float holds."""
    w = tensor(np.ones((2, 64), np.uint8))
    codebook = np.array([0, 0.001], np.float32)
    small = CompressedTensor(
        w.shape, codebook, w.label_bits, w.gap_bits, w.count, w.labels_packed, w.gaps_packed
    )
    for isa in isas():
        with native.use("native", isa):
            y = laid_out(small[:], LISTS) @ np.full(64, 3e38, np.float32)
        np.testing.assert_allclose(y, 64 * 3e35, rtol=1e-5)


def gathers_slowly() -> bool:
    """Tell whether this is a processor of AMD's."""
    return re.search(r"\bAMD\b|AuthenticAMD", costs.processor()) is not None


@needs_extension
def test_masks_are_for_processors_that_gather_well() -> None:
    for isa in isas():
        with native.use("native", isa):
            dense = native_layout.dense_layout()
            if isa == "avx512":
                assert dense == ("lanes" if gathers_slowly() else "masks")
            else:
                assert dense == ("tiles" if isa == "avx2" else "lanes")


def built(shape: tuple[int, int], density: float, **how: Any) -> str:
    w = random_tensor(shape, density, 5).packed
    layout = choose.build(w.stream(), "tiles", "lists", **how)
    assert layout is not None
    return layout.kind


def test_lists_are_chosen_where_they_are_small_or_cached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "cache_bytes", lambda: 0)
    assert built((64, 4000), 0.1) == "lists"  # 3 bytes for an entry
    assert built((64, 4000), 0.1, prefer="memory") == "lanes"
    assert built((64, 1000), 0.05) == "lanes"  # 6
    assert built((64, 1000), 0.05, prefer="speed") == "lists"
    assert built((64, 1000), 0.05, among_others=True) == "lists"
    assert built((2000, 1000), 0.05, among_others=True) == "lanes"
    monkeypatch.setattr(choose, "cache_bytes", lambda: 1 << 20)  # an eighth holds 131,072 bytes
    assert built((64, 1000), 0.05) == "lists"
    assert built((1000, 1000), 0.05) == "lanes"
    w = random_tensor((64, 80), 0.1, 5).packed
    assert choose.build(w.stream(), "tiles").kind == "lanes"  # as for AVX-512


def test_short_rows_have_no_lists() -> None:
    assert built((64, 20000), 0.001, prefer="speed") == "lanes"
    assert built((64, 20000), 0.01, prefer="speed") == "lists"


def test_lanes_are_not_filled_where_lists_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    def arrange(*_: object) -> None:
        raise AssertionError("lanes are built")

    monkeypatch.setattr(lanes, "arrange", arrange)
    assert built((64, 4000), 0.1) == "lists"


@pytest.mark.parametrize("rows", [1, 16, 37])
def test_the_size_of_lanes_is_told_beforehand(rows: int) -> None:
    stream = random_tensor((rows, 300), 0.1, 4).packed.stream()
    counts = lanes.row_counts(stream)[5]
    layout = lanes.arrange(stream, 5, counts)
    assert layout is not None
    assert lanes.size(counts, 5, len(stream.codebook)) == layout.nbytes


@needs_extension
def test_who_prefers_another_form_gets_it() -> None:
    w = random_tensor((40, 900), 0.1, 5)
    x = draw_x(0, 900)
    for isa in isas():
        with native.use("native", isa):
            fast = native_layout.cached_layout()
            assert fast == ("lanes" if isa == "avx512" and not gathers_slowly() else "lists")
            assert w.packed.layout("memory").kind == "lanes"
            assert w.packed.layout().kind == "lanes"  # which is there
            assert w.packed.layout("speed").kind == fast
            assert_product(w, x)
            np.testing.assert_array_equal(w.packed.to_dense(), w.dense)
            assert w.packed.layout("memory").kind == "lanes"
            np.testing.assert_array_equal(w.packed.to_dense(), w.dense)
    with pytest.raises(ArgumentError, match="prefer must be one of auto, speed, memory: 'size'"):
        w.packed.layout("size")


@needs_extension
def test_products_with_several_columns_take_lanes() -> None:
    w = random_tensor((64, 4000), 0.1, 5)
    x, several = draw_x(0, 4000), draw_x(1, 4000, 3)
    with native.use("native", "scalar"):
        first, fast, late = w.packed[:], w.packed[:], w.packed[:]
        assert_product(w._replace(packed=first), several)
        lanes_bytes = first.nbytes
        assert first.layout(columns=3).kind == "lanes"
        assert first.layout().kind == "lists"
        assert first.nbytes > 2 * lanes_bytes
        fast.layout("speed")
        assert_product(w._replace(packed=fast), several)
        assert fast.layout().kind == "lists"  # as was asked for
        assert fast.layout(columns=3) is fast.layout()
        before = [(late @ of).tobytes() for of in (x, x[:, np.newaxis], several)]
        assert [(late @ of).tobytes() for of in (x, x[:, np.newaxis], several)] == before
        assert [(first @ of).tobytes() for of in (x, x[:, np.newaxis], several)] == before
        late.layout("memory")
        assert late.layout(columns=3) is late.layout()
        assert late.nbytes == lanes_bytes
        np.testing.assert_array_equal(late.to_dense(), w.dense)
        turned = w.packed[:].T
        turned @ draw_x(0, 64)
        assert turned.layout().kind == "lanes"  # of short rows


@needs_extension
def test_a_layout_that_isnt_lists_is_that_of_several_columns_too() -> None:
    w = random_tensor((300, 40), 0.1, 5).packed  # of short rows
    assert w.layout(columns=3) is w.layout()
    other = w[:]
    assert other.layout() is other.layout(columns=3)
    assert w.nbytes == other.nbytes


@needs_extension
@pytest.mark.parametrize("isa", [*isas()])
def test_rows_of_every_number_of_entries(isa: str) -> None:
    dense = np.tril(np.ones((40, 70), np.uint8))
    w = laid_out(tensor(dense), LISTS)
    with native.use("native", isa):
        assert w.layout().kind == "lists"
        np.testing.assert_allclose(w @ np.ones(70), w.codebook[1] * dense.sum(axis=1), rtol=1e-6)


def test_centroids_that_are_alike_keep_their_labels() -> None:
    w = random_tensor((9, 50), 0.4, 3).packed
    codebook = np.full(8, 0.5, np.float32)
    codebook[0] = 0
    alike = CompressedTensor(
        w.shape, codebook, w.label_bits, w.gap_bits, w.count, w.labels_packed, w.gaps_packed
    )
    positions, labels = lists.entries(arrange(alike, LISTS))
    np.testing.assert_array_equal(labels, w.survivors()[1])
    np.testing.assert_array_equal(positions, w.survivors()[0])


def test_sizes_of_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "CACHES", tmp_path)
    choose.cache_bytes.cache_clear()
    assert choose.cache_bytes() == 1 << 23  # where nobody tells
    for index, text in enumerate(("32K\n", "512K\n", "16384K\n", "strange\n")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(text)
    choose.cache_bytes.cache_clear()
    assert choose.cache_bytes() == 16384 << 10
    choose.cache_bytes.cache_clear()
