"""Models: their tensors one by one to a file's, and back from one."""

import os
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy.typing as npt

from ..checks import as_whole_number
from ..coding.prices import Choice
from ..config import Config, TensorConfig
from ..errors import ArgumentError
from ..inputs import Inputs, flat
from ..model import CompressedModel
from ..model_file import ModelFile, open_file
from ..packed.grouped import GroupedTensor
from ..packed.survivors import pack
from ..ties import Ties
from .weights import Encodable, Grouped, Kept, compress_tensor, naming


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
        record = weights.record()
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
