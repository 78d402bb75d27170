"""The layout in lists: its bytes, and when it is chosen."""

from pathlib import Path

import numpy as np
import pytest
from support.layouts import LISTS, arrange, laid_out
from test_spmv import assert_product, draw_x, isas, random_tensor
from test_spmv_lanes import needs_extension, tensor

from deepcompress import ArgumentError, native
from deepcompress.native import layout as native_layout
from deepcompress.packed.tensor import CompressedTensor
from deepcompress.spmv import choose, lists


def test_a_worked_example() -> None:
    dense = np.zeros((3, 300), np.uint8)
    dense[0, [1, 299]] = 2, 1
    dense[2, :9] = 3
    w = tensor(dense)
    laid = arrange(w, LISTS)
    codebook = w.codebook.astype("<f4")

    def eight(columns: list[int], labels: list[int]) -> list[int]:
        more = [0] * (8 - len(columns))
        columns_bytes = np.array([*columns, *more], "<u2").tobytes()
        return [*columns_bytes, *codebook[[*labels, *more]].tobytes()]

    rows = [*eight([1, 299], [2, 1]), *eight([*range(8)], [3] * 8), *eight([8], [3])]
    labels = [2, 1, *[0] * 6, *[3] * 8, 3, *[0] * 7]
    assert laid.data.tolist() == [*rows, *labels, *[0] * 64]
    assert laid.starts.tolist() == [0, 48, 48, 144]
    assert (laid.kind, laid.label_bits, laid.order.tolist()) == ("lists", 8, [])
    assert laid.work_bytes == len(laid.data) // 7


def kind(cols: int, density: float, prefer: str = "auto", among_others: bool = False) -> str:
    w = random_tensor((64, cols), density, 5).packed
    layout = choose.build(w.stream(), "tiles", "lists", prefer, among_others)
    assert layout is not None
    return layout.kind


def test_lists_are_chosen_where_a_cache_holds_them(monkeypatch: pytest.MonkeyPatch) -> None:
    def caches(size: int) -> None:
        monkeypatch.setattr(choose, "cache_bytes", lambda: size)

    caches(1 << 23)  # a sixteenth of it holds 87,381 entries of 6 bytes
    assert kind(8000, 0.1) == "lists"
    assert kind(8000, 0.2) == "lanes"
    assert kind(8000, 0.2, "speed") == "lists"
    assert kind(8000, 0.1, "memory") == "lanes"
    caches(1 << 30)
    assert kind(8000, 0.2) == "lists"
    assert kind(8000, 0.2, among_others=True) == "lanes"
    assert kind(8000, 0.1, among_others=True) == "lists"
    assert kind(2**16, 0.001) == "lists"
    assert kind(2**16 + 1, 0.001, "speed") == "lanes"  # beyond 16 bits
    w = random_tensor((64, 80), 0.1, 5).packed
    assert choose.build(w.stream(), "tiles").kind == "lanes"  # as for AVX-512


@needs_extension
def test_who_prefers_another_form_gets_it() -> None:
    w = random_tensor((40, 900), 0.1, 5)
    x = draw_x(0, 900)
    for isa in isas():
        with native.use("native", isa):
            fast = native_layout.cached_layout()
            assert fast == ("lanes" if isa == "avx512" else "lists")
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
