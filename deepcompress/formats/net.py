"""The paper's authors' ``.net`` files: shared weights and 4-bit gaps, without Huffman codes.

Source: ``decode.py`` and ``compressed_SqueezeNet.net`` of github.com/songhan's
SqueezeNet-Deep-Compression; a test reads the latter where the data is there.

Format notes (all little endian; E is a layer's number of stored entries, fillers included):

- first E of each layer, a uint32; then for each layer in the same order

      4 · 2**b bytes    float32 centroids, unsorted; label 0 is the centroid 0.0
      4 · out bytes     float32 biases
      ceil(E b / 8)     labels of b bits
      ceil(E / 2)       gaps of 4 bits, the first of two in the low nibble

  and nothing after that. ``b`` is 8 for a convolution and 4 for an inner product, whose
  labels lie two to a byte as the gaps do. (Theirs tells a convolution by "conv" in its name.)
- A gap counts skipped zeros, and a filler has label 0, as in our own streams (`relindex`);
  the weights are flattened in the order (out, in // group, kh, kw), or (out, in).
- No names, no shapes and no magic number: the layers must be known (`layers`).
- Our reader is stricter than their decoder: padding nibbles are zero, centroids are finite and
  the first is +0.0, no byte is left over. Their file is so.
- *Round trip.* A stream of 4-bit gaps is kept as it is, so that the bytes come back even
  where its fillers aren't where `relindex` would put them; gaps of another width are
  encoded anew. Their file has the fillers of `relindex`, so both give its bytes.
"""

import os
import struct
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from .. import relindex
from ..bits import packing
from ..coding.reading import Tensor
from ..errors import ArgumentError, FormatError, TruncatedError
from ..files.reading import read_file
from ..model import CompressedModel
from ..packed.tensor import CompressedTensor
from ..tensors import SharedWeights
from .layers import WeightLayer

GAP_BITS = 4
LABEL_BITS = {4: 8, 2: 4}  # by the rank of the weights
WEIGHT, BIAS = ".weight", ".bias"

_COUNT_BYTES = 4
_MAX_COUNT = 2**32 - 1
_FLOAT = np.dtype("<f4")


def read(
    source: str | os.PathLike[str] | bytes, layers: Sequence[WeightLayer], what: str | None = None
) -> CompressedModel:
    """Read a ``.net`` file; its tensors stay packed.

    Parameters
    ----------
    source : path-like or bytes
        The file, or its bytes.
    layers : sequence of WeightLayer
        The network's layers with weights, in the file's order, as from `layers.load_layers`.
    what : str, optional
        Names the file in messages; by default its path.

    Returns
    -------
    CompressedModel
        For each layer ``<name>.weight``, a `CompressedTensor` with a codebook of all
        2**b centroids and 4-bit gaps, and ``<name>.bias``, float32 of shape (out,).

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't a ``.net`` file of these layers, naming the layer; `TruncatedError` if
        it ends too early.
    ArgumentError
        If `layers` isn't such a sequence.

    Examples
    --------
    >>> data = struct.pack("<I16f2f2B", 2, 0, 0.5, *[0] * 14, 7, 8, 0x11, 0x20)
    >>> model = read(data, [WeightLayer("fc", (2, 2))])
    >>> model["fc.weight"].to_dense().tolist(), model["fc.bias"].tolist()
    ([[0.5, 0.0], [0.0, 0.5]], [7.0, 8.0])
    >>> write(model) == data
    True
    """
    if isinstance(source, bytes):
        data, what = source, what or "file"
    else:
        data, what = read_file(source), what or os.fspath(source)
    layers = _check_layers(layers)
    counts = _read_counts(data, layers, what)
    split = _split(data, layers, counts, what)
    tensors: dict[str, Tensor] = {}
    for layer, count, (start, parts) in zip(layers, counts, split, strict=True):
        codebook, bias = (np.frombuffer(part, _FLOAT).astype(np.float32) for part in parts[:2])
        labels, gaps = (np.frombuffer(part, np.uint8) for part in parts[2:])
        bits = LABEL_BITS[len(layer.shape)]
        try:
            weights = CompressedTensor(layer.shape, codebook, bits, GAP_BITS, count, labels, gaps)
        except FormatError as error:
            raise FormatError(f"{what}: layer {layer.name!r} (offset {start}): {error}") from None
        tensors[layer.name + WEIGHT], tensors[layer.name + BIAS] = weights, bias
    return CompressedModel(tensors)


