"""The bytes of a ``.dcnn`` file, as ``docs/format.md`` specifies them."""

from .records import (
    BITMASK,
    CODERS,
    CONTEXT,
    DENSE,
    DTYPES,
    ENCODINGS,
    MAGIC,
    RAW,
    RELATIVE,
    SYMBOLS_PER_BYTE,
    VERSION,
    Block,
    Coding,
    Record,
    Section,
    SharedRecord,
)

__all__ = [
    "BITMASK",
    "CODERS",
    "CONTEXT",
    "DENSE",
    "DTYPES",
    "ENCODINGS",
    "MAGIC",
    "RAW",
    "RELATIVE",
    "SYMBOLS_PER_BYTE",
    "VERSION",
    "Block",
    "Coding",
    "Record",
    "Section",
    "SharedRecord",
]
