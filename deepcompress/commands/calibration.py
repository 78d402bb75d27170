"""The way of ``compress --calibrate``: inputs from files, and the answer."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..calibrate import calibrate
from ..coding.prices import Choice
from ..errors import ArgumentError, DataError, FormatError
from ..formats import registry
from ..model import CompressedModel
from ..nn.definition import to_metadata
from ..nn.network import Network
from ..nn.zoo import build
from ..runtime.loading import check_preprocessing, read_definition
from ..runtime.parameters import ParameterSource, parameter, read_sources
from ..runtime.pictures import load_picture
from ..runtime.preprocessing import Preprocessing
from .convert import PREPROCESSING
from .verb import Answer, refuse_to_replace

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
LAM = 1e-7
Array = npt.NDArray[Any]


def compress_calibrated(
    file: str,
    out: str,
    inputs: str,
    network: str | None,
    lam: float | None,
    threads: int | None,
    seed: int,
    pictures: Preprocessing | None = None,
) -> Answer:
    """Compress a network's file with inputs, as `compress` documents it.

    `pictures` is the preprocessing that the file is to have. Centroids and biases are numbers of
    float16.

    Raises
    ------
    ArgumentError
        If no network or no preprocessing is known, they don't fit, or there are no pictures.
    ConfigError
        If the zoo has no network of that name.
    DataError, FormatError
        If a file can't be read, or isn't valid.
    """
    with registry.open_source(file) as source:
        refuse_to_replace(out, file, inputs, *source.files)
        given = dict(source.metadata)
        given |= {} if pictures is None else {"preprocessing": pictures.to_metadata()}
        definition, preprocessing, metadata = known_network(file, given, network)
        try:
            check_preprocessing(definition, preprocessing)
            arrays = {name: source[name] for name in source}
            places, has_others = read_sources(metadata, definition)
            params = _params(definition, places, arrays) if has_others else arrays
            definition.check_params(params)
        except ArgumentError as error:
            raise type(error)(f"{file}: {error}") from None
        x, price = read_inputs(inputs, definition, preprocessing), LAM if lam is None else lam
        found = calibrate(
            *(definition, params, x),
            lam=price,
            half=True,
            metadata=metadata,
            seed=seed,
            threads=threads,
        )
    model = _by_tensor(found.model, places, arrays) if has_others else found.model
    size, own = model.save(out), sum(array.nbytes for array in arrays.values())
    values: dict[str, Any] = {
        "file": file,
        "out": out,
        "out_bytes": size,
        "reference_bytes": own,
        "ratio": own / size,
        "tensors": list(arrays),
        "inputs": len(x),
        "divergence": found.divergence,
        "layers": {layer.name: _told(layer) for layer in found.layers},
    }
    text = (
        f"{out}: {size:,} bytes, {own:,} as they were ({own / size:.1f}x); tensors: {len(arrays)}\n"
        f"calibrated with {len(x):,} inputs: a divergence of {found.divergence:.3g} nats "
        "is predicted"
    )
    return Answer(values, text)


def _params(
    network: Network, places: Mapping[str, ParameterSource], arrays: Mapping[str, Array]
) -> dict[str, Array]:
    """Return a network's parameters, by its own names, from a file's tensors."""
    for name, place in places.items():
        if place.tensor is not None and place.tensor not in arrays:
            raise ArgumentError(f"parameter {name!r}: there is no tensor {place.tensor!r}")
    return {
        name: np.asarray(parameter(name, places[name], shape, arrays.__getitem__))
        for name, shape in network.param_shapes.items()
    }


def _by_tensor(
    model: CompressedModel, places: Mapping[str, ParameterSource], arrays: Mapping[str, Array]
) -> CompressedModel:
    """Return a model with a file's tensors, by their names, in place of a network's parameters.

    A tensor that isn't just one parameter, as it is, stays what it was.
    """
    takers: dict[str, list[str]] = {}
    for name, place in places.items():
        takers.setdefault(place.tensor or "", []).append(name)
    found = CompressedModel({}, model.metadata)
    for tensor, array in arrays.items():
        own = takers.get(tensor, [])
        is_it = len(own) == 1 and places[own[0]] == ParameterSource(tensor)
        if is_it and model[own[0]].shape == array.shape:
            found.tensors[tensor] = model[own[0]]
            found.storage[tensor] = model.storage[own[0]]
        else:
            found.tensors[tensor] = array
            found.storage[tensor] = Choice("rans", small=True)
    return found


def known_network(
    file: str, metadata: Mapping[str, Any], name: str | None
) -> tuple[Network, Preprocessing | None, dict[str, Any]]:
    """Return a file's network, or the zoo's of a name, with its preprocessing; and the metadata."""
    metadata = dict(metadata)
    if name is not None:
        known = build(name)
        metadata["network"] = to_metadata(known)
        if known.name in PREPROCESSING:
            metadata.setdefault("preprocessing", PREPROCESSING[known.name])
    elif "network" not in metadata:
        why = metadata.get("no_network", "doesn't say which network it is; name it by --network")
        raise ArgumentError(f"{file}: {why}")
    return *read_definition(metadata), metadata


def _told(layer: Any) -> Mapping[str, Any]:
    names = "bits", "divergence", "factor", "step", "damping", "dead"
    return {name: getattr(layer, name) for name in names}


def read_inputs(
    where: str, network: Network, preprocessing: Preprocessing | None
) -> npt.NDArray[np.float32]:
    """Return inputs, (n, ...), from a folder of pictures, in the order of their names, or a file.

    Raises
    ------
    ArgumentError
        If a folder has no pictures, or the network no preprocessing.
    DataError, FormatError
        If a file can't be read.
    """
    if not os.path.isdir(where):
        try:
            return np.asarray(np.load(where, allow_pickle=False), np.float32)
        except OSError as error:
            raise DataError(f"{where}: {error.strerror or error}") from error
        except (ValueError, EOFError, TypeError) as error:
            raise FormatError(f"{where}: neither a folder of pictures nor a .npy file") from error
    files = sorted(path for path in Path(where).iterdir() if path.suffix.lower() in SUFFIXES)
    if not files:
        raise ArgumentError(f"{where}: has no pictures ({', '.join(SUFFIXES)})")
    if preprocessing is None:
        raise ArgumentError(f"network {network.name!r} has no preprocessing of pictures")
    return np.stack([load_picture(path, preprocessing) for path in files])