def write(model: CompressedModel) -> bytes:
    """Return the bytes of a ``.net`` file; for a model from `read`, the very bytes that it read.

    Parameters
    ----------
    model : CompressedModel
        Pairs of ``<name>.weight``, shared weights of rank 4 or 2, and ``<name>.bias``,
        float32 of shape (out,). The layers are written in the order of the weights. Names,
        shapes and metadata have no place in the file.

    Returns
    -------
    bytes
        A codebook shorter than the file's is filled up with zeros.

    Raises
    ------
    ArgumentError
        If the format can't hold a tensor, naming it.
    """
    pairs = list(_pairs(model))
    if not pairs:
        raise ArgumentError("a .net file without layers can't be told from an empty file")
    counts, contents = bytearray(), bytearray()
    for name, weights, bias in pairs:
        bits = LABEL_BITS[len(weights.shape)]
        weights = _with_gap_bits(name, weights)
        codebook = np.zeros(2**bits, _FLOAT)
        codebook[: len(weights.codebook)] = weights.codebook
        counts += struct.pack("<I", weights.count)
        contents += codebook.tobytes()
        contents += bias.astype(_FLOAT).tobytes()
        contents += packing.pack(weights.labels(), bits).tobytes()
        contents += weights.gaps_packed.tobytes()
    return bytes(counts + contents)


def _check_layers(layers: Sequence[WeightLayer]) -> tuple[WeightLayer, ...]:
    """Return the layers as a tuple, or raise unless they are some, each with its own name."""
    is_sequence = isinstance(layers, Sequence) and len(layers) > 0
    if not is_sequence or not all(isinstance(layer, WeightLayer) for layer in layers):
        raise ArgumentError("layers must be a sequence of one WeightLayer or more")
    names: set[str] = set()
    for layer in layers:
        if layer.name in names:
            raise ArgumentError(f"two layers are named {layer.name!r}")
        names.add(layer.name)
    return tuple(layers)


def _read_counts(data: bytes, layers: tuple[WeightLayer, ...], what: str) -> list[int]:
    """Return the stored entries of each layer; no more than it has weights."""
    needed = _COUNT_BYTES * len(layers)
    if len(data) < needed:
        raise TruncatedError(
            f"{what}: {needed - len(data)} bytes are missing: the counts of "
            f"{len(layers)} layers need {needed} bytes, only {len(data)} are there"
        )
    counts = list(struct.unpack_from(f"<{len(layers)}I", data))
    for index, (layer, count) in enumerate(zip(layers, counts, strict=True)):
        if count > layer.size:
            raise FormatError(
                f"{what}: layer {layer.name!r} has {count} stored entries for {layer.size} "
                f"weights (offset {_COUNT_BYTES * index})"
            )
    return counts


def _split(
    data: bytes, layers: tuple[WeightLayer, ...], counts: list[int], what: str
) -> list[tuple[int, list[bytes]]]:
    """Return the offset and the parts of each layer, or raise unless they are the whole file."""
    start = _COUNT_BYTES * len(layers)
    sizes = [_parts(layer, count) for layer, count in zip(layers, counts, strict=True)]
    end = start + sum(size for parts in sizes for size in parts.values())
    if len(data) > end:
        raise FormatError(
            f"{what}: {len(data) - end} bytes after those of the last layer (offset {end}): "
            "bytes were added, or the layers aren't those of the file"
        )
    split: list[tuple[int, list[bytes]]] = []
    for layer, parts in zip(layers, sizes, strict=True):
        split.append((start, []))
        for part, size in parts.items():
            if start + size > len(data):
                raise TruncatedError(
                    f"{what}: {end - len(data)} bytes are missing: the {part} of layer "
                    f"{layer.name!r} at offset {start} need {size}, "
                    f"only {len(data) - start} are left"
                )
            split[-1][1].append(data[start : start + size])
            start += size
    return split


