"""Pickles are refused by their first bytes, whatever they are called: to load one runs its code."""

import os

from ..errors import FormatError

SUFFIXES = (".pkl", ".pickle", ".joblib", ".p")
_PROTOCOLS = range(2, 6)
# PyTorch's number at the start of its older files, as every pickle protocol has it.
TORCH_NUMBER = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19"
OBJECTS = (
    "holds Python objects (a pickle), which are never loaded, as that runs any code in them; "
    "save arrays of numbers instead"
)


def is_pickle(start: bytes) -> bool:
    """Tell whether a file that begins so is a pickle, and not an older one of PyTorch's."""
    begins = len(start) > 1 and start[0] == 0x80 and start[1] in _PROTOCOLS
    return begins and TORCH_NUMBER not in start


def refuse(path: str | os.PathLike[str], start: bytes) -> None:
    """Raise FormatError, with the way out, for a file that is a pickle by start or suffix."""
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if is_pickle(start) or suffix in SUFFIXES:
        raise FormatError(
            f"{os.fspath(path)}: is a pickle, which is never loaded, as that runs any code in it; "
            "load it where you trust it, and save its arrays by numpy.savez, its state_dict() by "
            "torch.save, or its estimator by skops.io.dump"
        )
