"""Where the bytes of a file go: per tensor and part, per stage, beside plain formats."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..coding.decoder import decode_symbols, read_codes
from ..container.reader import Contents, parse
from ..container.records import RELATIVE, Section, SharedRecord
from ..container.sizes import stream_bits
from ..errors import FormatError
from ..packed.tensor import CompressedTensor
from ..pipeline import at_fixed_width, from_bytes
from ..quantize.share import sharing_ratio

PARTS = (
    *("header", "metadata", "code tables", "codebooks", "labels", "gaps", "mask", "fillers"),
    *("biases", "raw", "checksums", "padding"),
)
FP32_BYTES = 4


def ledger(data: bytes, what: str = "file") -> list[Section]:
    """Attribute every byte of a ``.dcnn`` file.

    Parameters
    ----------
    data : bytes
        The whole file.
    what : str
        Its name, for messages.

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
    each of which is rounded up to whole bytes per block; ``fillers`` is what they leave.
    A stream's padding of at most 7 bits is counted with its last byte: version 1 of the
    format has no other padding.
    """
    return _sections(parse(data, what), what)


def _sections(contents: Contents, what: str) -> list[Section]:
    sizes: dict[tuple[str, str], int] = {}
    for section in contents.sections:
        key = section.tensor, section.part
        sizes[key] = sizes.get(key, 0) + section.size_bytes
    for name, record in contents.records.items():
        if isinstance(record, SharedRecord) and record.coding.encoding == RELATIVE:
            try:
                _take_out_fillers(sizes, name, record)
            except FormatError as error:
                raise type(error)(f"{what}: tensor {name!r}: {error}") from None
    return [Section(name, part, size) for (name, part), size in sizes.items() if size]


def _take_out_fillers(sizes: dict[tuple[str, str], int], name: str, record: SharedRecord) -> None:
    codes = read_codes(record)
    whole = sum(len(block.labels) + len(block.positions) for block in record.blocks)
    labels = gaps = 0
    for block in decode_symbols(record):
        survives = block.labels != 0
        labels += codes[0].size_bytes(block.labels[survives])
        gaps += codes[1].size_bytes(block.positions[survives])
    sizes[name, "labels"], sizes[name, "gaps"] = labels, gaps
    sizes[name, "fillers"] = whole - labels - gaps


@dataclass(frozen=True)
class LayerRow:
    """One tensor in the columns of the paper's tables 2 to 5, and what else could hold it.

    Attributes
    ----------
    layer : str
        The tensor's name.
    shape : list of int
    weights : int
        Elements of the dense tensor.
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
        Of this tensor in a file after each stage, all of its overhead included.
    rate_PQ_percent, rate_PQH_percent : float
        Those bytes against dense fp32.
    csr_bytes, csc_bytes : int or None
        ``2 a + n + 1`` numbers of 4 bytes, n rows or columns (section 2).
    sharing_ratio : float or None
        Eq. (1) for the sharing alone.
    """

    layer: str
    shape: list[int]
    weights: int
    kept_percent: float
    weight_bits_PQ: float
    weight_bits_PQH: float
    gap_bits_PQ: float | None
    gap_bits_PQH: float | None
    fillers: int
    bytes_P: int
    bytes_PQ: int
    bytes_PQH: int
    rate_PQ_percent: float
    rate_PQH_percent: float
    csr_bytes: int | None
    csc_bytes: int | None
    sharing_ratio: float | None


@dataclass(frozen=True)
class Account:
    """A model's bytes: per layer, per stage, and against dense fp32."""

    layers: list[LayerRow]
    stages: dict[str, int]
    reference_bytes: int
    file_bytes: int

    @property
    def ratio(self) -> float:
        """Dense fp32 bytes / bytes of the file."""
        return self.reference_bytes / self.file_bytes


