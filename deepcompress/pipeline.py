"""The stages in order: weights -> mask -> codebook + labels -> gaps -> bits -> file, and back.

This module alone knows the order; each stage stands in a module of its own.
"""

import os
import zlib
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from . import dtypes, prune, quantize
from .checks import as_whole_number
from .coding import delta, encoder, few_values, grouped, planes, prices
from .coding.delta import DeltaCoding
from .coding.grouped import GroupedCoding
from .coding.prices import Choice
from .config import RULES, Config, TensorConfig
from .container.records import Coding
from .container.shared_weights import WIDE_FLOATS
from .container.sizes import raw_size
from .dtypes import FLOAT32, ElementType
from .errors import ArgumentError
from .inputs import Inputs, flat
from .model import CompressedModel
from .model_file import ModelFile, open_file
from .packed.grouped import GroupedTensor
from .packed.survivors import pack
from .tensors import BoolArray, SharedWeights, Survivors
from .ties import Ties

TOO_SMALL, NOT_FINITE = "too small", "not finite"
BEYOND_FLOAT32, BEYOND_FLOAT16 = "beyond float32", "beyond float16"
NOT_FLOATING = {"b": "booleans", "i": "integers", "u": "integers", "c": "complex"}
IN_WORDS = {
    NOT_FINITE: "weights must be finite: they hold NaN or infinity",
    BEYOND_FLOAT32: "weights must be finite in float32: they are beyond it",
    BEYOND_FLOAT16: "values are too large for float16, or all too small",
}


@dataclass(frozen=True)
class Encodable:
    """The shared weights of a tensor, and the coding that takes the fewest bytes."""

    survivors: Survivors
    coding: Coding

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.survivors.shape


@dataclass(frozen=True)
class Kept:
    """A tensor whose elements are stored one by one.

    `why` says in a few words why it isn't shared or rounded; "" if that is as was asked. If it is
    `small`, it is stored in planes even where that makes a small file one of a later version.
    With a `coding` it is stored as the difference to a base.
    """

    values: npt.NDArray[Any]
    why: str = ""
    small: bool = False
    coding: DeltaCoding | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.values.shape


@dataclass(frozen=True)
class Grouped:
    """The shared weights of groups of rows, and their codings."""

    shape: tuple[int, ...]
    group_rows: int
    groups: tuple[Survivors, ...]
    coding: GroupedCoding


def compress(
    tensors: Mapping[str, npt.ArrayLike],
    config: Config | None = None,
    *,
    metadata: Mapping[str, Any] | None = None,
    seed: int = 0,
    base: Mapping[str, Any] | None = None,
) -> CompressedModel:
    """Prune, share and index tensors as a configuration says.

    Parameters
    ----------
    tensors : mapping of str to array_like
        Dense tensors of any rank and of any dtype that `container` lists. Mappings within a
        dict, masked arrays, and weights with a mask are taken as `inputs` says.
    config : Config, optional
        By default, weights that aren't zero are shared at 5 bits, the encoding of their
        positions is the one with the fewest bytes, and biases are kept exactly. So is, bit for
        bit, a tensor that isn't floating and finite in float32, and, pruned, one that sharing
        would make larger. `CompressedModel.kept` tells of them.
    metadata : mapping, optional
        To be stored with the tensors.
    seed : int
        For the inits that draw; each tensor draws from a generator of its own.
    base : mapping of str to array_like, optional
        A base model, such as what this one was fine-tuned from. A tensor that has its name, shape
        and dtype there is stored without loss, as the difference to that one if this takes fewer
        bytes, whatever the configuration says of others; but what is asked for a tensor by its
        own name is done. Such a file is read with the same base alone.

    Returns
    -------
    CompressedModel
        Tensors of `ties.LEAST_BYTES` and more that are the same, as a table that two layers share,
        are one object: they are tied, and a file has them once.

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
    inputs = flat(tensors)
    config = checked_config(inputs, config, metadata, seed)
    bases = None if base is None else flat(base)
    model = CompressedModel({}, dict(metadata or {}), {}, combined=inputs.combined)
    ties = Ties(inputs.__getitem__ if inputs.is_held else None)
    for name, values in inputs.items():
        wanted, own_base = config.of(name, values.shape), base_of(name, values, config, bases)
        first = ties.first(name, values, how_stored(name, values, config, own_base))
        if first != name:
            tie(model, name, first)
            continue
        weights = compress_tensor(name, values, config, seed, own_base)
        put(model, name, weights, wanted.gap_bits, wanted.coder)
    return model


def base_of(
    name: str, values: npt.NDArray[Any], config: Config, bases: Inputs | None
) -> npt.NDArray[Any] | None:
    """Return the base's tensor that one may be stored as the difference to, None without one."""
    if bases is None or name not in bases or config.asked_for(name):
        return None
    own_base = bases[name]
    is_alike = own_base.dtype == values.dtype and own_base.shape == values.shape
    return own_base if is_alike else None


