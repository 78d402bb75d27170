"""The layout in tiles: its bytes, matrices of several parts, and when it is chosen."""

import numpy as np
import pytest
from support.layouts import TILES, arrange, laid_out
from test_spmv import assert_product, draw_x, isas, random_tensor
from test_spmv_lanes import needs_extension, tensor

from deepcompress import native
from deepcompress.spmv import choose, survivors, tiles


def test_a_worked_example():
    dense = np.zeros((3, 130), np.uint8)
    dense[0, 129] = 3
    dense[2, [1, 4, 128]] = 1, 2, 1
    laid = arrange(tensor(dense), TILES)
    assert (laid.kind, laid.label_bits) == ("tiles", 2)
    # Two tiles, of which each has one group: of rows 2, then those without a survivor, and of
    # rows 0 and 2.
    table = np.array([12, 12 + 9 + 2 * 12, 12 + 9 + 2 * 12 + 9 + 12], "<u4").view(np.uint8)
    first = [2, 2, 0, 1, 3, 4, 5, 6, 7, 1 << 2 | 1, *[0] * 11, 4 << 2 | 2, *[0] * 11]
    # Columns 129 and 128 are columns 1 and 0 of their tile; 12 bits on begins the second entry.
    second = [1, 0, 2, 1, 3, 4, 5, 6, 7, 1 << 2 | 3, (0 << 2 | 1) << 4, *[0] * 10]
    assert laid.data.tolist() == [*table.tolist(), *first, *second, *[0] * 64]
    assert laid.starts.tolist() == [0, len(laid.data) - 64]


@needs_extension
@pytest.mark.parametrize("bits", [1, 5, 8])
@pytest.mark.parametrize(("shape", "density"), [((300, 290), 0.3), ((2500, 140), 0.9)])
def test_c_makes_the_same_bytes_of_several_parts(bits, shape, density):
    w = random_tensor(shape, density, bits).packed
    reference, c = (arrange(w, TILES, backend) for backend in ("reference", "native"))
    np.testing.assert_array_equal(c.data, reference.data)
    np.testing.assert_array_equal(c.starts, reference.starts)
    for found, expected in zip(survivors(c), w.survivors(), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("isa", [*isas()])
@pytest.mark.parametrize(("bits", "shape"), [(5, (2500, 300)), (8, (300, 90)), (1, (257, 129))])
def test_products_of_several_parts(isa, bits, shape):
    """More parts than have a table in common, and several panels of columns."""
    w = random_tensor(shape, 0.4, bits)
    laid_out(w.packed, TILES)
    with native.use("native", isa):
        assert_product(w, draw_x(0, shape[1]))
        assert_product(w, draw_x(1, shape[1], 130))


def chosen(shape, density, bits=5, dense_layout="tiles"):
    w = random_tensor(shape, density, bits).packed
    return choose.build(w.stream(), dense_layout).kind == "tiles"


def test_tiles_are_chosen_where_rows_have_enough_entries_in_each():
    assert chosen((256, 512), 0.25)
    assert not chosen((256, 512), 0.25, dense_layout="lanes")
    assert not chosen((256, 512), 0.09)
    assert not chosen((255, 512), 0.25)  # a part of its own
    assert not chosen((256, 512), 0.25, bits=8)  # of 16 columns
    assert chosen((256, 512), 0.3, bits=4)


@needs_extension
def test_tiles_are_for_avx2():
    for isa in isas():
        w = random_tensor((256, 512), 0.25, 5).packed
        with native.use("native", isa):
            assert (w.layout().kind == "tiles") == (isa == "avx2")


@pytest.mark.parametrize("density", [0.23, 0.25])
def test_tiles_take_at_most_a_fifth_of_csr(density):
    w = random_tensor((1000, 4096), density, 5).packed
    laid = choose.build(w.stream(), "tiles")
    assert laid.kind == "tiles"
    assert 5 * laid.nbytes <= 8 * len(w.survivors()[0]) + 4 * 1001


def test_a_tile_has_4096_products_at_most():
    for bits in range(1, 9):
        assert tiles.tile_cols(bits) << bits <= 4096
