"""The coders of a stream by their numbers in a file, which `container.CODERS` names."""

from collections.abc import Sequence

from ..errors import FormatError
from ..tensors import Int64Array, UInt8Array
from .code import Code, Stream
from .fixed_code import FixedCode
from .huffman_code import HuffmanCode
from .rans_code import RansCode

# From the simplest to the strongest.
CODES: tuple[type[Code], ...] = (FixedCode, HuffmanCode, RansCode)


def make(coder: int, counts: Int64Array, width: int) -> Code:
    """Return the best code of a coder for symbols with these counts."""
    return CODES[coder].make(counts, width)


def read(coder: int, table: bytes, alphabet: int, width: int) -> Code:
    """Return the code that a table describes.

    Raises
    ------
    FormatError
        If the table isn't valid, or longer than it says.
    """
    code, size = CODES[coder].read(table, alphabet, width)
    if size != len(table):
        raise FormatError(f"{len(table) - size} bytes too many in a code table")
    return code


def decode_streams(
    codes: Sequence[Code], streams: Sequence[Stream]
) -> list[UInt8Array | FormatError]:
    """Return of each stream the symbols, or why it has none.

    Parameters
    ----------
    codes : sequence of one or two Code
    streams : sequence of (data, code, count)
        Each with the index of its code, and how many symbols it holds.

    Returns
    -------
    list of (ndarray of shape (count,), uint8) or FormatError
        At fixed width, symbols beyond the alphabet pass.
    """
    outcomes: dict[int, UInt8Array | FormatError] = {}
    kinds: list[type[Code]] = [*dict.fromkeys(map(type, codes))]
    for kind in kinds:  # whose streams are decoded side by side
        of_kind = [index for index, code in enumerate(codes) if type(code) is kind]
        own = [i for i, (_, code, _) in enumerate(streams) if code in of_kind]
        renumbered = [(streams[i][0], of_kind.index(streams[i][1]), streams[i][2]) for i in own]
        decoded = kind.decode_streams([codes[index] for index in of_kind], renumbered)
        outcomes.update(zip(own, decoded, strict=True))
    return [outcomes[i] for i in range(len(streams))]
