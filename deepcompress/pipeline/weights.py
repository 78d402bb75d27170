"""One tensor: weights -> mask -> codebook + labels -> the coding of fewest bytes, or it is kept."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import dtypes, prune, quantize
from ..coding import delta, encoder, few_values, grouped, planes, prices
from ..coding.delta import DeltaCoding
from ..coding.grouped import GroupedCoding
from ..coding.prices import Choice
from ..config import RULES, Config, TensorConfig
from ..container.records import Coding, SharedRecord
from ..container.shared_weights import WIDE_FLOATS
from ..container.sizes import raw_size
from ..dtypes import FLOAT32, ElementType
from ..errors import ArgumentError
from ..tensors import BoolArray, SharedWeights, Survivors

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
    """The shared weights of a tensor, and the coding that takes the fewest bytes.

    `priced` is the record where its size was found by making it.
    """

    survivors: Survivors
    coding: Coding
    priced: SharedRecord | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the tensor."""
        return self.survivors.shape

    def record(self) -> SharedRecord:
        """Return the tensor's record in a file."""
        return self.priced or encoder.encode(self.survivors, self.coding)


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
        return Encodable(survivors, price.coding, price.record)
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
