"""A table of small integers, one per symbol of an alphabet, as bytes.

`huffman.table` and `coding.rans_levels` store such a table ahead of coded symbols; each says what
its integers mean. ``docs/format.md``, "Code tables", specifies the tokens.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..checks import as_uint8
from ..errors import ArgumentError, FormatError, TruncatedError
from ..tensors import Int64Array, UInt8Array
from .alphabet import MAX_ALPHABET


@dataclass(frozen=True)
class TableKind:
    """What the tables of a coder have in common."""

    value: str  # its name in errors
    maximum: int
    first_previous: int  # the first value that isn't 0 is compared with it

    def check(self, values: npt.ArrayLike, name: str) -> UInt8Array:
        """Return values as an array, or raise unless a table may have them."""
        array = as_uint8(values, name)
        if len(array) > MAX_ALPHABET:
            raise ArgumentError(f"an alphabet has at most {MAX_ALPHABET} symbols, got {len(array)}")
        if array.size and (largest := array.max()) > self.maximum:
            at = f"{self.value} {largest} of symbol {array.argmax()}"
            raise FormatError(f"{at} exceeds {self.maximum}")
        return array


def encode_deltas(values: UInt8Array, kind: TableKind) -> bytes:
    """Write a table of values that `TableKind.check` has passed; 0 is an absent symbol."""
    bits: list[int] = []
    previous = kind.first_previous
    run = 0
    for value in [*values.tolist(), -1]:  # -1 ends a trailing run
        if value == 0:
            run += 1
            continue
        if run:
            width = run.bit_length()
            bits += [1, 1, 0, *[0] * (width - 1)]
            bits += [run >> place & 1 for place in reversed(range(width))]
            run = 0
        if value < 0:
            break
        step, down = abs(value - previous), int(value < previous)
        if step == 0:
            bits += [0]
        elif step == 1:
            bits += [1, 0, down]
        else:
            bits += [1, 1, 1, down, *[1] * (step - 2), 0]
        previous = value
    return np.packbits(np.array(bits, np.uint8), bitorder="little").tobytes()


def run_bits(present: Int64Array, alphabet: int) -> int:
    """Return how many bits `encode_deltas` writes for the runs between symbols that occur.

    Examples
    --------
    >>> run_bits(np.array([0, 2]), 5)
    10
    """
    runs = np.diff(present, prepend=-1, append=alphabet) - 1
    digits = np.frexp(runs[runs > 0])[1]  # in base 2
    return int(2 * (digits + 1).sum())


def step_bits(steps: Int64Array) -> Int64Array:
    """Return how many bits `encode_deltas` writes for differences of either sign.

    Examples
    --------
    >>> step_bits(np.array([0, 1, -1, 2, -3])).tolist()
    [1, 3, 3, 5, 6]
    """
    sizes = np.abs(steps)
    return np.where(sizes < 2, 1 + 2 * sizes, 3 + sizes)


def decode_deltas(data: bytes, alphabet: int, kind: TableKind) -> tuple[UInt8Array, int]:
    """Read a table from the start of `data`; return it, and how many bytes it takes.

    `huffman.decode_lengths` has the same parameters, and raises the same errors.
    """
    if not 0 <= alphabet <= MAX_ALPHABET:
        raise ArgumentError(f"an alphabet has 0 to {MAX_ALPHABET} symbols, got {alphabet}")
    longest_token = 2 * kind.maximum + 4  # bits, of those that no writer makes, too
    table = np.frombuffer(data, np.uint8)[: alphabet * longest_token // 8 + 1]
    bits = np.unpackbits(table, bitorder="little").tolist()
    try:
        values, end = _read_tokens(bits, alphabet, kind)
    except IndexError:
        raise TruncatedError(f"table of {alphabet} {kind.value}s ends early") from None
    consumed = (end + 7) // 8
    if any(bits[end : 8 * consumed]):
        raise FormatError(f"padding bits after the table of {kind.value}s aren't zero")
    return np.array(values, np.uint8), consumed


def _read_tokens(bits: list[int], alphabet: int, kind: TableKind) -> tuple[list[int], int]:
    """Return the values and where their bits end; arguments validated by `decode_deltas`.

    Without calls for the usual tokens, as a file's tables come before anything else.
    """
    place = 0

    def unary(stop: int) -> int:
        """Count the bits before the next that equals `stop`, and pass that one, too."""
        nonlocal place
        for count in range(kind.maximum):
            place += 1
            if bits[place - 1] == stop:
                return count
        raise FormatError(f"{kind.value} table has no token like the one before bit {place}")

    values: list[int] = []
    previous = kind.first_previous
    after_run = False
    while len(values) < alphabet:
        if not bits[place]:
            step = 0
            place += 1
        elif not bits[place + 1]:
            step = -1 if bits[place + 2] else 1
            place += 3
        elif bits[place + 2]:
            sign = -1 if bits[place + 3] else 1
            place += 4
            step = sign * (2 + unary(stop=0))
        else:
            place += 3
            run = 1
            for _ in range(unary(stop=1)):
                run = 2 * run + bits[place]
                place += 1
            if after_run or len(values) + run > alphabet:
                raise FormatError(f"run of {run} absent symbols can't end at bit {place}")
            values += [0] * run
            after_run = True
            continue
        previous += step
        if not 1 <= previous <= kind.maximum:
            raise FormatError(f"{kind.value} {previous} of symbol {len(values)} is out of range")
        values.append(previous)
        after_run = False
    return values, place
