"""Stage 1, stored: positions of the stored entries as small gaps, with filler zeros.

Han et al. 2016, §2: "To compress further, we store the index difference instead
of the absolute position, and encode this difference in 8 bits for conv layer and
5 bits for fc layer. When we need an index difference larger than the bound, we
[use] the zero padding solution shown in Figure 2."

Deviation: here the width of a gap is any of 1 to 8 bits, whatever the layer, as the one
with the fewest bytes depends on the density; `filler_counts` tells what each width would need.

Format notes
------------
- *What is stored.* The number of zeros skipped, i.e. the index difference minus
  one, as in the authors' own files: a difference of 0 can't occur, so storing
  it would waste a code. Largest gap: ``2**gap_bits - 1``. Deviation: the paper's text
  and figure 2 have the difference itself.
- *Figure 2* in this convention: entries at 1, 4 and 15 and 3 bits give the gaps
  1, 2, **7**, 2. The paper's drawing shows the differences 1, 3, 8, 3, the first
  from position 0; its filler is where ours is, at position 12.
- *First gap.* Counted from position -1: an entry at position 0 has gap 0.
- *Decoding.* ``positions = cumsum(gaps + 1) - 1``.
- *Runs of zeros* at width ``b``: a run of ``2**b - 1`` is the longest that needs no
  filler; a run of ``2**b`` needs one, followed by a gap of 0; a run of ``2**b + 1``
  one, followed by a gap of 1. In general ``run >> b`` fillers, each with the gap
  ``2**b - 1`` and thus covering ``2**b`` positions, and then ``run % 2**b``.
  Fillers are placed nowhere else: equal positions have exactly one stream.
- *Rows.* The tensor is flattened in row-major order and a gap may cross rows.
- *Trailing zeros* aren't stored: the stream ends at the last survivor.
- *Empty tensor, or nothing survives:* no entries at all.
- *Full tensor:* a gap of 0 for each element.
"""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from . import native
from .checks import as_bits, as_uint8
from .errors import ArgumentError, FormatError
from .native import relindex as native_relindex
from .tensors import MAX_BITS, BoolArray, GapStream, Int64Array, UInt8Array

CHUNK_POSITIONS = 1 << 18  # at a time, so that they stay in the cache and take little memory


def encode(positions: npt.ArrayLike, size: int, gap_bits: int) -> GapStream:
    """Turn ascending positions into gaps, inserting fillers where a gap is too wide.

    Parameters
    ----------
    positions : array_like of shape (N,), integer
        Strictly ascending, ``0 <= position < size``.
    size : int
        Number of elements of the flattened tensor.
    gap_bits : int
        Width of a gap, 1 to 8.

    Returns
    -------
    GapStream
        With ``S = N + filler_count(positions, gap_bits)`` entries.

    Raises
    ------
    ArgumentError
        If `gap_bits` is out of range, or `positions` isn't a one-dimensional
        array of ascending integers below `size`.

    Examples
    --------
    >>> stream = encode([1, 4, 15], 16, 3)
    >>> stream.gaps.tolist(), stream.fillers.tolist()
    ([1, 2, 7, 2], [False, False, True, False])
    """
    gap_bits = as_bits(gap_bits, "gap_bits")
    entries = begin = 0
    pieces = [(np.zeros(0, np.uint8), np.zeros(0, np.bool_))]
    for runs in _zero_runs(positions):
        begin += int(runs.sum()) + runs.size
        if begin > size:
            raise ArgumentError(f"position {begin - 1} lies outside a tensor of {size} elements")
        entries += int((runs >> gap_bits).sum()) + runs.size
        try:
            pieces.append(_encode(runs, gap_bits))
        except (MemoryError, ValueError) as error:  # ValueError beyond NumPy's largest size
            raise ArgumentError(f"{entries} entries of {gap_bits}-bit gaps: {error}") from None
    gaps, fillers = map(np.concatenate, zip(*pieces, strict=True))
    return GapStream(gaps, fillers, gap_bits)


