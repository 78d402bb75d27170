"""The only door to the C kernels: nothing outside this package knows cffi."""

from .gateway import (
    BACKENDS,
    active,
    backend,
    decode_gaps,
    huffman_encode,
    info,
    pack,
    rans_encode,
    threads,
    unpack,
    use,
)

__all__ = [
    "BACKENDS",
    "active",
    "backend",
    "decode_gaps",
    "huffman_encode",
    "info",
    "pack",
    "rans_encode",
    "threads",
    "unpack",
    "use",
]
