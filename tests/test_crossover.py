"""The model that decides between packed and dense products: what must hold in any case."""

import pytest

from deepcompress import crossover

ISAS = [*crossover.COSTS]
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
        for decide in (crossover.runs_dense, crossover.convolution_runs_dense):
            dense = [decide(rows, cols, count, columns, isa, threads) for count in counts]
            if threads == 1:
                assert dense == sorted(dense)
            assert dense == [decide(rows, cols, n, columns, isa, threads) for n in counts]


@pytest.mark.parametrize("isa", [isa for isa in ISAS if isa])
@pytest.mark.parametrize("threads", [1, 2])
def test_table_8_runs_packed_and_dense_weights_dense(isa, threads):
    assert not crossover.runs_dense(4096, 9216, 4096 * 9216 * 9 // 100, 1, isa, threads)
    assert not crossover.runs_dense(4096, 25088, 4096 * 25088 * 4 // 100, 1, isa, threads)
    assert crossover.runs_dense(1000, 1000, 1000 * 1000, 1, isa, threads)
    assert crossover.runs_dense(1000, 1000, 1000 * 1000, 64, isa, threads)
    assert crossover.convolution_runs_dense(64, 576, 64 * 576, 1000, isa, threads)


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
def test_matrices_without_elements_run_packed(isa):
    for rows, cols in [(0, 5), (5, 0), (0, 0)]:
        assert crossover.runs_dense(rows, cols, 0, 1, isa, 1) in (True, False)


def test_unknown_instruction_sets_count_as_scalar():
    for columns in (1, 64):
        assert crossover.packed_ns(100, 100, 999, columns, "rvv", 2) == crossover.packed_ns(
            100, 100, 999, columns, "scalar", 2
        )