def how_stored(
    name: str, values: npt.NDArray[Any], config: Config, own_base: npt.NDArray[Any] | None
) -> Hashable:
    """Return all that says how a tensor is stored, besides its elements."""
    if own_base is not None or config.of(name, values.shape).method == "lossless":
        return "without loss"
    wanted, shape = config.of(name, values.shape), values.shape
    why_raw = config.why_raw(name, shape) if wanted.method == "raw" else ""
    return wanted, why_raw, config.asked_for(name)


def tie(model: CompressedModel, name: str, first: str) -> None:
    """Append to a model a tensor that is the same as an earlier one."""
    model.tensors[name] = model.tensors[first]
    for held in (model.storage, model.kept):
        if first in held:
            held[name] = held[first]  # type: ignore[assignment]  # of the same dict


def put(
    model: CompressedModel,
    name: str,
    weights: Encodable | Grouped | Kept,
    gap_bits: int | None = None,
    coder: str = TensorConfig.coder,
) -> None:
    """Encode and pack the weights of a tensor, and append it to a model."""
    if isinstance(weights, Kept):
        model.tensors[name] = weights.values
        if weights.why:
            model.kept[name] = weights.why
        model.storage[name] = weights.coding or Choice(coder, small=weights.small)
        return
    if isinstance(weights, Grouped):
        with naming(name):
            groups = tuple(pack(group, gap_bits) for group in weights.groups)
            model.tensors[name] = GroupedTensor(weights.shape, weights.group_rows, groups)
        model.storage[name] = weights.coding
        return
    with naming(name):
        record = encoder.encode(weights.survivors, weights.coding)
        model.tensors[name] = pack(weights.survivors, gap_bits)
    model.storage[name] = weights.coding
    model.keep_record(name, record)


def load(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    base: Mapping[str, Any] | None = None,
) -> CompressedModel:
    """Read a ``.dcnn`` file; its tensors stay packed.

    Parameters
    ----------
    path : path-like
    max_bytes : int, optional
        The most memory that decoding a tensor may take (see `open_file`).
    base : mapping of str to array_like, optional
        The base model, where the file was made with one.

    Returns
    -------
    CompressedModel
        Tensors that are tied are one object.

    Raises
    ------
    DataError
        If the file can't be read.
    FormatError
        If it isn't a valid file: `TruncatedError`, `ChecksumError` and `VersionError` say how.
    ArgumentError
        If a tensor needs more memory than `max_bytes`, or another base, or one at all.
    """
    with open_file(path, max_bytes=max_bytes, base=base) as file:
        return _model(file)


def from_bytes(
    data: bytes,
    what: str = "file",
    *,
    max_bytes: int | None = None,
    base: Mapping[str, Any] | None = None,
) -> CompressedModel:
    """Read the bytes of a ``.dcnn`` file, as `load` does; `what` names them in messages."""
    return _model(ModelFile(data, what, max_bytes, base))


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


def checked_config(inputs: Inputs, config: Config | None, metadata: Any, seed: Any) -> Config:
    """Check the other arguments of `compress`; return the configuration, by default an empty one.

    The tensors themselves are looked at one by one, by `inputs` and `compress_tensor`.
    """
    if metadata is not None and (not hasattr(metadata, "keys") or isinstance(metadata, type)):
        raise ArgumentError(f"metadata must be a mapping, not {type(metadata).__name__}")
    as_whole_number(seed, "seed", 0)
    if config is None:
        return Config()
    if not isinstance(config, Config):
        raise ArgumentError(f"config must be a Config, not {type(config).__name__}")
    config.check_names(list(inputs))  # as to look one up in a mapping may be to load it
    return config


