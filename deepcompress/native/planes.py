"""The gateway to the C kernels of `coding.planes`; `gateway` has their rules."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..tensors import UInt8Array
from .gateway import _bytes, _choice, _ffi, _lib
from .pool import team

ALIGNMENT = 64  # bytes, of scratch memory
NS_PER_BYTE = 0.5  # of words, to decode or to encode them


def split(words: UInt8Array, word_bytes: int, rotate: bool) -> UInt8Array:
    """Call dc_split_planes for words given as their bytes."""
    count = len(words) // word_bytes
    planes = np.empty((word_bytes, count), np.uint8)
    _lib().dc_split_planes(_choice().isa, _bytes(words), count, word_bytes, rotate, _bytes(planes))
    return planes


def merge(planes: Sequence[UInt8Array], rotate: bool, words: UInt8Array) -> None:
    """Call dc_merge_planes; the words are written as their bytes."""
    streams = [_bytes(plane) for plane in planes]
    pointers = _ffi().new("uint8_t *[]", streams)
    _lib().dc_merge_planes(
        _choice().isa, pointers, len(planes[0]), len(planes), rotate, _bytes(words)
    )


class StoredPlanes(NamedTuple):
    """A tensor in planes as a file has it: the fields of struct dc_planes up to `is_bool`.

    `data` are all its chunks, and `header_crc` is the CRC of its ``Tensor_Header``.
    """

    data: memoryview
    header_crc: int
    word_bytes: int
    words: int
    is_float: bool
    may_stay: bool
    is_bool: bool


def decode(tensors: Sequence[StoredPlanes]) -> list[UInt8Array | None]:
    """Call dc_planes_decode; return the bytes of each tensor's words, None if it isn't valid."""
    ffi, lib = _ffi(), _lib()
    from_buffer = ffi.from_buffer
    structs = ffi.new("struct dc_planes[]", len(tensors))
    words: list[UInt8Array] = []
    held = []  # keeps the memory of what the structs point to
    total = 0
    for struct, tensor in zip(structs, tensors, strict=True):
        data = from_buffer("uint8_t[]", tensor.data)
        out = np.empty(tensor.words * tensor.word_bytes, np.uint8)
        own = from_buffer("uint8_t[]", out)
        struct.data, struct.size, struct.header_crc = data, len(data), tensor.header_crc
        struct.word_bytes, struct.words = tensor.word_bytes, tensor.words
        struct.is_float, struct.may_stay = tensor.is_float, tensor.may_stay
        struct.is_bool, struct.words_out = tensor.is_bool, own
        held.append((data, own))
        words.append(out)
        total += len(out)
    helpers, threads = team(total * NS_PER_BYTE, total)
    scratch = np.empty(_scratch_bytes(len(tensors), threads), np.uint8)
    aligned = scratch[-scratch.ctypes.data % ALIGNMENT :]
    lib.dc_planes_decode(
        _choice().isa, structs, len(tensors), helpers, ffi.from_buffer("uint8_t[]", aligned)
    )
    return [own if struct.is_valid else None for struct, own in zip(structs, words, strict=True)]


def scratch_bytes(count: int, total: int) -> int:
    """Return how much memory `decode` takes for tensors of so many bytes, besides their words."""
    return _scratch_bytes(count, team(total * NS_PER_BYTE, total)[1])


def _scratch_bytes(count: int, threads: int) -> int:
    return ALIGNMENT + threads * int(_lib().dc_planes_scratch(count))


class PlaneCodes:
    """How words are coded in planes: struct dc_plane_codes, filled by dc_plane_codes_choose.

    Attributes
    ----------
    coders : tuple of int
        Of each plane.
    tables : tuple of bytes
    block_bytes : list of tuple of int
        Of each block, the bytes of each plane.
    """

    def __init__(
        self, words: UInt8Array, word_bytes: int, rotate: bool, block_bits: int, least_gain: int
    ) -> None:
        ffi = _ffi()
        self._struct = struct = ffi.new("struct dc_plane_codes *")
        struct.words = count = len(words) // word_bytes
        blocks = ((count - 1) >> block_bits) + 1
        sizes = np.empty((blocks, word_bytes), np.uint64)
        from_buffer = ffi.from_buffer
        struct.word_bytes, struct.rotate, struct.block_bits = word_bytes, rotate, block_bits
        struct.least_gain = least_gain
        self._team, threads = team(len(words) * NS_PER_BYTE, blocks)
        self._scratch_bytes = threads * _lib().dc_plane_codes_scratch(struct)
        self._held = from_buffer("uint8_t[]", words), from_buffer("uint64_t[]", sizes)
        struct.data, struct.block_bytes = self._held
        # Neither is wanted once this has chosen, and a model's tensors wait to be written.
        counts = from_buffer("uint32_t[]", np.empty(256 * word_bytes * blocks, np.uint32))
        scratch = from_buffer("uint8_t[]", np.empty(self._scratch_bytes, np.uint8))
        struct.counts, struct.scratch = counts, scratch
        _lib().dc_plane_codes_choose(_choice().isa, struct, self._team)
        struct.counts = struct.scratch = ffi.NULL
        self.coders = tuple(bytes(ffi.buffer(struct.coders, word_bytes)))
        tables = bytes(ffi.buffer(struct.tables))
        self.tables = tuple(
            tables[512 * plane : 512 * plane + struct.table_bytes[plane]]
            for plane in range(word_bytes)
        )
        self.block_bytes: list[tuple[int, ...]] = list(map(tuple, sizes.tolist()))

    def write(self, head: bytes, header_crc: int, out: memoryview) -> None:
        """Call dc_plane_codes_write, which writes as many bytes as `out` has."""
        from_buffer, struct = _ffi().from_buffer, self._struct
        scratch = from_buffer("uint8_t[]", np.empty(self._scratch_bytes, np.uint8))
        struct.scratch = scratch
        own, own_head = from_buffer("uint8_t[]", out), from_buffer("uint8_t[]", head)
        _lib().dc_plane_codes_write(
            _choice().isa, struct, own_head, len(own_head), header_crc, own, self._team
        )
        struct.scratch = _ffi().NULL
