"""The stages in order: weights -> mask -> codebook + labels -> gaps -> bits -> file, and back.

This module alone knows the order; each stage stands in a module of its own.
"""

import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from . import dtypes, prune, quantize
from .checks import as_whole_number
from .coding import encoder, planes, prices
from .coding.prices import Choice
from .config import Config, TensorConfig
from .container.records import Coding
from .container.sizes import raw_size
from .errors import ArgumentError, shown
from .model import CompressedModel
from .model_file import ModelFile, open_file
from .packed.survivors import pack
from .tensors import BoolArray, Float32Array, SharedWeights, Survivors


@dataclass(frozen=True)
class Encodable:
    """The shared weights of a tensor, and the coding that takes the fewest bytes."""

    survivors: Survivors
    coding: Coding

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.survivors.shape


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
        By default, weights that aren't zero are shared at 5 bits, the encoding of their
        positions is the one with the fewest bytes, and biases are kept exactly. A tensor that
        sharing would make larger is kept as it is, pruned.
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
        If a tensor can't be compressed as asked, naming it; ConfigError if `config` names
        one that isn't there.

    Examples
    --------
    >>> import numpy as np
    >>> w = np.zeros((100, 50), np.float32)
    >>> w[3, 7], w[99, 49] = 1.5, -2
    >>> model = compress({"w": w})
    >>> bool((model["w"].to_dense() == w).all()), len(model.to_bytes())
    (True, 63)
    """
    config = checked_config(tensors, config, metadata, seed)
    model = CompressedModel({}, dict(metadata or {}), {})
    for name, values in tensors.items():
        weights = compress_tensor(name, as_array(name, values), config, seed)
        wanted = config.of(name, weights.shape)
        put(model, name, weights, wanted.gap_bits, wanted.coder)
    return model


def put(
    model: CompressedModel,
    name: str,
    weights: Encodable | npt.NDArray[Any],
    gap_bits: int | None = None,
    coder: str = TensorConfig.coder,
) -> None:
    """Encode and pack the weights of a tensor, and append it to a model."""
    if not isinstance(weights, Encodable):
        model.tensors[name] = weights
        if coding := planes.choose(weights, coder):
            model.storage[name] = coding
        return
    with naming(name):
        record = encoder.encode(weights.survivors, weights.coding)
        model.tensors[name] = pack(weights.survivors, gap_bits)
    model.storage[name] = weights.coding
    model.keep_record(name, record)


def load(path: str | os.PathLike[str], *, max_bytes: int | None = None) -> CompressedModel:
    """Read a ``.dcnn`` file; its tensors stay packed.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most memory that decoding a tensor may take (see `open_file`).

    Returns
    -------
    CompressedModel

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't a valid file: `TruncatedError`, `ChecksumError` and `VersionError` say how.
    ArgumentError
        If a tensor needs more memory than `max_bytes`.
    """
    with open_file(path, max_bytes=max_bytes) as file:
        return _model(file)


def from_bytes(data: bytes, what: str = "file", *, max_bytes: int | None = None) -> CompressedModel:
    """Read the bytes of a ``.dcnn`` file, as `load` does; `what` names them in messages."""
    return _model(ModelFile(data, what, max_bytes))


def _model(file: ModelFile) -> CompressedModel:
    read = file.read()
    tensors = {name: tensor for name, (tensor, _) in read.items()}
    codings = {name: coding for name, (_, coding) in read.items() if coding}
    return CompressedModel(tensors, file.metadata, {**codings})


def at_fixed_width(model: CompressedModel) -> CompressedModel:
    """Return the same tensors for a file without entropy coding, the paper's stage P+Q.

    Positions are relative, and the gap width of each tensor is chosen anew: without
    Huffman codes a narrower one is cheapest.
    """
    return replace(model, storage=dict.fromkeys(model, Choice("fixed", "relative")))


def checked_config(tensors: Any, config: Config | None, metadata: Any, seed: Any) -> Config:
    """Check the arguments of `compress`; return the configuration, by default an empty one.

    The tensors themselves are looked at one by one, by `as_array` and `compress_tensor`.
    """
    for name, value in (("tensors", tensors), ("metadata", {} if metadata is None else metadata)):
        if not hasattr(value, "keys"):
            raise ArgumentError(f"{name} must be a mapping, not {type(value).__name__}")
    for name in tensors:
        if not isinstance(name, str):
            raise ArgumentError(f"a tensor's name must be a string, not {shown(name)}")
    as_whole_number(seed, "seed", 0)
    if config is None:
        return Config()
    if not isinstance(config, Config):
        raise ArgumentError(f"config must be a Config, not {type(config).__name__}")
    config.check_names(list(tensors))  # as to look one up in a mapping may be to load it
    return config


def as_array(name: str, values: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return a tensor that may be another library's as an array, or raise ArgumentError."""
    try:
        from_torch = dtypes.from_torch(values)
        return np.asarray(values) if from_torch is None else from_torch
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"tensor {name!r}: isn't an array: {error}") from error