def compress_tensor(
    name: str,
    values: npt.NDArray[Any],
    config: Config,
    seed: int,
    own_base: npt.NDArray[Any] | None = None,
) -> Encodable | Grouped | Kept:
    """Prune, share and price one tensor as `compress` does, or keep it.

    With a base's tensor, of its shape and dtype, it is kept, as the difference if that is smaller.
    """
    wanted = config.of(name, values.shape)
    with naming(name):
        if own_base is not None:
            coding, _ = delta.choose(values, own_base, wanted.coder)
            return Kept(values.copy(), small=True, coding=coding)
        if wanted.method == "raw":
            why = config.why_raw(name, values.shape)
            return Kept(values.copy(), why and NOT_FLOATING.get(values.dtype.kind, why))
        if wanted.method == "lossless":
            return _lossless(values, wanted.coder)
        asked = config.asked_for(name)
        if why := _why_kept(values, wanted):
            if asked and why != TOO_SMALL:
                reason = IN_WORDS.get(why, f"not for {why}, only floating tensors")
                raise ArgumentError(f"{asked} was asked for by its name: {reason}")
            return Kept(values.copy(), why)
        if wanted.method == "float16":
            kept = _mask(values, wanted) if _has_rule(wanted) else True
            return Kept(_half(np.where(kept, values, values.dtype.type(0))))
        rng = np.random.default_rng([seed, zlib.crc32(name.encode(errors="surrogatepass"))])
        return _share(values, wanted, rng, must=bool(asked))


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Name the tensor in errors; raise one of ours where it is too large for the memory."""
    try:
        yield
    except ArgumentError as error:
        raise ArgumentError(f"tensor {name!r}: {error}") from None
    except MemoryError as error:
        raise ArgumentError(f"tensor {name!r}: too large for the memory: {error}") from error


def _lossless(values: npt.NDArray[Any], coder: str) -> Encodable | Kept:
    """Return the way to store a tensor bit for bit that takes the fewest bytes."""
    if (weights := few_values.shared(values)) is not None:
        # Only what the bounds leave open is priced, as that takes long.
        least_bytes = few_values.least_bytes(weights)
        if least_bytes < raw_size(values.nbytes):
            own_bytes = planes.priced(values, coder, small=True)[1]
            if least_bytes < own_bytes:
                price = prices.choose(weights, Choice(coder))
                if price.size_bytes < own_bytes:
                    return Encodable(weights, price.coding)
    return Kept(values.copy(), small=True)


def _why_kept(values: npt.NDArray[Any], wanted: TensorConfig) -> str:
    """Return why a tensor can't be pruned, shared or rounded as is wanted; "" if it can."""
    if dtypes.named(values.dtype).kind != "f":
        return NOT_FLOATING.get(values.dtype.kind, str(values.dtype))
    if wanted.method == "float16":
        return _why_not_half(values, wanted)
    if values.size < wanted.min_size:
        return TOO_SMALL
    if values.size == 0:
        return ""
    with np.errstate(all="ignore"):
        ends = np.array([values.min(), values.max()])  # NaN if any value is
        rounded = ends.astype(np.float32)
    if not np.isfinite(ends).all():
        return NOT_FINITE
    is_within = np.isfinite(rounded).all() and rounded.any() == ends.any()
    return "" if is_within else BEYOND_FLOAT32


def _why_not_half(values: npt.NDArray[Any], wanted: TensorConfig) -> str:
    """Return the same for half precision, which has infinities and NaN, but no rule has."""
    is_finite = np.isfinite(values)
    if _has_rule(wanted) and not is_finite.all():
        return NOT_FINITE
    half = _half(values)
    is_within = np.array_equal(np.isfinite(half), is_finite) and half.any() == values.any()
    return "" if is_within else BEYOND_FLOAT16


def _half(values: npt.NDArray[Any]) -> npt.NDArray[np.float16]:
    with np.errstate(over="ignore", under="ignore"):
        return values.astype(np.float16)


def _share(
    values: npt.NDArray[Any], wanted: TensorConfig, rng: np.random.Generator, must: bool
) -> Encodable | Grouped | Kept:
    """Prune and share finite floats; keep them if that takes fewer bytes, unless `must`."""
    floats = dtypes.as_float32(values)
    mask = _mask(floats, wanted)
    if wanted.group_size is not None:
        if must and values.ndim < 2:
            raise ArgumentError(f"shape {values.shape} has no output channels for a group_size")
        if values.ndim > 1 and values.shape[0] > wanted.group_size:
            return _share_groups(values, mask, wanted, rng, must)
    survivors = _shared(floats, mask, wanted, rng, dtypes.named(values.dtype))
    return priced(values, mask, survivors, wanted, must)


def _shared(
    floats: npt.NDArray[np.float32],
    mask: BoolArray,
    wanted: TensorConfig,
    rng: np.random.Generator,
    element_type: ElementType,
) -> Survivors:
    """Return the weights that a mask leaves, shared, with the centroids that a file will have."""
    iterations = wanted.max_iterations
    shared = quantize.share_weights(
        floats, mask, wanted.bits, wanted.init, max_iterations=iterations, rng=rng
    )
    if _choice(wanted, element_type).half:
        shared = _of_half(shared, floats[mask])
    return _distinct(survivors_of(mask, shared, element_type))


