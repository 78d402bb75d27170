"""The gateway to the C kernel of checksums; `gateway` has its rules."""

from .gateway import _choice, _ffi, _lib


def crc32(data: bytes | memoryview, start: int) -> tuple[int, int]:
    """Call dc_crc32; return how many bytes it took, perhaps none, and their CRC."""
    crc = _ffi().new("uint32_t *", start)
    view = _ffi().from_buffer("uint8_t[]", data)
    taken = _lib().dc_crc32(_choice().isa, view, len(view), crc)
    return int(taken), int(crc[0])
