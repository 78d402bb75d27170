"""A bounds-checked reader of untrusted bytes, and the varint."""

from dataclasses import dataclass

from ..errors import ArgumentError, FormatError, TruncatedError

MAX_VARINT_BYTES = 9  # 63 bits: every size fits a signed 64-bit integer


@dataclass
class Cursor:
    """Reads forward from `offset` and never past the end of `data`.

    Attributes
    ----------
    data : memoryview
        Items of one byte.
    what : str
        Name of the file or tensor, for messages.
    offset : int
        Index of the next byte in `data`.
    base : int
        Offset of ``data[0]`` in the file, for messages.
    """

    data: memoryview
    what: str
    offset: int = 0
    base: int = 0

    @property
    def left(self) -> int:
        """Bytes that remain."""
        return len(self.data) - self.offset

    def take(self, size: int, field: str) -> memoryview:
        """Return the next `size` bytes, or raise TruncatedError naming the field."""
        if size > self.left:
            raise TruncatedError(
                f"{self.what}: {field} at offset {self.base + self.offset} needs {size} bytes, "
                f"only {self.left} are left"
            )
        start = self.offset
        self.offset += size
        return self.data[start : self.offset]

    def byte(self, field: str) -> int:
        """Return the next byte as an integer."""
        offset = self.offset
        if offset < len(self.data):
            self.offset = offset + 1
            return self.data[offset]
        return self.take(1, field)[0]

    def varint(self, field: str) -> int:
        """Return the next varint; raise FormatError if it is too long or not the shortest."""
        # > A varint is an unsigned integer below 2**63 in groups of seven bits, the lowest first.
        # > Each group takes a byte, whose high bit is set where another byte follows. A varint is
        # > written in the fewest bytes.
        value = self.byte(field)
        if value < 0x80:
            return value
        value &= 0x7F
        for index in range(1, MAX_VARINT_BYTES):
            group = self.byte(field)
            value |= (group & 0x7F) << (7 * index)
            if group < 0x80:
                if group == 0:
                    raise self.error(f"{field} isn't written in the fewest bytes")
                return value
        raise self.error(f"{field} has more than {MAX_VARINT_BYTES} bytes")

    def end(self) -> None:
        """Raise FormatError unless every byte was read."""
        if self.left:
            raise self.error(f"{self.left} bytes more than declared")

    def error(self, problem: str) -> FormatError:
        """Return a FormatError that says where the cursor stands."""
        return FormatError(f"{self.what}: {problem} (offset {self.base + self.offset})")


def varint(value: int) -> bytes:
    """Write an unsigned integer as a varint.

    Raises
    ------
    ArgumentError
        If the value is negative or 2**63 or more.

    Examples
    --------
    >>> varint(300).hex()
    'ac02'
    """
    if not 0 <= value < 1 << (7 * MAX_VARINT_BYTES):
        raise ArgumentError(f"a size must be 0 to 2**63 - 1, not {value}")
    groups = bytearray()
    while value >= 0x80:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def common_bytes(a: bytes, b: bytes) -> int:
    """Return the number of bytes that two names have in common at their start.

    Examples
    --------
    >>> common_bytes(b"conv1.weight", b"conv1.bias")
    6
    """
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))
