"""The coders of a stream by their numbers in a file, which `container.CODERS` names."""

from collections.abc import Sequence

from ..bits.outcomes import Outcome
from ..errors import FormatError
from ..tensors import HUFFMAN
from .code import Code, Stream
from .fixed_code import FixedCode
from .huffman_code import HuffmanCode
from .rans_code import OneStateCode, RansCode

# In the order of `container.CODERS`.
CODES: tuple[type[Code], ...] = (FixedCode, HuffmanCode, OneStateCode, RansCode)


def up_to(strongest: int) -> tuple[int, ...]:
    """Return the coders of which a stream may have the cheapest.

    With rANS of several states, that of one isn't among them: it takes about as many bytes, and
    five times as long to read.

    Examples
    --------
    >>> [up_to(coder) for coder in (0, 1, 2, 3)]
    [(0,), (0, 1), (0, 1, 2), (0, 1, 3)]
    """
    return *range(min(strongest, HUFFMAN + 1)), strongest


def read(coder: int, table: bytes, alphabet: int, width: int) -> Code:
    """Return the code of a table, or raise FormatError if that isn't valid, or too long."""
    code, size = CODES[coder].read(table, alphabet, width)
    if size != len(table):
        raise FormatError(f"{len(table) - size} bytes too many in a code table")
    return code


def decode_streams(codes: Sequence[Code], streams: Sequence[Stream]) -> list[Outcome]:
    """Return the symbols of each stream, or why it has none, for one or two codes.

    At fixed width, symbols beyond the alphabet pass.
    """
    outcomes: dict[int, Outcome] = {}
    kinds: list[type[Code]] = [*dict.fromkeys(map(type, codes))]
    for kind in kinds:  # whose streams are decoded side by side
        of_kind = [index for index, code in enumerate(codes) if type(code) is kind]
        own = [i for i, (_, code, _) in enumerate(streams) if code in of_kind]
        renumbered = [(streams[i][0], of_kind.index(streams[i][1]), streams[i][2]) for i in own]
        decoded = kind.decode_streams([codes[index] for index in of_kind], renumbered)
        outcomes.update(zip(own, decoded, strict=True))
    return [outcomes[i] for i in range(len(streams))]
