"""Why a tensor shrank little, in a sentence whose figures are the ledger's."""

import math
from collections.abc import Mapping

from ..config import TensorConfig
from ..container.header import TensorEntry
from ..container.records import CODERS, CONTEXT, DELTA, DENSE, GROUPED, PLANES, SharedRecord
from ..container.sizes import stream_bits
from ..dtypes import FLOAT32
from .ledger import Inspected, LayerRow

LITTLE = 4.0
FAR_BELOW = 0.25
NEAR_UNIFORM = 0.95


def why(
    row: LayerRow, inspected: Inspected, parts: Mapping[str, int], file_ratio: float
) -> str | None:
    """Return why a tensor shrank little, None where it shrank well.

    Parameters
    ----------
    row : LayerRow
    inspected : Inspected
        The same tensor.
    parts : mapping of str to int
        Its bytes by part, as from `ledger.ledger`.
    file_ratio : float
        The whole file's ratio.

    Returns
    -------
    str or None
        A sentence where its ratio against the dense tensor is below `LITTLE`, or below the
        part `FAR_BELOW` of the file's. It names the part that takes most of the tensor's bytes.
    """
    if row.dense_bytes / row.bytes_PQH >= max(LITTLE, FAR_BELOW * file_ratio):
        return None
    if not row.weights:
        return "it has no elements"
    record = inspected.record
    if not isinstance(record, SharedRecord):
        return _why_raw(inspected.entry)
    overhead = parts.get("header", 0) + parts.get("checksums", 0)
    codes = parts.get("codebooks", 0) + parts.get("code tables", 0)
    fillers = parts.get("fillers", 0)
    positions = parts.get("gaps", 0) + parts.get("mask", 0)
    labels = parts.get("labels", 0)
    largest = max(overhead, codes, fillers, positions, labels)

    def share(size: int) -> str:
        return f"{100 * size / row.bytes_PQH:.0f} % of its bytes"

    if largest == overhead:
        return f"few elements: header and checksums are {share(overhead)}"
    if largest == codes:
        return f"few elements: codebook and code tables are {share(codes)}"
    kept = f"{row.kept_percent:.3g} % of its weights survive"
    if largest == fillers:
        return f"gaps of {record.coding.gap_bits} bits are narrow: fillers are {share(fillers)}"
    where = "positions cost nothing"
    if positions:
        where = f"positions take {row.gap_bits_PQH:.1f} bits each ({share(positions)})"
    return f"{kept}: {where}, labels {_label_bits(row, record, labels)} ({share(labels)})"


def _label_bits(row: LayerRow, record: SharedRecord, label_bytes: int) -> str:
    """Return the bits of a label; in a dense tensor the pruned weights have one too."""
    width, _ = stream_bits(record.coding, len(record.codebook) - 1)
    has_all = record.coding.encoding in (DENSE, CONTEXT)
    count = row.weights if has_all else row.weights * row.kept_percent / 100
    bits = 8 * label_bytes / count
    near = record.coding.label_coder != CODERS.index("fixed") and bits >= NEAR_UNIFORM * width
    return f"{'are near uniform,' if near else 'take'} {bits:.1f} of {width} bits"


def _why_raw(entry: TensorEntry) -> str:
    """Return why a tensor isn't shared, from its dtype, rank and size."""
    dtype, size = entry.dtype, math.prod(entry.shape)
    kept = "kept without loss" if entry.encoding in (PLANES, DELTA) else "kept raw"
    if entry.encoding == GROUPED:
        return "each group of its rows has a codebook, a code and a header of its own"
    if dtype.kind != "f":
        return f"{kept}: elements of {dtype} aren't shared"
    if len(entry.shape) <= 1:
        return f"kept exactly (bias): {size:,} elements of {dtype}"
    if dtype != FLOAT32:
        return f"kept as {dtype}, not shared: {dtype.itemsize} bytes an element"
    if size < TensorConfig.min_size:
        few = f"fewer than {TensorConfig.min_size} aren't shared unless that is asked for"
        return f"{kept}: {size} elements, and {few}"
    return f"{kept}: sharing would not have made it smaller, or was not asked for"
