"""What `bench_tables` checks of a file, and what the weights in it cost."""

from collections.abc import Mapping
from typing import Any

import numpy as np

import deepcompress
from deepcompress.coding.decoder import decode_survivors
from deepcompress.container.reader import Reader
from deepcompress.container.records import SharedRecord
from deepcompress.prune import sparsity_mask


def check(
    path: str, source: Mapping[str, Any], config: deepcompress.Config
) -> dict[str, dict[str, float]]:
    """Exit unless a file's tensors are the source's: pruned, and each weight's nearest centroid.

    Returns
    -------
    dict of str to dict
        ``rms_error`` by layer, against the root mean square of its survivors.
    """
    errors = {}
    with deepcompress.open_file(path) as file:
        if list(file) != list(source):
            raise SystemExit(f"{path}: other tensors than the source's")
        for name in source:
            stored, values = file[name], np.asarray(source[name])
            if not isinstance(stored, deepcompress.CompressedTensor):
                if stored.tobytes() != values.tobytes():
                    raise SystemExit(f"{name}: kept, but not the same")
                continue
            wanted = config.of(name, values.shape)
            mask = sparsity_mask(values, wanted.sparsity or 0.0)
            positions, _ = stored.survivors()
            if not np.array_equal(positions, np.flatnonzero(mask)):
                raise SystemExit(f"{name}: other weights survive than should")
            weights, centroids = values[mask], stored.codebook[1:]
            if len(centroids) >= 1 << wanted.bits:
                raise SystemExit(f"{name}: {len(centroids)} centroids")
            decoded = stored.to_dense()[mask]
            far = np.abs(decoded.astype(np.float64) - weights)
            above = np.searchsorted(centroids, weights).clip(1, len(centroids) - 1)
            for near in (above - 1, above):
                if (np.abs(centroids[near].astype(np.float64) - weights) < far).any():
                    raise SystemExit(f"{name}: a weight has another centroid than the nearest")
            error = np.sqrt(np.mean(far**2) / np.mean(weights.astype(np.float64) ** 2))
            errors[name] = {"rms_error": float(error)}
    return errors


def layer_costs(data: bytes) -> list[dict[str, Any]]:
    """Return what a surviving weight costs in each layer, in bits, and the bounds of that.

    Returns
    -------
    list of dict
        ``layer``; ``bits``, all bytes of the tensor; ``label_entropy`` of the survivors'
        labels, which no code of single labels goes below; ``position_bits``, all that isn't
        that entropy; and ``independent_bits``, ``H(density) / density``: the entropy of
        positions that are independent of each other. Below that, they lie in clusters.
    """
    costs = []
    reader = Reader(data)
    for name, record in reader.contents().records.items():
        if not isinstance(record, SharedRecord):
            continue
        labels = decode_survivors(record).labels
        counts = np.bincount(labels)
        shares = counts[counts > 0] / len(labels)
        entropy = float(-(shares * np.log2(shares)).sum())
        density = len(labels) / int(np.prod(record.shape))
        rest = 1 - density
        independent = -np.log2(density) - (rest * np.log2(rest) / density if rest else 0.0)
        costs.append(
            {
                "layer": name,
                "bits": (bits := 8 * reader.entries[name].data_bytes / len(labels)),
                "label_entropy": entropy,
                "position_bits": bits - entropy,
                "independent_bits": float(independent),
            }
        )
    return costs
