"""The model that decides between packed and dense products: what must hold for any costs."""

import pytest

from deepcompress.runtime import costs, crossover

ISAS = [*costs.COSTS]
PRODUCTS = [
    (rows, cols, columns)
    for rows, cols in [(10, 100), (300, 784), (1000, 4096), (4096, 9216)]
    for columns in (1, 2, 64, 1000)
]


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("threads", [1, 2, 16])
def test_there_is_at_most_one_crossover(isa, threads):
    """The more weights survive, the more reason to go dense."""
    for rows, cols, columns in PRODUCTS:
        counts = [rows * cols * percent // 100 for percent in range(101)]
        dense = [crossover.runs_dense(rows, cols, n, columns, isa, threads) for n in counts]
        if threads == 1:  # else a further thread may make more work faster
            assert dense == sorted(dense)
        dense = [crossover.convolution_runs_dense(rows, cols, n, columns, isa) for n in counts]
        assert dense == sorted(dense)


@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa])
@pytest.mark.parametrize("threads", [1, 2])
def test_table_8_runs_packed_and_dense_weights_dense(isa, threads):
    assert not crossover.runs_dense(4096, 9216, 4096 * 9216 * 9 // 100, 1, isa, threads)
    assert not crossover.runs_dense(4096, 25088, 4096 * 25088 * 4 // 100, 1, isa, threads)
    assert crossover.runs_dense(1000, 1000, 1000 * 1000, 1, isa, threads)
    assert crossover.runs_dense(1000, 1000, 1000 * 1000, 64, isa, threads)
    assert crossover.convolution_runs_dense(512, 4608, 512 * 4608, 196, isa)
    assert not crossover.convolution_runs_dense(512, 4608, 512 * 461, 196, isa)


@pytest.mark.parametrize("entries", [0, 3, 1000])
def test_without_kernels_weights_run_dense(entries):
    assert crossover.runs_dense(1000, 4096, entries, 1, None, 1)
    assert crossover.convolution_runs_dense(64, 512, entries, 1000, None)


@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa])
def test_winograd_takes_what_is_rather_dense_and_whose_weights_stay_near(isa):
    takes = crossover.convolution_runs_winograd
    assert takes(256, 256, 256 * 256 * 9, (56, 56), isa)
    counts = [takes(256, 256, 256 * 256 * 9 * n // 20, (56, 56), isa) for n in range(21)]
    assert counts == sorted(counts)
    assert not counts[4]
    assert not takes(512, 512, 512 * 512 * 9, (28, 28), isa)  # 36 MiB
    assert not takes(256, 256, 256 * 256 * 9, (5, 5), isa)  # of tiles that hang over the edge
    assert not takes(256, 1, 256 * 9, (56, 56), isa)  # transforms of outputs cost more
    assert not takes(0, 256, 0, (56, 56), isa)


def test_without_kernels_winograd_takes_nothing():
    assert not crossover.convolution_runs_winograd(256, 256, 256 * 256 * 9, (56, 56), None)


def test_dense_weights_that_other_layers_drive_from_the_cache_take_longer():
    last = 1000, 4096, 1000 * 4096 // 4, 1, "avx2"
    for threads in (1, 2):
        assert crossover.runs_dense(*last, 1)
        assert not crossover.runs_dense(*last, threads, among_others=True)
        assert crossover.runs_dense(10, 500, 950, 1, "avx2", threads, among_others=True)


def test_the_density_is_where_the_decision_turns():
    for rows, cols, columns in PRODUCTS:
        found = crossover.density(rows, cols, columns, "avx2", 1)
        if found is None:
            assert not crossover.runs_dense(rows, cols, rows * cols, columns, "avx2", 1)
            continue
        entries = round(found * rows * cols)
        assert crossover.runs_dense(rows, cols, entries, columns, "avx2", 1)
        if entries:  # with tiny matrices, a call of ours takes longer than the product
            assert not crossover.runs_dense(rows, cols, entries - 1, columns, "avx2", 1)


@pytest.mark.parametrize("isa", ISAS)
def test_times_grow_with_the_work_and_shrink_with_threads(isa):
    for rows, cols, columns in PRODUCTS:
        entries = rows * cols // 10
        one = crossover.packed_ns(rows, cols, entries, columns, isa, 1)
        assert crossover.packed_ns(rows, cols, 2 * entries, columns, isa, 1) > one
        assert crossover.packed_ns(rows, cols, entries, columns, isa, 2) <= one
        dense = crossover.dense_ns(rows, cols, columns, isa, 1)
        assert crossover.dense_ns(rows, cols, 2 * columns, isa, 1) > dense or columns < 8
        assert crossover.dense_ns(rows, cols, columns, isa, 2) <= dense


@pytest.mark.parametrize("isa", ISAS)
def test_matrices_without_elements(isa):
    for rows, cols in [(0, 5), (5, 0), (0, 0)]:
        assert crossover.packed_ns(rows, cols, 0, 1, isa, 1) > 0
        assert crossover.dense_ns(rows, cols, 1, isa, 1) == 0
        assert crossover.density(rows, cols, 1, isa, 1) == 0.0


def test_unknown_instruction_sets_count_as_scalar():
    for columns in (1, 64):
        assert crossover.packed_ns(100, 100, 999, columns, "rvv", 2) == crossover.packed_ns(
            100, 100, 999, columns, "scalar", 2
        )
