"""A tensor of groups of rows -> its record in a file, group by group, and back."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..container.records import CONTEXT, ENCODINGS, MAX_BLOCK_BITS, Coding, GroupedRecord
from ..packed.grouped import GroupedTensor
from ..packed.tensor import CompressedTensor
from ..tensors import Survivors
from . import decoder, encoder, prices
from .prices import Choice


@dataclass(frozen=True)
class GroupedCoding:
    """How a grouped tensor is written: each group in one block."""

    codings: tuple[Coding, ...]


def choose(
    groups: Sequence[Survivors | CompressedTensor], choice: Choice
) -> tuple[GroupedCoding, int]:
    """Return the codings with the fewest bytes, and about how many these are.

    Groups have no contexts: where they are asked for, the fewest bytes are those of the others.
    """
    encoding = None if choice.encoding == ENCODINGS[CONTEXT] else choice.encoding
    one_block = replace(choice, block_bits=MAX_BLOCK_BITS, encoding=encoding)
    found = [prices.choose(group, one_block) for group in groups]
    # A group has a byte for its encoding and one or two for its size; the head has a CRC.
    size = sum(price.size_bytes + 3 for price in found) + 8
    return GroupedCoding(tuple(price.coding for price in found)), size


def encode(
    shape: tuple[int, ...],
    group_rows: int,
    groups: Sequence[Survivors | CompressedTensor],
    coding: GroupedCoding,
) -> GroupedRecord:
    """Encode a tensor, given its groups."""
    pairs = zip(groups, coding.codings, strict=True)
    records = tuple(encoder.encode(group, one) for group, one in pairs)
    return GroupedRecord(shape, records[0].dtype, group_rows, records)


def decode(record: GroupedRecord) -> GroupedTensor:
    """Turn a record into packed tensors of the groups' rows; raise as `decoder.decode`."""
    groups = tuple(map(decoder.decode, record.groups))
    return GroupedTensor(record.shape, record.group_rows, groups)
