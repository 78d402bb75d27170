"""Reads the head of a tensor whose groups of rows have shared weights each."""

from dataclasses import dataclass

from ..dtypes import ElementType
from .cursor import Cursor
from .records import CONTEXT, CRC, ENCODINGS, SHARED, GroupedRecord
from .shared_weights import SharedHead, parse_block, parse_head

LEAST_GROUP_BYTES = 4  # Group_Encoding, coders, size of blocks, number of centroids


@dataclass(frozen=True)
class Group:
    """The head of a group, which has one block, and the group's `encoding` and `shape`."""

    encoding: int
    shape: tuple[int, ...]
    head: SharedHead


@dataclass(frozen=True)
class GroupsHead:
    """The head of a grouped tensor.

    Attributes
    ----------
    group_rows : int
    sizes : tuple of int
        ``Group_Bytes`` of each group.
    bytes : int
        Size of the head.
    groups : tuple of Group
        Empty until they are read.
    """

    group_rows: int
    sizes: tuple[int, ...]
    bytes: int
    groups: tuple[Group, ...] = ()

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Begin and end of each group in the tensor's data."""
        spans, end = [], self.bytes
        for size in self.sizes:
            begin = end + CRC.size
            end = begin + size
            spans.append((begin, end))
        return tuple(spans)

    def record(
        self, shape: tuple[int, ...], dtype: ElementType, data: list[memoryview]
    ) -> GroupedRecord:
        """Return the record, given the data of each group."""
        records = []
        for group, own in zip(self.groups, data, strict=True):
            begin, end = group.head.spans[0]
            block = parse_block(own[begin:end], group.head, 0)
            records.append(group.head.record(group.shape, (block,)))
        return GroupedRecord(shape, dtype, self.group_rows, tuple(records))

    def parts(self) -> list[tuple[str, int]]:
        """Return the uses of the tensor's data, with bytes that sum to its size."""
        parts = [("header", self.bytes), ("checksums", CRC.size)]
        for group in self.groups:
            parts += group.head.parts(group.encoding)
        return parts


def parse_groups_head(cursor: Cursor, shape: tuple[int, ...]) -> GroupsHead:
    """Read and check the head at the start of a tensor's data; raise FormatError."""
    group_rows = cursor.varint("rows of a group")
    # > A grouped tensor has rank 2 or more, and Group_Rows is at least 1 and below its first axis.
    if len(shape) < 2 or not 1 <= group_rows < shape[0]:
        raise cursor.error(f"groups of {group_rows} rows in the shape {shape}")
    count = -(-shape[0] // group_rows)
    if count * (1 + LEAST_GROUP_BYTES + CRC.size) > cursor.left:
        raise cursor.error(f"{count} groups in {cursor.left} bytes")
    sizes = tuple(cursor.varint("bytes of a group") for _ in range(count))
    return GroupsHead(group_rows, sizes, cursor.offset)


def parse_group(cursor: Cursor, shape: tuple[int, ...], dtype: ElementType) -> Group:
    """Read and check the data of a group of rows up to its block; raise FormatError."""
    encoding = cursor.byte("encoding of a group")
    # > A group is the byte Group_Encoding, that is 1, 2 or 3, then the head and the block of shared
    # > weights of this encoding, of the tensor's Dtype, and of the shape of the group's rows.
    if encoding not in SHARED or encoding == CONTEXT:
        word = ENCODINGS[encoding] if encoding < len(ENCODINGS) else encoding
        raise cursor.error(f"a group can't be {word}")
    head = parse_head(cursor, shape, encoding, dtype)
    # > A group has one block, to whose end its data reach.
    if len(head.spans) != 1 or head.spans[0][1] != len(cursor.data):
        raise cursor.error(f"a group of {len(cursor.data)} bytes doesn't end with its one block")
    return Group(encoding, shape, head)