def _parts(layer: WeightLayer, count: int) -> dict[str, int]:
    """Return the parts of a layer in the file's order, with their sizes in bytes."""
    bits = LABEL_BITS[len(layer.shape)]
    return {
        "centroids": _FLOAT.itemsize * 2**bits,
        "biases": _FLOAT.itemsize * layer.shape[0],
        "labels": packing.packed_size(bits, count),
        "gaps": packing.packed_size(GAP_BITS, count),
    }


def _pairs(
    model: CompressedModel,
) -> Iterator[tuple[str, CompressedTensor, npt.NDArray[np.float32]]]:
    """Return weights, with their name, and biases that the format can hold, or raise."""
    for name, tensor in model.items():
        if name.endswith(BIAS) and name.removesuffix(BIAS) + WEIGHT in model:
            continue
        if not name.endswith(WEIGHT):
            raise ArgumentError(
                f"tensor {name!r}: a .net file holds layers, each a pair of "
                f"NAME{WEIGHT} and NAME{BIAS}, and no other tensors"
            )
        if not isinstance(tensor, CompressedTensor):
            raise ArgumentError(f"tensor {name!r}: its weights aren't shared")
        if len(tensor.shape) not in LABEL_BITS or tensor.size == 0:
            raise ArgumentError(
                f"tensor {name!r}: the shape {tensor.shape} is neither a convolution's "
                "(out, in, kh, kw) nor an inner product's (out, in)"
            )
        most = 2 ** LABEL_BITS[len(tensor.shape)]
        if len(tensor.codebook) > most:
            raise ArgumentError(
                f"tensor {name!r}: {len(tensor.codebook)} centroids, a .net file has room for "
                f"{most} of a tensor of rank {len(tensor.shape)}"
            )
        yield name, tensor, _bias(model, name.removesuffix(WEIGHT) + BIAS, tensor.rows)


def _bias(model: CompressedModel, name: str, rows: int) -> npt.NDArray[np.float32]:
    """Return the biases of a layer, or raise ArgumentError."""
    if name not in model:
        raise ArgumentError(f"tensor {name!r}: is missing, a .net file has biases of each layer")
    bias = model[name]
    if not isinstance(bias, np.ndarray) or bias.dtype != np.float32 or bias.shape != (rows,):
        kind = bias.dtype if isinstance(bias, np.ndarray) else "shared"
        raise ArgumentError(
            f"tensor {name!r}: biases must be plain float32 of shape ({rows},), "
            f"not {kind} of shape {bias.shape}"
        )
    return bias


def _with_gap_bits(name: str, weights: CompressedTensor) -> CompressedTensor:
    """Return the same weights in no more entries than a uint32 counts, with gaps of 4 bits."""
    if weights.gap_bits != GAP_BITS:
        labels = weights.labels()
        survives = labels != 0
        positions = weights.positions()[survives]
        # Before encoding: a few positions far apart can need any number of fillers.
        _check_count(name, len(positions) + relindex.filler_count(positions, GAP_BITS))
        shared = SharedWeights(weights.codebook, labels[survives], weights.label_bits)
        gaps = relindex.encode(positions, weights.size, GAP_BITS)
        weights = CompressedTensor.from_parts(weights.shape, shared, gaps)
    _check_count(name, weights.count)
    return weights


def _check_count(name: str, count: int) -> None:
    if count > _MAX_COUNT:
        most = f"a .net file counts up to {_MAX_COUNT}"
        raise ArgumentError(f"tensor {name!r}: {count} stored entries, {most}")