def account(data: bytes, what: str = "file") -> Account:
    """Return what each stage saved, of a model given as the bytes of its file.

    Parameters
    ----------
    data : bytes
        A ``.dcnn`` file.
    what : str
        Its name, for messages.

    Returns
    -------
    Account
        ``stages`` maps ``"P"``, ``"P+Q"`` and ``"P+Q+H"`` to bytes. The last is
        ``len(data)``; P+Q is the size of the file that `at_fixed_width` gives, and P
        that of the same file if each of its entries held a float32 weight in place of
        a label, without a codebook.

    Raises
    ------
    FormatError
        As `pipeline.load`.
    """
    model = from_bytes(data, what)
    contents = parse(data, what)
    fixed_data = at_fixed_width(model).to_bytes()
    fixed = parse(fixed_data)
    own, own_fixed = (_by_tensor(_sections(each, what)) for each in (contents, fixed))
    rows = []
    for name, tensor in model.items():
        if isinstance(tensor, CompressedTensor):
            record, at_width = contents.records[name], fixed.records[name]
            assert isinstance(record, SharedRecord)
            assert isinstance(at_width, SharedRecord)
            rows.append(_shared_row(name, tensor, record, at_width, own[name], own_fixed[name]))
        else:
            rows.append(_raw_row(name, tensor, sum(own[name].values())))
    overhead = sum(own_fixed[""].values())
    stages = {
        "P": overhead + sum(row.bytes_P for row in rows),
        "P+Q": len(fixed_data),
        "P+Q+H": len(data),
    }
    reference_bytes = FP32_BYTES * sum(row.weights for row in rows)
    return Account(rows, stages, reference_bytes, len(data))


def _by_tensor(rows: Iterable[Section]) -> dict[str, dict[str, int]]:
    sizes: dict[str, dict[str, int]] = {}
    for row in rows:
        sizes.setdefault(row.tensor, {})[row.part] = row.size_bytes
    return sizes


def _shared_row(
    name: str,
    tensor: CompressedTensor,
    record: SharedRecord,
    fixed: SharedRecord,
    own: dict[str, int],
    own_fixed: dict[str, int],
) -> LayerRow:
    survivors = int(np.count_nonzero(tensor.labels()))
    dense_bytes = FP32_BYTES * tensor.size
    bytes_pq, bytes_pqh = sum(own_fixed.values()), sum(own.values())
    labels_bytes = sum(len(block.labels) for block in fixed.blocks)
    weights_as_fp32 = FP32_BYTES * sum(block.count for block in fixed.blocks) - labels_bytes
    has_fillers = record.coding.encoding == RELATIVE
    entries = sum(block.count for block in record.blocks)
    rows = tensor.shape[0] if tensor.shape else 1
    numbers = 2 * survivors + 1
    return LayerRow(
        layer=name,
        shape=list(tensor.shape),
        weights=tensor.size,
        kept_percent=100 * survivors / max(tensor.size, 1),
        weight_bits_PQ=stream_bits(fixed.coding, len(fixed.codebook) - 1)[0],
        weight_bits_PQH=8 * own.get("labels", 0) / max(survivors, 1),
        gap_bits_PQ=fixed.coding.gap_bits,
        gap_bits_PQH=8 * (own.get("gaps", 0) + own.get("mask", 0)) / max(survivors, 1),
        fillers=entries - survivors if has_fillers else 0,
        bytes_P=bytes_pq - own_fixed.get("codebooks", 0) + weights_as_fp32,
        bytes_PQ=bytes_pq,
        bytes_PQH=bytes_pqh,
        rate_PQ_percent=100 * bytes_pq / max(dense_bytes, 1),
        rate_PQH_percent=100 * bytes_pqh / max(dense_bytes, 1),
        csr_bytes=FP32_BYTES * (numbers + rows),
        csc_bytes=FP32_BYTES * (numbers + tensor.size // max(rows, 1)),
        sharing_ratio=sharing_ratio(survivors, len(tensor.codebook) - 1) if survivors else None,
    )


def _raw_row(name: str, array: np.ndarray[Any, Any], size_bytes: int) -> LayerRow:
    bits = 8 * array.dtype.itemsize
    rate = 100 * size_bytes / max(FP32_BYTES * array.size, 1)
    return LayerRow(
        *(name, list(array.shape), array.size, 100.0, bits, bits, None, None, 0),
        *(size_bytes, size_bytes, size_bytes, rate, rate, None, None, None),
    )