def _encode(runs: Int64Array, gap_bits: int) -> tuple[UInt8Array, BoolArray]:
    """Return the gaps of survivors that have so many zeros before them, and what is a filler."""
    places = runs >> gap_bits  # of survivors in the stream: behind all that is before them
    places += 1
    np.cumsum(places, out=places)
    entries = int(places[-1])
    places -= 1
    largest = 2**gap_bits - 1
    gaps = np.full(entries, largest, np.uint8)
    gaps[places] = runs & largest
    fillers = np.ones(entries, np.bool_)
    fillers[places] = False
    return gaps, fillers


def decode(gaps: npt.ArrayLike, size: int) -> Int64Array:
    """Turn gaps back into the positions of all stored entries, fillers included.

    Parameters
    ----------
    gaps : array_like of shape (S,), dtype uint8
    size : int
        Number of elements of the flattened tensor.

    Returns
    -------
    ndarray of shape (S,), int64
        Strictly ascending, each ``< size``.

    Raises
    ------
    ArgumentError
        If `gaps` isn't a one-dimensional uint8 array.
    FormatError
        If an entry lies outside the tensor.

    Examples
    --------
    >>> decode(np.array([1, 2, 7, 2], np.uint8), 16).tolist()
    [1, 4, 12, 15]
    """
    gaps = as_uint8(gaps, "gaps")
    return native_relindex.decode_gaps(gaps, size) if native.active() else _decode(gaps, size)


def filler_count(positions: npt.ArrayLike, gap_bits: int) -> int:
    """Return the number of fillers that `encode` would insert.

    Raises
    ------
    ArgumentError
        As `encode`.

    Examples
    --------
    >>> filler_count([1, 4, 15], 3)
    1
    """
    gap_bits = as_bits(gap_bits, "gap_bits")
    return sum(int((runs >> gap_bits).sum()) for runs in _zero_runs(positions))


def filler_counts(positions: npt.ArrayLike) -> Int64Array:
    """Return `filler_count` for each width from 1 to 8 bits.

    Raises
    ------
    ArgumentError
        As `encode`.

    Examples
    --------
    >>> filler_counts([1, 4, 15]).tolist()
    [6, 2, 1, 0, 0, 0, 0, 0]
    """
    counts = np.zeros(MAX_BITS, np.int64)
    for runs in _zero_runs(positions):
        counts += [(runs >> gap_bits).sum() for gap_bits in range(1, MAX_BITS + 1)]
    return counts


def _zero_runs(positions: npt.ArrayLike) -> Iterator[Int64Array]:
    """Yield the number of zeros before each position, for some at a time.

    Raises ArgumentError unless they ascend.
    """
    array = np.asarray(positions)
    if array.ndim != 1 or not (array.size == 0 or np.issubdtype(array.dtype, np.integer)):
        raise ArgumentError(
            f"positions must be a one-dimensional integer array, "
            f"got {array.dtype} of shape {array.shape}"
        )
    begin = 0
    for start in range(0, array.size, CHUNK_POSITIONS):
        runs = array[start : start + CHUNK_POSITIONS].astype(np.int64)
        end = int(runs[-1]) + 1
        runs[1:] -= runs[:-1] + 1
        runs[0] -= begin
        if runs.min() < 0:
            at = start + int(runs.argmin())
            raise ArgumentError(f"positions must ascend from 0, but don't at index {at}")
        begin = end
        yield runs


def _decode(gaps: UInt8Array, size: int) -> Int64Array:
    """Accumulate gaps and check where they end; arguments validated by `decode`."""
    positions = np.cumsum(gaps.astype(np.int64) + 1) - 1
    if positions.size and positions[-1] >= size:
        entry = int(np.searchsorted(positions, size))
        raise FormatError(f"an entry lies outside its tensor (entry {entry})")
    return positions
