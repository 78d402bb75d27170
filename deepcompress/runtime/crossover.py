"""Whether a product is faster with packed weights or with a dense matrix: a measured model.

`packed_ns` and `dense_ns` estimate both times, in nanoseconds, from the measures of a product and
a few coefficients per instruction set, `costs.COSTS`. They were fitted to measurements. Nothing is
timed when the model is asked, so that the answer is the same each time, and on all machines that
have the same instruction set but those that have been measured: ``deepcompress bench --calibrate``
keeps a machine's own coefficients (see `costs`). The two products differ by rounding only.
``deepcompress bench`` shows how near the estimates are to the machine that it runs on. Without the
kernels, dense is faster.

Assumptions of the model:

- A product with one column takes a time for each stored entry. The dense one reads all weights,
  from the cache or, beyond its size, from memory, which is slower and which threads share.
- With several columns the packed product unpacks each entry once and then takes a time for
  each column. Dense BLAS copies its matrices first, and then takes a time for each
  multiplication; both round the number of columns up to that of a register.
- Either takes more threads only for enough work.

`R` rows, `C` columns of the weights, `S` surviving weights, `N` columns of x.
"""

import math
from bisect import bisect_left

from . import costs as costs_of

REGISTER = 8  # columns
OWN_BYTES = 1 << 19  # dense weights that stay in a cache while other layers run
PARALLEL_ENTRIES = 1 << 18  # entries times vectors for each thread; see `native.spmv`
WINOGRAD_PLACES, WINOGRAD_EDGE = 36, 4  # products for a tile of so many pixels along its sides
WINOGRAD_TILE = 10.0  # nanoseconds of transforming a tile, of a channel or of an output
WINOGRAD_GAIN = 0.75  # of the time, at most, as it takes more memory and rounds more coarsely
WINOGRAD_BYTES = 1 << 24  # transformed weights that stay in a third cache
PARALLEL_DENSE = 1 << 19  # multiplications for which OpenBLAS takes a second thread


def runs_dense(
    rows: int,
    cols: int,
    entries: int,
    columns: int,
    isa: str | None,
    threads: int,
    *,
    among_others: bool = False,
) -> bool:
    """Tell whether ``W x`` is faster with a dense W than with a packed one.

    Parameters
    ----------
    rows, cols : int
        Sides of W.
    entries : int
        Surviving weights.
    columns : int
        Columns of x, at least 1; the batch.
    isa : str or None
        The instruction set in use, as from `native.info`; None for the reference backend.
    threads : int
        Threads that both may take, at least 1, as from `native.threads`.
    among_others : bool
        Whether other products, such as those of a network's other layers, use the cache in between.

    Returns
    -------
    bool
        False where the model sees no difference: packed weights take less memory. True with the
        reference backend, whose packed products expand all coordinates.
    """
    if isa is None:
        return True
    dense = dense_ns(rows, cols, columns, isa, threads, among_others=among_others)
    return dense < packed_ns(rows, cols, entries, columns, isa, threads)


def convolution_runs_dense(
    rows: int, cols: int, entries: int, columns: int, isa: str | None
) -> bool:
    """Tell whether a convolution is faster with dense filters than with packed ones.

    The two differ by their products alone, as the kernels gather the input for both.

    Parameters
    ----------
    rows, cols : int
        Sides of the filters as a matrix: the filters of one group, and the weights of each.
    entries : int
        Surviving weights of the group.
    columns : int
        Pixels of the output times images of the batch.
    isa
        As for `runs_dense`, like the result.
    """
    costs, pixels = costs_of.of(isa), _in_registers(columns)
    packed = (costs.many_entry + costs.convolution_column * pixels) * entries
    return isa is None or costs.convolution_dense * rows * cols * pixels < packed


def convolution_runs_winograd(
    rows: int, channels: int, entries: int, sides: tuple[int, ...], isa: str | None
) -> bool:
    """Tell whether a convolution with 3x3 kernels is faster by `winograd`, an image at a time.

    Parameters
    ----------
    rows, channels : int
        Outputs, and channels of the image; there are no groups.
    entries : int
        Surviving weights; all of them for dense filters.
    sides : pair of int
        Height and width of the output.
    isa
        As for `runs_dense`, like the result.
    """
    size = rows * channels
    if isa is None or 4 * WINOGRAD_PLACES * size > WINOGRAD_BYTES:
        return False
    costs, pixels = costs_of.of(isa), _in_registers(math.prod(sides))
    packed = (costs.many_entry + costs.convolution_column * pixels) * entries
    direct = min(packed, costs.convolution_dense * 9 * size * pixels)
    tiles = math.prod(-(-side // WINOGRAD_EDGE) for side in sides)
    # The transformed weights come from memory, once an image; all else is as for dense filters.
    weight = costs.dense_memory + costs.convolution_dense * _in_registers(tiles)
    winograd = weight * WINOGRAD_PLACES * size + WINOGRAD_TILE * (channels + rows) * tiles
    return winograd < WINOGRAD_GAIN * direct


def packed_ns(
    rows: int, cols: int, entries: int, columns: int, isa: str | None, threads: int
) -> float:
    """Estimate the nanoseconds of a packed product; parameters as for `runs_dense`."""
    costs = costs_of.of(isa)
    if columns == 1:
        work, vectors = costs.entry * entries + costs.row * rows, 1
    else:
        padded = _in_registers(columns)
        work = (costs.many_entry + costs.many_column * padded) * entries
        work += costs.many_x * cols * padded
        vectors = 4 * -(-columns // 16)
    return costs.call + work / _threads(entries * vectors / PARALLEL_ENTRIES, threads)


def dense_ns(
    rows: int, cols: int, columns: int, isa: str | None, threads: int, *, among_others: bool = False
) -> float:
    """Estimate the nanoseconds of a dense product; parameters as for `runs_dense`."""
    costs, size = costs_of.of(isa), rows * cols
    shared = _threads(size * columns / PARALLEL_DENSE, threads)
    if columns == 1:
        cached = min(size, (OWN_BYTES if among_others else costs.cache_bytes) // 4)
        from_memory = costs.dense_memory * (size - cached) / min(shared, 2)  # two take all it gives
        return costs.dense_cached * cached / shared + from_memory
    return (costs.dense_weight + costs.dense_column * _in_registers(columns)) * size / shared


def density(rows: int, cols: int, columns: int, isa: str | None, threads: int) -> float | None:
    """Return the density from which on `runs_dense` holds; None if it never does.

    Parameters are those of `runs_dense`.
    """
    size = rows * cols

    def dense(entries: int) -> bool:
        return runs_dense(rows, cols, entries, columns, isa, threads)

    if not dense(size):
        return None
    first = bisect_left(range(size), True, key=dense)
    return first / size if first else 0.0


def _in_registers(columns: int) -> int:
    """Round a number of columns up to whole registers."""
    return -(-columns // REGISTER) * REGISTER


def _threads(worth: float, threads: int) -> int:
    """Return the number of threads for an amount of work, in units worth one thread."""
    return min(threads, int(worth)) if worth > 1 else 1
