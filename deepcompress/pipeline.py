"""The stages in order: weights -> mask -> codebook + labels -> gaps -> bits -> file, and back.

This module alone knows the order; each stage stands in a module of its own.
"""

import math
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from . import coding, container, container_reader, prune, quantize, relindex
from .atomic import write_bytes
from .compressed import CompressedTensor
from .config import Config, TensorConfig
from .container import SharedRecord
from .errors import ArgumentError, DataError, FormatError
from .tensors import FIXED_WIDTH, BoolArray, Int64Array, SharedWeights

Tensor = CompressedTensor | npt.NDArray[Any]


@dataclass(frozen=True)
class CompressedModel(Mapping[str, Tensor]):
    """A mapping of tensor names to `CompressedTensor`, or to arrays that are kept as they are.

    Attributes
    ----------
    tensors : dict of str to CompressedTensor or ndarray
    metadata : dict
        JSON's types; ``"network"`` names the network of `nn.zoo` that the tensors belong to.
    fixed_width : frozenset of str
        Compressed tensors that are stored without Huffman coding.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, Any] = field(default_factory=dict)
    fixed_width: frozenset[str] = frozenset()

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    def to_dense(self) -> dict[str, npt.NDArray[Any]]:
        """Return every tensor as a dense array."""
        return {
            name: tensor.to_dense() if isinstance(tensor, CompressedTensor) else tensor
            for name, tensor in self.tensors.items()
        }

    def to_bytes(self) -> bytes:
        """Return the bytes of the ``.dcnn`` file, the same for the same tensors."""
        return container.pack(
            {
                name: coding.encode(tensor, name not in self.fixed_width)
                if isinstance(tensor, CompressedTensor)
                else tensor
                for name, tensor in self.tensors.items()
            },
            self.metadata,
        )

    def save(self, path: str | os.PathLike[str]) -> int:
        """Write the ``.dcnn`` file, whole or not at all; return its size in bytes.

        Raises
        ------
        OutputError
            If it can't be written; what was at `path` is untouched then.
        """
        data = self.to_bytes()
        write_bytes(path, data)
        return len(data)


def compress(
    tensors: Mapping[str, npt.ArrayLike],
    config: Config | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> CompressedModel:
    """Prune, share and index tensors as a configuration says.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Dense tensors of any rank and of any dtype that `container` lists.
    config : Config, optional
        By default, weights that aren't zero are shared at 5 bits, the gap's width
        is chosen for the fewest bytes, and biases are kept exactly.
    metadata : mapping, optional
        To be stored with the tensors.
    seed : int
        For the inits that draw; each tensor draws from a generator of its own.

    Returns
    -------
    CompressedModel

    Raises
    ------
    ArgumentError
        If a tensor can't be compressed as asked, naming it.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros((100, 50), np.float32)
    >>> w[3, 7], w[99, 49] = 1.5, -2
    >>> model = compress({"w": w})
    >>> bool((model["w"].to_dense() == w).all()), len(model.to_bytes())
    (True, 62)
    """
    config = config or Config()
    compressed: dict[str, Tensor] = {}
    fixed_width = []
    for name, values in tensors.items():
        choice = config.of(name, np.shape(values))
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        try:
            compressed[name] = _compress_tensor(np.asarray(values), choice, rng)
        except ArgumentError as error:
            raise ArgumentError(f"tensor {name!r}: {error}") from None
        if not choice.huffman:
            fixed_width.append(name)
    return CompressedModel(compressed, dict(metadata or {}), frozenset(fixed_width))


def load(path: str | os.PathLike[str]) -> CompressedModel:
    """Read a ``.dcnn`` file; its tensors stay packed.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    CompressedModel

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't a valid file: `TruncatedError`, `ChecksumError` and `VersionError` say how.
    """
    return from_bytes(read_file(path), os.fspath(path))


def from_bytes(data: bytes, what: str = "file") -> CompressedModel:
    """Read the bytes of a ``.dcnn`` file, as `load` does; `what` names them in messages."""
    contents = container_reader.parse(data, what)
    tensors: dict[str, Tensor] = {}
    fixed_width = []
    for name, record in contents.records.items():
        if isinstance(record, SharedRecord):
            try:
                tensors[name] = coding.decode(record)
            except (FormatError, ArgumentError) as error:
                kind = type(error) if isinstance(error, FormatError) else FormatError
                raise kind(f"{what}: tensor {name!r}: {error}") from None
            if record.labels.coder == record.gaps.coder == FIXED_WIDTH:
                fixed_width.append(name)
        else:
            tensors[name] = record
    return CompressedModel(tensors, contents.metadata, frozenset(fixed_width))


def at_fixed_width(model: CompressedModel) -> CompressedModel:
    """Return the same tensors for a file without Huffman codes, the paper's stage P+Q.

    The gap width of each tensor is chosen anew: without Huffman codes a narrower one
    is cheapest.
    """
    tensors = {}
    for name, tensor in model.items():
        if isinstance(tensor, CompressedTensor):
            labels = tensor.labels()
            positions, labels = tensor.positions()[labels != 0], labels[labels != 0]
            shared = SharedWeights(tensor.codebook, labels, tensor.label_bits)
            tensor = _index(tensor.shape, shared, positions, None, huffman_coded=False)
        tensors[name] = tensor
    return replace(model, tensors=tensors, fixed_width=frozenset(tensors))


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return a file's bytes, or raise DataError with the reason."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: {error.strerror or error}") from error


def _compress_tensor(
    values: npt.NDArray[Any], choice: TensorConfig, rng: np.random.Generator
) -> Tensor:
    if choice.method == "float16":
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(np.isfinite(half), np.isfinite(values)):
            raise ArgumentError("a value is too large for float16")
        return half
    if choice.method == "raw" or values.size < choice.min_size or values.dtype.kind != "f":
        return values.copy()
    with np.errstate(over="ignore"):  # an overflow becomes an infinity, which is refused
        values = values.astype(np.float32)
    mask = _mask(values, choice)
    shared = quantize.share_weights(values, mask, choice.bits, choice.init, rng=rng)
    # A codebook shorter than allowed needs fewer bits to point into.
    shared = replace(shared, bits=max(1, (len(shared.codebook) - 1).bit_length()))
    return _index(values.shape, shared, np.flatnonzero(mask), choice.gap_bits, choice.huffman)


def _index(
    shape: tuple[int, ...],
    shared: SharedWeights,
    positions: Int64Array,
    gap_bits: int | None,
    huffman_coded: bool,
) -> CompressedTensor:
    if gap_bits is None:
        counts = np.bincount(shared.labels, minlength=len(shared.codebook))
        gap_bits = coding.cheapest_gap_bits(positions, counts, shared.bits, huffman_coded)
    gaps = relindex.encode(positions, math.prod(shape), gap_bits)
    return CompressedTensor.from_parts(shape, shared, gaps)


def _mask(values: npt.NDArray[Any], choice: TensorConfig) -> BoolArray:
    if choice.sensitivity is not None:
        return prune.sensitivity_mask(values, choice.sensitivity)
    if choice.sparsity is not None:
        return prune.sparsity_mask(values, choice.sparsity)
    return prune.threshold_mask(values, choice.threshold or 0.0)
