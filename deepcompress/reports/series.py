"""The numbers behind the pictures of a ``.dcnn`` file; `plots` draws them.

Legend: T tensors of shared weights, K entries of a codebook, B bins.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError
from ..packed.tensor import CompressedTensor
from ..tensors import Float32Array, Float64Array, Int64Array
from .ledger import account

BINS = 100
LEAST_GAPS = 16
MAX_ROWS = 40  # of a picture with a row per layer, so that they stay readable
# Which parts of the ledger belong together in the picture of bytes.
PARTS = {
    "labels": ("labels",),
    "positions": ("gaps", "mask"),
    "fillers": ("fillers",),
    "codebook, tables, checksums": ("codebooks", "code tables", "checksums", "padding", "header"),
}


@dataclass(frozen=True)
class LayerSeries:
    """Density, bits and bytes of the tensors of shared weights, in the order of the file.

    Attributes
    ----------
    names : list of str
        T of them; the last one stands for ``others`` more if that isn't 0.
    density_percent : list of float
        Survivors / elements.
    label_bits, position_bits : list of float
        Mean bits, coded, per surviving weight.
    bytes_of : dict of str to list of int
        For each of `PARTS`.
    others : int
        How many tensors the last row sums up: of more than `MAX_ROWS`, the smallest.
    """

    names: list[str]
    density_percent: list[float]
    label_bits: list[float]
    position_bits: list[float]
    bytes_of: dict[str, list[int]]
    others: int = 0


@dataclass(frozen=True)
class CountSeries:
    """How often each label and each gap occurs in a tensor: the paper's figure 5.

    Attributes
    ----------
    labels : ndarray of shape (K,), int64
        ``labels[0]`` counts the fillers.
    gaps : ndarray of shape (2**gap_bits,), int64
        Counts of all stored entries.
    filler_gaps : ndarray of shape (2**gap_bits,), int64
        Counts of the fillers among them.
    """

    labels: Int64Array
    gaps: Int64Array
    filler_gaps: Int64Array


@dataclass(frozen=True)
class CodebookSeries:
    """A codebook, and the weights behind it.

    Attributes
    ----------
    centroids : ndarray of shape (K - 1,), float32
        All but the zero.
    counts : ndarray of shape (K - 1,), int64
        Number of weights of each.
    edges, originals : ndarray of shape (B + 1,), float64, and (B,), int64; or None
        Histogram of the original values of the surviving weights.
    """

    centroids: Float32Array
    counts: Int64Array
    edges: Float64Array | None = None
    originals: Int64Array | None = None


def layer_series(data: bytes, what: str = "file", max_rows: int = MAX_ROWS) -> LayerSeries:
    """Return density, bits and bytes per tensor of shared weights.

    Parameters
    ----------
    data, what
        As for `ledger.account`.
    max_rows : int
        Where there are more tensors, the smallest (in bytes) share the last row.

    Raises
    ------
    FormatError
        As `pipeline.load`.
    ArgumentError
        If no tensor has shared weights.
    """
    books = account(data, what)
    rows = [row for row in books.layers if row.gap_bits_PQH is not None]
    if not rows:
        raise ArgumentError(f"{what}: no tensor of it has shared weights, so nothing to draw")
    sizes: dict[str, dict[str, int]] = {row.layer: dict.fromkeys(PARTS, 0) for row in rows}
    for section in books.sections:
        for part, own in PARTS.items():
            if section.tensor in sizes and section.part in own:
                sizes[section.tensor][part] += section.size_bytes
    by_bytes = sorted(rows, key=lambda row: sum(sizes[row.layer].values()), reverse=True)
    others = by_bytes[max_rows - 1 :] if len(rows) > max_rows else []
    summed = {row.layer for row in others}
    shown = [[row] for row in rows if row.layer not in summed] + ([others] if others else [])

    def mean(group: list[Any], key: str) -> float:
        """Average over the survivors."""
        weight = [max(row.weights * row.kept_percent, 1e-9) for row in group]
        return float(np.average([getattr(row, key) for row in group], weights=weight))

    elements = [max(sum(row.weights for row in group), 1) for group in shown]
    survivors = [sum(row.weights * row.kept_percent for row in group) for group in shown]
    return LayerSeries(
        [group[0].layer if group is not others else f"{len(others)} others" for group in shown],
        [kept / size for kept, size in zip(survivors, elements, strict=True)],
        [mean(group, "weight_bits_PQH") for group in shown],
        [mean(group, "gap_bits_PQH") for group in shown],
        {part: [sum(sizes[r.layer][part] for r in g) for g in shown] for part in PARTS},
        len(others),
    )


def largest(series: LayerSeries, count: int) -> list[str]:
    """Return the names of the `count` tensors with the most bytes, in the order of the file."""
    totals = np.sum(list(series.bytes_of.values()), axis=0)
    rows = len(series.names) - bool(series.others)
    chosen = np.sort(np.argsort(-totals[:rows], kind="stable")[:count])
    return [series.names[i] for i in chosen]


def count_series(tensor: CompressedTensor) -> CountSeries:
    """Count labels and gaps, as the tensor has them in memory."""
    labels, gaps = tensor.labels(), tensor.gaps()
    alphabet = 1 << tensor.gap_bits
    return CountSeries(
        np.bincount(labels, minlength=len(tensor.codebook)),
        np.bincount(gaps, minlength=alphabet),
        np.bincount(gaps[labels == 0], minlength=alphabet),
    )


def shown_gaps(series: CountSeries) -> int:
    """Return the number of gaps, from 0 on, in a picture: those of 99 % of weights, or 16."""
    reached = np.cumsum(series.gaps - series.filler_gaps)
    end = int(np.searchsorted(reached, 0.99 * reached[-1])) + 1
    return min(max(end, LEAST_GAPS), len(series.gaps))


def codebook_series(
    name: str, tensor: CompressedTensor, original: Mapping[str, Any] | None = None
) -> CodebookSeries:
    """Return centroids with their counts, above the original's weights if there is one.

    Raises
    ------
    ArgumentError
        If the original lacks the tensor, or has it in another shape, or without numbers.
    """
    labels = tensor.labels()
    counts = np.bincount(labels, minlength=len(tensor.codebook))[1:]
    if original is None:
        return CodebookSeries(tensor.codebook[1:], counts)
    if name not in original:
        raise ArgumentError(f"the original has no tensor {name!r}")
    values = original[name]
    dense = np.asarray(values)
    element_type = dtypes.of(dense.dtype)
    if dense.shape != tensor.shape or element_type is None or not element_type.is_shareable:
        raise ArgumentError(
            f"tensor {name!r} has shape {tensor.shape}, the original {dense.shape} of {dense.dtype}"
        )
    weights = dense.reshape(-1)[tensor.positions()[labels != 0]].astype(np.float64)
    weights = weights[np.isfinite(weights)]
    originals, edges = np.histogram(weights, BINS)
    return CodebookSeries(tensor.codebook[1:], counts, edges, originals)