def _of_half(shared: SharedWeights, weights: npt.NDArray[np.float32]) -> SharedWeights:
    """Round centroids to float16, and give each weight the nearest; of two, the smaller."""
    with np.errstate(over="ignore"):
        rounded = np.unique(shared.codebook[1:].astype(np.float16).astype(np.float32))
    if not np.isfinite(rounded).all():
        raise ArgumentError("a centroid is beyond float16, asked for as centroid_dtype")
    middles = (rounded[1:].astype(np.float64) + rounded[:-1]) / 2
    labels = (np.searchsorted(middles, weights) + 1).astype(np.uint8)
    codebook = np.concatenate([shared.codebook[:1], rounded])
    return SharedWeights(codebook, labels, shared.bits)


def _choice(wanted: TensorConfig, element_type: ElementType) -> Choice:
    """Return the codings that are open to a tensor of a dtype."""
    half = wanted.centroid_dtype == "float16" and element_type.name in WIDE_FLOATS
    return Choice(wanted.coder, wanted.encoding, wanted.gap_bits, half=half)


def _share_groups(
    values: npt.NDArray[Any],
    mask: BoolArray,
    wanted: TensorConfig,
    rng: np.random.Generator,
    must: bool,
) -> Grouped | Kept:
    """Share the weights of each group of rows by themselves."""
    floats, rows = dtypes.as_float32(values), wanted.group_size or 1
    groups = []
    for start in range(0, len(values), rows):
        own = slice(start, start + rows)
        groups.append(_shared(floats[own], mask[own], wanted, rng, dtypes.named(values.dtype)))
    coding, size = grouped.choose(groups, _choice(wanted, dtypes.named(values.dtype)))
    if size <= raw_size(values.nbytes) or must:
        return Grouped(values.shape, rows, tuple(groups), coding)
    return _pruned(values, mask)


def survivors_of(
    mask: BoolArray, shared: SharedWeights, element_type: ElementType = FLOAT32
) -> Survivors:
    """Return the weights that a mask leaves, as they are shared, with centroids of a dtype."""
    positions = np.flatnonzero(mask)
    weights = Survivors(mask.shape, shared.codebook, positions, shared.labels, element_type)
    return replace(weights, codebook=element_type.rounded(shared.codebook))


def _distinct(weights: Survivors) -> Survivors:
    """Have one centroid for weights that are the same, and none for those that are 0.0.

    Zero has one code, that of pruned weights. The dtype of a tensor may have few numbers.
    """
    centroids = weights.codebook[1:]
    distinct = np.unique(centroids[centroids != 0])
    if len(distinct) == len(centroids):
        return weights
    places = (np.searchsorted(distinct, centroids) + 1) * (centroids != 0)
    labels = np.concatenate([[0], places]).astype(np.uint8)[weights.labels]
    survives = labels != 0
    return replace(
        weights,
        codebook=np.concatenate([weights.codebook[:1], distinct]),
        positions=weights.positions[survives],
        labels=labels[survives],
    )


def priced(
    values: npt.NDArray[Any],
    mask: BoolArray,
    survivors: Survivors,
    wanted: TensorConfig,
    must: bool = False,
) -> Encodable | Kept:
    """Choose the coding of a tensor whose survivors share weights.

    Where that takes more bytes than the values themselves, these are kept, pruned, unless the
    weights `must` be shared.
    """
    price = prices.choose(survivors, _choice(wanted, survivors.element_type))
    if price.size_bytes <= raw_size(values.nbytes) or must:
        return Encodable(survivors, price.coding)
    return _pruned(values, mask)


def _pruned(values: npt.NDArray[Any], mask: BoolArray) -> Kept:
    """Keep what sharing would enlarge, pruned."""
    kept = values.copy()
    kept[(values != 0) & ~mask] = 0  # so that a zero keeps its sign
    return Kept(kept, "would grow")


def _has_rule(wanted: TensorConfig) -> bool:
    return any(getattr(wanted, rule) is not None for rule in RULES)


def _mask(values: npt.NDArray[Any], wanted: TensorConfig) -> BoolArray:
    if wanted.sensitivity is not None:
        return prune.sensitivity_mask(values, wanted.sensitivity)
    if wanted.sparsity is not None:
        return prune.sparsity_mask(values, wanted.sparsity)
    return prune.threshold_mask(values, wanted.threshold or 0.0)
