"""The gateway to ``csrc/pages``: memory from the system; `gateway` has its rules."""

from .gateway import _ffi, _lib

LEAST_BYTES = 1 << 22  # two large pages; NumPy asks for them from here on, too


def want_large(memory: memoryview) -> None:
    """Call dc_want_large_pages for memory that is worth it."""
    if len(memory) >= LEAST_BYTES:
        own = _ffi().from_buffer("uint8_t[]", memory)
        _lib().dc_want_large_pages(own, len(own))
