"""Where the bytes of a file go: per tensor and part, per stage, beside plain formats.

A file is parsed once. Its tensors are decoded one by one, each once, and let go.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coding import encoder, grouped, prices
from ..coding.code import Code
from ..coding.decoder import decode, decode_symbols, read_codes
from ..coding.prices import Choice
from ..coding.symbols import BlockSymbols
from ..container.cursor import varint
from ..container.header import TensorEntry
from ..container.records import (
    GROUPED,
    RAW,
    RELATIVE,
    TIED,
    GroupedRecord,
    Record,
    Section,
    SharedRecord,
)
from ..container.sizes import raw_size, stream_bits
from ..container.writer import file_start, metadata_text, tensor_part
from ..errors import ArgumentError, FormatError
from ..model_file import ModelFile
from ..packed.tensor import CompressedTensor
from ..quantize.share import sharing_ratio

PARTS = (
    *("header", "metadata", "code tables", "codebooks", "labels", "gaps", "mask", "fillers"),
    *("biases", "raw", "checksums", "padding"),
)
FP32_BYTES = 4


@dataclass(frozen=True)
class Inspected:
    """One tensor of a file, decoded.

    Attributes
    ----------
    entry : TensorEntry
    record : Record
    codes : tuple of Code
        Those of labels and positions; empty for a raw tensor, as is `symbols`.
    symbols : list of BlockSymbols
        The symbols of each block.
    tensor : CompressedTensor or None
        The tensor as `pipeline.load` gives it; None for one that isn't shared, as a file has it
        in its record.
    parts : dict of str to int
        Its bytes in the file, by part.
    """

    entry: TensorEntry
    record: Record
    codes: tuple[Code, ...]
    symbols: list[BlockSymbols]
    tensor: CompressedTensor | None
    parts: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class LayerRow:
    """One tensor in the columns of the paper's tables 2 to 5, and its size in plain formats.

    Attributes
    ----------
    layer : str
        The tensor's name.
    shape : list of int
    weights : int
        Elements of the dense tensor.
    dense_bytes : int
        Bytes of the dense tensor in the dtype that it has in the file.
    kept_percent : float
        Survivors / elements.
    weight_bits_PQ, weight_bits_PQH : float
        Bits per stored weight: width of a label, and mean length of its code.
    gap_bits_PQ, gap_bits_PQH : float
        The same for gaps, or for a bitmask, or 0 for a dense tensor; None for one kept raw.
        P+Q is the paper's, relative at fixed width; the file's encoding and gap width are
        those with the fewest bytes.
    fillers : int
        In the file, that is after P+Q+H.
    bytes_P, bytes_PQ, bytes_PQH : int
        Size of this tensor in a file after each stage, all of its overhead included.
    rate_PQ_percent, rate_PQH_percent : float
        Those bytes against `dense_bytes`.
    csr_bytes, csc_bytes : int or None
        ``2 a + n + 1`` numbers of 4 bytes, n rows or columns (section 2).
    sharing_ratio : float or None
        Eq. (1) for the sharing alone.
    """

    layer: str
    shape: list[int]
    weights: int
    dense_bytes: int
    kept_percent: float = 100.0
    weight_bits_PQ: float
    weight_bits_PQH: float
    gap_bits_PQ: float | None = None
    gap_bits_PQH: float | None = None
    fillers: int = 0
    bytes_P: int
    bytes_PQ: int
    bytes_PQH: int
    rate_PQ_percent: float
    rate_PQH_percent: float
    csr_bytes: int | None = None
    csc_bytes: int | None = None
    sharing_ratio: float | None = None


@dataclass(frozen=True)
class Account:
    """A model's bytes: per layer, per stage, against dense tensors, and one by one.

    Attributes
    ----------
    layers : list of LayerRow
    stages : dict of str to int
        Bytes after ``"P"``, ``"P+Q"`` and ``"P+Q+H"``.
    reference_bytes, file_bytes : int
        Bytes of all tensors, dense, each in the dtype that it has in the file; and of the file.
    sections : list of Section
        As from `ledger`.
    metadata : dict
        The file's.
    """

    layers: list[LayerRow]
    stages: dict[str, int]
    reference_bytes: int
    file_bytes: int
    sections: list[Section]
    metadata: dict[str, Any]

    @property
    def ratio(self) -> float:
        """Bytes of the dense tensors / bytes of the file."""
        return self.reference_bytes / self.file_bytes


def ledger(data: bytes, what: str = "file") -> list[Section]:
    """Attribute every byte of a ``.dcnn`` file.

    Parameters
    ----------
    data, what
        As for `account`.

    Returns
    -------
    list of Section
        One row per tensor ("" for the file's own bytes) and part of `PARTS`, in the
        order of the file; the sizes sum exactly to ``len(data)``.

    Raises
    ------
    FormatError
        As `pipeline.load`.

    Notes
    -----
    The bits of fillers, both label and gap, are taken out of ``labels`` and ``gaps``,
    each of which is rounded up to whole bytes per block; ``fillers`` is the rest.
    A stream's padding of at most 7 bits is counted with its last byte: the
    format has no other padding.
    """
    return account(data, what).sections


def account(
    data: bytes, what: str = "file", look: Callable[[LayerRow, Inspected], None] | None = None
) -> Account:
    """Return the bytes that each stage saved, of a model given as the bytes of its file.

    Parameters
    ----------
    data : bytes
        A ``.dcnn`` file.
    what : str
        Its name, for messages.
    look : callable, optional
        Called for each tensor with its row, while it is decoded.

    Returns
    -------
    Account
        ``stages["P+Q+H"]`` is ``len(data)``; P+Q is the size of the file that
        `pipeline.at_fixed_width` gives, and P that of the same file if each of its entries
        held a float32 weight in place of a label, without a codebook.

    Raises
    ------
    FormatError
        As `pipeline.load`.
    """
    file = ModelFile(data, what)
    contents = file.contents()
    parts: dict[str, dict[str, int]] = {}
    for section in contents.sections:
        own = parts.setdefault(section.tensor, {})
        own[section.part] = own.get(section.part, 0) + section.size_bytes
    order = dict.fromkeys((section.tensor, section.part) for section in contents.sections)
    rows: list[LayerRow] = []
    fixed_heads: list[bytes] = []
    previous = ""
    for name, entry in file.entries.items():
        try:
            inspected = _inspect(entry, contents.records.pop(name), parts[name])
            fixed = _at_fixed_width(inspected, previous)
        except (FormatError, ArgumentError) as error:
            raise type(error)(f"{what}: tensor {name!r}: {error}") from None
        order |= dict.fromkeys((name, part) for part in inspected.parts)
        rows.append(_row(inspected, fixed))
        fixed_heads.append(fixed.head)
        previous = name
        if look is not None:
            look(rows[-1], inspected)
    overhead = len(file_start(fixed_heads, metadata_text(file.metadata)))
    overhead -= sum(map(len, fixed_heads))
    stages = {
        "P": overhead + sum(row.bytes_P for row in rows),
        "P+Q": overhead + sum(row.bytes_PQ for row in rows),
        "P+Q+H": len(data),
    }
    reference_bytes = sum(row.dense_bytes for row in rows)
    sections = [Section(*key, parts[key[0]][key[1]]) for key in order if parts[key[0]][key[1]]]
    return Account(rows, stages, reference_bytes, len(data), sections, file.metadata)


def _inspect(entry: TensorEntry, record: Record, parts: dict[str, int]) -> Inspected:
    """Decode a tensor, and move the bytes of fillers from its labels and gaps to ``fillers``."""
    if isinstance(record, GroupedRecord):  # whose streams are decoded to see that they can be
        grouped.decode(record)
    if not isinstance(record, SharedRecord):
        return Inspected(entry, record, (), [], None, parts)
    codes, symbols = read_codes(record), list(decode_symbols(record))
    if record.coding.encoding == RELATIVE:
        whole = parts["labels"] + parts["gaps"]
        parts["labels"] = _weights_bytes(codes[0], symbols, "labels")
        parts["gaps"] = _weights_bytes(codes[1], symbols, "positions")
        parts["fillers"] = whole - parts["labels"] - parts["gaps"]
    return Inspected(entry, record, codes, symbols, decode(record, symbols), parts)


def _weights_bytes(code: Code, symbols: list[BlockSymbols], stream: str) -> int:
    """Return the bytes of a stream without those of fillers."""
    return sum(code.size_bytes(getattr(block, stream)[block.labels != 0]) for block in symbols)


@dataclass(frozen=True)
class _Fixed:
    """A tensor in the file that `pipeline.at_fixed_width` gives; no record if it isn't shared."""

    record: SharedRecord | None
    head: bytes
    size_bytes: int


def _at_fixed_width(inspected: Inspected, previous: str) -> _Fixed:
    """Encode a tensor at fixed width; `previous` is the name of the one before."""
    entry, tensor = inspected.entry, inspected.tensor
    if tensor is None:
        if entry.encoding in (RAW, TIED, GROUPED):
            return _Fixed(None, entry.header, len(entry.header) + entry.data_bytes)
        data_bytes = raw_size(math.prod(entry.shape) * entry.dtype.itemsize)
        head = entry.header[: -len(varint(entry.data_bytes))] + varint(data_bytes)
        return _Fixed(None, head, len(head) + data_bytes)
    record = encoder.encode(tensor, prices.choose(tensor, Choice("fixed", "relative")).coding)
    part = tensor_part(entry.name, previous, record)
    return _Fixed(record, part.header, len(part.header) + sum(map(len, part.data)))


def _row(inspected: Inspected, fixed: _Fixed) -> LayerRow:
    """Return a tensor's row, from its record in the file and that at fixed width."""
    record, tensor, own = inspected.record, inspected.tensor, inspected.parts
    own_bytes = sum(own.values())
    weights = math.prod(record.shape)
    dense_bytes = inspected.entry.dtype.itemsize * weights
    common: dict[str, Any] = {
        "layer": inspected.entry.name,
        "shape": list(record.shape),
        "weights": weights,
        "dense_bytes": dense_bytes,
        "bytes_PQ": fixed.size_bytes,
        "bytes_PQH": own_bytes,
        "rate_PQ_percent": 100 * fixed.size_bytes / max(dense_bytes, 1),
        "rate_PQH_percent": 100 * own_bytes / max(dense_bytes, 1),
    }
    if tensor is None or fixed.record is None or not isinstance(record, SharedRecord):
        bits = 8 * inspected.entry.dtype.itemsize
        coded = 8 * (own.get("biases", 0) + own.get("raw", 0)) / max(math.prod(record.shape), 1)
        coded = bits if inspected.entry.encoding == RAW else coded
        return LayerRow(
            **common, weight_bits_PQ=bits, weight_bits_PQH=coded, bytes_P=fixed.size_bytes
        )
    survivors, k = int(np.count_nonzero(tensor.labels())), len(record.codebook) - 1
    blocks = fixed.record.blocks
    weights_as_fp32 = sum(FP32_BYTES * block.count - len(block.labels) for block in blocks)
    rows = tensor.shape[0] if tensor.shape else 1
    numbers = 2 * survivors + 1
    entries = sum(block.count for block in record.blocks)
    return LayerRow(
        **common,
        kept_percent=100 * survivors / max(tensor.size, 1),
        weight_bits_PQ=stream_bits(fixed.record.coding, k)[0],
        weight_bits_PQH=8 * own.get("labels", 0) / max(survivors, 1),
        gap_bits_PQ=fixed.record.coding.gap_bits,
        gap_bits_PQH=8 * (own.get("gaps", 0) + own.get("mask", 0)) / max(survivors, 1),
        fillers=entries - survivors if record.coding.encoding == RELATIVE else 0,
        bytes_P=fixed.size_bytes - FP32_BYTES * k + weights_as_fp32,
        csr_bytes=FP32_BYTES * (numbers + rows),
        csc_bytes=FP32_BYTES * (numbers + tensor.size // max(rows, 1)),
        sharing_ratio=sharing_ratio(survivors, k) if survivors else None,
    )