def compress_tensor(
    name: str, values: npt.NDArray[Any], config: Config, seed: int
) -> Encodable | npt.NDArray[Any]:
    """Prune, share and price one tensor as `compress` does; return an array if it stays raw."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogatepass"))])
    with naming(name):
        return _compress_tensor(values, config.of(name, values.shape), rng)


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the tensor in errors; raise one of ours where it is too large for the memory."""
    try:
        yield
    except ArgumentError as error:
        raise ArgumentError(f"tensor {name!r}: {error}") from None
    except MemoryError as error:
        raise ArgumentError(f"tensor {name!r}: too large for the memory: {error}") from error


def _compress_tensor(
    values: npt.NDArray[Any], wanted: TensorConfig, rng: np.random.Generator
) -> Encodable | npt.NDArray[Any]:
    if wanted.method == "float16":
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(np.isfinite(half), np.isfinite(values)):
            raise ArgumentError("a value is too large for float16")
        return half
    element_type = dtypes.of(values.dtype)
    is_float = element_type is not None and element_type.kind == "f"
    if wanted.method == "raw" or values.size < wanted.min_size or not is_float:
        return values.copy()
    original, values = values, dtypes.as_float32(values)  # an infinity is refused
    mask = _mask(values, wanted)
    iterations = wanted.max_iterations
    shared = quantize.share_weights(
        values, mask, wanted.bits, wanted.init, max_iterations=iterations, rng=rng
    )
    return priced(values, mask, shared, wanted, original)


def priced(
    values: Float32Array,
    mask: BoolArray,
    shared: SharedWeights,
    wanted: TensorConfig,
    original: npt.NDArray[Any] | None = None,
) -> Encodable | npt.NDArray[Any]:
    """Choose the coding of a tensor whose survivors share weights.

    Centroids are rounded to the dtype of the `original`, by default the values themselves. Where
    sharing takes more bytes than it, the original is returned, pruned.
    """
    original = values if original is None else original
    element_type = dtypes.named(original.dtype)
    codebook = element_type.rounded(shared.codebook)
    positions = np.flatnonzero(mask)
    survivors = Survivors(values.shape, codebook, positions, shared.labels, element_type)
    price = prices.choose(survivors, Choice(wanted.coder, wanted.encoding, wanted.gap_bits))
    if price.size_bytes > raw_size(original.nbytes):
        kept = original.copy()
        kept[~mask & (values != 0)] = 0  # so that a zero keeps its sign
        return kept
    return Encodable(survivors, price.coding)


def _mask(values: npt.NDArray[Any], wanted: TensorConfig) -> BoolArray:
    if wanted.sensitivity is not None:
        return prune.sensitivity_mask(values, wanted.sensitivity)
    if wanted.sparsity is not None:
        return prune.sparsity_mask(values, wanted.sparsity)
    return prune.threshold_mask(values, wanted.threshold or 0.0)
